"""What a pin cannot do is said when it is set."""

from pathlib import Path

import pytest

from pacs_cloud.bootstrap.pinning import moved_all_the_same
from pacs_cloud.settings import load_settings

BY_AGE = """
[[policies]]
name = "p"
match = {tenant = "default"}
steps = [{to = "GLACIER_IR", stored_days = 90}]
"""


@pytest.mark.parametrize(
    ("objects", "policies", "is_said"),
    [
        ("file:///archive", BY_AGE, False),
        ("s3://bucket", None, True),
        ("s3://bucket", BY_AGE, True),
        ("s3://bucket", BY_AGE.replace("default", "another"), False),
        ("s3://bucket", BY_AGE.replace('match = {tenant = "default"}', ""), True),
        ("s3://bucket", BY_AGE.replace("stored_days", "study_age_days"), False),
    ],
)
def test_rules_by_age_know_nothing_of_pins(
    tmp_path: Path, objects: str, policies: str | None, *, is_said: bool
) -> None:
    said = {"data": tmp_path, "objects": objects}
    if policies is not None:
        file = tmp_path / "tiers.toml"
        file.write_text(policies)
        said["tier_policies"] = file
    assert ("age of objects" in moved_all_the_same(load_settings(said))) is is_said

"""Policy files: what they say becomes policies; what is wrong is said by its place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.advice import Severity, advise
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step
from pacs_cloud.tiering.policy_file import parse_policies, read_policies
from pacs_cloud.tiering.rule_terms import parse_size

FULL = """
[[policies]]
name = "old CT"
retention_years = 10

[policies.match]
tenant = ["north", "south"]
modality = "ct"
description = ["*HEAD*", "CT [1-3]"]
institution = "Zentralklinik*"
min_bytes = "1.5 MiB"
max_bytes = 2_000_000_000

[[policies.steps]]
to = "STANDARD_IA"
stored_days = 30

[[policies.steps]]
to = "GLACIER_IR"
study_age_days = 365

[[policies.steps]]
to = "DEEP_ARCHIVE"
unread_days = 730

[[policies]]
name = "everything else"
retention_days = 3650
"""


def test_a_file_says_everything_that_a_policy_holds() -> None:
    assert parse_policies(FULL) == (
        Policy(
            "old CT",
            Match(
                tenants=frozenset({"north", "south"}),
                modalities=frozenset({"CT"}),
                descriptions=("*HEAD*", "CT [1-3]"),
                institutions=("Zentralklinik*",),
                least_bytes=3 << 19,
                most_bytes=2_000_000_000,
            ),
            (
                Step(StorageClass.STANDARD_IA, 30, Clock.STORED),
                Step(StorageClass.GLACIER_IR, 365, Clock.STUDY),
                Step(StorageClass.DEEP_ARCHIVE, 730, Clock.UNREAD),
            ),
            3653,
        ),
        Policy("everything else", retention_days=3650),
    )


@pytest.mark.parametrize(
    ("text", "length_bytes"),
    [
        ("0B", 0),
        ("128 KiB", 131_072),
        ("128kb", 128_000),
        ("2 GiB", 2 << 30),
        ("0.5 GB", 500_000_000),
        (" 1 TiB ", 1 << 40),
        ("1PB", 10**15),
    ],
)
def test_sizes(text: str, length_bytes: int) -> None:
    assert parse_size(text) == length_bytes


@pytest.mark.parametrize("text", ["", "2", "2 GiBs", "-1 MB", "2 iB", "GiB", "1e3 MB", "٣ MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"no size|no unit"):
        parse_size(text)


@pytest.mark.parametrize(
    ("years", "days"), [(1, 366), (4, 1461), (7, 2557), (10, 3653), (0.5, 183)]
)
def test_a_retention_of_years_is_never_shorter_than_the_calendars(years: float, days: int) -> None:
    (policy,) = parse_policies(f'policies = [{{name = "a", retention_years = {years}}}]')
    assert policy.retention_days == days


STEP = 'to = "GLACIER_IR"\n'


def _policy(body: str) -> str:
    return f'[[policies]]\nname = "a"\n{body}'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policies = 3", "`policies` should be tables"),
        ("", "`policies` is missing"),
        ("policies = []", "`policies` is empty: name at least one, or leave it out"),
        ("[[policy]]\n", "`policy` is not known; there are policies, prefetch"),
        ("[[policies]]\n", "policy 1: `name` is missing"),
        ("policies = [1]", "policy 1: should be a table"),
        (
            '[[policies]]\nname = " "',
            'policy 1 " ": `name` should have at least 1 character',
        ),
        (
            _policy("retention = 3"),
            (
                'policy 1 "a": `retention` is not known; there are name, match, steps, '
                "retention_days, retention_years"
            ),
        ),
        (
            _policy("retention_days = 3\nretention_years = 1"),
            'policy 1 "a": takes retention_days or retention_years, not both',
        ),
        (
            _policy('retention_days = "3"'),
            'policy 1 "a": `retention_days` should be a valid integer',
        ),
        (
            _policy('[policies.match]\ntenant = ["north", "No.1"]'),
            "policy 1 \"a\", match: `tenant` cannot be 'No.1'",
        ),
        (_policy("steps = 3"), 'policy 1 "a": `steps` should be tables'),
        (_policy("match = 'CT'"), 'policy 1 "a": `match` should be a table'),
        (
            _policy("[policies.match]\ntenant = 3"),
            'policy 1 "a", match: `tenant` should be a text or a list of texts',
        ),
        (
            _policy("[policies.match]\nmodality = []"),
            'policy 1 "a", match: `modality` is empty: name at least one, or leave it out',
        ),
        (
            _policy('[policies.match]\nmin_bytes = "2 gigs"'),
            "policy 1 \"a\", match: `min_bytes` '2 gigs' is no size such as 131072, '500 MB' or '2 GiB'",
        ),
        (
            _policy("[policies.match]\nmax_bytes = true"),
            'policy 1 "a", match: `max_bytes` should be a valid integer',
        ),
        (
            _policy("[policies.match]\nbody_part = 'HEAD'"),
            (
                'policy 1 "a", match: `body_part` is not known; there are tenant, modality, '
                "description, institution, min_bytes, max_bytes"
            ),
        ),
        (
            _policy(f"[[policies.steps]]\n{STEP}"),
            'policy 1 "a", step 1: needs one of study_age_days, stored_days and unread_days',
        ),
        (
            _policy(f"[[policies.steps]]\n{STEP}stored_days = 1\nunread_days = 1"),
            'policy 1 "a", step 1: needs one of study_age_days, stored_days and unread_days',
        ),
        (
            _policy(f"[[policies.steps]]\n{STEP}stored_days = -1"),
            'policy 1 "a", step 1: `stored_days` should be greater than or equal to 0',
        ),
        (
            _policy(f"[[policies.steps]]\n{STEP}stored_days = 1\n[[policies.steps]]\nto = 'COLD'"),
            (
                "policy 1 \"a\", step 2: `to` should be 'STANDARD', 'INTELLIGENT_TIERING', "
                "'STANDARD_IA', 'GLACIER_IR', 'GLACIER' or 'DEEP_ARCHIVE'"
            ),
        ),
        (_policy("") + _policy(""), 'policy 2 "a": policy 1 has this name too'),
    ],
)
def test_a_fault_is_one_line_that_names_its_place(text: str, line: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_policies(text)
    assert line in str(raised.value).splitlines()


def test_what_is_no_toml() -> None:
    with pytest.raises(InvalidRequest, match=r"^not TOML: .*line 2, column"):
        parse_policies("a = 1\nb = = 2\n")


@pytest.mark.parametrize("value", ["[" * 10_000 + "]" * 10_000, "9" * 5_000])
def test_toml_that_python_does_not_read(value: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^not TOML: "):
        parse_policies(f"a = {value}")


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path: Path) -> None:
    """Some editors begin UTF-8 with a byte order mark."""
    file = tmp_path / "tiers.toml"
    file.write_text(FULL, "utf-8-sig")
    assert read_policies(file) == parse_policies(FULL)


def test_every_fault_is_said(tmp_path: Path) -> None:
    file = tmp_path / "tiers.toml"
    file.write_text('[[policies]]\nname = "a"\nx = 1\n[[policies]]\nretention_days = 0\n', "utf-8")
    with pytest.raises(InvalidRequest) as raised:
        read_policies(file)
    lines = str(raised.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{file}: policy ") for line in lines)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot read .*: No such file"):
        read_policies(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRequest, match="is not UTF-8"):
        read_policies(tmp_path / "a.toml")


def test_the_documents_example_has_nothing_wrong() -> None:
    document = (Path(__file__).parents[3] / "docs" / "tiers.md").read_text("utf-8")
    policies = parse_policies(document.partition("```toml\n")[2].partition("```")[0])
    assert [one.name for one in policies] == [
        "mammography",
        "large CT of the north, head",
        "everything else",
    ]
    assert {one.severity for one in advise(policies)} == {Severity.NOTE}


_KEYS = st.sampled_from(
    ["policies", "name", "match", "steps", "to", "stored_days", "retention_years", "tenant", "x"]
)
_VALUES = st.recursive(
    st.sampled_from(["a", "STANDARD_IA", "2 GiB", "", 0, 30, -1, 10**30, 1.5, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(one)}' for key, one in value.items())}}}"
    return f"[{', '.join(map(toml, value))}]" if isinstance(value, list) else json.dumps(value)


@given(document=st.dictionaries(_KEYS, _VALUES, max_size=3), policies=_VALUES)
def test_whatever_a_file_holds_is_understood_or_refused(
    document: dict[str, Any], policies: object
) -> None:
    said = {**document, "policies": policies}
    text = "\n".join(f"{key} = {toml(value)}" for key, value in said.items())
    try:
        parse_policies(text)
    except InvalidRequest as error:
        lines = str(error).splitlines()
    else:
        lines = []
    assert all(len(line) > 10 for line in lines)

"""What programs show."""

import pytest

from pacs_cloud.security.api_keys import new_key, read_key


def test_a_secret_proves_its_key() -> None:
    key_id, secret, digest = new_key()
    shown = read_key(secret)
    assert shown is not None
    assert shown.key_id == key_id
    assert shown.is_kept_as(digest)
    assert secret.rpartition("_")[2] not in repr(shown)
    assert secret.removeprefix(f"pacs_{key_id}_") not in digest


def test_no_other_secret_does() -> None:
    key_id, secret, digest = new_key()
    other = new_key()
    mixed = read_key(f"pacs_{key_id}_{other[1].removeprefix(f'pacs_{other[0]}_')}")
    assert mixed is not None
    assert not mixed.is_kept_as(digest)
    assert not mixed.is_kept_as("")
    assert secret != new_key()[1]


@pytest.mark.parametrize(
    "text", ["", "pacs_", "pacs__", "x", "pacs_0123456789abcdef_short", "Bearer"]
)
def test_what_is_no_key(text: str) -> None:
    assert read_key(text) is None


@pytest.mark.parametrize("change", ["{} ", " {}", "{}x", "{}\n", "X{}"])
def test_nothing_around_a_key(change: str) -> None:
    assert read_key(change.format(new_key()[1])) is None

"""Keys say where an object lies, and are the same in every store."""

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.keys import (
    PackKey,
    check_key,
    check_prefix,
    ledger_prefix,
    parse_pack_key,
    parse_rejection_key,
    parse_trash_key,
    rejection_key,
    rejection_prefix,
    spread_of,
    trash_key,
    trash_prefix,
)

PACK = PackKey("default", "1.2.840.1", "1.2.840.1.5", "01890a5d-ac96-774b-bcce-b302099a8057")


def test_a_pack_and_its_index_are_named_alike() -> None:
    spread = spread_of("1.2.840.1")
    assert PACK.pack == f"packs/default/{spread}/1.2.840.1/1.2.840.1.5/{PACK.pack_id}.zip"
    assert PACK.index == f"index/default/{spread}/1.2.840.1/1.2.840.1.5/{PACK.pack_id}.zst"
    assert parse_pack_key(PACK.pack) == PACK == parse_pack_key(PACK.index)
    assert check_key(PACK.pack) == PACK.pack
    assert ledger_prefix("default", "1.2.840.1") == f"ledger/default/{spread}/1.2.840.1/"


@pytest.mark.parametrize(
    "key", ["packs/x.zip", PACK.pack[:-4] + ".zst", PACK.pack.replace("1.2.840.1/", "1.2.840.2/"),
            "thumbs/" + PACK.pack, ""],
)  # fmt: skip
def test_other_keys_are_no_pack_s(key: str) -> None:
    assert parse_pack_key(key) is None


@pytest.mark.parametrize(
    "key", ["a", "A-_.9/b", "a" * 255, "1.2/3..4", "-a", "/".join(["ab"] * 300)]
)
def test_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["a" * 256, "/".join(["abc"] * 257), "a//b", ".a", "a/..", "é"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(InvalidRequest):
        check_key(key)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b.", "packs/default/"])
def test_prefixes(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", ["a b", "é", "a\0", "x" * 1025])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        check_prefix(prefix)


@pytest.mark.parametrize("uids", [("1.2",), ("1.2", "1.2.3"), ("1.2", "1.2.3", "1.2.3.4")])
def test_marks_of_the_trash_sort_by_time(uids: tuple[str, ...]) -> None:
    keys = [trash_key("default", at, "delete", uids) for at in (9, 10, 1 << 40, 1 << 51)]
    assert keys == sorted(keys)
    for key, at in zip(keys, (9, 10, 1 << 40, 1 << 51), strict=True):
        assert check_key(key).startswith(trash_prefix("default"))
        assert parse_trash_key(key) == ("default", at, "delete", uids)


@pytest.mark.parametrize(
    "key",
    [
        "trash/default/0000000000000009-delete/1.2/3/4/5.json",
        "trash/default/0000000000000009-delete/1.2.txt",
        "trash/default/9-delete/1.2.json",
        "trash/0000000000000009-delete/1.2.json",
        "ledger/default/0000000000000009-delete/1.2.json",
    ],
)
def test_what_is_no_mark_of_the_trash(key: str) -> None:
    assert parse_trash_key(key) is None


def test_the_key_of_a_rejection_note_is_read_back() -> None:
    key = rejection_key("default", "1.2.3", "0f" * 32)
    assert key == f"rejections/default/1.2.3/{'0f' * 32}.json"
    assert parse_rejection_key(check_key(key)) == ("default", "1.2.3", "0f" * 32)
    assert key.startswith(rejection_prefix("default", "1.2.3"))
    assert not rejection_key("default", "1.2.34", "0f").startswith(
        rejection_prefix("default", "1.2.3")
    )
    for other in ("rejections/default/1.2.3/x.json", "recalls/default/1.2.3/0f.json", ""):
        assert parse_rejection_key(other) is None

"""Keys of what stays hot."""

import pytest

from pacs_cloud.objectstore.hot_keys import ThumbKey, parse_thumb_key, thumbs_prefix
from pacs_cloud.objectstore.keys import PackKey, check_key, spread_of

PACK = PackKey("north", "1.2", "1.2.3", "0198-a")
SPREAD = spread_of("1.2")


@pytest.mark.parametrize("is_picture", [True, False])
def test_a_thumbnail_is_named_after_its_pack_and_frame(*, is_picture: bool) -> None:
    made = ThumbKey(PACK, "1.2.3.4", 7, is_picture=is_picture)
    ending = "jpg" if is_picture else "json"
    assert made.key == f"thumbs/north/{SPREAD}/1.2/1.2.3/0198-a/1.2.3.4-7.{ending}"
    assert check_key(made.key)
    assert parse_thumb_key(made.key) == made
    for below in ((), ("1.2.3",), ("1.2.3", "0198-a")):
        assert made.key.startswith(thumbs_prefix("north", "1.2", *below))


@pytest.mark.parametrize(
    "key",
    [
        PACK.pack,
        f"thumbs/north/{SPREAD}/1.2/1.2.3/0198-a/1.2.3.4.jpg",
        f"thumbs/north/{SPREAD}/1.2/1.2.3/0198-a/1.2.3.4-7.png",
        f"thumbs/north/{SPREAD}/1.2/1.2.3/1.2.3.4-7.jpg",
        f"thumbs/north/{'00' if SPREAD != '00' else '01'}/1.2/1.2.3/0198-a/1.2.3.4-7.jpg",
    ],
)
def test_any_other_key_is_none(key: str) -> None:
    assert parse_thumb_key(key) is None

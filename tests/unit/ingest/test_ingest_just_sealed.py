"""What was sealed a moment ago is taken from memory, once."""

import pytest

from catalogue_samples import instance, pack
from pacs_cloud.ingest.just_sealed import JustSealed
from pacs_cloud.ingest.sealing import Sealed
from pacs_cloud.pack.index import encode_index


def sealed(pack_id: str, instances: int = 1, length_bytes: int = 100) -> Sealed:
    table = pack([instance(f"1.2.{n}") for n in range(instances)], pack_id=pack_id)
    return Sealed(length_bytes, table, encode_index(table, [b"{}"] * instances))


def test_a_pack_is_taken_once() -> None:
    kept, one = JustSealed(1 << 20), sealed("a")
    kept.keep(one)
    assert kept.take("b", 100) is None
    assert kept.take("a", 100) is one
    assert kept.take("a", 100) is None


def test_a_pack_of_another_length_is_not_the_one_that_was_sealed() -> None:
    kept = JustSealed(1 << 20)
    kept.keep(sealed("a", length_bytes=100))
    assert kept.take("a", 99) is None


def test_a_pack_that_was_sealed_again_stands_for_the_first() -> None:
    kept, cut_down = JustSealed(1 << 20), sealed("a", length_bytes=90)
    kept.keep(sealed("a", 2, length_bytes=100))
    kept.keep(cut_down)
    assert kept.take("a", 90) is cut_down


@pytest.mark.parametrize("packs", [10, 500])
def test_a_long_backlog_keeps_only_the_newest(packs: int) -> None:
    kept = JustSealed(8000)
    for number in range(packs):
        kept.keep(sealed(f"{number}", length_bytes=100))
    left = [number for number in range(packs) if kept.take(f"{number}", 100)]
    assert 0 < len(left) < 10
    assert left == list(range(packs))[-len(left) :]


def test_a_pack_over_the_limit_is_not_kept() -> None:
    kept = JustSealed(8000)
    kept.keep(sealed("a", 200, length_bytes=100))
    assert kept.take("a", 100) is None

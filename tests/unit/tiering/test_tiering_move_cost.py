"""What moves cost and save, against prices worked out by hand."""

from decimal import Decimal

import pytest

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.move_cost import MoveCost
from pacs_cloud.tiering.cost.prices import GB, Region, load_prices
from pacs_cloud.tiering.planning import Move

IR, DEEP = StorageClass.GLACIER_IR, StorageClass.DEEP_ARCHIVE


@pytest.fixture(scope="module")
def region() -> Region:
    return load_prices().region("us-east-1")


def move(length_bytes: int, to: StorageClass, lies_in: str = "STANDARD") -> Move:
    pack = PackRecord("default", "1.2", "1.2.3", "a", length_bytes, 1, 0, storage_class=lies_in)
    return Move(pack, to, "p")


def price(region: Region, storage_class: StorageClass) -> Decimal:
    return region.of(storage_class).storage[0].price


def test_bytes_are_saved_at_the_difference_of_the_classes(region: Region) -> None:
    cost = MoveCost(region)
    for _ in range(3):
        cost.add(move(2 * GB, IR))
    assert (cost.packs, cost.length_bytes) == (3, 6 * GB)
    tags = 3 * region.of(StorageClass.STANDARD).put_1000 / 1000
    assert cost.once == 3 * region.of(IR).transition_1000 / 1000 + tags
    difference = price(region, StorageClass.STANDARD) - price(region, IR)
    assert cost.saved_a_month == 6 * difference - 3 * region.tags_10k_month / 10_000


def test_a_small_pack_in_a_deep_class_costs_more_than_before(region: Region) -> None:
    cost = MoveCost(region)
    cost.add(move(1024, DEEP))
    standard, deep = price(region, StorageClass.STANDARD), price(region, DEEP)
    overhead = (8 * standard + 32 * deep) / (1 << 20)
    tag = region.tags_10k_month / 10_000
    assert cost.saved_a_month == (standard - deep) / (1 << 20) - overhead - tag
    assert cost.saved_a_month < 0


def test_what_is_watched_and_tagged_saves_nothing_so_long_as_it_is_read(region: Region) -> None:
    cost = MoveCost(region)
    cost.add(move(GB, StorageClass.INTELLIGENT_TIERING))
    watched = region.of(StorageClass.INTELLIGENT_TIERING).monitoring_1000_month / 1000
    assert cost.saved_a_month == -watched - region.tags_10k_month / 10_000


def test_no_move_costs_nothing(region: Region) -> None:
    assert MoveCost(region).once == MoveCost(region).saved_a_month == 0

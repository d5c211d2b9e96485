"""What bringing a study back costs, against prices worked out by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from pacs_cloud.tiering.bringing_back_cost import bringing_back_cost
from pacs_cloud.tiering.cost.prices import GB, Region, Speed, load_prices
from pacs_cloud.tiering.recall.demand import RecallWish

STANDARD, IR, GLACIER = StorageClass.STANDARD, StorageClass.GLACIER_IR, StorageClass.GLACIER
DEEP = StorageClass.DEEP_ARCHIVE
WISH = RecallWish(RecallSpeed.BULK, 3)
NOW_US = 1_750_000_000_000_000


@pytest.fixture(scope="module")
def region() -> Region:
    return load_prices().region("us-east-1")


def pack(storage_class: StorageClass, length_bytes: int = 2 * GB) -> PackRecord:
    return PackRecord("t", "1.2", "1.2.3", "a", length_bytes, 1, 0, storage_class=storage_class)


def copies(region: Region, count: int = 1) -> Decimal:
    return count * region.of(STANDARD).put_1000 / 1000


def test_what_is_read_at_once_is_retrieved_and_copied(region: Region) -> None:
    cost = bringing_back_cost([pack(IR), pack(IR)], region, WISH, now_us=NOW_US)
    assert (cost.packs, cost.length_bytes) == (2, 4 * GB)
    assert cost.once == 4 * region.of(IR).retrieval_gb + copies(region, 2)
    difference = region.of(STANDARD).storage[0].price - region.of(IR).storage[0].price
    assert cost.more_a_month == 4 * difference - 2 * region.tags_10k_month / 10_000


def test_what_is_cold_is_restored_first(region: Region) -> None:
    cost = bringing_back_cost([pack(GLACIER)], region, WISH, now_us=NOW_US)
    restore = region.of(GLACIER).recall[Speed.BULK]
    stays = 2 * 3 * region.of(STANDARD).storage[0].price / 30
    assert cost.once == (restore.requests_1000 / 1000 + 2 * restore.gb + stays + copies(region))


def test_what_is_restored_already_is_not_paid_for_again(region: Region) -> None:
    arrived = replace(pack(DEEP), recalled_until_us=NOW_US + 1)
    cost = bringing_back_cost([arrived], region, WISH, now_us=NOW_US)
    assert cost.once == copies(region)
    over = bringing_back_cost([arrived], region, WISH, now_us=NOW_US + 1)
    assert over.once > cost.once


def test_a_speed_that_a_class_has_not_is_the_one_it_takes(region: Region) -> None:
    wish = RecallWish(RecallSpeed.EXPEDITED, 3)
    cost = bringing_back_cost([pack(DEEP)], region, wish, now_us=NOW_US)
    same = bringing_back_cost([pack(DEEP)], region, RecallWish(days=3), now_us=NOW_US)
    assert cost == same

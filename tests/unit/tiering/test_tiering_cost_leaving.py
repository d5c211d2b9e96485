"""Fees of packs that are read and removed before their time."""

from decimal import Decimal

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.tiering.cost.leaving import leaving_cost
from pacs_cloud.tiering.cost.prices import load_prices

GB = 1 << 30


def test_what_is_read_and_leaves_early_is_billed() -> None:
    region = load_prices().region("us-east-1")
    cost = leaving_cost({"GLACIER_IR": 100 * GB, "STANDARD_IA": 10 * GB}, region)
    assert cost.retrieval == Decimal("3.1")
    # 90 days of one class, 30 of the other, in months of 30 days.
    assert cost.early == Decimal(100) * 3 * Decimal("0.004") + 10 * Decimal("0.0125")


def test_on_disks_of_ones_own_nothing_is() -> None:
    cost = leaving_cost({"GLACIER_IR": GB}, load_prices().region("on-site"))
    assert (cost.retrieval, cost.early) == (0, 0)


def test_a_class_without_a_price_is_said() -> None:
    with pytest.raises(InvalidRequest, match="DEEP_ARCHIVE"):
        leaving_cost({"DEEP_ARCHIVE": GB}, load_prices().region("on-site"))

"""The first year of a million CT instances: what packs save, line by line."""

from decimal import Decimal

import pytest

from pacs_cloud.tiering.cost.bill import Bill
from pacs_cloud.tiering.cost.first_year import first_year
from pacs_cloud.tiering.cost.layouts import OBJECTS, PACKS, REPACKED, Layout
from pacs_cloud.tiering.cost.prices import load_prices

STORED = "storage"
PUTS = "PUT, COPY, POST, LIST requests"
MOVES = "lifecycle transitions"


def bill_of(layout: Layout, region: str) -> Bill:
    return first_year(layout, load_prices().region(region)).total


def quantities(bill: Bill) -> dict[tuple[str, str | None], Decimal]:
    return {(line.what, line.storage_class): line.quantity for line in bill.lines}


def show(name: str, bill: Bill) -> None:
    print(f"\n{name}: {bill.total:.2f} {bill.currency}")
    for line in bill.lines:
        place = line.storage_class or ""
        print(f"  {line.what:32} {place:12} {line.quantity:12.3f} {line.unit:18}"
              f"{line.price:10f} {line.amount:9.4f}")  # fmt: skip


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "eu-west-1"])
def test_packs_cost_at_most_65_percent_and_with_htj2k_at_most_40(region: str) -> None:
    objects, packs, small = (bill_of(layout, region) for layout in (OBJECTS, PACKS, REPACKED))
    for name, bill in (("objects", objects), ("packs", packs), ("packs, HTJ2K", small)):
        show(f"{region} {name}", bill)
    print(f"packs {packs.total / objects.total:.1%}, with HTJ2K {small.total / objects.total:.1%}")
    assert packs.total <= Decimal("0.65") * objects.total
    assert small.total <= Decimal("0.40") * objects.total


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "eu-west-1"])
def test_also_when_the_others_catalogue_costs_nothing_at_all(region: str) -> None:
    objects = bill_of(OBJECTS, region)
    without = sum(line.amount for line in objects.lines if "catalogue" not in line.what)
    assert bill_of(PACKS, region).total <= Decimal("0.65") * without
    assert bill_of(REPACKED, region).total <= Decimal("0.40") * without


def test_the_requests_are_those_that_can_be_counted_by_hand() -> None:
    objects, packs = (quantities(bill_of(one, "us-east-1")) for one in (OBJECTS, PACKS))
    assert objects[PUTS, "STANDARD"] == 1_000, "a PUT for each of a million"
    assert objects[MOVES, "GLACIER_IR"] == 1_000
    # 5,000 series of 127 + 73 instances: a pack, its index, and later its tag, each a PUT.
    assert packs[PUTS, "STANDARD"] == Decimal(5_000 * 2 * 3) / 1_000
    assert packs[MOVES, "GLACIER_IR"] == Decimal(5_000 * 2) / 1_000


def test_the_storage_is_that_which_can_be_reckoned_by_hand() -> None:
    objects = quantities(bill_of(OBJECTS, "us-east-1"))
    gb = Decimal(526_000 * 1_000_000) / 2**30
    assert objects[STORED, "STANDARD"] == gb * 30 / 31
    # One day of January, then eleven months.
    assert abs(objects[STORED, "GLACIER_IR"] - gb * (11 + Decimal(1) / 31)) < Decimal("1e-9")


def test_repacked_series_are_one_pack_each_and_smaller() -> None:
    small, packs = (quantities(bill_of(one, "us-east-1")) for one in (REPACKED, PACKS))
    assert small[MOVES, "GLACIER_IR"] == 5
    ratio = packs[STORED, "GLACIER_IR"] / small[STORED, "GLACIER_IR"]
    assert Decimal("2.25") < ratio < Decimal("2.3")
    assert small["GET and all other requests", "STANDARD"] == 10, "each old pack is read once"

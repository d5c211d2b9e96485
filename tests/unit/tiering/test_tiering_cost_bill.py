"""Bills: rungs, shared ladders, floors, overheads, and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import RULES, StorageClass
from pacs_cloud.tiering.cost.bill import bill, total_of
from pacs_cloud.tiering.cost.energy import footprint
from pacs_cloud.tiering.cost.explanation import explained
from pacs_cloud.tiering.cost.prices import GB, TB, Speed, load_prices
from pacs_cloud.tiering.cost.tariffs import TARIFFS
from pacs_cloud.tiering.cost.usage import Counted, Measure, kept, rules_in, shortfall

TABLE = load_prices()
VIRGINIA = TABLE.region("us-east-1")
ON_SITE = TABLE.region("on-site")
S, M = StorageClass, Measure
DAYS = 30
KB = 1024


def amounts(usage, region=VIRGINIA, days: int = DAYS) -> dict[str, Decimal]:
    return {line.what: line.amount for line in bill(usage, region, days).lines}


def test_every_measure_has_a_tariff_that_says_what_it_is() -> None:
    assert set(TARIFFS) == set(Measure)
    assert all(tariff.says.endswith(".") for tariff in TARIFFS.values())


def test_a_gb_month_is_a_gb_for_all_days_of_the_month() -> None:
    for days in (28, 31):
        usage = {Counted(M.STORED, S.STANDARD): GB * days}
        assert amounts(usage, days=days) == {"storage": Decimal("0.023")}
    half = {Counted(M.STORED, S.STANDARD): GB * 15}
    assert amounts(half) == {"storage": Decimal("0.0115")}


def test_storage_climbs_its_rungs() -> None:
    usage = {Counted(M.STORED, S.STANDARD): 600_000 * GB * DAYS}
    paid = 51_200 * Decimal("0.023") + 460_800 * Decimal("0.022") + 88_000 * Decimal("0.021")
    assert amounts(usage)["storage"] == paid


def test_what_is_billed_as_standard_stands_on_one_ladder() -> None:
    usage = {
        Counted(M.STORED, S.STANDARD): 51_200 * GB * DAYS,
        Counted(M.RESTORED, S.GLACIER): 10 * GB * DAYS,
        Counted(M.HOT_OVERHEAD, S.GLACIER): 20 * GB * DAYS,
    }
    got = amounts(usage)
    assert got["storage of restored copies"] == 10 * Decimal("0.022")
    assert got["storage of names and metadata"] == 20 * Decimal("0.022")


def test_the_third_line_of_a_ladder_stands_on_both_others() -> None:
    usage = {
        Counted(M.STORED, S.STANDARD): 51_190 * GB * DAYS,
        Counted(M.HOT_OVERHEAD, S.GLACIER): 6 * GB * DAYS,
        Counted(M.RESTORED, S.GLACIER): 10 * GB * DAYS,
    }
    got = amounts(usage)["storage of restored copies"]
    assert got == 4 * Decimal("0.023") + 6 * Decimal("0.022")


def test_a_small_object_is_billed_as_128_kb_in_infrequent_access() -> None:
    for storage_class in (S.STANDARD_IA, S.GLACIER_IR):
        rules = RULES[storage_class]
        size = 10 * KB
        usage = kept(storage_class, rules, size, shortfall(size, rules.billed_bytes), 1)
        assert sum(usage.values()) == 128 * KB
        big = kept(storage_class, rules, GB, shortfall(GB, rules.billed_bytes), 1)
        assert sum(big.values()) == GB


def test_a_cold_object_has_32_kb_beside_it_and_8_at_standards_price() -> None:
    usage = kept(S.DEEP_ARCHIVE, RULES[S.DEEP_ARCHIVE], 5 * GB, 0, 1_000)
    month = {counted: amount * DAYS for counted, amount in usage.items()}
    got = amounts(month)
    assert got["storage of the service's index"] == Decimal(32 * KB * 1000) / GB * Decimal(
        "0.00099"
    )
    assert got["storage of names and metadata"] == Decimal(8 * KB * 1000) / GB * Decimal("0.023")


def test_disks_of_ones_own_have_no_such_rules_but_draw_power() -> None:
    assert rules_in(ON_SITE, S.GLACIER).cold_overhead_bytes == 0
    assert rules_in(ON_SITE, S.STANDARD_IA).billed_bytes == 0
    lines = bill({Counted(M.STORED, S.STANDARD): TB * DAYS}, ON_SITE, DAYS).lines
    storage, electricity = lines
    assert abs(storage.amount - Decimal(60 * 2) / 12) < Decimal("1e-20")
    assert electricity.what == "electricity"
    # A TB twice, 1.6 W each, 50 % more for the building, 730.5 hours.
    assert abs(electricity.quantity - Decimal("3.5064")) < Decimal("1e-20")
    assert abs(electricity.amount - Decimal("0.8766")) < Decimal("1e-20")


def test_the_first_100_gb_that_leave_are_free() -> None:
    assert amounts({Counted(M.LEAVES): 100 * GB}) == {"data transfer out": 0}
    assert amounts({Counted(M.LEAVES): 101 * GB}) == {"data transfer out": Decimal("0.09")}


def test_a_restore_is_priced_by_its_speed() -> None:
    usage = {
        Counted(M.RESTORE, S.GLACIER, Speed.EXPEDITED): 1_000,
        Counted(M.RETRIEVED, S.GLACIER, Speed.EXPEDITED): 10 * GB,
    }
    assert amounts(usage) == {
        "restore requests": Decimal(10),
        "retrieved bytes": Decimal("0.30"),
    }
    bulk = {Counted(M.RESTORE, S.GLACIER, Speed.BULK): 1_000}
    assert amounts(bulk) == {"restore requests": 0}


@pytest.mark.parametrize(
    "counted",
    [
        Counted(M.STORED),
        Counted(M.RESTORE, S.GLACIER),
        Counted(M.RESTORE, S.DEEP_ARCHIVE, Speed.EXPEDITED),
        Counted(M.RESTORE, S.STANDARD, Speed.BULK),
    ],
)
def test_what_cannot_be_priced_is_refused(counted: Counted) -> None:
    with pytest.raises(InvalidRequest):
        bill({counted: 1}, VIRGINIA, DAYS)


COUNTED = st.sampled_from(
    [Counted(one, S.GLACIER_IR) for one in (M.STORED, M.FLOOR, M.PUT, M.GET, M.TRANSITION)]
    + [Counted(M.LEAVES), Counted(M.WRITE_UNITS), Counted(M.CATALOGUE)]
)
USAGES = st.lists(st.dictionaries(COUNTED, st.integers(0, 10**18)), min_size=1, max_size=5)


@given(USAGES)
def test_months_add_up(usages: list[dict[Counted, int]]) -> None:
    bills = [bill(usage, VIRGINIA, DAYS) for usage in usages]
    total = total_of(bills)
    assert abs(total.total - sum(one.total for one in bills)) < Decimal("1e-9")
    assert len({(line.what, line.storage_class) for line in total.lines}) == len(total.lines)


def test_no_month_is_no_bill() -> None:
    with pytest.raises(InvalidRequest):
        total_of([])


def test_energy_is_watts_times_hours_times_copies_and_the_building() -> None:
    usage = {Counted(M.STORED, S.STANDARD): TB * 365, Counted(M.PUT, S.STANDARD): 10**9}
    estimate = footprint([usage], VIRGINIA, TABLE)
    assert estimate.kwh == Decimal("0.65") * 3 * Decimal("1.15") * 24 * 365 / 1000
    assert estimate.co2_kg == estimate.kwh * Decimal("379.069") / 1000
    on_site = footprint([usage], ON_SITE, TABLE)
    assert on_site.kwh == Decimal("1.6") * 2 * Decimal("1.5") * 24 * 365 / 1000


def test_a_price_is_said_with_as_many_digits_as_can_be_read() -> None:
    said = [row["price"].split()[0] for row in explained(ON_SITE)]
    assert "0.00626349" in said, "a third of a cent has no end"
    assert max(len(one.lstrip("0.").replace(".", "")) for one in said) <= 6


def test_every_price_is_explained() -> None:
    rows = list(explained(VIRGINIA))
    assert {row["line"] for row in rows} == {measure.value for measure in Measure}
    floors = {row["class"] for row in rows if "smallest" in row["line"]}
    assert floors == {"STANDARD_IA", "GLACIER_IR"}
    assert {row["speed"] for row in rows if row["line"] == "restore requests"} == {
        "expedited",
        "standard",
        "bulk",
    }
    assert {row["line"] for row in explained(ON_SITE)} == {"storage", "storage of restored copies"}

"""What an archive holds, counted from the catalogue's records, and the bill of a month."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from catalogue_samples import TENANT, attributes, element
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyRecord, StudyState
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.bill import bill
from pacs_cloud.tiering.cost.holdings import Dimension, Holdings, plain_shares
from pacs_cloud.tiering.cost.prices import GB, load_prices
from pacs_cloud.tiering.cost.usage import Counted, Measure

DAY_US = 86_400_000_000
NOW_US = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
VIRGINIA = load_prices().region("us-east-1")
ON_SITE = load_prices().region("on-site")
KB = 1024
S, M = StorageClass, Measure


def a_pack(storage_class: str, length_bytes: int, *, of: str = "CT", days: int = 400) -> PackRecord:
    return PackRecord(
        tenant=TENANT,
        study_instance_uid="1.2",
        series_instance_uid=f"1.2.{of}",
        pack_id=f"{storage_class}-{length_bytes}",
        length_bytes=length_bytes,
        instance_count=10,
        committed_us=NOW_US - days * DAY_US,
        storage_class=storage_class,
    )


def a_study(*packs: PackRecord, date: str = "20240101", institution: str = "") -> StudyState:
    said = attributes(date=date)
    if institution:
        said["00080080"] = element("LO", institution)
    study = StudyRecord(
        tenant=TENANT,
        study_instance_uid="1.2",
        rev=1,
        attributes=said,
        ranks={},
        patients=frozenset(),
        modalities=frozenset({"CT", "MR"}),
        sop_classes=frozenset(),
        series_count=2,
        instance_count=20,
        length_bytes=1,
        first_received_us=NOW_US - 400 * DAY_US,
        last_received_us=NOW_US - 400 * DAY_US,
    )
    series = SeriesRecord(
        TENANT,
        "1.2",
        "1.2.CT",
        {"00081040": element("LO", "Radiology")},
        {},
        frozenset({"CT"}),
        frozenset(),
        10,
        1,
        0,
        0,
    )
    other = replace(
        series, series_instance_uid="1.2.MR", attributes={}, modalities=frozenset({"MR"})
    )
    return StudyState(study, (series, other), packs)


def held(*states: StudyState, region=VIRGINIA) -> Holdings:
    holdings = Holdings(NOW_US, region)
    for state in states:
        holdings.add(state)
    return holdings


def sizes(holdings: Holdings, dimension: Dimension) -> dict[str, int]:
    return {value: share.stored_bytes for value, share in holdings.shares[dimension].items()}


def test_packs_are_told_apart_by_class_modality_department_and_age() -> None:
    holdings = held(
        a_study(a_pack("STANDARD", 300_000), a_pack("GLACIER", 500_000, of="MR")),
        a_study(a_pack("GLACIER", 200_000, of="MR"), date="", institution="St. Mary"),
    )
    assert holdings.studies == 2
    assert sizes(holdings, Dimension.CLASS) == {"STANDARD": 300_000, "GLACIER": 700_000}
    assert sizes(holdings, Dimension.MODALITY) == {"CT": 300_000, "MR": 700_000}
    assert sizes(holdings, Dimension.DEPARTMENT) == {
        "Radiology": 300_000,
        "(none)": 500_000,
        "St. Mary": 200_000,
    }
    # The second study has no date: it counts from its arrival, 400 days ago.
    assert sizes(holdings, Dimension.AGE) == {"2": 800_000, "1": 200_000}
    rows = plain_shares(holdings)["class"]
    assert rows[0] == {"class": "GLACIER", "packs": 2, "instances": 20, "bytes": 700_000}


def test_a_month_is_billed_with_floors_overheads_indexes_and_tags() -> None:
    usage = held(a_study(a_pack("GLACIER_IR", 8 * KB), a_pack("DEEP_ARCHIVE", 8 * KB))).usage
    index = 2 * (2_650 + 133 * 10)
    assert usage == {
        Counted(M.STORED, S.GLACIER_IR): 8 * KB * 30,
        Counted(M.FLOOR, S.GLACIER_IR): 120 * KB * 30,
        Counted(M.STORED, S.DEEP_ARCHIVE): 8 * KB * 30,
        Counted(M.COLD_OVERHEAD, S.DEEP_ARCHIVE): 32 * KB * 30,
        Counted(M.HOT_OVERHEAD, S.DEEP_ARCHIVE): 8 * KB * 30,
        Counted(M.STORED, S.STANDARD): index * 30,
        Counted(M.TAGGED): 2 * 30,
        Counted(M.CATALOGUE): (3_500 + 2 * 900 + index) * 30,
    }


def test_ones_own_disks_bill_the_bytes_alone() -> None:
    usage = held(a_study(a_pack("GLACIER", 8 * KB)), region=ON_SITE).usage
    assert {one.measure for one in usage} == {M.STORED, M.TAGGED, M.CATALOGUE}


def test_what_came_in_within_a_month_comes_in_again() -> None:
    usage = held(a_study(a_pack("STANDARD", GB, days=29), a_pack("STANDARD", GB, days=30))).usage
    assert usage[Counted(M.PUT, S.STANDARD)] == 2, "the pack of 29 days, and its index"
    # Its study came earlier: 13 for the transaction, 3 KB of table, 2 KB of headers.
    assert usage[Counted(M.WRITE_UNITS)] == 13 + 3 + 2


def test_a_study_that_is_new_has_its_names_written_too() -> None:
    state = a_study(a_pack("STANDARD", GB, days=0))
    new = replace(state, study=replace(state.study, first_received_us=NOW_US))
    assert held(new).usage[Counted(M.WRITE_UNITS)] == 24 + 13 + 3 + 2


def test_intelligent_tiering_watches_what_is_large_enough() -> None:
    packs = (a_pack("INTELLIGENT_TIERING", 127 * KB), a_pack("INTELLIGENT_TIERING", 128 * KB))
    assert held(a_study(*packs)).usage[Counted(M.MONITORED, S.INTELLIGENT_TIERING)] == 30


def test_a_class_that_nobody_knows_counts_as_standard() -> None:
    assert sizes(held(a_study(a_pack("ONEZONE_IA", 5))), Dimension.CLASS) == {"STANDARD": 5}


def test_the_order_does_not_matter() -> None:
    states = [a_study(a_pack("STANDARD", 7)), a_study(a_pack("GLACIER_IR", 9), date="20200101")]
    one, other = held(*states), held(*reversed(states))
    assert one.usage == other.usage
    assert plain_shares(one) == plain_shares(other)
    assert bill(one.usage, VIRGINIA, 30).total == bill(other.usage, VIRGINIA, 30).total


def test_an_empty_archive_costs_nothing() -> None:
    assert bill(held().usage, VIRGINIA, 30).total == Decimal(0)

"""What an archive holds, counted from the catalogue's records, and the bill of a month."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import TENANT, attributes, element
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyRecord, StudyState
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.access.sheet import Access
from pacs_cloud.tiering.cost.bill import bill
from pacs_cloud.tiering.cost.energy import footprint
from pacs_cloud.tiering.cost.holdings import Dimension, Holdings, plain_shares, shared_out
from pacs_cloud.tiering.cost.holdings_html import holdings_page
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
    assert rows[0] == {
        "class": "GLACIER",
        "packs": 2,
        "instances": 20,
        "bytes": 700_000,
        "writes": 0,
        "reads": 0,
        "read_bytes": 0,
    }


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


def read(*states: StudyState, access: Access, outside_percent: int = 100) -> Holdings:
    holdings = Holdings(NOW_US, VIRGINIA, outside_percent=outside_percent, accesses={"1.2": access})
    for state in states:
        holdings.add(state)
    return holdings


def test_what_was_read_is_told_by_class_modality_department_and_age_and_billed() -> None:
    access = Access(requests=3, pack_reads=11, length_bytes=1_000_003, last_us=NOW_US)
    state = a_study(a_pack("STANDARD", 300_000), a_pack("GLACIER_IR", 700_000, of="MR"))
    holdings = read(state, access=access, outside_percent=50)
    for dimension, values in (
        (Dimension.CLASS, ("STANDARD", "GLACIER_IR")),
        (Dimension.MODALITY, ("CT", "MR")),
        (Dimension.DEPARTMENT, ("Radiology", "(none)")),
    ):
        shares = [holdings.shares[dimension][value] for value in values]
        # What rounding leaves goes to the larger pack; nothing is lost.
        assert [share.reads for share in shares] == [3, 8]
        assert [share.read_bytes for share in shares] == [300_000, 700_003]
    (age,) = holdings.shares[Dimension.AGE].values()
    assert (age.reads, age.read_bytes) == (11, 1_000_003)
    usage = holdings.usage
    assert usage[Counted(M.GET, S.STANDARD)] == 3
    assert usage[Counted(M.GET, S.GLACIER_IR)] == 8
    assert usage[Counted(M.RETRIEVED, S.GLACIER_IR)] == 700_003
    assert Counted(M.RETRIEVED, S.STANDARD) not in usage
    assert usage[Counted(M.LEAVES)] == 150_000 + 350_001
    # 3 requests: a table of 2,410 bytes for each pack, and 5,300 bytes of records.
    assert usage[Counted(M.READ_UNITS)] == 3 * (1 + 1 + 2)
    without = bill(held(state).usage, VIRGINIA, 30).total
    expected = (
        Decimal("0.0004") * 3 / 1000
        + Decimal("0.01") * 8 / 1000
        + Decimal("0.03") * 700_003 / GB
        + Decimal("0.125") * 12 / 1_000_000
    )
    # The first 100 GB a month leave for nothing.
    assert bill(usage, VIRGINIA, 30).total == without + expected


def test_what_was_written_counts_where_it_was_written() -> None:
    holdings = held(a_study(a_pack("GLACIER_IR", 300_000, days=3), a_pack("STANDARD", 9, of="MR")))
    writes = {
        dimension: {value: share.writes for value, share in shares.items() if share.writes}
        for dimension, shares in holdings.shares.items()
    }
    assert writes == {
        Dimension.CLASS: {"STANDARD": 2},
        Dimension.MODALITY: {"CT": 2},
        Dimension.DEPARTMENT: {"Radiology": 2},
        Dimension.AGE: {"2": 2},
    }


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), max_size=8))
def test_nothing_is_lost_by_sharing_out(amount: int, weights: list[int]) -> None:
    parts = shared_out(amount, weights)
    assert len(parts) == len(weights)
    assert sum(parts) == (amount if weights else 0)
    assert all(part >= 0 for part in parts)


def test_the_page_escapes_names_and_fetches_nothing() -> None:
    state = a_study(a_pack("STANDARD", 300_000, of="MR"), institution="<script>x</script>")
    holdings = held(state)
    table = load_prices()
    text = holdings_page(
        holdings,
        bill(holdings.usage, VIRGINIA, 30),
        footprint([holdings.usage], VIRGINIA, table),
        "us-east-1",
        "2026-03-01",
    )
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.findall(r"src=|href=|url\(|@import", text)
    assert 'name="viewport"' in text
    assert text.count('<div class="wide"><table>') == 5, "each table is moved sideways"
    assert VIRGINIA.source.split(";")[0].replace("'", "&#x27;") in text


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

"""Which packs are due to move, from what the catalogue holds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyRecord, StudyState
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.objectstore.storage_classes import SMALL_BYTES, TIER_TAG, StorageClass
from pacs_cloud.tiering.lifecycle import configuration
from pacs_cloud.tiering.planning import facts_of, moves, moves_of
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step

DAY_US = 86_400_000_000
NOW_US = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
IA, IR, DEEP = StorageClass.STANDARD_IA, StorageClass.GLACIER_IR, StorageClass.DEEP_ARCHIVE
POLICY = Policy("p", steps=(Step(IA, 30), Step(IR, 90), Step(DEEP, 730)), retention_days=3653)


def never(_: StudyRecord) -> int | None:
    return None


def study(
    *, date: str = "20251101", stored_days: float = 10, of: Elements | None = None
) -> StudyRecord:
    return StudyRecord(
        tenant=TENANT,
        study_instance_uid="1.2",
        rev=1,
        attributes=attributes(date=date) if of is None else of,
        ranks={},
        patients=frozenset(),
        modalities=frozenset({"CT"}),
        sop_classes=frozenset(),
        series_count=1,
        instance_count=2,
        length_bytes=1 << 20,
        first_received_us=0,
        last_received_us=round(NOW_US - stored_days * DAY_US),
    )


def a_pack(
    storage_class: str = "STANDARD",
    *,
    name: str = "a",
    length_bytes: int = SMALL_BYTES,
    hidden: Mapping[str, HiddenReason] | None = None,
) -> PackRecord:
    return PackRecord(
        tenant=TENANT,
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        pack_id=name,
        length_bytes=length_bytes,
        instance_count=2,
        committed_us=NOW_US,
        hidden=hidden or {},
        storage_class=storage_class,
    )


def due(*packs: PackRecord, of: StudyRecord | None = None, policy: Policy = POLICY) -> list[str]:
    state = StudyState(of or study(), (), packs)
    found = moves_of(state, [policy], now_us=NOW_US, last_read_us=never)
    return [f"{one.pack.pack_id}: {one.to}" for one in found]


def test_each_pack_moves_by_itself_and_never_to_a_warmer_class() -> None:
    packs = [a_pack(one, name=one) for one in StorageClass]
    assert due(*packs) == [
        "STANDARD: GLACIER_IR",
        "INTELLIGENT_TIERING: GLACIER_IR",
        "STANDARD_IA: GLACIER_IR",
    ]


def test_the_two_warm_classes_are_not_moved_between() -> None:
    warm = Policy("p", steps=(Step(IA, 30),))
    packs = [a_pack(one, name=one) for one in StorageClass]
    assert due(*packs, policy=warm) == ["STANDARD: STANDARD_IA"]


def test_a_class_that_is_none_of_ours_is_left_alone() -> None:
    assert due(a_pack("ONEZONE_IA")) == []


def test_what_is_small_stays_unless_the_store_has_no_floor() -> None:
    small = a_pack(length_bytes=SMALL_BYTES - 1)
    assert due(small) == []
    state = StudyState(study(), (), (small,))
    (move,) = moves_of(state, [POLICY], now_us=NOW_US, last_read_us=never, least_bytes=0)
    assert (move.pack, move.to, move.policy) == (small, IR, "p")


@pytest.mark.parametrize(
    ("hidden", "count"),
    [
        ({"1": HiddenReason.DELETED}, 1),
        ({"1": HiddenReason.DUPLICATE, "2": HiddenReason.QUARANTINED}, 1),
        ({"1": HiddenReason.DELETED, "2": HiddenReason.PURGED}, 0),
    ],
)
def test_what_will_be_purged_stays(hidden: Mapping[str, HiddenReason], count: int) -> None:
    assert len(due(a_pack(hidden=hidden))) == count


def test_a_study_that_nobody_can_see_stays() -> None:
    assert due(a_pack(), of=replace(study(), instance_count=0, last_received_us=0)) == []


def test_what_need_not_be_kept_stays() -> None:
    assert due(a_pack(), of=study(date="20160301")) == ["a: DEEP_ARCHIVE"]
    assert due(a_pack(), of=study(date="20160228")) == []


def test_what_no_policy_is_for_stays() -> None:
    assert due(a_pack(), policy=replace(POLICY, match=Match(frozenset({"other"})))) == []


def test_facts_are_the_catalogues() -> None:
    of = attributes(
        **{
            "00081030": element("LO", " CT HEAD [1] "),
            "00080080": element("LO", "Zentralklinik"),
        }
    )
    facts = facts_of(study(of=of), NOW_US, None)
    assert facts.tenant == TENANT
    assert facts.modalities == {"CT"}
    assert (facts.description, facts.institution) == ("CT HEAD [1]", "Zentralklinik")
    assert facts.length_bytes == 1 << 20


@pytest.mark.parametrize(
    ("date", "study_age_days"),
    [
        ("20260301", 0),
        ("20260228", 1),
        ("2025.03.01", 365),
        ("19990101", 9921),
        ("", 10),
        ("20260230", 10),
        ("not known", 10),
        ("20260302", 10),
        ("22040101", 10),
    ],
)
def test_a_study_is_as_old_as_its_date_and_else_as_it_was_stored(
    date: str, study_age_days: int
) -> None:
    facts = facts_of(study(date=date, stored_days=10.9), NOW_US, None)
    assert facts.ages[Clock.STUDY] == study_age_days
    assert facts.ages[Clock.STORED] == 10


@pytest.mark.parametrize(
    ("read_days_ago", "unread_days"), [(None, 10), (3.5, 3), (400, 10), (0, 0), (-1, 0)]
)
def test_unread_counts_from_the_last_reading_or_storing(
    read_days_ago: float | None, unread_days: int
) -> None:
    last = None if read_days_ago is None else round(NOW_US - read_days_ago * DAY_US)
    assert facts_of(study(), NOW_US, last).ages[Clock.UNREAD] == unread_days


def test_a_study_that_is_read_stays_warm() -> None:
    policy = Policy("p", steps=(Step(IA, 30, Clock.UNREAD),))
    state = StudyState(study(stored_days=100), (), (a_pack(),))
    read = NOW_US - 29 * DAY_US
    assert moves_of(state, [policy], now_us=NOW_US, last_read_us=lambda _: read) == ()
    later = moves_of(state, [policy], now_us=NOW_US + DAY_US, last_read_us=lambda _: read)
    assert [one.to for one in later] == [IA]


@pytest.mark.parametrize("study_age_days", [30, 90, 730])
def test_what_is_due_has_a_rule_that_moves_it(study_age_days: int) -> None:
    date = (datetime.fromtimestamp(NOW_US / 1e6, UTC) - timedelta(study_age_days)).strftime(
        "%Y%m%d"
    )
    state = StudyState(study(date=date), (), (a_pack(),))
    (move,) = moves_of(state, [POLICY], now_us=NOW_US, last_read_us=never)
    chosen = [
        rule["Filter"]["And"]
        for rule in configuration([POLICY])["Rules"]
        if [one["StorageClass"] for one in rule.get("Transitions", ())] == [move.to]
    ]
    assert [one["Tags"] for one in chosen] == [[{"Key": TIER_TAG, "Value": move.to}]]
    assert all(move.pack.length_bytes > one["ObjectSizeGreaterThan"] for one in chosen)


async def test_a_catalogue_is_walked_study_by_study(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue:
        shelf = Shelf(catalogue)
        for number, (date, tenant) in enumerate(
            [("20260228", TENANT), ("20251001", TENANT), ("20200101", "other")]
        ):
            await shelf.commit(
                pack(
                    [instance(f"1.{number}.3", received_us=NOW_US, length_bytes=SMALL_BYTES)],
                    study=f"1.{number}",
                    series=f"1.{number}.2",
                    common=attributes(date=date),
                    tenant=tenant,
                ),
                now_us=NOW_US,
            )

        async def planned(tenant: str | None) -> list[tuple[str, StorageClass]]:
            walk = moves(catalogue, [POLICY], now_us=NOW_US, last_read_us=never, tenant=tenant)
            return [(one.pack.study_instance_uid, one.to) async for one in walk]

        assert await planned(None) == [("1.1", IR), ("1.2", DEEP)]
        assert await planned(TENANT) == [("1.1", IR)]


async def test_what_becomes_due_soon_is_told_with_its_day(tmp_path: Path) -> None:
    policies = (
        Policy(
            "p",
            steps=(
                Step(StorageClass.GLACIER_IR, 20, Clock.STORED),
                Step(StorageClass.GLACIER, 50, Clock.STORED),
                Step(StorageClass.DEEP_ARCHIVE, 500, Clock.STORED),
            ),
        ),
        Policy("never", Match(tenants=frozenset({"elsewhere"}))),
    )
    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue:
        await Shelf(catalogue).commit(pack([instance("1.2.3")]), now_us=NOW_US)
        (state,) = [one async for one in catalogue.export()]
        for days, expected in (
            (0, [(20, "STANDARD", "GLACIER_IR"), (50, "GLACIER_IR", "GLACIER")]),
            (30, [(0, "STANDARD", "GLACIER_IR"), (20, "GLACIER_IR", "GLACIER")]),
            (60, [(0, "STANDARD", "GLACIER")]),
        ):
            matched: list[str] = []
            found = moves(
                catalogue,
                policies,
                now_us=state.study.last_received_us + days * DAY_US,
                last_read_us=never,
                least_bytes=0,
                within_days=90,
                matched=matched.append,
            )
            got = [(one.in_days, one.pack.storage_class, one.to.value) async for one in found]
            assert got == expected
            assert matched == ["p"]

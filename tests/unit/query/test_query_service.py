"""The search service over the embedded catalogue: levels, budget, order, counts."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.port import Anchor, StudyPage
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import TooBroad
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.tables import PackTables
from pacs_cloud.security.caller import system

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"


class CountingCatalogue(SqliteCatalogue):
    """Counts the pages of studies that were read."""

    pages = 0

    async def studies(
        self, tenant: str, anchor: Anchor, *, after: str | None = None, limit: int = 100
    ) -> StudyPage:
        self.pages += 1
        return await super().studies(tenant, anchor, after=after, limit=limit)


class House:
    """A catalogue, its tables, and a way to fill them."""

    def __init__(self, catalogue: CountingCatalogue, objects: LocalObjectStore) -> None:
        self.catalogue = catalogue
        self.shelf = Shelf(catalogue)
        self.tables = PackTables(catalogue, objects)

    def search(self, **options: int) -> Search:
        return Search(self.catalogue, self.tables, **options)

    async def study(self, uid: str, *, series: int = 1, instances: int = 1, **given: str) -> None:
        for number in range(1, series + 1):
            series_uid = f"{uid}.{number}"
            common = attributes(**given) | {
                STUDY_UID: element("UI", uid),
                SERIES_UID: element("UI", series_uid),
                "00200011": element("IS", number),
            }
            made = [
                instance(
                    f"{series_uid}.{at}",
                    own={
                        SOP_UID: element("UI", f"{series_uid}.{at}"),
                        "00200013": element("IS", instances - at),
                    },
                )
                for at in range(1, instances + 1)
            ]
            await self.shelf.commit(pack(made, study=uid, series=series_uid, common=common))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with (
        CountingCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        yield House(catalogue, objects)


def ask(level: Level, limit: int | None = None, offset: int = 0, **keys: str) -> SearchRequest:
    made = tuple(SearchKey((tag.removeprefix("t"),), text) for tag, text in keys.items())
    return SearchRequest(level, made, limit=limit, offset=offset)


def firsts(rows: list[Elements], tag: str) -> list[str]:
    return [row[tag]["Value"][0] for row in rows]


async def test_patients_are_counted_over_all_their_studies(house: House) -> None:
    await house.study("1.1", date="20240101", patient_id="A", series=2, instances=3)
    await house.study("1.2", date="20240201", patient_id="B")
    await house.study("1.3", date="20240301", patient_id="A", instances=2)
    await house.study("1.4", date="20240401", patient_id="A", issuer="OTHER")
    result = await house.search().find(system(TENANT), ask(Level.PATIENT))
    assert [
        (
            row["00100020"]["Value"][0],
            row["00201200"]["Value"][0],
            row["00201202"]["Value"][0],
            row["00201204"]["Value"][0],
        )
        for row in result.rows
    ] == [("A", 1, 1, 1), ("A", 2, 3, 8), ("B", 1, 1, 1)]
    assert result.more is None
    assert not any("00080020" in row for row in result.rows)
    (row,) = (await house.search().find(system(TENANT), ask(Level.PATIENT, t00100020="B"))).rows
    assert row["00201204"]["Value"] == [1]


async def test_instances_come_by_number_then_uid(house: House) -> None:
    await house.study("1.1", series=2, instances=3)
    found = await house.search().find(system(TENANT), ask(Level.IMAGE, t0020000D="1.1"))
    assert firsts(found.rows, SOP_UID) == [
        "1.1.1.3",
        "1.1.1.2",
        "1.1.1.1",
        "1.1.2.3",
        "1.1.2.2",
        "1.1.2.1",
    ]


async def test_pages_of_any_level_fit_together(house: House) -> None:
    for number in range(1, 6):
        await house.study(f"1.{number}", date=f"2024010{number}", series=2, instances=2)
    search = house.search()
    for level, tag in (
        (Level.STUDY, STUDY_UID),
        (Level.SERIES, SERIES_UID),
        (Level.IMAGE, SOP_UID),
    ):
        whole = firsts((await search.find(system(TENANT), ask(level))).rows, tag)
        assert len(whole) == len(set(whole)) == {1: 5, 2: 10, 3: 20}[level]
        paged: list[str] = []
        while True:
            result = await search.find(system(TENANT), ask(level, limit=3, offset=len(paged)))
            paged += firsts(result.rows, tag)
            if result.more is None:
                break
            assert result.more >= 1
        assert paged == whole


async def test_how_many_more_is_exact_where_a_study_bounds_the_search(house: House) -> None:
    await house.study("1.1", instances=7)
    await house.study("1.2", instances=7)
    bounded = await house.search().find(system(TENANT), ask(Level.IMAGE, limit=2, t0020000D="1.1"))
    assert (bounded.more, bounded.more_is_exact) == (5, True)
    wide = await house.search().find(system(TENANT), ask(Level.IMAGE, limit=2))
    assert wide.more is not None
    assert not wide.more_is_exact
    none = await house.search().find(system(TENANT), ask(Level.STUDY, limit=0))
    assert none.rows == []
    assert none.more == 1


async def test_a_search_stops_at_its_budget_and_says_so(house: House) -> None:
    for number in range(1, 12):
        await house.study(f"1.{number}", date="20240101")
    search = house.search(budget=10)
    hopeless = ask(Level.STUDY, t00080090="NOBODY")
    with pytest.raises(TooBroad, match="patient ID"):
        await search.find(system(TENANT), hopeless)
    with pytest.raises(TooBroad):
        async with aclosing(search.rows(system(TENANT), hopeless)) as rows:
            async for _ in rows:
                pass
    enough = await search.find(system(TENANT), ask(Level.STUDY, limit=2))
    assert len(enough.rows) == 2
    assert enough.more is not None


async def test_rows_that_were_found_before_the_budget_ended_are_kept(house: House) -> None:
    for number in range(1, 12):
        await house.study(f"1.{number}", date="20240101", modality="CT" if number > 8 else "MR")
    search = house.search(budget=6)
    result = await search.find(
        system(TENANT), ask(Level.STUDY, limit=1, t00100010="*", t00080050="A?")
    )
    assert len(result.rows) == 1
    assert not result.more_is_exact


async def test_rows_may_be_given_up_at_any_point(house: House) -> None:
    for number in range(1, 6):
        await house.study(f"1.{number}", instances=3)
    seen = 0
    async with aclosing(house.search().rows(system(TENANT), ask(Level.IMAGE))) as rows:
        async for _ in rows:
            seen += 1
            if seen == 4:
                break
    assert seen == 4


async def test_other_tenants_are_never_seen(house: House) -> None:
    await house.study("1.1")
    for request in (ask(Level.STUDY), ask(Level.STUDY, t0020000D="1.1"), ask(Level.IMAGE)):
        assert (await house.search().find(system("other"), request)).rows == []


async def test_a_study_matches_by_its_parts_only_when_one_series_meets_all(house: House) -> None:
    await house.study("1.1", series=2, instances=2)
    search = house.search()
    same = ask(Level.STUDY, t00200011="2", t00080018="1.1.2.1", t0020000D="1.1")
    assert len((await search.find(system(TENANT), same)).rows) == 1
    apart = ask(Level.STUDY, t00200011="1", t00080018="1.1.2.1", t0020000D="1.1")
    assert (await search.find(system(TENANT), apart)).rows == []


async def test_unknown_uids_are_no_error(house: House) -> None:
    await house.study("1.1")
    for tag in ("t0020000D", "t0020000E", "t00080018"):
        result = await house.search().find(system(TENANT), ask(Level.IMAGE, **{tag: "9.9"}))
        assert (result.rows, result.more) == ([], None)


async def test_nothing_is_read_only_to_count_on(house: House) -> None:
    for number in range(1, 40):
        modality = "MR" if number in {39, 38, 36} else "CT"
        day = f"2024{1 + number // 28:02}{1 + number % 28:02}"
        await house.study(f"1.{number}", date=day, modality=modality)
    result = await house.search().find(system(TENANT), ask(Level.STUDY, limit=2, t00080061="M?"))
    assert len(result.rows) == 2
    assert (result.more, result.more_is_exact) == (1, False)
    # Pages of 3 and 6 hold the three that match; the 30 older ones are left alone.
    assert house.catalogue.pages == 2


@pytest.mark.parametrize("level", list(Level))
async def test_what_was_deleted_is_found_by_no_uid(house: House, level: Level) -> None:
    await house.study("1.1", series=2)
    await house.study("1.2")
    await house.shelf.delete("1.1")
    keys = {f"t{STUDY_UID}": "1.1"}, {f"t{SERIES_UID}": "1.1.1"}, {f"t{SOP_UID}": "1.1.1.1"}
    for asked in keys:
        assert (await house.search().find(system(TENANT), ask(level, **asked))).rows == []
    assert len((await house.search().find(system(TENANT), ask(level))).rows) == 1
    await house.shelf.restore("1.1")
    for asked in keys:
        assert len((await house.search().find(system(TENANT), ask(level, **asked))).rows) >= 1

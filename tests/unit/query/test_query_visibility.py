"""Searches leave out what their caller may not see, before limits and counts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule

STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
STUDIES, PATIENT_ID = "00201200", "00100020"
NORTH, SOUTH = "North", "South"


class House:
    """An archive of two hospitals: odd studies are the northern one's."""

    def __init__(self, catalogue: SqliteCatalogue, objects: LocalObjectStore) -> None:
        self.shelf = Shelf(catalogue)
        self.archive = Archive(catalogue, objects)
        self.search = Search(catalogue, self.archive.tables)

    async def fill(self, count: int) -> None:
        for number in range(1, count + 1):
            common = attributes(**{"00080080": element("LO", NORTH if number % 2 else SOUTH)}) | {
                STUDY_UID: element("UI", f"1.{number}"),
                SERIES_UID: element("UI", f"1.{number}.1"),
            }
            made = instance(f"1.{number}.1.1", own={SOP_UID: element("UI", f"1.{number}.1.1")})
            await self.shelf.commit(
                pack([made], common=common, study=f"1.{number}", series=f"1.{number}.1")
            )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        made = House(catalogue, objects)
        await made.fill(6)
        yield made
        made.archive.close()


def of(institution: str, role: Role = Role.CLINICIAN) -> Caller:
    rule = StudyRule(institutions=frozenset({institution}))
    return Caller(TENANT, "user:anna", (Grant(role, (rule,)),))


def ask(level: Level, **more: object) -> SearchRequest:
    return SearchRequest(level, **more)


async def uids(house: House, caller: Caller, request: SearchRequest) -> list[str]:
    found = await house.search.find(caller, request)
    return [first_text(row, STUDY_UID) for row in found.rows]


async def test_every_level_leaves_out_what_is_not_seen(house: House) -> None:
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        assert sorted(await uids(house, of(NORTH), ask(level))) == ["1.1", "1.3", "1.5"]
        assert len(await uids(house, system(TENANT), ask(level))) == 6
        hidden = SearchKey((STUDY_UID,), "1.2")
        assert await uids(house, of(NORTH), ask(level, keys=(hidden,))) == []
    by_instance = SearchKey((SOP_UID,), "1.2.1.1")
    assert await uids(house, of(NORTH), ask(Level.IMAGE, keys=(by_instance,))) == []
    assert await uids(house, of(SOUTH), ask(Level.IMAGE, keys=(by_instance,))) == ["1.2"]


async def test_limits_and_counts_are_of_what_is_seen(house: House) -> None:
    seen: list[str] = []
    for offset in range(0, 6, 2):
        result = await house.search.find(of(NORTH), ask(Level.STUDY, limit=2, offset=offset))
        seen += [first_text(row, STUDY_UID) for row in result.rows]
        if offset == 0:
            assert result.more == 1
            assert result.more_is_exact
    assert sorted(seen) == ["1.1", "1.3", "1.5"]


async def test_a_patient_s_studies_are_counted_as_they_are_seen(house: House) -> None:
    for caller, count in ((of(NORTH), 3), (system(TENANT), 6)):
        (row,) = (await house.search.find(caller, ask(Level.PATIENT))).rows
        assert row[STUDIES]["Value"] == [count]


async def test_who_may_not_search_is_refused(house: House) -> None:
    for role in (Role.OPS, Role.AUDITOR, Role.RESEARCHER):
        caller = Caller(TENANT, "user:o", (Grant(role),))
        with pytest.raises(Denied):
            await house.search.find(caller, ask(Level.STUDY))
        with pytest.raises(Denied):
            _ = [row async for row in house.search.rows(caller, ask(Level.STUDY))]
        with pytest.raises(Denied):
            await house.archive.instances.locate(caller, "1.1")


async def test_bounded_roles_see_nothing_that_no_rule_names(house: House) -> None:
    for role in (Role.REFERRER, Role.GUEST):
        caller = Caller(TENANT, "user:r", (Grant(role),))
        assert await uids(house, caller, ask(Level.STUDY)) == []
        with pytest.raises(NotFound):
            await house.archive.instances.locate(caller, "1.1")


async def test_what_is_not_seen_is_not_there(house: House) -> None:
    located = await house.archive.instances.locate(of(NORTH), "1.1", "1.1.1", "1.1.1.1")
    assert len(located) == 1
    missing = []
    for study in ("1.2", "1.99"):
        with pytest.raises(NotFound) as raised:
            await house.archive.instances.locate(of(NORTH), study, f"{study}.1", f"{study}.1.1")
        missing.append((type(raised.value), str(raised.value)))
    assert missing[0] == missing[1], "neither tells that the other one is there"


async def test_other_tenants_have_other_studies(house: House) -> None:
    stranger = Caller("other", "user:anna", (Grant(Role.ADMIN),))
    assert await uids(house, stranger, ask(Level.STUDY)) == []
    with pytest.raises(NotFound):
        await house.archive.instances.locate(stranger, "1.1")

"""Searches by labels find what a plain look at each study gives, for whatever grants."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.records import StudyChange, StudyRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.catalogue.visibility import Admission
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.tables import PackTables
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule

STUDY_UID, STUDIES = "0020000D", "00201200"
LABELS = ("vip", "sensitive", "teaching")
PLACES = ("North", "South")
KINDS = ("CT", "MR")


@dataclass(frozen=True)
class Known:
    """A study, as the oracle knows it."""

    uid: str
    place: str
    kind: str
    labels: frozenset[str]


STUDIES_THERE = [
    Known(f"1.{8 * n + at + 1}", PLACES[n % 2], KINDS[n // 2], labels)
    for n in range(4)
    for at, labels in enumerate(
        [
            frozenset[str](),
            frozenset({"vip"}),
            frozenset({"sensitive"}),
            frozenset({"teaching"}),
            frozenset({"vip", "sensitive"}),
            frozenset({"vip", "teaching"}),
            frozenset({"other"}),
        ]
    )
]


class Reads(SqliteCatalogue):
    """A catalogue that counts what is asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: Counter[str] = Counter()

    async def studies_by_uid(
        self, tenant: str, study_instance_uids: Sequence[str]
    ) -> tuple[StudyRecord, ...]:
        self.asked["studies_by_uid"] += 1
        return await super().studies_by_uid(tenant, study_instance_uids)


@dataclass
class House:
    """An archive whose studies have labels, and the loop that it lives in."""

    runner: asyncio.Runner
    catalogue: Reads
    tables: PackTables

    def found(self, caller: Caller, request: SearchRequest, sensitive: frozenset[str]) -> list[str]:
        search = Search(self.catalogue, self.tables, sensitive=sensitive)
        result = self.runner.run(search.find(caller, request))
        return [first_text(row, STUDY_UID) for row in result.rows]

    def admits(self, caller: Caller, action: Action, uid: str, sensitive: frozenset[str]) -> bool:
        try:
            self.runner.run(
                Admission(self.catalogue, sensitive=sensitive).admit(caller, action, uid)
            )
        except (Denied, NotFound):
            return False
        return True


async def opened(stack: AsyncExitStack, folder: Path) -> tuple[Reads, PackTables]:
    catalogue = Reads(folder / "catalogue.sqlite")
    await stack.enter_async_context(catalogue)
    objects = await stack.enter_async_context(LocalObjectStore(folder / "objects"))
    shelf = Shelf(catalogue)
    for one in STUDIES_THERE:
        common = attributes(modality=one.kind, **{"00080080": element("LO", one.place)}) | {
            STUDY_UID: element("UI", one.uid)
        }
        made = pack(
            [instance(f"{one.uid}.1.1")], common=common, study=one.uid, series=f"{one.uid}.1"
        )
        await shelf.commit(made)
        (before,) = await catalogue.studies_by_uid(TENANT, [one.uid])
        after = replace(before, labels=one.labels, rev=NOW_US + 9)
        await catalogue.commit(StudyChange(TENANT, one.uid, before, after))
    return catalogue, PackTables(
        catalogue, objects, tables_max_bytes=1 << 20, headers_max_bytes=1 << 20
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        catalogue, tables = runner.run(opened(stack, tmp_path_factory.mktemp("labels")))
        yield House(runner, catalogue, tables)
        runner.run(stack.aclose())


def some(of: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(of), max_size=2)


RULES = st.builds(
    StudyRule,
    institutions=some(PLACES),
    modalities=some(KINDS),
    labels=st.frozensets(st.sampled_from(LABELS), max_size=3),
    studies=st.one_of(
        st.just(frozenset[str]()),
        st.frozensets(st.sampled_from([one.uid for one in STUDIES_THERE]), max_size=5),
    ),
)
GRANTS = st.builds(
    Grant,
    st.sampled_from(Role),
    st.one_of(st.none(), st.lists(RULES, max_size=3).map(tuple)),
    st.one_of(st.none(), st.just(frozenset({Action.SEARCH, Action.STORE}))),
)


def oracle(grant: Grant, action: Action, study: Known, sensitive: frozenset[str]) -> bool:
    """Say, in words of this test's own, whether a grant lets at a study."""
    if grant.actions is not None and action not in grant.actions:
        return False
    role = grant.role
    if role in {Role.OPS, Role.AUDITOR, Role.RESEARCHER}:
        return False
    hiding = {label for label in study.labels if label in sensitive}
    if role is Role.ADMIN:
        hiding = set()
    if grant.rules is None:
        return role not in {Role.REFERRER, Role.GUEST} and not hiding
    for rule in grant.rules:
        if rule.institutions and study.place not in rule.institutions:
            continue
        if rule.modalities and study.kind not in rule.modalities:
            continue
        if rule.studies and study.uid not in rule.studies:
            continue
        if rule.labels and not any(label in study.labels for label in rule.labels):
            continue
        if all(label in rule.labels for label in hiding):
            return True
    return False


@given(st.lists(GRANTS, min_size=1, max_size=3).map(tuple), st.frozensets(st.sampled_from(LABELS)))
def test_a_search_finds_what_each_study_by_itself_gives(
    house: House, grants: tuple[Grant, ...], sensitive: frozenset[str]
) -> None:
    caller = Caller(TENANT, "user:anna", grants)
    expected = {
        one.uid
        for one in STUDIES_THERE
        if any(oracle(grant, Action.SEARCH, one, sensitive) for grant in grants)
    }
    may = any(grant.role not in {Role.OPS, Role.AUDITOR, Role.RESEARCHER} for grant in grants)
    if not may:
        with pytest.raises(Denied):
            house.found(caller, SearchRequest(Level.STUDY), sensitive)
        return
    house.catalogue.asked.clear()
    every = house.found(caller, SearchRequest(Level.STUDY), sensitive)
    assert not house.catalogue.asked, "a label costs a read"
    assert len(every) == len(expected)
    assert set(every) == expected
    search = Search(house.catalogue, house.tables, sensitive=sensitive)
    rows = house.runner.run(search.find(caller, SearchRequest(Level.STUDY, offset=1)))
    has = {one.uid: one.labels for one in STUDIES_THERE}
    assert rows.labels == [has[uid] for uid in every[1:]]
    # Limits and offsets count what is seen, and nothing else.
    assert house.found(caller, SearchRequest(Level.STUDY, limit=3), sensitive) == every[:3]
    assert (
        house.found(caller, SearchRequest(Level.STUDY, offset=2, limit=3), sensitive) == every[2:5]
    )
    assert set(house.found(caller, SearchRequest(Level.SERIES), sensitive)) == expected
    patients = house.runner.run(search.find(caller, SearchRequest(Level.PATIENT))).rows
    assert [first_text(row, STUDIES) for row in patients] == (
        [str(len(expected))] if expected else []
    )
    for one in STUDIES_THERE:
        seen = any(oracle(grant, Action.READ, one, sensitive) for grant in grants)
        assert house.admits(caller, Action.READ, one.uid, sensitive) is seen
        admission = Admission(house.catalogue, sensitive=sensitive)
        assert house.runner.run(admission.allows(caller, Action.READ, one.uid)) is seen


def test_the_facts_of_a_study_are_read_once_for_many_frames(house: House) -> None:
    admission = Admission(house.catalogue, now_s=lambda: 7.0)
    plain, vip = STUDIES_THERE[0].uid, STUDIES_THERE[1].uid
    radiologist = Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST),))

    async def frames() -> None:
        for _ in range(50):
            assert await admission.admit(radiologist, Action.READ, plain) is None
            with pytest.raises(NotFound):
                await admission.admit(radiologist, Action.READ, vip)

    house.catalogue.asked.clear()
    house.runner.run(frames())
    assert house.catalogue.asked["studies_by_uid"] == 2


def test_who_sees_all_but_sensitive_ones_is_told_of_none_as_before(house: House) -> None:
    radiologist = Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST),))
    assert house.admits(radiologist, Action.READ, "9.9", frozenset({"vip"}))
    named = Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST, (StudyRule(),)),))
    assert not house.admits(named, Action.READ, "9.9", frozenset({"vip"}))

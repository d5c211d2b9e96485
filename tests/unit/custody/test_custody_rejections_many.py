"""Rejection notes that mean harm, or much: long chains of them, and thousands of studies."""

from collections.abc import Collection
from typing import Any

import orjson
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_house import STUDY
from unit.custody.custody_notes import NOTES, SERIES, NoteHouse, encoded, key_objects
from unit.custody.custody_packs import Sample, commit, pack_files, put

ONE = f"{SERIES}.1"
OTHER = "1.2.4"
LONG = 601
"""Notes in a chain: Python's stack has room for fewer calls within each other."""


@pytest.fixture
def house(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> NoteHouse:
    return NoteHouse(objects, catalogue)


async def test_a_chain_of_notes_may_be_as_long_as_it_likes(house: NoteHouse) -> None:
    await house.store(Sample(ONE), series=SERIES)
    notes = [
        encoded(
            key_objects(
                f"{NOTES}.{number}",
                {STUDY: {NOTES: [f"{NOTES}.{number - 1}"]} if number else {SERIES: [ONE]}},
            )
        )
        for number in range(LONG)
    ]
    files = [(bytes(128) + b"DICM", one, ExplicitVRLittleEndian) for one in notes]
    made = pack_files(house.clock, "default", files)
    await put(house.objects, made)
    await commit(house.objects, house.catalogue, made, house.clock)
    assert await house.follow(made) == LONG // 2 + 1
    # The last one stands, so the one before it does not, and so on to the first.
    assert await house.rejected() == {
        ONE,
        *(f"{NOTES}.{number}" for number in range(LONG) if number % 2),
    }


async def test_a_note_about_many_studies_is_written_whole_but_once(house: NoteHouse) -> None:
    places = {f"{OTHER}.{number}": {f"{OTHER}.{number}.1": [ONE]} for number in range(20)}
    await house.rejecting(f"{NOTES}.1", places)
    for study in places:
        (key,) = [
            key for key in await house.keys(f"rejections/default/{study}/") if key.endswith("json")
        ]
        assert orjson.loads(await house.objects.get(key))["named"].keys() == {study}
    for study in places:
        late = await house.store(Sample(ONE), study=study, series=f"{study}.1")
        await house.follow(late)
        assert await house.rejected(study) == {ONE}
    await house.is_whole()


async def test_of_notes_of_two_studies_that_reject_each_other_the_later_one_counts(
    house: NoteHouse,
) -> None:
    far, near = f"{OTHER}.9.1", f"{NOTES}.1"
    third = "1.2.5"
    await house.store(Sample("1.2.5.1.1"), study=third, series="1.2.5.1")
    names_third = {third: {"1.2.5.1": ["1.2.5.1.1"]}}
    first = await house.note(near, {OTHER: {f"{OTHER}.9": [far]}, **names_third})
    second = await house.note(far, {STUDY: {NOTES: [near]}}, study=OTHER, series=f"{OTHER}.9")
    for made in (second, first):
        await house.follow(made)
    assert await house.rejected() == {near}
    assert await house.rejected(OTHER) | await house.rejected(third) == set()
    await house.is_whole()


async def test_what_a_note_names_of_a_series_that_is_not_here_is_not_looked_for(
    house: NoteHouse,
) -> None:
    class Asked:
        """A catalogue that notes which UIDs it is asked for."""

        def __init__(self) -> None:
            self.uids: set[str] = set()

        def __getattr__(self, name: str) -> Any:
            return getattr(house.catalogue, name)

        async def find_uids(self, tenant: str, uids: Collection[str]) -> Any:
            self.uids |= set(uids)
            return await house.catalogue.find_uids(tenant, uids)

    many = [f"{STUDY}.7.{number}" for number in range(50)]
    await house.rejecting(f"{NOTES}.1", {STUDY: {f"{STUDY}.7": many, SERIES: [ONE]}})
    late, catalogue = await house.store(Sample(ONE), series=SERIES), Asked()
    assert await house.follow(late, catalogue=catalogue) == 1  # type: ignore[arg-type]
    assert catalogue.uids == {ONE, f"{NOTES}.1"}

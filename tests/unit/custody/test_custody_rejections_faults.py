"""Whoever dies in the middle of a rejection, or of its end: the next one ends it."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.ledger import record_decision
from pacs_cloud.custody.rejections.following import FollowedTrash
from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.custody.rejections.tending import tend_rejections
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import GRACE_US
from pacs_cloud.errors import Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_house import STUDY, Racing
from unit.custody.custody_notes import NOTES, SERIES, NoteHouse
from unit.custody.custody_packs import Made, Sample
from unit.custody.custody_repack import packs, repack

ONE, TWO = f"{SERIES}.1", f"{SERIES}.2"
NOTE, OTHER = f"{NOTES}.1", "1.2.4"
NAMED = {STUDY: {SERIES: [ONE]}, OTHER: {f"{OTHER}.1": [f"{OTHER}.1.1"]}}
THE_NOTE = Scope("default", STUDY, NOTES, NOTE)
WRITES = frozenset({"put_new", "put_file", "delete", "commit"})


class Counting:
    """A store or a catalogue that dies at the write of a number, before or after its effect."""

    def __init__(self, real: Any, steps: "Steps") -> None:
        self._real = real
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)
        if name not in WRITES:
            return verb

        async def counted(*args: Any, **options: Any) -> Any:
            return await self._steps.take(partial(verb, *args, **options))

        return counted


class Steps:
    """Counts the writes of all stores, and dies at one."""

    def __init__(self, dies_at: int = -1, *, after: bool = False) -> None:
        self.taken = 0
        self._dies_at = dies_at
        self._after = after

    async def take(self, write: Callable[[], Awaitable[Any]]) -> Any:
        number = self.taken
        self.taken += 1
        if number == self._dies_at and not self._after:
            raise Unavailable("the process died here")
        done = await write()
        if number == self._dies_at:
            raise Unavailable("the process died here")
        return done


Step = Callable[[NoteHouse, Made, Any, Any], Awaitable[object]]


async def follow(house: NoteHouse, note: Made, objects: Any, catalogue: Any) -> None:
    await house.follow(note, objects=objects, catalogue=catalogue)


async def take_back(house: NoteHouse, note: Made, objects: Any, catalogue: Any) -> None:
    del note
    load = partial(load_table, house.objects, house.catalogue)
    await FollowedTrash(objects, catalogue, load, house.clock.tick).delete(THE_NOTE)


async def tend(house: NoteHouse) -> None:
    await house.tend(after_us=GRACE_US)
    await tend_rejections(
        house.objects,
        house.catalogue,
        load_table=partial(load_table, house.objects, house.catalogue),
        now_us=house.clock.tick(),
    )


async def archive(folder: Path, name: str) -> tuple[LocalObjectStore, SqliteCatalogue]:
    objects = LocalObjectStore(folder / name)
    catalogue = SqliteCatalogue(folder / f"{name}.sqlite")
    return objects, catalogue


@pytest.mark.parametrize("why", [Why.QUALITY, Why.RETENTION])
@pytest.mark.parametrize("step", [follow, take_back])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_every_step_is_mended(
    tmp_path: Path, step: Step, why: Why, *, after: bool
) -> None:
    died = 0
    while True:
        store, table = await archive(tmp_path, f"{died}")
        async with store as objects, table as catalogue:
            house = NoteHouse(objects, catalogue)
            await house.store(Sample(ONE), Sample(TWO), series=SERIES)
            await house.store(Sample(f"{OTHER}.1.1"), study=OTHER)
            note = await house.note(NOTE, NAMED, code=why)
            if step is take_back:
                await house.follow(note)
            steps = Steps(died, after=after)
            try:
                await step(house, note, Counting(objects, steps), Counting(catalogue, steps))
            except Unavailable:
                died += 1
            else:
                break
            if step is follow:
                await house.follow(note)  # the job is done again
            await tend(house)
            await house.is_whole()
            self_hidden = {NOTE} if why is Why.RETENTION else set()
            is_deleted = HiddenReason.DELETED in (await house.hidden()).get(NOTE, set())
            if step is follow:
                assert not is_deleted
            wanted = set() if is_deleted else {ONE, *self_hidden}
            assert await house.rejected() == wanted
            assert await house.rejected(OTHER) == (set() if is_deleted else {f"{OTHER}.1.1"})
            held = await house.count() + len(wanted) + is_deleted
            assert held == 3
    assert died >= 4


async def test_a_note_that_goes_while_it_is_followed_hides_nothing(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    house = NoteHouse(objects, catalogue)
    await house.store(Sample(f"{OTHER}.1.1"), study=OTHER)
    note = await house.note(NOTE, NAMED)
    # The deletion looks at the other study before anything is hidden there.
    racing: Any = Racing(catalogue, "commit", partial(house.followed.delete, THE_NOTE))
    await house.follow(note, catalogue=racing)
    assert racing.has_raced
    assert await house.rejected(OTHER) == set()
    await house.is_whole()


@pytest.mark.parametrize("scope", [Scope("default", OTHER), Scope("default", OTHER, f"{OTHER}.1")])
async def test_a_deletion_that_comes_between_stays(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, scope: Scope
) -> None:
    house = NoteHouse(objects, catalogue)
    await house.store(Sample(f"{OTHER}.1.1"), study=OTHER)
    note = await house.note(NOTE, NAMED)
    racing: Any = Racing(catalogue, "commit", partial(house.trash.delete, scope))
    await house.follow(note, catalogue=racing)
    assert await house.hidden(OTHER) == {f"{OTHER}.1.1": {HiddenReason.DELETED}}
    await house.is_whole()


async def test_a_commit_that_had_not_seen_a_rejection_does_not_end_it(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    """Its own decision about the pack, written before it lost, may be later."""
    house = NoteHouse(objects, catalogue)
    first = await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.rejecting(NOTE, {STUDY: {SERIES: [ONE]}})
    key = first.key
    names = "default", key.study_instance_uid, key.series_instance_uid, key.pack_id
    stale = Decision(*names, hidden={TWO: HiddenReason.REPLACED}, decided_us=house.clock.tick())
    await record_decision(objects, stale)
    await house.rebuilt()
    assert ONE in await house.rejected()


async def test_a_repack_keeps_what_is_rejected_and_its_end(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, tmp_path: Path
) -> None:
    house = NoteHouse(objects, catalogue)
    await house.store(Sample(ONE), Sample(TWO), series=SERIES)
    await house.store(Sample(f"{SERIES}.3"), series=SERIES)
    await house.rejecting(NOTE, {STUDY: {SERIES: [ONE]}}, code=Why.RETENTION)
    done = await repack(house, tmp_path / "merged")
    assert (done.replaced, done.made) == (2, 1)
    (merged,) = await packs(house, SERIES)
    assert merged.hidden == {ONE: HiddenReason.REJECTED}
    await house.is_whole()
    await house.followed.delete(THE_NOTE)
    assert await house.count() == 3
    await house.followed.restore(THE_NOTE)
    # The merged pack is younger than the note; what is in it is not.
    assert await house.rejected() == {ONE, NOTE}
    await house.is_whole()

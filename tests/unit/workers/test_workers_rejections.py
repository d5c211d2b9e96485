"""A stored pack is looked at for rejection notes, before anything else is done about it."""

from functools import partial
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.errors import Corrupt, InvalidRequest
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.handlers import in_turn
from pacs_cloud.workers.pack_stored import KIND, PackStored
from pacs_cloud.workers.rejections import FollowRejections
from pacs_cloud.workqueue.jobs import Job
from unit.custody.custody_house import STUDY
from unit.custody.custody_notes import NOTES, SERIES, NoteHouse
from unit.custody.custody_packs import Made, Sample


class Counting:
    """A store that notes which of its verbs are asked for."""

    def __init__(self, objects: LocalObjectStore) -> None:
        self._objects = objects
        self.asked: list[str] = []

    def __getattr__(self, verb: str) -> Any:
        self.asked.append(verb)
        return getattr(self._objects, verb)


INSTANCE = f"{SERIES}.1"


@pytest.fixture
def house(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> NoteHouse:
    return NoteHouse(objects, catalogue)


def handler_of(house: NoteHouse) -> FollowRejections:
    load = partial(load_table, house.objects, house.catalogue)
    return FollowRejections(house.objects, house.catalogue, load, house.clock.tick)


def job_of(made: Made) -> Job:
    body = {
        "study_instance_uid": made.key.study_instance_uid,
        "series_instance_uid": made.key.series_instance_uid,
        "pack_id": made.key.pack_id,
    }
    return Job(job_id="j", kind=KIND, tenant="default", body=body)


async def test_a_note_is_followed_as_often_as_its_job_is_done(house: NoteHouse) -> None:
    first = await house.store(Sample(INSTANCE), Sample(f"{SERIES}.2"), series=SERIES)
    handler = handler_of(house)
    await handler(job_of(first))
    note = await house.note(f"{NOTES}.1", {STUDY: {SERIES: [INSTANCE, f"{SERIES}.3"]}})
    for _ in range(3):
        await handler(job_of(note))
    assert await house.rejected() == {INSTANCE}
    late = await house.store(Sample(f"{SERIES}.3"), series=SERIES)
    await handler(job_of(late))
    assert await house.rejected() == {INSTANCE, f"{SERIES}.3"}


async def test_a_pack_that_is_gone_is_passed_over(house: NoteHouse) -> None:
    made = await house.store(Sample(INSTANCE), series=SERIES)
    gone = Job(job_id="j", kind=KIND, tenant="elsewhere", body=job_of(made).body)
    await handler_of(house)(gone)
    with pytest.raises(InvalidRequest, match="names no pack"):
        await handler_of(house)(Job(job_id="j", kind=KIND, tenant="default", body={}))


async def test_a_pack_whose_object_is_lost_is_followed_all_the_same(house: NoteHouse) -> None:
    await house.store(Sample(INSTANCE), series=SERIES)
    note = await house.note(f"{NOTES}.1", {STUDY: {SERIES: [INSTANCE]}})
    await house.objects.delete(note.key.pack)
    both = in_turn(handler_of(house), PackStored(house.objects, house.catalogue))
    with pytest.raises(Corrupt):
        await both(job_of(note))
    assert await house.rejected() == {INSTANCE}


async def test_a_note_that_cannot_be_read_keeps_nothing_else_from_being_done(
    house: NoteHouse,
) -> None:
    made = await house.store(Sample(INSTANCE), series=SERIES)
    await house.rejecting(f"{NOTES}.1", {STUDY: {SERIES: [f"{SERIES}.2"]}})
    (key,) = [one for one in await house.keys("rejections/") if one.endswith(".json")]
    await house.objects.delete(key)
    await house.objects.put_new(key, b"damaged")
    asked: list[Job] = []

    async def next_one(job: Job) -> None:
        asked.append(job)

    with pytest.raises(Corrupt, match="cannot be read"):
        await in_turn(handler_of(house), next_one)(job_of(made))
    assert asked == [job_of(made)]


async def test_a_pack_that_no_note_touches_costs_one_look_at_the_store(house: NoteHouse) -> None:
    made = await house.store(Sample(INSTANCE), series=SERIES)
    counting = Counting(house.objects)
    load = partial(load_table, house.objects, house.catalogue)
    await FollowRejections(counting, house.catalogue, load, house.clock.tick)(job_of(made))
    assert counting.asked == ["head"], "a listing costs as much as a write"

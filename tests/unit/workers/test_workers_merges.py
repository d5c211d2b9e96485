"""Studies that come later under a patient's old ID follow the merges that stand."""

import asyncio
from functools import partial

import pytest

from pacs_cloud.catalogue.changing import PATIENT_SHOWN
from pacs_cloud.catalogue.records import Patient
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.merges import KEPT_US, StandingMerges
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.merges import FollowMerges
from pacs_cloud.workers.pack_stored import KIND
from pacs_cloud.workqueue.jobs import Job
from unit.custody.custody_corrections import (
    FIRST,
    SECOND,
    corrector,
    fill,
    merge,
    orders,
    patients,
    tend,
    undo,
)
from unit.custody.custody_house import House
from unit.custody.custody_packs import Made, Sample

LATE = "1.2.6"


class Lists:
    """A store that counts how often it is listed."""

    def __init__(self, real: LocalObjectStore) -> None:
        self._real = real
        self.count = 0

    def __getattr__(self, name: str) -> object:
        if name == "list":
            self.count += 1
        return getattr(self._real, name)


@pytest.fixture
async def house(objects: LocalObjectStore, catalogue: SqliteCatalogue) -> House:
    made = House(objects, catalogue)
    await fill(made)
    return made


def follower(house: House, objects: object = None) -> FollowMerges:
    clock = lambda: house.clock.now_us  # noqa: E731
    load = partial(load_table, house.objects, house.catalogue)
    corrector = Corrector(house.objects, house.catalogue, load, house.clock.tick)
    merges = StandingMerges(objects or house.objects, clock)  # type: ignore[arg-type]
    return FollowMerges(house.catalogue, merges, corrector)


def job(made: Made) -> Job:
    key = made.key
    body = {
        "study_instance_uid": key.study_instance_uid,
        "series_instance_uid": key.series_instance_uid,
        "pack_id": key.pack_id,
    }
    return Job(job_id="1", kind=KIND, tenant="default", body=body)


async def applied(house: House, source: str = "P1", target: str = "P2") -> Correction:
    made = await merge(house, source, target)
    load = partial(load_table, house.objects, house.catalogue)
    await Corrector(house.objects, house.catalogue, load, house.clock.tick).apply(made)
    await tend(house)
    return made


async def test_a_late_study_follows(house: House) -> None:
    made = await applied(house)
    handler = follower(house)
    first = await house.store(Sample(f"{LATE}.1.1"), study=LATE)
    assert await patients(house, [LATE]) == ["P1"]
    await handler(job(first))
    assert await patients(house, [LATE]) == ["P2"]
    # Twice is once, and what comes next needs nobody.
    await handler(job(first))
    before = await house.digest()
    await handler(job(first))
    assert await house.digest() == before
    await house.store(Sample(f"{LATE}.1.2"), study=LATE)
    assert await patients(house, [LATE]) == ["P2"]
    assert await house.findings() == []
    assert await house.rebuilt() == await house.digest()
    await undo(house, made)
    assert await patients(house, [FIRST, LATE]) == ["P1", "P1"]
    # It is undone: who comes now keeps their ID, also with a memory of the merge.
    other = await house.store(Sample("1.2.7.1.1"), study="1.2.7")
    await handler(job(other))
    assert await patients(house, ["1.2.7"]) == ["P1"]


async def test_it_follows_from_one_merge_to_the_next(house: House) -> None:
    await applied(house)
    await applied(house, "P2", "P3")
    made = await house.store(Sample(f"{LATE}.1.1"), study=LATE)
    await follower(house)(job(made))
    assert await patients(house, [LATE]) == ["P3"]


async def test_what_shows_the_old_patient_again_follows_too(house: House) -> None:
    """From the trash, or from under another correction: the patient was merged meanwhile."""
    await house.trash.delete(Scope("default", FIRST))
    moved = (await orders(house).move(SECOND, "P7", issuer=None)).correction
    await corrector(house).apply(moved)
    await house.store(Sample("1.2.9.1.1"), study="1.2.9")
    await applied(house)
    await work(house)
    await house.trash.restore(Scope("default", FIRST))
    await undo(house, moved)
    assert await patients(house, [FIRST, SECOND]) == ["P1", "P1"]
    assert await work(house) == {PATIENT_SHOWN}
    assert await patients(house, [FIRST, SECOND]) == ["P2", "P2"]
    await work(house)
    assert await work(house) == set()


async def work(house: House) -> set[str]:
    """Do what events ask for; return their kinds."""
    events = await house.catalogue.events()
    for one in events:
        await follower(house)(
            Job(job_id="1", kind=one.kind, tenant=one.tenant, body=dict(one.body))
        )
    await house.catalogue.forget_events([one.event_id for one in events])
    return {one.kind for one in events}


async def test_a_study_of_two_patients_is_left_as_it_is(house: House) -> None:
    await applied(house)
    await house.store(Sample(f"{LATE}.1.1", patient="P8"), study=LATE)
    made = await house.store(Sample(f"{LATE}.1.2"), study=LATE)
    await follower(house)(job(made))
    (study,) = await house.catalogue.studies_by_uid("default", [LATE])
    assert study.patients == {Patient("", "P1"), Patient("", "P8")}


async def test_without_merges_one_listing_serves_many_packs(house: House) -> None:
    lists = Lists(house.objects)
    handler = follower(house, lists)
    made = [await house.store(Sample(f"1.2.8{n}.1.1"), study=f"1.2.8{n}") for n in range(3)]
    await asyncio.gather(*(handler(job(one)) for one in made))
    assert lists.count == 1
    house.clock.now_us += KEPT_US
    await handler(job(made[0]))
    assert lists.count == 2


async def test_a_merge_that_cannot_be_read_stops_no_other(house: House) -> None:
    await applied(house, "P2", "P3")
    bad = await applied(house, "P1", "P3")
    key = f"corrections/default/{bad.correction_id}-patient-merge.json"
    await house.objects.delete(key)
    await house.objects.put_new(key, b"{}")
    made = await house.store(Sample(f"{LATE}.1.1", patient="P2"), study=LATE)
    await follower(house)(job(made))
    assert await patients(house, [LATE]) == ["P3"]


async def test_it_follows_merges_that_were_ordered_in_any_order(house: House) -> None:
    """Two people at once: the second merge into what the first has merged away is the older."""
    later = await merge(house, "P2", "P3")
    earlier = await merge(house, "P1", "P2")
    load = partial(load_table, house.objects, house.catalogue)
    corrector = Corrector(house.objects, house.catalogue, load, house.clock.tick)
    for one in (later, earlier):
        await corrector.apply(one)
    await tend(house)
    made = await house.store(Sample(f"{LATE}.1.1"), study=LATE)
    await follower(house)(job(made))
    assert await patients(house, [LATE]) == ["P3"]

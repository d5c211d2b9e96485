"""What is erased and comes again is taken out as it comes."""

from dataclasses import asdict
from pathlib import Path

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.holds_setting import set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.erased import TakeOutErased
from pacs_cloud.workers.pack_stored import KIND
from pacs_cloud.workqueue.jobs import Job
from unit.custody.custody_erasure import Eraser, traces
from unit.custody.custody_house import STUDY, House
from unit.custody.custody_packs import Made, Sample
from unit.custody.custody_repack import SERIES

DOOMED = f"{SERIES}.777"


def job_of(made: Made) -> Job:
    return Job(job_id="j", kind=KIND, tenant="default", body=asdict(ref_of(made.table)))


async def test_it_is_taken_out_at_once(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, tmp_path: Path
) -> None:
    house = House(objects, catalogue)
    eraser = Eraser(house, tmp_path / "work")
    asked: list[str] = []

    async def erase(tenant: str, study: str) -> None:
        asked.append(f"{tenant}/{study}")
        await eraser.go_on(study)

    follow = TakeOutErased(catalogue, erase)
    first = await house.store(Sample(DOOMED), Sample(f"{SERIES}.1"), series=SERIES)
    await follow(job_of(first))
    await eraser.erase(Scope("default", STUDY, "", DOOMED))
    other = await house.store(Sample(f"{SERIES}.2"), series=SERIES)
    await follow(job_of(other))
    assert asked == []
    again = await house.store(Sample(DOOMED), Sample(f"{SERIES}.3"), series=SERIES)
    assert await traces(house, DOOMED)
    await follow(job_of(again))
    assert asked == [f"default/{STUDY}"]
    assert await traces(house, DOOMED) == []
    await follow(job_of(again))
    assert len(asked) == 1
    assert await house.count() == 3


async def test_a_hold_keeps_it_for_later(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, tmp_path: Path
) -> None:
    house = House(objects, catalogue)
    eraser = Eraser(house, tmp_path / "work")

    async def erase(_tenant: str, study: str) -> None:
        await eraser.go_on(study)

    await house.store(Sample(DOOMED), Sample(f"{SERIES}.1"), series=SERIES)
    await eraser.erase(Scope("default", STUDY, "", DOOMED))
    words = {"reason": "court", "who": "counsel", "now_us": house.clock.tick()}
    await set_hold(objects, catalogue, "default", STUDY, **words)
    again = await house.store(Sample(DOOMED), series=SERIES)
    await TakeOutErased(catalogue, erase)(job_of(again))
    assert await traces(house, DOOMED)

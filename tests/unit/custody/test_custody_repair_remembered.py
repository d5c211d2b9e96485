"""Repairs and rebuilds that are gone on with keep what no pack says: corrections and erasures."""

from dataclasses import replace
from pathlib import Path

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.custody.fsck import NEVER_YOUNG_US
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.repair.action import Outcome
from pacs_cloud.custody.repair.run import repair
from pacs_cloud.custody.repair.study import Terms
from pacs_cloud.custody.trash.marks import Scope
from unit.custody.custody_corrections import FIRST, correct, corrector, fill, merge
from unit.custody.custody_erasure import Eraser
from unit.custody.custody_house import House


async def lived_in(house: House, folder: Path) -> None:
    await fill(house)
    await corrector(house).apply(await merge(house))
    await corrector(house).apply(await correct(house, "SeriesDescription=X", series=f"{FIRST}.1"))
    await Eraser(house, folder).erase(Scope("default", FIRST, f"{FIRST}.1", f"{FIRST}.1.2"))


async def test_a_repair_keeps_them(house: House, tmp_path: Path) -> None:
    await lived_in(house, tmp_path / "work")
    before = await house.digest()
    state = await house.catalogue.study("default", FIRST)
    assert state is not None
    assert state.study.amendments
    assert state.study.erased
    wrong = replace(state.study, rev=state.study.rev + 1, attributes={}, instance_count=77)
    packs = tuple(replace(one, instance_count=9) for one in state.packs)
    names = "default", FIRST
    await house.catalogue.commit(
        StudyChange(*names, state.study, wrong, put_packs=packs, put_series=())
    )
    assert await house.digest() != before
    terms = Terms(ConflictPolicy.KEEP_FIRST, house.clock.tick(), True, NEVER_YOUNG_US, grace_us=0)
    done = [one async for one in repair(house.objects, house.catalogue, terms, dry=False)]
    assert {one.outcome for one in done} == {Outcome.DONE}
    assert await house.digest() == before
    assert await house.findings() == []


async def test_a_rebuild_that_goes_on_has_nothing_to_do(house: House, tmp_path: Path) -> None:
    await lived_in(house, tmp_path / "work")
    before = await house.digest()
    for wipe in (False, True, False):
        done = await rebuild(
            house.objects,
            house.catalogue,
            policy=ConflictPolicy.KEEP_FIRST,
            now_us=house.clock.tick(),
            wipe=wipe,
        )
        assert (done.packs == 0) is not wipe
        assert await house.digest() == before

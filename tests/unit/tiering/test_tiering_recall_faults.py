"""A recall whose every step fails once, before it is done or after: it comes all the same."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from catalogue_samples import TENANT
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.errors import InvalidRequest, Offline, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.marks import get_recall, recall_marks
from pacs_cloud.tiering.recall.tending import GRACE_US, tend_recalls
from recall_samples import DAY_US, Clock, CountingStore, chill
from unit.custody.custody_house import STUDY, House
from unit.custody.custody_packs import Sample

Result = TypeVar("Result")
DELAY_S = 3600
STEPS = 8
"""A mark put, the store asked; two looks of two reads each; the record, and the mark removed."""


class Fault:
    """Lets one step of all fail."""

    def __init__(self) -> None:
        self.at: int | None = None
        self.is_after = False
        self.has_struck = False
        self._step = 0

    def arm(self, at: int, *, is_after: bool) -> None:
        self.at, self.is_after, self.has_struck, self._step = at, is_after, False, 0

    async def around(self, work: Callable[[], Awaitable[Result]]) -> Result:
        step, self._step = self._step, self._step + 1
        strikes = step == self.at
        self.has_struck |= strikes
        if strikes and not self.is_after:
            raise Unavailable("killed before")
        done = await work()
        if strikes:
            raise Unavailable("killed after")
        return done


class FaultyStore(CountingStore):
    def __init__(self, fault: Fault, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fault = fault

    async def put_new(
        self, key: str, data: bytes | memoryview, *, tags: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        put = super().put_new
        return await self.fault.around(lambda: put(key, data, tags=tags))

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        get = super().get
        return await self.fault.around(lambda: get(key, start, end))

    async def head(self, key: str) -> ObjectInfo:
        head = super().head
        return await self.fault.around(lambda: head(key))

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        recall = super().recall
        return await self.fault.around(lambda: recall(key, days, speed))

    async def delete(self, key: str) -> None:
        delete = super().delete
        await self.fault.around(lambda: delete(key))


class FaultyCatalogue(SqliteCatalogue):
    fault = Fault()

    async def commit(self, change: StudyChange) -> None:
        commit = super().commit
        await self.fault.around(lambda: commit(change))


async def tried(work: Callable[[], Awaitable[object]]) -> None:
    """Do `work`, and once more where it was killed."""
    try:
        await work()
    except Unavailable:
        await work()


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(STEPS))
async def test_it_comes_whatever_step_fails(tmp_path: Path, step: int, *, is_after: bool) -> None:
    clock, fault = Clock(), Fault()
    async with (
        FaultyStore(fault, tmp_path / "objects", recall_delay_s=DELAY_S, now_us=clock) as objects,
        LocalObjectStore(tmp_path / "objects", now_us=clock) as whole,
        FaultyCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        catalogue.fault = fault
        house = House(whole, catalogue)
        made = await house.store(Sample(f"{STUDY}.1.1"))
        packs = await chill(objects, catalogue, STUDY)

        async def ask() -> None:
            # A process of its own each time: what one knew is lost with it.
            recalls = Recalls(objects, catalogue, clock, arrival_s=lambda *_: DELAY_S)
            with pytest.raises(Offline):
                await recalls.demand(packs)

        async def tend() -> None:
            await tend_recalls(objects, catalogue, now_us=clock())

        fault.arm(step, is_after=is_after)
        await tried(ask)
        clock.advance(GRACE_US / 1e6 + 1)
        await tried(tend)
        clock.advance(DELAY_S)
        await tried(tend)
        packs = await catalogue.packs(TENANT, STUDY)
        await Recalls(objects, catalogue, clock).demand(packs)
        assert await whole.get(made.key.pack) == made.data
        assert await house.findings() == []
        clock.advance(8 * DAY_US / 1e6)
        await tried(tend)
        assert not [some async for some in recall_marks(objects)]
        assert {one.kind for one in await house.findings()} == {FindingKind.COLD}
        assert objects.count("recall") == 1
        assert fault.has_struck


class CrowdedStore(FaultyStore):
    """Has no room for those in a hurry."""

    async def recall(self, key: str, days: int, speed: RecallSpeed) -> ObjectInfo:
        if speed is RecallSpeed.EXPEDITED:
            raise InvalidRequest("GlacierExpeditedRetrievalNotAvailable")
        return await super().recall(key, days, speed)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(4))
async def test_one_without_room_for_the_hurried_comes_whatever_step_fails(
    tmp_path: Path, step: int, *, is_after: bool
) -> None:
    clock, fault = Clock(), Fault()
    async with (
        CrowdedStore(fault, tmp_path / "objects", recall_delay_s=DELAY_S, now_us=clock) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue)
        made = await house.store(Sample(f"{STUDY}.1.1"))
        packs = await chill(objects, catalogue, STUDY)

        async def ask() -> None:
            recalls = Recalls(objects, catalogue, clock, wish=RecallWish(RecallSpeed.EXPEDITED))
            with pytest.raises(Offline):
                await recalls.demand(packs)

        # The mark, the store, the mark's end, and the one that tells what is true.
        fault.arm(step, is_after=is_after)
        await tried(ask)
        assert fault.has_struck
        clock.advance(GRACE_US / 1e6 + 1)
        await tend_recalls(objects, catalogue, now_us=clock())
        (mark,) = [mark async for marks in recall_marks(objects) for mark in marks]
        clock.advance(400)
        await tend_recalls(objects, catalogue, now_us=clock())
        # By now at the latest nobody expects it in five minutes.
        assert (await get_recall(objects, mark)).speed is RecallSpeed.STANDARD
        clock.advance(DELAY_S)
        await tend_recalls(objects, catalogue, now_us=clock())
        await Recalls(objects, catalogue, clock).demand(await catalogue.packs(TENANT, STUDY))
        assert await objects.get(made.key.pack) == made.data
        assert await house.findings() == []

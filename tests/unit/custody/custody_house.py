"""An archive with a trash, and ways for its processes to die."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import ByPatient, Catalogue
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.listing import Deleted, list_trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import Purged, purge_study, tend_trash
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_packs import Clock, Made, Sample, commit, fill, make_pack, put

STUDY = "1.2.3"
DAY_US = 86_400_000_000
FUTURE_US = 1 << 60
ALL = Scope("default", STUDY)


class House:
    """An archive, its trash, and the clock of both."""

    def __init__(self, objects: LocalObjectStore, catalogue: SqliteCatalogue) -> None:
        self.objects = objects
        self.catalogue = catalogue
        self.clock = Clock()
        self.trash = self.trash_of(catalogue)

    def trash_of(self, catalogue: Catalogue, objects: ObjectStore | None = None) -> Trash:
        load = partial(load_table, self.objects, self.catalogue)
        return Trash(objects or self.objects, catalogue, load, self.clock.tick)

    async def fill(self, policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST) -> list[Made]:
        return await fill(self.objects, self.catalogue, policy, self.clock)

    async def store(self, *samples: Sample, study: str = STUDY, series: str = "") -> Made:
        made = make_pack(self.clock, "default", study, series or f"{study}.1", samples)
        await put(self.objects, made)
        await commit(self.objects, self.catalogue, made, self.clock)
        return made

    async def digest(self) -> str:
        return await digest(self.catalogue)

    async def findings(self) -> list[Finding]:
        return [one async for one in check(self.objects, self.catalogue, deep=True)]

    async def count(self, study: str = STUDY) -> int:
        found = await self.catalogue.studies_by_uid("default", [study])
        return sum(one.instance_count for one in found)

    async def found(self) -> set[str]:
        page = await self.catalogue.studies("default", ByPatient("P1"))
        return {study.study_instance_uid for study in page.studies}

    async def keys(self, prefix: str) -> list[str]:
        return [info.key async for info in self.objects.list(prefix)]

    async def in_trash(self) -> list[Deleted]:
        return [one async for one in list_trash(self.objects, self.catalogue, "default")]

    async def tend(
        self,
        *,
        after_us: int = 0,
        retention_us: int = 30 * DAY_US,
        unseen_us: int = 0,
        objects: ObjectStore | None = None,
    ) -> Purged:
        return await tend_trash(
            objects or self.objects,
            self.catalogue,
            load_table=partial(load_table, self.objects, self.catalogue),
            now_us=self.clock.tick() + after_us,
            retention_us=retention_us,
            unseen_us=unseen_us,
        )

    async def purge(
        self,
        study: str = STUDY,
        *,
        objects: ObjectStore | None = None,
        catalogue: Catalogue | None = None,
        ahead_us: int = 0,
        cutoff_us: int = FUTURE_US,
    ) -> Purged:
        return await purge_study(
            objects or self.objects,
            catalogue or self.catalogue,
            "default",
            study,
            load_table=partial(load_table, self.objects, self.catalogue),
            now_us=self.clock.tick() + ahead_us,
            cutoff_us=cutoff_us,
        )

    async def sweep(self) -> tuple[int, int]:
        swept = await adopt_orphans(
            self.objects,
            self.catalogue,
            policy=ConflictPolicy.KEEP_FIRST,
            now_us=FUTURE_US,
            grace_us=0,
        )
        assert swept.problems == ()
        return swept.adopted, swept.removed

    async def rebuilt(self) -> str:
        await rebuild(
            self.objects,
            self.catalogue,
            policy=ConflictPolicy.KEEP_FIRST,
            now_us=self.clock.tick(),
        )
        return await self.digest()


@asynccontextmanager
async def opened(folder: Path, clock: Clock | None = None) -> AsyncGenerator[House]:
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
    ):
        house = House(objects, catalogue)
        house.clock.now_us = clock.now_us if clock else house.clock.now_us
        yield house


class Dying:
    """A catalogue or a store of which one verb fails, once it has been told to."""

    def __init__(
        self,
        real: Any,
        verb: str,
        fails: Callable[..., bool],
        error: type[PacsError] = Unavailable,
    ) -> None:
        self._real = real
        self._verb = verb
        self._fails = fails
        self._error = error

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)
        if name != self._verb:
            return verb

        async def dies(*args: Any, **options: Any) -> Any:
            if self._fails(*args, **options):
                raise self._error("the process died here")
            return await verb(*args, **options)

        return dies


def always(*_args: object, **_options: object) -> bool:
    return True


class Racing:
    """A catalogue or a store where something happens just before the first call of a verb."""

    def __init__(self, real: Any, verb: str, happens: Callable[[], Awaitable[object]]) -> None:
        self._real = real
        self._verb = verb
        self._happens = happens
        self.has_raced = False

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)
        if name != self._verb:
            return verb

        async def races(*args: Any, **options: Any) -> Any:
            if not self.has_raced:
                self.has_raced = True
                await self._happens()
            return await verb(*args, **options)

        return races

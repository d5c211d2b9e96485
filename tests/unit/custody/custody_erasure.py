"""Erasures to be made, and looks at what is left of an instance."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.custody.erasure.asking import ErasurePlan, ask, plan_erasure
from pacs_cloud.custody.erasure.run import Erasing, StudyErasure
from pacs_cloud.custody.erasure.tending import tend_erasures
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import decode_headers, decode_table, split_index
from unit.custody.custody_house import STUDY, House

HOUR_US = 3_600_000_000


class Eraser:
    """Erases in a house."""

    def __init__(self, house: House, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.house = house
        self.folder = folder
        self.recalled: list[PackRecord] = []

    async def recall(self, packs: Sequence[PackRecord]) -> None:
        self.recalled += packs

    async def plan(self, scope: Scope) -> ErasurePlan:
        house = self.house
        return await plan_erasure(house.objects, house.catalogue, scope, now_us=house.clock.tick())

    async def erase(
        self,
        scope: Scope,
        *,
        objects: ObjectStore | None = None,
        catalogue: Catalogue | None = None,
    ) -> Erasing:
        plan = await self.plan(scope)
        store = objects or self.house.objects
        now_us = self.house.clock.tick()
        await ask(store, plan, who="dpo", reason="request 12", now_us=now_us)
        return await self.go_on(scope.study_instance_uid, objects=objects, catalogue=catalogue)

    async def go_on(
        self,
        study: str = STUDY,
        *,
        objects: ObjectStore | None = None,
        catalogue: Catalogue | None = None,
    ) -> Erasing:
        house = self.house
        return await StudyErasure(
            objects or house.objects,
            catalogue or house.catalogue,
            self.folder,
            self.recall,
            house.clock.tick,
            "default",
            study,
        ).run()

    async def tend(self, now_us: Callable[[], int] | None = None) -> list[Erasing]:
        house = self.house
        return [
            one
            async for one in tend_erasures(
                house.objects,
                house.catalogue,
                folder=self.folder,
                recall=self.recall,
                now_us=now_us or house.clock.tick,
            )
        ]


async def traces(house: House, uid: str, *, study: str = STUDY) -> list[str]:
    """Every place in which an instance is left: objects, whatever they are, and items."""
    wanted, found = uid.encode(), list[str]()
    for key in await house.keys(""):
        data = await house.objects.get(key)
        if key.startswith("index/"):
            table, headers = split_index(data)
            data = repr(decode_table(table)).encode() + decode_headers(headers)
        # These know it by its UID alone.
        if wanted in data and not key.startswith(("erasures/", "ledger/", "trash/")):
            found.append(key)
    if (await house.catalogue.find_uids("default", [uid])).get(uid):
        found.append("a UID item")
    for record in await house.catalogue.packs("default", study):
        frames = await house.catalogue.index("default", ref_of(record))
        if frames and (
            wanted in repr(decode_table(frames.table)).encode()
            or wanted in decode_headers(frames.headers)
        ):
            found.append(f"index item {record.pack_id}")
    return found

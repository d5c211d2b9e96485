"""Committed packs, and so events in the outbox."""

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_packs import Clock, Made, Sample, commit, make_pack, put


async def stored(objects: ObjectStore, catalogue: Catalogue, count: int) -> list[Made]:
    clock = Clock()
    packs = [
        make_pack(clock, "default", "1.2", "1.2.1", [Sample(f"1.2.1.{n}")]) for n in range(count)
    ]
    for pack in packs:
        await put(objects, pack)
        await commit(objects, catalogue, pack, clock)
    return packs

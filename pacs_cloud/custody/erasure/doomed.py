"""All objects of a study that hold something of what is erased."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pacs_cloud.custody.erasure.words import words_about
from pacs_cloud.custody.study_packs import StudyPacks, read_study_packs
from pacs_cloud.custody.walk import INDEX, PACKS, StudyObjects, objects_of_study
from pacs_cloud.objectstore.hot_keys import parse_thumb_key, thumbs_prefix
from pacs_cloud.objectstore.keys import PackKey, parse_pack_key, study_path
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex


@dataclass(frozen=True, slots=True)
class Doomed:
    """What has to go.

    Attributes:
        found: the study's objects.
        read: what its packs, and index objects without a pack, say of themselves.
        packs: those that hold something of it, with their tables.
        thumbs: keys of thumbnails of it, and of such packs.
        words: keys of what corrections have written about it alone.
        dead: keys of which only versions are left that seem to be removed: what they hold
            nobody can tell any more.
        versions: by key, how many versions there are of each pack, index object and
            thumbnail of the study, and of `words`.
    """

    found: StudyObjects
    read: StudyPacks
    packs: dict[PackKey, PackIndex] = field(default_factory=dict[PackKey, PackIndex])
    thumbs: list[str] = field(default_factory=list[str])
    words: list[str] = field(default_factory=list[str])
    dead: list[str] = field(default_factory=list[str])
    versions: Counter[str] = field(default_factory=Counter[str])

    def __bool__(self) -> bool:
        return bool(self.packs or self.plain)

    def tables(self) -> dict[PackKey, PackIndex]:
        """Return the table of every pack of the study that can be read."""
        return {key: self.read.table(key) for key in self.read.blobs}

    @property
    def keys(self) -> Iterator[str]:
        """Of all that has to go."""
        for key in self.packs:
            yield key.pack
            yield key.index
        yield from self.plain

    @property
    def plain(self) -> list[str]:
        """Of what has to go and is no pack."""
        return [*self.thumbs, *self.words, *self.dead]


async def find_doomed(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    erased: frozenset[str],
    committed: Iterable[str],
) -> Doomed:
    """Return what of a study has to go.

    Args:
        objects: the store.
        tenant: whose.
        study_instance_uid: which study.
        erased: SOP Instance UIDs.
        committed: ids of packs that the catalogue has: whatever became of their objects is
            not for an erasure to end.

    Raises:
        Corrupt: what a correction has written cannot be read.
        Unavailable: the store cannot be reached.
    """
    # First: what is stored from now on is among the objects then, and not taken for dead.
    versions = await versions_below(objects, tenant, study_instance_uid)
    found = await objects_of_study(objects, tenant, study_instance_uid)
    read = await read_study_packs(objects, dict.fromkeys((*found.packs, *found.indexes)))
    doomed = Doomed(found, read, versions=versions)
    for key, table in doomed.tables().items():
        if any(one.sop_instance_uid in erased for one in table.instances):
            doomed.packs[key] = table
    live = {key.pack for key in found.packs} | {key.index for key in found.indexes}
    async for info in objects.list(thumbs_prefix(tenant, study_instance_uid)):
        live.add(info.key)
        thumb = parse_thumb_key(info.key)
        if thumb and (thumb.sop_instance_uid in erased or thumb.pack in doomed.packs):
            doomed.thumbs.append(info.key)
    left = {
        key.series_instance_uid
        for key, table in doomed.tables().items()
        if any(one.sop_instance_uid not in erased for one in table.instances)
    }
    if erased:
        doomed.words.extend(await words_about(objects, found, erased, left))
    for key in doomed.words:
        versions[key] = await count_versions(objects, key)
    known = set(committed)
    for key in sorted(versions.keys() - live - set(doomed.words)):
        pack = parse_pack_key(key)
        if pack is None or pack.pack_id not in known:
            doomed.dead.append(key)
    return doomed


async def versions_below(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> Counter[str]:
    """Return how many versions there are of each pack, index object and thumbnail of a study."""
    below = study_path(tenant, study_instance_uid)
    prefixes = PACKS + below, INDEX + below, thumbs_prefix(tenant, study_instance_uid)
    return Counter([key for prefix in prefixes async for key in objects.versions(prefix)])


async def count_versions(objects: ObjectStore, key: str) -> int:
    """Return how many versions there are of one object."""
    return sum([one == key async for one in objects.versions(key)])

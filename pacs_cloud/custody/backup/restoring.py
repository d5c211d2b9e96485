"""A backup put back: what is missing, and nothing that was removed on purpose."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from pacs_cloud.custody.backup.archive_file import OBJECTS, SPOOL, BackupReader, Manifest
from pacs_cloud.custody.backup.trees import INDEXES, TREES, Tree
from pacs_cloud.custody.corrections.ledger import is_amendment_key
from pacs_cloud.custody.erasure.entries import (
    decode_erasure,
    erasures_of,
    removed_keys,
    studies_with_erasures,
)
from pacs_cloud.custody.ledger import read_decisions
from pacs_cloud.custody.walk import ERASURES, LEDGER, PACKS
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.keys import check_key, parse_pack_key
from pacs_cloud.objectstore.port import ObjectStore

_ZIP: Final = ".zip"


class PlaceSpool(Protocol):
    """Puts a spool file where the next start finds it."""

    def __call__(self, name: str, chunks: Iterator[bytes]) -> None:
        """Write the file of that name, durably; it blocks."""
        ...


@dataclass(slots=True)
class Restored:
    """What a restoration did, or would do.

    Attributes:
        manifest: of the backup.
        missing: keys that the store did not have: put back, unless this was a dry run.
        differing: keys under which the store has something else.
        replaced: those of them that were replaced.
        same: how many objects are as they were.
        erased: how many are left out because they were erased since.
        over: how many are left out because the store has others of their kind, and knows
            better what is over.
        useless: index objects whose pack is not there.
        spool: names of spool files put back.
        spool_known: how many are left out because their pack was committed.
    """

    manifest: Manifest
    missing: list[str] = field(default_factory=list[str])
    differing: list[str] = field(default_factory=list[str])
    replaced: list[str] = field(default_factory=list[str])
    same: int = 0
    erased: int = 0
    over: int = 0
    useless: int = 0
    spool: list[str] = field(default_factory=list[str])
    spool_known: int = 0


@dataclass(slots=True)
class Restoring:
    """One restoration.

    Attributes:
        objects: the store.
        backup: opened.
        place_spool: puts spool files back.
        is_dry: whether nothing is written.
        is_replacing: whether what differs is replaced.
        progress: called for each member that was read, once to verify and once to restore.
    """

    objects: ObjectStore
    backup: BackupReader
    place_spool: PlaceSpool
    is_dry: bool
    is_replacing: bool = False
    progress: Callable[[], None] = lambda: None

    async def run(self) -> Restored:
        """Verify all of the backup, then put back what is missing; return what was done.

        Repeatable: what a crash has stopped is done by the next one.

        Raises:
            Corrupt: the backup is not what was written: nothing was put back. Or an entry of the
            store cannot be read.
            Unavailable: the store cannot be reached.
        """
        await self._verify()
        done = Restored(self.backup.manifest)
        names = self.backup.names
        # Erasures first: they say what else must not come back.
        for name in names:
            if name.startswith(OBJECTS + ERASURES):
                await self._put_back(done, name.removeprefix(OBJECTS), name)
        removed = await self._removed()
        kept_trees = [one async for one in self._kept_trees()]
        packs = await self._packs() if self._needs_packs(names) else set[str]()
        for name in names:
            if name.startswith(OBJECTS) and not name.startswith(OBJECTS + ERASURES):
                key = name.removeprefix(OBJECTS)
                await self._restore(done, key, name, removed, kept_trees, packs)
                self.progress()
        spool = [name for name in names if name.startswith(SPOOL)]
        known = packs | await self._decided() if spool else packs
        for name in spool:
            await self._put_into_spool(done, name, known)
            self.progress()
        return done

    async def _verify(self) -> None:
        members = self.backup.verify()
        while await asyncio.to_thread(next, members, None) is not None:
            self.progress()

    async def _removed(self) -> set[str]:
        """Return the keys that an erasure has removed."""
        removed: set[str] = set()
        async for names in studies_with_erasures(self.objects):
            removed.update(removed_keys(await erasures_of(self.objects, *names)))
        if self.is_dry:  # those of the backup are not in the store yet
            for name in self.backup.names:
                if name.startswith(OBJECTS + ERASURES):
                    removed |= _removed_by(await asyncio.to_thread(self.backup.read, name))
        return removed

    async def _kept_trees(self) -> AsyncIterator[str]:
        """Yield `{tree}{tenant}/` of what comes and goes, and of which the store has others."""
        keys: dict[str, set[str]] = {}
        for name in self.backup.names:
            key = name.removeprefix(OBJECTS)
            tree = _tree_of(key) if name.startswith(OBJECTS) else None
            if tree is not None and tree.comes_and_goes:
                keys.setdefault(_below(tree, key), set()).add(key)
        for below, known in keys.items():
            async for info in self.objects.list(below):
                if info.key not in known:
                    yield below
                    break

    @staticmethod
    def _needs_packs(names: list[str]) -> bool:
        return any(name.startswith((SPOOL, OBJECTS + INDEXES.prefix)) for name in names)

    async def _packs(self) -> set[str]:
        """Return the ids of all packs in the store."""
        keys = [parse_pack_key(info.key) async for info in self.objects.list(PACKS)]
        return {key.pack_id for key in keys if key is not None}

    async def _decided(self) -> set[str]:
        """Return the ids of all packs of which the ledger knows: they were committed once."""
        known: set[str] = set()
        async for info in self.objects.list(LEDGER):
            if not is_amendment_key(info.key):
                known.update(one.pack_id for one in await read_decisions(self.objects, info.key))
        return known

    async def _restore(
        self,
        done: Restored,
        key: str,
        name: str,
        removed: set[str],
        kept_trees: list[str],
        packs: set[str],
    ) -> None:
        tree = _tree_of(key)
        pack = parse_pack_key(key)
        if key in removed:
            done.erased += 1
        elif tree is None or (pack is not None and pack.pack_id not in packs):
            done.useless += 1
        elif tree.comes_and_goes and _below(tree, key) in kept_trees:
            done.over += 1
        else:
            await self._put_back(done, key, name)

    async def _put_back(self, done: Restored, key: str, name: str) -> None:
        data = await asyncio.to_thread(self.backup.read, name)
        try:
            stored = await self.objects.get(check_key(key))
        except NotFound:
            done.missing.append(key)
            if not self.is_dry:
                await self.objects.put_new(key, data)
            return
        if stored == data:
            done.same += 1
            return
        done.differing.append(key)
        if self.is_replacing and not self.is_dry:
            await self.objects.delete(key)
            await self.objects.put_new(key, data)
            done.replaced.append(key)

    async def _put_into_spool(self, done: Restored, name: str, packs: set[str]) -> None:
        file = name.removeprefix(SPOOL)
        if file.rpartition("/")[2].removesuffix(_ZIP) in packs:
            done.spool_known += 1
            return
        done.spool.append(file)
        if not self.is_dry:
            await asyncio.to_thread(self.place_spool, file, self.backup.chunks(name))


def _tree_of(key: str) -> Tree | None:
    """Return the kind of an object; None for a kind that is not known here."""
    return next((tree for tree in (*TREES, INDEXES) if key.startswith(tree.prefix)), None)


def _below(tree: Tree, key: str) -> str:
    tenant = key.removeprefix(tree.prefix).partition("/")[0]
    return f"{tree.prefix}{tenant}/"


def _removed_by(data: bytes) -> set[str]:
    return set(removed_keys([decode_erasure(data)]))

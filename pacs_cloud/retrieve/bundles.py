"""Studies and series as ZIP files, with a DICOMDIR where one is wanted.

Checksums come from the packs' own directories. Of an instance that amendments touch the head
is read for its own, and once more when it is sent.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from pacs_cloud.dicom.dicomdir import Dicomdir, FiledInstance
from pacs_cloud.errors import Corrupt, TooBroad
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.reader import NeedSuffix, read_directory
from pacs_cloud.pack.writer import checksum, member_name
from pacs_cloud.retrieve.amended_files import AmendedFiles
from pacs_cloud.retrieve.bundle import Bundle, BundleFile
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.tables import PackTables, header_in

MAX_FILED: Final = 100_000
"""Instances that one DICOMDIR may list: each takes about 1 KiB of memory until it is sent."""
_READS_AT_ONCE: Final = 8
_ENTRY_BYTES: Final = 130
"""At most, of a member in a pack's directory: 46 + 68 characters of name + ZIP64."""
_END_BYTES: Final = 98
_KEPT_BYTES: Final = 200
"""What one kept checksum takes in memory, roughly."""


class Bundles:
    """Puts ZIP files together."""

    def __init__(
        self,
        objects: ObjectStore,
        tables: PackTables,
        files: AmendedFiles,
        *,
        checksums_max_bytes: int = 8 << 20,
    ) -> None:
        """Keep up to so many bytes of checksums in memory."""
        self._objects = objects
        self._tables = tables
        self._files = files
        self._checksums: BoundedCache[Mapping[str, int]]
        self._checksums = BoundedCache(checksums_max_bytes, "checksums")

    async def plain(self, located: Sequence[Located]) -> Bundle:
        """Return `located`, in its order, as `{study}/{series}/{instance}.dcm`.

        Raises:
            Corrupt: a pack's directory does not list an instance as its table does.
            NotFound, Offline, Unavailable: as `ObjectStore.get`.
        """
        names = [
            f"{one.pack.study_instance_uid}/{one.pack.series_instance_uid}/"
            f"{member_name(one.instance.sop_instance_uid)}"
            for one in located
        ]
        return Bundle(await self._named(names, located))

    async def with_dicomdir(self, located: Sequence[Located]) -> Bundle:
        """Return `located` as a file-set with its DICOMDIR, under names that PS3.10 8.2 allows.

        Raises:
            TooBroad: over `MAX_FILED` instances.
            Corrupt, NotFound, Offline, Unavailable: as `plain`.
        """
        if len(located) > MAX_FILED:
            raise TooBroad(f"A DICOMDIR lists up to {MAX_FILED} instances; leave it out.")
        dicomdir = Dicomdir()
        series: dict[str, int] = {}
        files: list[str] = []
        for _, group in groupby(located, key=lambda one: one.pack.pack_id):
            some = list(group)
            folder = series.setdefault(some[0].pack.series_instance_uid, len(series) + 1)
            names = [
                ("DICOM", f"SE{folder:06d}", f"IM{len(files) + place:06d}")
                for place in range(1, len(some) + 1)
            ]
            headers = await self._tables.headers(some[0].pack.tenant, some[0].ref)
            await asyncio.to_thread(_list, dicomdir, some, names, headers)
            files += map("/".join, names)
        directory = await asyncio.to_thread(dicomdir.file)
        first = BundleFile("DICOMDIR", directory, len(directory), checksum(directory))
        return Bundle([first, *await self._named(files, located)])

    async def _named(self, names: Sequence[str], located: Sequence[Located]) -> list[BundleFile]:
        """Return the files of `located` under `names`."""
        checksums = await self._of_packs(located)
        found: list[BundleFile] = []
        for first in range(0, len(located), _READS_AT_ONCE):
            some = located[first : first + _READS_AT_ONCE]
            named = zip(names[first : first + len(some)], some, strict=True)
            of_some = (self._file(name, one, checksums) for name, one in named)
            if any(one.pack.amendments for one in some):
                found += await asyncio.gather(*of_some)
            else:
                found += [await one for one in of_some]
        return found

    async def _file(
        self, name: str, one: Located, checksums: Mapping[str, Mapping[str, int]]
    ) -> BundleFile:
        crc32 = checksums[one.pack.pack_id].get(member_name(one.instance.sop_instance_uid))
        if crc32 is None:
            raise Corrupt("A pack's directory lacks an instance that its table has.")
        content, length_bytes, crc32 = await self._files.measured_file(one, crc32)
        return BundleFile(name, content, length_bytes, crc32)

    async def _of_packs(self, located: Sequence[Located]) -> Mapping[str, Mapping[str, int]]:
        """Return the checksums of every pack's members by name, by pack id."""
        packs = {one.pack.pack_id: one for one in located}
        slots = asyncio.Semaphore(_READS_AT_ONCE)

        async def of_pack(one: Located) -> Mapping[str, int]:
            async with slots:
                return await self._checksums.get(
                    (one.pack.tenant, one.pack.pack_id), lambda: self._load(one)
                )

        found = await asyncio.gather(*map(of_pack, packs.values()))
        return dict(zip(packs, found, strict=True))

    async def _load(self, one: Located) -> tuple[Mapping[str, int], int]:
        wanted = _END_BYTES + _ENTRY_BYTES * (one.pack.instance_count + 1)
        while True:
            suffix, total_bytes = await self._objects.get_suffix(one.key, wanted)
            members = read_directory(suffix, total_bytes)
            if not isinstance(members, NeedSuffix):
                break
            if members.length_bytes <= wanted:
                raise Corrupt("A pack's end records contradict each other.")
            wanted = members.length_bytes
        checksums = {member.name: member.crc32 for member in members}
        return checksums, _KEPT_BYTES * len(checksums)


def _list(
    dicomdir: Dicomdir,
    located: Sequence[Located],
    names: Sequence[tuple[str, ...]],
    headers: bytes,
) -> None:
    for one, name in zip(located, names, strict=True):
        instance = one.instance
        dicomdir.add(
            FiledInstance(
                name,
                instance.sop_class_uid,
                instance.sop_instance_uid,
                instance.transfer_syntax_uid,
            ),
            header_in(headers, one.pack, instance),
        )

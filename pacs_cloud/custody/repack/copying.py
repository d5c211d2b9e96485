"""The file of a merged pack: members of others, byte for byte, checked as they come by."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from pacs_cloud.custody.repack.plan import Group, Source
from pacs_cloud.custody.repack.recoding import Recoder, header_of
from pacs_cloud.custody.stored_pack import key_of
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.descriptors import Descriptor
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.build import Entry, build_index
from pacs_cloud.pack.index import PackIndex, decode_headers, encode_index, split_index
from pacs_cloud.pack.instance import PackInstance, Recoded
from pacs_cloud.pack.provenance import Provenance, encode_provenance
from pacs_cloud.pack.writer import PackWriter, checksum, member_name, write_all
from pacs_cloud.pack.zipformat import Member, local_header

_READ_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class MergedFile:
    """A merged pack's file, complete and synced.

    Attributes:
        length_bytes: of it.
        table: what is in it.
        index: the bytes of its `index.zst`.
        recoded: how many of its instances were encoded anew for it.
        recoding_saved_bytes: by how much shorter these are than they were.
    """

    length_bytes: int
    table: PackIndex
    index: bytes
    recoded: int
    recoding_saved_bytes: int


async def write_merged(
    objects: ObjectStore,
    group: Group,
    file: Descriptor,
    *,
    pack_id: str,
    merged_rev: int,
    recoder: Recoder | None = None,
) -> MergedFile:
    """Write the pack that `group` becomes; memory is bounded whatever its size.

    Args:
        objects: where the packs are.
        group: which.
        file: empty; open for as long as a thread may write to it.
        pack_id: of the new pack.
        merged_rev: see `PackIndex`.
        recoder: encodes instances anew; None: all stay as they are.

    Raises:
        Corrupt: a member's bytes are not what was stored; its copy is not kept.
        NotFound, Offline: a pack's object cannot be read.
        OSError: from the file.
    """
    writer = PackWriter(file.number)
    entries: list[Entry] = []
    recoded = saved_bytes = 0
    for place, source in enumerate(group.sources):
        if wanted := group.kept_of(place):
            copy = _SourceCopy(file, writer, source, wanted, recoder)
            key = key_of(source.record).pack
            start, end = wanted[0].offset, max(one.offset + one.length_bytes for one in wanted)
            async for chunk in objects.stream(key, start, end, chunk_bytes=_READ_BYTES):
                await asyncio.to_thread(copy.take, chunk)
            entries += copy.finish()
            recoded += copy.recoded
            saved_bytes += copy.saved_bytes
    names = pack_id, merged_rev
    table, index = await asyncio.to_thread(_seal, file, writer, entries, group, *names)
    return MergedFile(writer.length_bytes, table, index, recoded, saved_bytes)


def _seal(
    file: Descriptor,
    writer: PackWriter,
    entries: Sequence[Entry],
    group: Group,
    pack_id: str,
    merged_rev: int,
) -> tuple[PackIndex, bytes]:
    """Append index and directory, and return them; the file is durable then."""
    first = group.sources[0].pack.table
    table = build_index(
        entries,
        pack_id=pack_id,
        tenant=first.tenant,
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        replaces=tuple(source.record.pack_id for source in group.sources),
        merged_rev=merged_rev,
    )
    index = encode_index(table, [entry.header for entry in entries])
    os.ftruncate(file.number, writer.length_bytes)  # an instance may have been longer before
    writer.finish(index)
    os.fdatasync(file.number)
    return table, index


class _SourceCopy:
    """Members of one pack on their way into another, in the order of their offsets."""

    def __init__(
        self,
        file: Descriptor,
        writer: PackWriter,
        source: Source,
        wanted: Sequence[PackInstance],
        recoder: Recoder | None,
    ) -> None:
        self.recoded = self.saved_bytes = 0
        table = source.pack.table
        crcs = {member.name: member.crc32 for member in source.pack.members}
        self._file = file
        self._writer = writer
        self._table = table
        self._headers = decode_headers(split_index(source.pack.index)[1])
        self._crcs = crcs
        self._wanted = wanted
        self._recoder = recoder
        self._at = wanted[0].offset
        self._next = 0
        self._member: _MemberCopy | None = None
        self._entries: list[Entry] = []

    def take(self, chunk: bytes) -> None:
        """Copy what of the pack's next bytes is wanted; raises Corrupt, OSError."""
        view, start = memoryview(chunk), self._at
        self._at += len(chunk)
        while self._next < len(self._wanted):
            instance = self._wanted[self._next]
            if instance.offset >= self._at:
                return
            if self._member is None:
                self._member = self._begin(instance)
            end = instance.offset + instance.length_bytes
            self._member.write(view[max(instance.offset - start, 0) : end - start])
            if end > self._at:
                return
            self._entries.append(self._made(instance, self._member.end()))
            self._member = None
            self._next += 1

    def finish(self) -> list[Entry]:
        """Return what was copied; raises Corrupt where not all was."""
        if self._next < len(self._wanted):
            raise Corrupt("a pack ends before its last instance")
        return self._entries

    def _begin(self, instance: PackInstance) -> "_MemberCopy":
        name = member_name(instance.sop_instance_uid)
        if name not in self._crcs:
            raise Corrupt("a pack's table names an instance that its directory does not have")
        provenance = self._provenance(instance)
        return _MemberCopy(self._file.number, self._writer, instance, self._crcs[name], provenance)

    def _provenance(self, instance: PackInstance) -> Provenance:
        source = self._table.sources[instance.source]
        return Provenance(self._table.tenant, source, instance.received_us)

    def _made(self, instance: PackInstance, member: Member) -> Entry:
        """Take a member into the pack, encoded anew where that is due; return its entry."""
        entry = self._entry(instance, member)
        new = self._recoder and self._recoder.recode(
            self._file.number, member, instance, entry.header
        )
        if not new:
            self._writer.close_streamed(member)
            return entry
        uid, header = instance.sop_instance_uid, new.header
        member = self._writer.append(uid, [new.file], self._provenance(instance))
        self.recoded += 1
        self.saved_bytes += instance.length_bytes - member.length_bytes
        return entry._replace(
            transfer_syntax_uid=header.transfer_syntax_uid,
            offset=member.offset,
            length_bytes=member.length_bytes,
            dataset_offset=new.dataset_offset,
            header=header.json,
            attributes=header.attributes,
            pixels=header.pixels,
            bulk=header.bulk,
            recoded=Recoded(new.digest, instance.transfer_syntax_uid),
        )

    def _entry(self, instance: PackInstance, member: Member) -> Entry:
        return Entry(
            sop_instance_uid=instance.sop_instance_uid,
            sop_class_uid=instance.sop_class_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            offset=member.offset,
            length_bytes=member.length_bytes,
            dataset_offset=instance.dataset_offset,
            digest=instance.digest,
            received_us=instance.received_us,
            source=self._table.sources[instance.source],
            header=header_of(self._headers, instance),
            attributes=self._table.attributes_of(instance),
            pixels=instance.pixels,
            bulk=instance.bulk,
            inflated_bytes=instance.inflated_bytes,
            flags=instance.flags,
            recoded=instance.recoded,
        )


class _MemberCopy:
    """One member, written behind a pack's last one; the pack does not hold it yet."""

    def __init__(
        self,
        fd: int,
        writer: PackWriter,
        instance: PackInstance,
        crc32: int,
        provenance: Provenance,
    ) -> None:
        """Write its local header, with the checksum that the other pack's directory has."""
        name = member_name(instance.sop_instance_uid)
        header = local_header(name, instance.length_bytes, crc32, encode_provenance(provenance))
        start = writer.length_bytes
        write_all(fd, [header], start)
        self._fd = fd
        self._instance = instance
        self._member = Member(name, start, start + len(header), 0, crc32)
        self._crc = 0
        self._hasher = blake3()

    def write(self, data: memoryview) -> None:
        """Append to the content; raises OSError."""
        at = self._member.length_bytes
        write_all(self._fd, [data], self._member.end)
        self._crc = checksum(data, self._crc)
        self._hasher.update(data[max(self._instance.dataset_offset - at, 0) :])
        self._member = self._member._replace(length_bytes=at + len(data))

    def end(self) -> Member:
        """Return the member, now complete; raises Corrupt where it is damaged."""
        digest = self._hasher.hexdigest()
        if self._crc != self._member.crc32 or digest != self._instance.stored_digest:
            raise Corrupt("an instance's bytes are not what was stored")
        return self._member

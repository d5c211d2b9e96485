"""What a crash left in the spool becomes packs again, in place."""

import logging
import mmap
import os
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import InvalidInstance
from pacs_cloud.ingest.admission import Admission
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.directory import SpoolDirectory, quarantine_folder
from pacs_cloud.ingest.open_pack import Arrival
from pacs_cloud.ingest.sealing import SeriesKey, SyncFile, seal
from pacs_cloud.pack.build import Entry
from pacs_cloud.pack.recover import Recovered, RecoveredMember, recover
from pacs_cloud.pack.writer import PackWriter

log = logging.getLogger(__name__)

_COPY_BYTES = 4 << 20


class Found(NamedTuple):
    """A spool file that is a complete pack."""

    path: Path
    length_bytes: int


class Recovery:
    """Turns spool files that nobody writes any more into packs.

    A file is cut where its last complete instance ends, and gets its index and
    directory there: nothing is copied. What cannot be read is put aside.
    """

    def __init__(
        self, directory: SpoolDirectory, counters: Counters, *, sync_file: SyncFile = os.fdatasync
    ) -> None:
        self._directory = directory
        self._counters = counters
        self._sync_file = sync_file
        self._admission = Admission()

    def recover(self, path: Path) -> Found | None:
        """Return the pack that `path` holds now; None where it holds none and is gone.

        A file that the disk does not let us read or write, or that nobody has planned
        for, stays as it is, for the next start.
        """
        try:
            return self._recover(path)
        except OSError as error:
            log.error("recovery_failed", extra={"pack": path.stem, "reason": error.strerror})
        except Exception:  # the outermost edge of a file's recovery: the others go on
            log.exception("recovery_surprise", extra={"pack": path.stem})
        return None

    def _recover(self, path: Path) -> Found | None:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            found = recover(lambda at, length: os.pread(fd, length, at), status.st_size)
            if found.finished:
                self._sync_file(fd)  # the crash may have come before its last sync
                self._directory.sync()
                self._counters.packs_recovered += 1
                return Found(path, status.st_size)
            if status.st_nlink > 1:
                # A file store has linked it: it was finished then, and has changed since.
                self._put_aside(path, "changed-since-stored")
                return None
            if not found.members:
                self._leave_nothing(path, fd, found, status.st_size)
                return None
            return self._close(path, fd, found, status.st_size)
        finally:
            os.close(fd)

    def _close(self, path: Path, fd: int, found: Recovered, length_bytes: int) -> Found | None:
        """Cut the file behind its last complete instance, and seal it there."""
        entries: list[Entry] = []
        members: list[RecoveredMember] = []
        series: set[SeriesKey] = set()
        for member in found.members:
            try:
                arrival = self._admit(fd, member)
            except InvalidInstance:
                self._extract(path, fd, member)
                continue
            series.add(arrival.series)
            members.append(member)
            entries.append(arrival.entry(member.member))
        if len(series) != 1:
            self._put_aside(path, "several-series" if series else "unreadable")
            return None
        log.warning(
            "spool_file_recovered",
            extra={
                "pack": path.stem,
                "instances": len(entries),
                "damaged": len(found.damaged),
                "cut_bytes": length_bytes - found.good_bytes,
            },
        )
        writer = PackWriter(
            fd, members=[member.member for member in members], length_bytes=found.good_bytes
        )
        sealed = seal(fd, writer, entries, pack_id=path.stem, series=series.pop())
        self._sync_file(fd)
        self._directory.sync()
        self._counters.packs_recovered += 1
        return Found(path, sealed.length_bytes)

    def _admit(self, fd: int, recovered: RecoveredMember) -> Arrival:
        """Return an instance as if it came in again; raises InvalidInstance."""
        member, provenance = recovered.member, recovered.provenance
        mapped = mmap.mmap(fd, member.end, prot=mmap.PROT_READ)
        content = memoryview(mapped)[member.offset :]
        meta = read_file_meta(content[: 1 << 21])
        dataset = content[meta.dataset_offset :]
        admitted = self._admission.file(meta, dataset)
        if admitted.header.sop_instance_uid != recovered.sop_instance_uid:
            raise InvalidInstance("a member's name is not its instance's UID")
        digest = blake3()
        for start in range(0, len(dataset), _COPY_BYTES):
            digest.update(dataset[start : start + _COPY_BYTES])
            mapped.madvise(mmap.MADV_DONTNEED)  # what was read counts as our memory
        return Arrival(
            admitted=admitted,
            content=(),
            dataset_offset=meta.dataset_offset,
            digest=digest.hexdigest,
            tenant=provenance.tenant,
            source=provenance.source,
            received_us=provenance.received_us,
        )

    def _leave_nothing(self, path: Path, fd: int, found: Recovered, length_bytes: int) -> None:
        """Remove a file that never held an instance, put another aside."""
        # A streamed instance that was cut has zeros where its header would be.
        is_cut = found.is_cut or not any(os.pread(fd, 4096, 0))
        if is_cut and not found.damaged:
            log.warning("spool_file_removed", extra={"pack": path.stem, "length": length_bytes})
            path.unlink()
        else:
            self._put_aside(path, "nothing-complete")

    def _extract(self, path: Path, fd: int, recovered: RecoveredMember) -> None:
        """Copy an instance that cannot be read any more out of its pack, for an admin."""
        folder = quarantine_folder(self._directory.spool)
        target = folder / f"{path.stem}-{recovered.sop_instance_uid}.dcm"
        member = recovered.member
        with target.open("wb") as file:
            for start in range(member.offset, member.end, _COPY_BYTES):
                file.write(os.pread(fd, min(_COPY_BYTES, member.end - start), start))
            file.flush()
            os.fsync(file.fileno())
        sync_directory(folder)
        self._counters.packs_quarantined += 1
        log.error("instance_quarantined", extra={"pack": path.stem})

    def _put_aside(self, path: Path, reason: str) -> None:
        self._directory.quarantine(path)
        self._counters.packs_quarantined += 1
        log.error("spool_file_quarantined", extra={"pack": path.stem, "reason": reason})

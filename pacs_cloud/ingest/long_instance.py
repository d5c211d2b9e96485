"""An instance longer than a buffer: a spool file, and a pack, of its own."""

import asyncio
import mmap
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from blake3 import blake3

from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.ingest.admission import Admission
from pacs_cloud.ingest.closed import ClosedPack
from pacs_cloud.ingest.directory import unavailable
from pacs_cloud.ingest.forms import Form, Layout
from pacs_cloud.ingest.open_pack import Arrival
from pacs_cloud.ingest.sealing import seal
from pacs_cloud.ingest.spool import Spool
from pacs_cloud.pack.index import Source
from pacs_cloud.pack.writer import PackWriter

WRITE_BACK_BYTES = 64 << 20
"""How much is written before the disk is asked to take it, so that the last sync is short."""

_MEMO_BYTES = 4 << 20  # long instances are few


class LongAdmission:
    """Reads the headers of long instances from their mapped files, on threads: one at a time."""

    def __init__(self, accepts_class: Callable[[str], bool]) -> None:
        reader = HeaderReader(memo_bytes=_MEMO_BYTES, let_go=self._let_go)
        self._admission = Admission(reader, accepts_class)
        self._lock = threading.Lock()
        self._mapped: mmap.mmap | None = None

    @contextmanager
    def reading(self, mapped: mmap.mmap) -> Generator[Admission]:
        """Give the admission for what lies in `mapped`, when it is its turn.

        Pages that were looked at do not stay to count as this process's memory.
        """
        with self._lock:
            self._mapped = mapped
            try:
                yield self._admission
            finally:
                self._let_go()
                self._mapped = None

    def _let_go(self) -> None:
        if self._mapped is not None:
            self._mapped.madvise(mmap.MADV_DONTNEED)


class LongInstance:
    """Bytes on their way to disk; hashed as they come, so that they are read once."""

    def __init__(self, spool: Spool, pack_id: str, form: Form, layout: Layout) -> None:
        """Begin a file; raises Unavailable."""
        self._spool = spool
        self._pack_id = pack_id
        self._form = form
        self._layout = layout
        self._path, self._fd = spool.directory.create(pack_id)
        self._writer = PackWriter(self._fd)
        self._member = self._writer.stream()
        self._hash = blake3()
        self._to_skip = layout.skip
        self._written_back = 0
        self._writing_back: asyncio.Future[int] | None = None
        try:
            self._put(layout.prefix)
        except BaseException:
            self.abort()
            raise

    def write(self, data: memoryview) -> None:
        """Append received bytes; raises Unavailable, then only `abort` is left."""
        self._spool.directory.check_room(self._spool.options.high_water)
        self._put(data)
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        self._hash.update(data[skipped:])
        if self._unwritten_bytes >= WRITE_BACK_BYTES:
            self._write_back()

    @property
    def prefix_bytes(self) -> int:
        """How much of its file was not received but written before that."""
        return len(self._layout.prefix)

    @property
    def _unwritten_bytes(self) -> int:
        return self._member.length_bytes - self._written_back

    async def drain(self) -> None:
        """Return when the disk has nearly caught up."""
        if self._writing_back is not None and self._unwritten_bytes >= 2 * WRITE_BACK_BYTES:
            await asyncio.wait([self._writing_back])

    def abort(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        if self._writing_back is None:
            os.close(self._fd)
        else:
            self._writing_back.add_done_callback(self._close_behind)

    async def finish(
        self, long: LongAdmission, *, tenant: str, source: Source, received_us: int
    ) -> tuple[Arrival, ClosedPack]:
        """Admit the instance, seal and sync its pack, and hand that on.

        Once begun it goes on to its end, whether or not its caller is cancelled.

        Raises:
            InvalidInstance: it cannot be admitted; nothing is left of it.
            Unavailable: the disk failed; likewise.
        """
        work = self._finish(long, tenant=tenant, source=source, received_us=received_us)
        return await asyncio.shield(self._spool.run(work))

    async def _finish(
        self, long: LongAdmission, *, tenant: str, source: Source, received_us: int
    ) -> tuple[Arrival, ClosedPack]:
        try:
            if self._writing_back is not None:
                await self._writing_back
            arrival = await asyncio.to_thread(
                self._admit, long, tenant=tenant, source=source, received_us=received_us
            )
            length_bytes = await self._spool.run_seal(lambda: self._seal(arrival))
        except OSError as error:
            self.abort()
            raise unavailable(error) from error
        except BaseException:
            self.abort()
            raise
        os.close(self._fd)
        closed = ClosedPack(self._path, length_bytes)
        self._spool.hand_on(closed)
        return arrival, closed

    def _admit(
        self, long: LongAdmission, *, tenant: str, source: Source, received_us: int
    ) -> Arrival:
        """Read the instance's header from its file; raises InvalidInstance, OSError."""
        mapped = mmap.mmap(self._fd, 0, prot=mmap.PROT_READ)
        start = self._member.offset + self._layout.dataset_offset
        dataset = memoryview(mapped)[start:]
        with long.reading(mapped) as admission:
            admitted = self._form.admit(admission, self._layout, dataset)
        return Arrival(
            admitted=admitted,
            content=(),
            dataset_offset=self._layout.dataset_offset,
            digest=self._hash.hexdigest,
            tenant=tenant,
            source=source,
            received_us=received_us,
        )

    def _close_behind(self, writing_back: asyncio.Future[int]) -> None:
        writing_back.exception()  # the instance is refused whatever it was
        os.close(self._fd)

    def _seal(self, arrival: Arrival) -> int:
        header = arrival.admitted.header
        member = self._member.close(header.sop_instance_uid, arrival.provenance)
        sealed = seal(
            self._fd,
            self._writer,
            [arrival.entry(member)],
            pack_id=self._pack_id,
            series=arrival.series,
        )
        self._spool.sync_file(self._fd)
        self._spool.directory.sync()
        return sealed.length_bytes

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._member.write(data)
        except OSError as error:
            raise unavailable(error) from error

    def _write_back(self) -> None:
        if self._writing_back is not None:
            if not self._writing_back.done():
                return
            if (error := self._writing_back.exception()) is not None:
                failure = error if isinstance(error, OSError) else OSError(str(error))
                raise unavailable(failure) from error

        def work() -> int:
            self._spool.sync_file(self._fd)
            return 0

        self._written_back = self._member.length_bytes
        self._writing_back = self._spool.run_seal(work)

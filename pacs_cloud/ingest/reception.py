"""One instance being received: its bytes come in pieces, the errors at its end."""

import mmap
from typing import NamedTuple, Protocol

from blake3 import blake3

from pacs_cloud.errors import InvalidInstance, InvalidRequest, Unavailable
from pacs_cloud.ingest.closed import ClosedPack
from pacs_cloud.ingest.desk import Desk
from pacs_cloud.ingest.forms import Form
from pacs_cloud.ingest.long_instance import LongInstance
from pacs_cloud.ingest.open_pack import Arrival, Placed
from pacs_cloud.pack.index import Source
from pacs_cloud.pack.pack_id import new_pack_id

_STAGE_BYTES = 1 << 20  # what a long instance collects in memory between two writes


class Receipt(NamedTuple):
    """What an instance turned out to be.

    Attributes:
        sop_class_uid: from its data set, like the other UIDs.
        sop_instance_uid: see above.
        study_instance_uid: see above.
        series_instance_uid: see above.
        length_bytes: of its Part 10 file.
        digest: BLAKE3 of its data set, hex.
        flags: what is unusual about it (`ingest.admission`).
        repeated: whether it had just come in already, with the same content.
        number: by STOW and import, its place in what `Session.commit_each` returns.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    length_bytes: int
    digest: str
    flags: tuple[str, ...]
    repeated: bool
    number: int


class Sender(Protocol):
    """Whom a reception reports to: the session that began it."""

    tenant: str
    source: Source
    waits_for_sync: bool

    def received(self, length_bytes: int) -> None:
        """Count an instance that may be acknowledged."""
        ...

    def refused(self, reason: str) -> None:
        """Count one that is turned away."""
        ...

    async def placed(self, arrival: Arrival, placed: Placed) -> int:
        """Return its number, when the instance may be acknowledged."""
        ...

    async def closed(self, arrival: Arrival, pack: ClosedPack) -> int:
        """Return its number, when the long instance, alone in `pack`, may be acknowledged."""
        ...


class Reception:
    """Takes one instance; then either `finish` or `abort`, once."""

    def __init__(self, desk: Desk, sender: Sender, form: Form) -> None:
        self._desk = desk
        self._sender = sender
        self._form = form
        self._buffer: mmap.mmap | None = None
        self._limit_bytes = desk.buffers.length_bytes
        self._used_bytes = 0
        self._length_bytes = 0
        self._long: LongInstance | None = None
        self._failure: InvalidInstance | Unavailable | None = None
        self._finishing = False
        self._ended = False

    def write(self, view: bytes | memoryview) -> None:
        """Take the next bytes; they are copied. What goes wrong here is told by `finish`."""
        if self._failure is not None or self._finishing or self._ended:
            return
        self._length_bytes += len(view)
        if self._buffer is None:
            self._buffer = self._desk.buffers.take()
        used = self._used_bytes
        end = used + len(view)
        if end <= self._limit_bytes:
            self._buffer[used:end] = view
            self._used_bytes = end
            return
        rest = memoryview(view)
        while rest and self._failure is None:
            part = rest[: self._limit_bytes - self._used_bytes]
            self._buffer[self._used_bytes : self._used_bytes + len(part)] = part
            self._used_bytes += len(part)
            rest = rest[len(part) :]
            if rest:
                self._to_disk()

    async def drain(self) -> None:
        """Return when the disk has caught up: for a sender of long instances to wait on."""
        if self._long is not None:
            await self._long.drain()

    def abort(self) -> None:
        """Forget the instance: nothing of it remains."""
        if not self._ended:
            self._ended = True
            self._give_back()
            if self._long is not None:
                self._long.abort()
                self._long = None

    async def finish(self) -> Receipt:
        """Admit the instance and return when it may be acknowledged.

        By C-STORE that is when it is durable, or committed, as the intake's options
        say. By STOW and import it is taken in, and `Session.commit` tells the rest.

        Raises:
            InvalidInstance: it cannot be admitted; nothing of it remains.
            StorageFull: there is no disk for it.
            Unavailable: it could not be made durable, or too much waits already.
        """
        if self._ended or self._finishing:
            raise InvalidRequest("a reception ends once")
        self._finishing = True
        counters = self._desk.counters
        try:
            await self._desk.spool.make_room()
            if self._failure is not None:
                raise self._failure
            if self._long is not None:
                arrival, closed = await self._finish_long()
                repeated, digest = False, arrival.digest()
                number = await self._sender.closed(arrival, closed)
            else:
                arrival = await self._arrive()
                placed = self._desk.spool.append(
                    arrival, self._sender, sync=self._sender.waits_for_sync
                )
                repeated, digest = placed.repeated, placed.digest
                self._give_back()
                number = await self._sender.placed(arrival, placed)
        except InvalidInstance as error:
            counters.refused += 1
            self._sender.refused(error.refusal.value)
            raise
        except Unavailable:
            counters.unavailable += 1
            self._sender.refused("unavailable")
            raise
        finally:
            self.abort()
        counters.received += 1
        counters.received_bytes += self._length_bytes
        self._sender.received(self._length_bytes)
        header = arrival.admitted.header
        return Receipt(
            header.sop_class_uid,
            header.sop_instance_uid,
            header.study_instance_uid,
            header.series_instance_uid,
            length_bytes=self._length_bytes,
            digest=digest,
            flags=arrival.admitted.flags,
            repeated=repeated,
            number=number,
        )

    async def _arrive(self) -> Arrival:
        """Return the instance in the buffer, admitted; raises InvalidInstance."""
        received = b"" if self._buffer is None else memoryview(self._buffer)[: self._used_bytes]
        layout = self._form.layout(received)
        syntax = self._form.transfer_syntax_uid(layout)
        deflated = self._desk.deflated_admission
        if deflated.is_for(syntax, len(received) - layout.skip):
            # Whoever brings it may go away meanwhile, and the buffer to somebody else.
            received = memoryview(bytes(received))
            dataset = received[layout.skip :]
            admitted = await deflated.admit(self._form, layout, dataset)
        else:
            dataset = received[layout.skip :]
            admitted = self._form.admit(self._desk.admission, layout, dataset)
        self._length_bytes += len(layout.prefix)
        return Arrival(
            admitted=admitted,
            content=(layout.prefix, received) if layout.prefix else (received,),
            dataset_offset=layout.dataset_offset,
            digest=lambda: blake3(dataset).hexdigest(),
            tenant=self._sender.tenant,
            source=self._sender.source,
            received_us=self._desk.now_us(),
        )

    async def _finish_long(self) -> tuple[Arrival, ClosedPack]:
        self._to_disk()
        if self._failure is not None:
            raise self._failure
        long, self._long = self._long, None  # it cleans up after itself from here on
        assert long is not None
        self._give_back()
        self._length_bytes += long.prefix_bytes
        return await long.finish(
            self._desk.long_admission,
            tenant=self._sender.tenant,
            source=self._sender.source,
            received_us=self._desk.now_us(),
        )

    def _to_disk(self) -> None:
        """Move what the buffer holds to the instance's own file; remembers what fails."""
        assert self._buffer is not None
        view = memoryview(self._buffer)[: self._used_bytes]
        self._used_bytes = 0
        try:
            if self._long is None:
                layout = self._form.layout(view)
                pack_id = new_pack_id(self._desk.now_us())
                self._long = LongInstance(self._desk.spool, pack_id, self._form, layout)
                self._limit_bytes = min(_STAGE_BYTES, self._limit_bytes)
            self._long.write(view)
        except (InvalidInstance, Unavailable) as error:
            self._failure = error
            if self._long is not None:
                self._long.abort()
                self._long = None

    def _give_back(self) -> None:
        if self._buffer is not None:
            self._desk.buffers.give(self._buffer, self._length_bytes)
            self._buffer = None

"""The spool: each open pack is a file on this machine's disk, and becomes the object as it is."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from pacs_cloud import metrics, tracing
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.ingest.backlog import Backlog
from pacs_cloud.ingest.closed import ClosedPack, Outcomes
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.directory import SpoolDirectory, unavailable
from pacs_cloud.ingest.group_sync import GroupSync
from pacs_cloud.ingest.just_sealed import JustSealed
from pacs_cloud.ingest.open_pack import Arrival, OpenPack, Placed
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.ingest.pacing import Pacing
from pacs_cloud.ingest.sealing import Sealed, SeriesKey, SyncFile, seal
from pacs_cloud.ingest.syncer import Syncer, ThreadSyncer
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.pack.writer import PackWriter

T = TypeVar("T")

log = logging.getLogger(__name__)

_SEAL_THREADS = 2
_SALVAGE_S = 5.0
_SALVAGE_LIMIT_S = 300.0
_HEADERS_LIMIT_BYTES = 32 << 20  # what an open pack keeps in memory until it is sealed
_MEMBER_OVERHEAD_BYTES = 1024  # local header, directory entry and its part of the index


class Spool:
    """The open packs of one process, one per series.

    Appends are done at once, by the caller: an instance costs less than handing it
    to a thread. Seals run on threads; a `Syncer` syncs.
    """

    def __init__(
        self,
        directory: SpoolDirectory,
        options: IntakeOptions,
        counters: Counters,
        backlog: Backlog,
        just_sealed: JustSealed,
        *,
        submit: Callable[[ClosedPack], None],
        now_us: Callable[[], int],
        sync_file: SyncFile = os.fdatasync,
        syncer: Syncer | None = None,
    ) -> None:
        """Write into `directory`, and give closed packs to `submit`.

        `sync_file` syncs what is sealed, `syncer` what senders wait for (None: `sync_file`
        does, on threads).
        """
        self.directory = directory
        self.options = options
        self.sync_file = sync_file
        self._counters = counters
        self._backlog = backlog
        self._just_sealed = just_sealed
        self._submit = submit
        self._now_us = now_us
        self._open: dict[SeriesKey, OpenPack] = {}
        self._pacing = Pacing(options)
        self._threads = ThreadSyncer(sync_file)
        self._syncer: Syncer = syncer or self._threads
        self._sealing = ThreadPoolExecutor(_SEAL_THREADS, "spool-seal")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._files = 0  # with a descriptor: open ones, and closed ones not sealed yet
        self._file_closed = asyncio.Event()
        self._stopping = asyncio.Event()

    async def make_room(self) -> None:
        """Return when an instance may be taken in: there is disk, and seals and commits keep up.

        Raises:
            StorageFull: the disk is over its high-water mark.
            Unavailable: too much waits for its commit.
        """
        self.directory.check_room(self.options.high_water)
        while self._files >= 2 * self.options.open_packs:
            self._file_closed.clear()
            await self._file_closed.wait()
        if self._backlog.is_long:
            await self._backlog.wait()

    def append(self, arrival: Arrival, contributor: Hashable, *, sync: bool) -> Placed:
        """Append an instance to its series' open pack; it is not durable yet.

        The same content under the same UID is not appended again; other content
        goes into a next pack.

        Args:
            arrival: the instance.
            contributor: who brings it, see `await_commit`.
            sync: whether to begin at once to make it durable.

        Raises:
            Unavailable: the disk took nothing; StorageFull: because it is full.
        """
        series = arrival.series
        pack = self._open.get(series)
        before: asyncio.Future[Outcomes] | None = None
        if pack is not None:
            place = pack.places.get(arrival.admitted.header.sop_instance_uid)
            if place is not None and pack.entries[place].digest == arrival.digest():
                self._counters.repeated += 1
                pack.contributors.add(contributor)
                return Placed(pack, place + 1, repeated=True)
            longer = pack.writer.length_bytes + arrival.length_bytes + _MEMBER_OVERHEAD_BYTES
            if place is not None or longer > self.options.pack_bytes:
                # Which content of one UID came first decides what is kept.
                before = pack.outcomes if place is not None else None
                self.close(pack)
                pack = None
        if pack is None:
            pack = self._open_pack(series, before)
        try:
            pack.append(arrival, sync=sync)
        except OSError as error:
            raise unavailable(error) from error
        finally:
            if not pack.entries:
                self._discard(pack)
        pack.contributors.add(contributor)
        pack.touched_at = asyncio.get_running_loop().time()
        appended = len(pack.entries)
        if self._is_full(pack):
            self.close(pack)
        return Placed(pack, appended, repeated=False)

    def is_open(self, pack: OpenPack) -> bool:
        """Whether `pack` still takes instances."""
        return self._open.get(pack.series) is pack

    def await_commit(self, pack: OpenPack, contributor: Hashable) -> None:
        """Close `pack` once everyone who contributed to it awaits its commit."""
        pack.awaiting.add(contributor)
        if pack.awaiting >= pack.contributors:
            self.close(pack)

    def close(self, pack: OpenPack) -> None:
        """Take nothing more into `pack`; it is sealed and handed on. Again: nothing happens."""
        if self._open.get(pack.series) is pack:
            self._remove(pack)
            self.run(self._finish(pack))

    def run_seal(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run work of a seal's kind, long and on files, on a thread."""
        return asyncio.get_running_loop().run_in_executor(self._sealing, work)

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` to its end before the spool is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, PacsError):
            log.error("spool_task_failed", exc_info=error)

    def hand_on(self, pack: ClosedPack) -> None:
        """Give a sealed pack to the committer."""
        self._counters.packs_closed += 1
        self._submit(pack)

    async def sealed(self) -> None:
        """Return when every closed pack is sealed and handed on."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Close every pack and return when all are sealed."""
        self._stopping.set()
        for pack in list(self._open.values()):
            self.close(pack)
        await self.sealed()
        await self._threads.aclose()
        self._sealing.shutdown()

    def _open_pack(self, series: SeriesKey, before: asyncio.Future[Outcomes] | None) -> OpenPack:
        loop = asyncio.get_running_loop()
        if len(self._open) >= self.options.open_packs:
            self.close(min(self._open.values(), key=lambda pack: pack.touched_at))
        pack_id = new_pack_id(self._now_us())
        path, fd = self.directory.create(pack_id)
        self._files += 1
        linger_s, age_s = self._pacing.opened(series, loop.time())
        pack = OpenPack(
            series=series,
            pack_id=pack_id,
            path=path,
            fd=fd,
            writer=PackWriter(fd),
            sync=GroupSync(
                self._syncer, fd, self.directory.fd, lambda error: self._sync_failed(pack, error)
            ),
            linger_s=linger_s,
            closes_at=loop.time() + age_s,
            touched_at=loop.time(),
            before=before,
        )
        self._open[series] = pack
        self._set_timer(pack)
        return pack

    def _is_full(self, pack: OpenPack) -> bool:
        return (
            len(pack.entries) >= self.options.pack_instances
            or pack.writer.length_bytes >= self.options.pack_bytes
            or pack.header_bytes >= _HEADERS_LIMIT_BYTES
        )

    def _set_timer(self, pack: OpenPack) -> None:
        at = min(pack.touched_at + pack.linger_s, pack.closes_at)
        pack.timer = asyncio.get_running_loop().call_at(at, self._timer, pack)

    def _timer(self, pack: OpenPack) -> None:
        # Appends leave the timer alone: it looks when it rings.
        now = asyncio.get_running_loop().time()
        if now >= min(pack.touched_at + pack.linger_s, pack.closes_at):
            self.close(pack)
        else:
            self._set_timer(pack)

    def _remove(self, pack: OpenPack) -> None:
        del self._open[pack.series]
        if pack.timer is not None:
            pack.timer.cancel()

    def _discard(self, pack: OpenPack) -> None:
        """Drop a pack that holds nothing."""
        if self._open.get(pack.series) is pack:
            self._remove(pack)
        self._close_file(pack)
        pack.path.unlink()

    def _close_file(self, pack: OpenPack) -> None:
        """Let go of a pack's descriptor; whoever waited for one goes on. Again: nothing happens."""
        if pack.fd >= 0:
            os.close(pack.fd)
            pack.fd = -1
            self._files -= 1
            self._file_closed.set()

    async def _finish(self, pack: OpenPack) -> None:
        """Seal a pack and hand it on."""
        try:
            with tracing.pack_step(
                "pack.seal", pack.pack_id, links=pack.traces, instances=len(pack.entries)
            ):
                await self._seal(pack)
        except Exception:  # the outermost edge of a pack's closing: nobody awaits this task
            log.exception("spool_seal_surprise", extra={"pack": pack.pack_id})
            self._close_file(pack)
            if not pack.outcomes.done():  # the file stays: the next start recovers it
                pack.outcomes.set_exception(Unavailable("a pack could not be sealed"))

    async def _seal(self, pack: OpenPack) -> None:
        await pack.sync.idle()
        if pack.sync.failed:
            return  # `_sync_failed` has taken it over

        def work() -> Sealed:
            sealed = seal(
                pack.fd, pack.writer, pack.entries, pack_id=pack.pack_id, series=pack.series
            )
            self.sync_file(pack.fd)
            self.directory.sync()
            return sealed

        try:
            sealed = await self.run_seal(work)
        except OSError as error:
            self._counters.failed_syncs += 1
            metrics.SYNCS_FAILED.inc()
            log.error("spool_seal_failed", extra={"pack": pack.pack_id, "reason": error.strerror})
            await self._salvage(pack, unavailable(error))
            return
        self._close_file(pack)
        self._just_sealed.keep(sealed)
        await self._in_turn(pack)
        self.hand_on(ClosedPack(pack.path, sealed.length_bytes, pack.outcomes))

    async def _in_turn(self, pack: OpenPack) -> None:
        """Return when the pack that must be committed before `pack` is, or we stop."""
        if pack.before is not None:
            stopping = asyncio.ensure_future(self._stopping.wait())
            await asyncio.wait({pack.before, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()

    def _sync_failed(self, pack: OpenPack, error: OSError) -> Unavailable:
        """Abandon a pack: what it acknowledged is saved, the rest is refused."""
        self._counters.failed_syncs += 1
        metrics.SYNCS_FAILED.inc()
        log.error("spool_sync_failed", extra={"pack": pack.pack_id, "reason": error.strerror})
        if self._open.get(pack.series) is pack:
            self._remove(pack)
        failure = unavailable(error)
        self.run(self._salvage(pack, failure))
        return failure

    async def _salvage(self, pack: OpenPack, failure: Unavailable) -> None:
        """Cut a pack down to what was durable before a failure, and hand that on.

        Nothing that the failed sync should have covered is synced again. A new
        descriptor is used: it reports what fails from now on.
        """
        await pack.sync.idle()
        self._close_file(pack)
        kept = pack.sync.durable
        if not kept:
            with suppress(OSError):  # recovery finds nothing durable in it either
                pack.path.unlink()
            pack.outcomes.set_exception(failure)
            return

        def work() -> int:
            members = pack.writer.members[:kept]
            fd = os.open(pack.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                writer = PackWriter(fd, members=members, length_bytes=members[-1].end)
                sealed = seal(
                    fd, writer, pack.entries[:kept], pack_id=pack.pack_id, series=pack.series
                )
                self.sync_file(fd)
            finally:
                os.close(fd)
            return sealed.length_bytes

        pause_s = _SALVAGE_S
        while True:
            try:
                length_bytes = await self.run_seal(work)
            except OSError as error:
                log.error(
                    "spool_salvage_failed", extra={"pack": pack.pack_id, "reason": error.strerror}
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)
                if self._stopping.is_set():  # the next start recovers it
                    pack.outcomes.set_exception(failure)
                    return
                pause_s = min(2 * pause_s, _SALVAGE_LIMIT_S)
            else:
                break
        self.hand_on(ClosedPack(pack.path, length_bytes, pack.outcomes))

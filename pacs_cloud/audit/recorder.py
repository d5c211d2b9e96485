"""Events into the journals of a process: many at a time, by one thread."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pacs_cloud.audit.directory import JournalDirectory, unavailable
from pacs_cloud.audit.journal import Journal, SyncFile
from pacs_cloud.audit.sealing import Sealer, heads_json
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.security.audit_event import AuditEvent, event_json

log = logging.getLogger(__name__)

_IDLE_KEPT: Final = 32
"""So many journals stay open to further events at least; each link has one that opens copies."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: AuditEvent
    waits_for_seal: bool
    done: asyncio.Future[None]


class Recorder:
    """Writes events, seals what it has written.

    What comes while a write is under way is written together by the next one.
    """

    def __init__(
        self,
        directory: JournalDirectory,
        sealer: Sealer,
        now_us: Callable[[], int],
        *,
        seals_at_once: bool,
        sync_file: SyncFile | None = None,
    ) -> None:
        """Write into `directory`, which is locked; `close` releases it.

        Args:
            directory: whose journals.
            sealer: seals them.
            now_us: tells the time, microseconds since 1970 UTC.
            seals_at_once: an event is on record once it is in an object.
            sync_file: makes a file durable; None: the system's.
        """
        self.directory = directory
        self._sealer = sealer
        self._now_us = now_us
        self._seals_at_once = seals_at_once
        self._more = {} if sync_file is None else {"sync_file": sync_file}
        self._journals: dict[str, Journal] = {}
        self._pending: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None
        # Journals are written by one thread, and by one at a time.
        self._thread = ThreadPoolExecutor(1, "audit")
        self._sealing = asyncio.Lock()

    def begin(self) -> None:
        """Take up the journals that are there; what a crash left open in them is ended.

        Raises:
            Unavailable: they cannot be read or written.
        """
        for tenant in self.directory.tenants():
            self._journal(tenant)

    def journals(self) -> list[Journal]:
        """Return the journals that are written."""
        return [*self._journals.values()]

    def append(self, event: AuditEvent, *, waits_for_seal: bool = True) -> asyncio.Future[None]:
        """Write an event soon; the future is done when it is durable, or has why it is not.

        Where events are on record once they are in an object it waits for that, or not.
        """
        done = asyncio.get_running_loop().create_future()
        self._pending.append(_Waiting(event, waits_for_seal, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        """Write what waits, all that came meanwhile together, until nothing waits."""
        while self._pending:
            batch, self._pending = self._pending, []
            by_tenant: dict[str, list[_Waiting]] = {}
            for one in batch:
                by_tenant.setdefault(one.event.tenant, []).append(one)
            for tenant, waiting in by_tenant.items():
                await self._write(tenant, waiting)

    async def _write(self, tenant: str, waiting: Sequence[_Waiting]) -> None:
        """Write a tenant's events, and tell those who wait for them."""
        failure: Exception | None = None
        is_written = False
        loop = asyncio.get_running_loop()
        try:
            bodies = [event_json(one.event) for one in waiting]
            await loop.run_in_executor(self._thread, self._append, tenant, bodies, self._now_us())
            is_written = True
            if self._seals_at_once:
                await self.seal(of={tenant})
        except PacsError as error:
            failure = error
        except Exception as error:  # whatever it is, those who wait must be told
            log.exception("audit_write_surprise")
            failure = Unavailable(f"the audit trail failed: {type(error).__name__}")
        for one in waiting:
            if one.done.done():
                continue
            if failure is None or (is_written and not one.waits_for_seal):
                one.done.set_result(None)
            else:
                # An error of each one's own: one that many raise gathers their tracebacks.
                kind = type(failure) if isinstance(failure, Unavailable) else Unavailable
                one.done.set_exception(kind(*failure.args))

    def _append(self, tenant: str, bodies: Sequence[Mapping[str, object]], now_us: int) -> None:
        self._journal(tenant).append(bodies, now_us)

    def _journal(self, tenant: str) -> Journal:
        journal = self._journals.get(tenant)
        if journal is None:
            try:
                folder = self.directory.folder(tenant)
            except OSError as error:
                raise unavailable(error) from error
            journal = self._journals[tenant] = Journal(folder, tenant, **self._more)
        return journal

    async def seal(
        self,
        is_due: Callable[[Journal], bool] | None = None,
        *,
        of: Collection[str] | None = None,
    ) -> None:
        """Seal what is open (only what `is_due`) and what waits for it, of some tenants or all.

        One tenant's that cannot be sealed keeps no other's from it.

        Raises:
            Unavailable, Denied: the store or the disk refuses; nothing is lost.
        """
        failures: list[PacsError] = []
        async with self._sealing:
            for tenant, journal in [*self._journals.items()]:
                if of is not None and tenant not in of:
                    continue
                try:
                    if journal.open_path is not None and (is_due is None or is_due(journal)):
                        await self._end_part(journal)
                except PacsError as error:  # what has ended is sealed all the same: it makes room
                    failures.append(error)
                try:
                    await self._seal_ended(tenant, journal)
                except PacsError as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    async def _seal_ended(self, tenant: str, journal: Journal) -> None:
        # By the thread that writes: a part is open before its file is there for others.
        loop = asyncio.get_running_loop()
        ended = await loop.run_in_executor(self._thread, journal.ended)
        await self._sealer.seal(journal, ended)
        if len(self._journals) > _IDLE_KEPT:
            await loop.run_in_executor(self._thread, self._let_go, tenant, journal)

    def _let_go(self, tenant: str, journal: Journal) -> None:
        """Forget a journal of which all is sealed: its folder tells where it goes on."""
        if journal.open_path is None and not journal.ended():
            journal.close()
            self._journals.pop(tenant, None)

    async def end(self) -> None:
        """End what is open, for somebody else to seal; raises Unavailable."""
        loop = asyncio.get_running_loop()
        for journal in self.journals():
            await loop.run_in_executor(self._thread, journal.end_part, (), self._now_us())

    async def _end_part(self, journal: Journal) -> None:
        heads = heads_json(await self._sealer.heads(journal.tenant, journal.writer))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, journal.end_part, heads, self._now_us())

    async def close(self) -> None:
        """Finish what is under way, and let go of files and the directory."""
        if self._flushing is not None:
            await asyncio.wait({self._flushing})
        self._thread.shutdown()
        for journal in self.journals():
            journal.close()
        self.directory.release()

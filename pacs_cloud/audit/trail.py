"""The audit trail of one process: nothing is answered before it is on record.

`record` returns once its event is durable. Of what comes many times a minute (`Kind` in
`COUNTED`) only the first waits: further ones are counted in memory, and put on record as one
when the minute is over. A process that is killed loses such a number, never a first record.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from pacs_cloud.audit.directory import JournalDirectory, take_directory
from pacs_cloud.audit.journal import Journal, SyncFile
from pacs_cloud.audit.recorder import Recorder
from pacs_cloud.audit.sealing import Sealer, adopt
from pacs_cloud.audit.windows import Windows
from pacs_cloud.errors import Denied, PacsError, Unavailable
from pacs_cloud.security.audit_event import (
    AuditEvent,
    AuditPatient,
    EventKey,
    Kind,
    Outcome,
    in_records,
)

log = logging.getLogger(__name__)

Patients: TypeAlias = Callable[[str, Sequence[str]], Awaitable[tuple[AuditPatient, ...]]]
"""Tells the patients of some of a tenant's studies."""

_TEND_EVERY_S: Final = 1.0
_ADOPT_EVERY_US: Final = 60_000_000
_SEAL_AGAIN_US: Final = 30_000_000
"""Behind a seal that failed."""


@dataclass(frozen=True, slots=True)
class TrailOptions:
    """How a process keeps its trail.

    Attributes:
        part_age_us: a part is sealed when it is so old, or so long:
        part_bytes: that.
        seals_at_once: an event is on record once it is in an object: for machines whose disk
            does not outlive them.
        required: whether an event that cannot be put on record must not happen; else it is
            logged that it is not.
        keeps: whether sealed parts stay until they are sent to a syslog server.
        seals_at_end: whether what is open is sealed when the process ends.
    """

    part_age_us: int = 300_000_000
    part_bytes: int = 4 << 20
    seals_at_once: bool = False
    required: bool = True
    keeps: bool = False
    seals_at_end: bool = True


class Trail:
    """What a process has done goes on record here."""

    def __init__(
        self,
        recorder: Recorder,
        sealer: Sealer,
        options: TrailOptions,
        now_us: Callable[[], int],
        *,
        patients: Patients | None = None,
    ) -> None:
        """Write by `recorder`.

        Args:
            recorder: writes and seals; it is closed by `aclose`.
            sealer: seals what processes that are gone have left.
            options: how.
            now_us: tells the time, microseconds since 1970 UTC.
            patients: tells whose studies an event is about that names none.
        """
        self._recorder = recorder
        self._sealer = sealer
        self._options = options
        self._now_us = now_us
        self._patients = patients
        self._windows = Windows()
        self._firsts: dict[EventKey, asyncio.Task[None]] = {}
        self._seal_again_us = self._adopt_again_us = 0
        self._lost = 0

    @property
    def directory(self) -> JournalDirectory:
        """Where it is written."""
        return self._recorder.directory

    @property
    def journals(self) -> list[Journal]:
        """What is written."""
        return self._recorder.journals()

    def is_counted(self, key: EventKey, instances: int = 0) -> bool:
        """Count an event where one like it is on record for this minute; return whether it is.

        Never waits: a door asks this first, and `record`s what is not counted.
        """
        return self._windows.count(key, self._now_us(), instances)

    async def record(self, event: AuditEvent) -> None:
        """Put an event on record; return when that is durable, or it is counted.

        Raises:
            Unavailable: it is not on record, and must not be answered.
        """
        try:
            await self._record(event)
        except Unavailable as error:
            if self._options.required:
                raise
            if not self._lost:
                log.error("audit_not_recorded", extra={"error": type(error).__name__})
            self._lost += 1

    async def refused(
        self,
        tenant: str,
        subject: str,
        door: str,
        *,
        address: str = "",
        action: str = "",
        reason: str = "",
        studies: tuple[str, ...] = (),
    ) -> None:
        """Put on record that somebody was refused; repeats within a minute are counted.

        Args:
            tenant: at whose door.
            subject: who they are, or say that they are; "" where nothing is known.
            door: which.
            address: where they are.
            action: what they wanted.
            reason: why not, in words of ours.
            studies: which studies, where they named some.
        """
        await self.record(
            AuditEvent(
                Kind.REFUSAL,
                tenant,
                subject,
                door,
                self._now_us(),
                address=address,
                action=action,
                outcome=Outcome.MINOR,
                studies=studies,
                details=(("reason", reason),) if reason else (),
            )
        )

    async def _record(self, event: AuditEvent) -> None:
        if not event.is_counted:
            await self._write(event)
            return
        key = event.key
        while not self._windows.count(key, event.when_us, event.instances):
            first = self._firsts.get(key)
            if first is None:
                first = asyncio.create_task(self._write_first(event))
                self._firsts[key] = first
                first.add_done_callback(lambda task: self._first_done(key, task))
                # Whoever goes away takes nobody with them who waits for the same record.
                await asyncio.shield(first)
                return
            await asyncio.shield(first)

    def _first_done(self, key: EventKey, task: asyncio.Task[None]) -> None:
        if self._firsts.get(key) is task:
            del self._firsts[key]
        if not task.cancelled():
            task.exception()  # its waiters have been told

    async def _write_first(self, event: AuditEvent) -> None:
        self._windows.begin(event.key, await self._write(event))

    async def _write(self, event: AuditEvent) -> list[AuditEvent]:
        """Put an event on record; return it as its records say it."""
        records = [await self._with_patients(part) for part in in_records(event)]
        await asyncio.gather(*(self._recorder.append(one) for one in records))
        return records

    async def _with_patients(self, event: AuditEvent) -> AuditEvent:
        if self._patients is not None and event.studies and not event.patients:
            with suppress(Unavailable, Denied):
                found = await self._patients(event.tenant, event.studies)
                return replace(event, patients=found)
        return event  # the studies are named: whose they are can be looked up later

    def _is_due(self, journal: Journal) -> bool:
        return (
            abs(self._now_us() - journal.opened_us) >= self._options.part_age_us
            or journal.length_bytes >= self._options.part_bytes
        )

    async def flush(self, *, everything: bool = False) -> None:
        """Write to the journal what was counted in minutes that are over, or in all.

        Raises:
            Unavailable: that cannot be; it is kept.
        """
        taken = self._windows.take(None if everything else self._now_us())
        if not taken:
            return
        # One that is in a journal is not written again, however long its object is to come.
        done = [self._recorder.append(event, waits_for_seal=False) for event in taken]
        failed = await asyncio.gather(*done, return_exceptions=True)
        kept = [event for event, error in zip(taken, failed, strict=True) if error is not None]
        if kept:
            self._windows.give_back(kept)
            raise Unavailable("the audit trail cannot be written")

    async def run(self, root: Path) -> None:
        """Do what is due, every second, until it is cancelled."""
        while True:
            await self.tend(root)
            await asyncio.sleep(_TEND_EVERY_S)

    async def tend(self, root: Path) -> None:
        """Do what is due: put numbers on record, seal, and see to what the dead have left."""
        now_us = self._now_us()
        with suppress(Unavailable):  # whoever reads is refused, and told: numbers are kept
            await self.flush()
        self._tell_lost()
        # A clock that was put back keeps nothing waiting.
        if now_us < self._seal_again_us <= now_us + _SEAL_AGAIN_US:
            return
        try:
            await self._recorder.seal(self._is_due)
            if not now_us < self._adopt_again_us <= now_us + _ADOPT_EVERY_US:
                self._adopt_again_us = now_us + _ADOPT_EVERY_US
                own = self.directory.path
                await adopt(root, own, self._sealer, keeps=self._options.keeps)
        except (PacsError, OSError) as error:
            self._seal_again_us = now_us + _SEAL_AGAIN_US
            log.warning("audit_not_sealed", extra={"error": type(error).__name__})

    def _tell_lost(self) -> None:
        if self._lost:
            log.error("audit_lost", extra={"events": self._lost})
            self._lost = 0

    async def aclose(self) -> None:
        """Put everything on record, seal it where that can be done, and let go."""
        try:
            while self._firsts:
                await asyncio.wait(self._firsts.values())
            try:
                await self.flush(everything=True)
            except Unavailable:
                self._lost += sum(event.count for event in self._windows.take())
            self._tell_lost()
            if self._options.seals_at_end:
                await self._recorder.seal()
            else:
                await self._recorder.end()
        except PacsError as error:
            # The next start seals it, where the disk outlives this process.
            log.error("audit_not_sealed", extra={"error": type(error).__name__})
        finally:
            await self._recorder.close()


def open_journals(
    root: Path,
    sealer: Sealer,
    options: TrailOptions,
    now_us: Callable[[], int],
    *,
    patients: Patients | None = None,
    sync_file: SyncFile | None = None,
) -> Trail:
    """Return a trail in the first directory below `root` that is free; see `Trail`.

    Raises:
        Unavailable: the disk refuses.
    """
    directory = take_directory(root)
    try:
        recorder = Recorder(
            directory, sealer, now_us, seals_at_once=options.seals_at_once, sync_file=sync_file
        )
        recorder.begin()
    except BaseException:
        directory.release()
        raise
    return Trail(recorder, sealer, options, now_us, patients=patients)

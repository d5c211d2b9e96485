"""The job "check": an archive or its audit trail is checked beside it, and says how far it is."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pacs_cloud.audit.verify import Checked, Verification
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.checks.record import (
    MOST_FINDINGS,
    Check,
    CheckFinding,
    CheckKind,
    tell,
)
from pacs_cloud.custody.fsck import check_studies
from pacs_cloud.custody.orphans import GRACE_US
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, Offline
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import WorkQueue

log = logging.getLogger(__name__)

TELL_EVERY_S: Final = 5.0
AGAIN_S: Final = 30.0
_ERROR: Final = "error"


@dataclass(slots=True)
class _Tally:
    """What a check has met so far; the first findings word for word."""

    studies: int = 0
    trail: Checked = field(default_factory=Checked)
    faults: int = 0
    findings: list[CheckFinding] = field(default_factory=list[CheckFinding])

    def found(self, finding: CheckFinding, *, is_fault: bool) -> None:
        self.faults += is_fault
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)


class CheckArchive:
    """Does the checks that somebody began from a page; each changes nothing.

    A worker does one at a time: it may take hours, in which other jobs go on. Another goes back
    to the queue meanwhile, for whichever worker is free.

    Seen twice it begins again. One that was stopped, or in whose place another was begun,
    ends within `tell_every_s`.
    """

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        queue: WorkQueue,
        journals: Path | None,
        now_us: Callable[[], int],
        *,
        tell_every_s: float = TELL_EVERY_S,
        again_s: float = AGAIN_S,
    ) -> None:
        """Check one archive.

        Args:
            objects: its store.
            catalogue: its catalogue.
            queue: takes back what has to wait.
            journals: where the audit trail's journals lie on this disk; None: nowhere.
            now_us: tells the time, microseconds since 1970 UTC.
            tell_every_s: how often it is written down how far it is.
            again_s: after so long what has to wait comes again.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._queue = queue
        self._journals = journals
        self._now_us = now_us
        self._every_s = tell_every_s
        self._again_s = again_s
        self._at_work = asyncio.Lock()

    async def __call__(self, job: Job) -> None:
        """Do the check that `job` names.

        Raises:
            InvalidRequest: it names none.
            Unavailable: a store cannot be reached; it is tried again.
        """
        try:
            kind = CheckKind(str(job.body["kind"]))
        except (KeyError, ValueError) as error:
            raise InvalidRequest(f"job {job.job_id} names no check") from error
        if self._at_work.locked():
            await self._later(kind, job)
            return
        async with self._at_work:
            await self._do(kind, job)

    async def _later(self, kind: CheckKind, job: Job) -> None:
        """Give a check back to the queue, unless it was stopped; nobody takes it for dead."""
        now_us = self._now_us()

        def waits(check: Check) -> Check:
            return replace(check, told_us=now_us)

        if await tell(self._objects, job.tenant, kind, job.job_id, waits) is not None:
            await self._queue.send(job, delay_s=self._again_s)

    async def _do(self, kind: CheckKind, job: Job) -> None:
        begun_us = self._now_us()

        def begun(check: Check) -> Check:
            return replace(check, begun_us=begun_us, told_us=begun_us)

        if await tell(self._objects, job.tenant, kind, job.job_id, begun) is None:
            return  # it was stopped before anybody began it
        tally, failed = _Tally(), ""
        working = asyncio.create_task(self._work(kind, job.tenant, tally))
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=self._every_s)
                if not working.done() and not await self._tell(kind, job, tally):
                    return
            working.result()
        except (Corrupt, Denied, Offline) as error:
            failed = type(error).__name__
            log.warning("check_failed", extra={"check": kind.value, "error": failed})
        finally:
            working.cancel()
            await asyncio.wait({working})
        await self._tell(kind, job, tally, ended_us=self._now_us(), failed=failed)

    async def _tell(
        self, kind: CheckKind, job: Job, tally: _Tally, *, ended_us: int = 0, failed: str = ""
    ) -> bool:
        """Write down how far it is; return whether it goes on."""
        now_us = self._now_us()

        def told(check: Check) -> Check:
            return replace(
                check,
                told_us=now_us,
                ended_us=ended_us,
                looked=tally.studies + tally.trail.parts,
                events=tally.trail.events,
                faults=tally.faults,
                findings=tuple(tally.findings),
                failed=failed,
            )

        return await tell(self._objects, job.tenant, kind, job.job_id, told) is not None

    async def _work(self, kind: CheckKind, tenant: str, tally: _Tally) -> None:
        if kind is CheckKind.TRAIL:
            await self._verify(tenant, tally)
        else:
            await self._check(tenant, tally, deep=kind is CheckKind.BYTES)

    async def _check(self, tenant: str, tally: _Tally, *, deep: bool) -> None:
        checking = check_studies(
            self._objects,
            self._catalogue,
            tenant=tenant,
            deep=deep,
            settled_us=self._now_us() - GRACE_US,
        )
        async with aclosing(checking) as checked:
            async for study, findings in checked:
                tally.studies += study is not None
                for one in findings:
                    place = one.study_instance_uid or one.key
                    said = CheckFinding(
                        place, one.severity, f"{one.kind}: {one.detail}", one.repair
                    )
                    tally.found(said, is_fault=one.is_fault)

    async def _verify(self, tenant: str, tally: _Tally) -> None:
        verification = Verification(self._objects, self._journals, tenant)
        tally.trail = verification.checked
        async for one in verification.run():
            place = f"{one.place}:{one.line}" if one.line else one.place
            tally.found(CheckFinding(place, _ERROR, one.what), is_fault=True)

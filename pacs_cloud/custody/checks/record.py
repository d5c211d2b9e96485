"""What a check that runs beside the archive says of itself, so that it outlives its worker.

It is the last of the objects `checks/{tenant}/{kind}/{number}.json` (`objectstore.numbered`).
There is one check of a kind at a time: who begins a second one is told so.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from pacs_cloud.custody.walk import CHECKS
from pacs_cloud.errors import Conflict, Corrupt, PacsError
from pacs_cloud.objectstore.numbered import read_last, write_next
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.port import WorkQueue

JOB: Final = "check"
"""The kind of the job that does one."""
MOST_FINDINGS: Final = 500
"""So many are kept word for word; all are counted."""
SILENT_US: Final = 1_800_000_000
"""Whoever has said nothing for so long is taken for dead, and another check may begin."""
_VERSION: Final = 1
_FOLDER: Final = f"{CHECKS}{{tenant}}/{{kind}}/"


class CheckKind(StrEnum):
    """What is checked."""

    ARCHIVE = "archive"
    """Objects and catalogue against each other, as `fsck` does."""
    BYTES = "bytes"
    """The same, and every byte of every pack: `fsck --deep`."""
    TRAIL = "trail"
    """That nothing of the audit trail was changed, dropped or put in between."""


class CheckState(StrEnum):
    """How far it is."""

    WAITING = "waiting"
    """No worker has begun it."""
    UNDER_WAY = "under way"
    SILENT = "silent"
    """Its worker has said nothing for long."""
    STOPPED = "stopped"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing that is not as it should be, as a page lists it.

    Attributes:
        place: a study, an object's key, or a file.
        severity: how bad.
        detail: what is wrong.
        repair: what would mend it.
    """

    place: str
    severity: str
    detail: str
    repair: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        kind: of what.
        tenant: whose.
        check_id: unique.
        asked_us: when somebody asked for it, microseconds since 1970 UTC.
        asked_by: who.
        begun_us: when a worker began; 0: none has.
        told_us: when it was heard of last.
        ended_us: when it ended; 0: it has not.
        looked: how much was looked at: studies, or parts of the trail.
        events: records of the trail among that.
        faults: how much is wrong.
        findings: what, of much the first ones; notes among them are not counted.
        was_stopped: whether somebody has ended it.
        failed: why it could not go on, "" where it could.
        number: of the object that says so.
    """

    kind: CheckKind
    tenant: str
    check_id: str
    asked_us: int
    asked_by: str
    begun_us: int = 0
    told_us: int = 0
    ended_us: int = 0
    looked: int = 0
    events: int = 0
    faults: int = 0
    findings: tuple[CheckFinding, ...] = ()
    was_stopped: bool = False
    failed: str = ""
    number: int = 0

    def state(self, now_us: int) -> CheckState:
        """Return how far it is."""
        if self.ended_us:
            if self.was_stopped:
                return CheckState.STOPPED
            return CheckState.FAILED if self.failed else CheckState.DONE
        if now_us - max(self.asked_us, self.told_us) > SILENT_US:
            return CheckState.SILENT
        return CheckState.UNDER_WAY if self.begun_us else CheckState.WAITING

    def is_open(self, now_us: int) -> bool:
        """Return whether it goes on, so that no other begins."""
        return self.state(now_us) in {CheckState.WAITING, CheckState.UNDER_WAY}


@dataclass(frozen=True, slots=True)
class Checks:
    """The last check of a kind, and the last one before it that came to its end.

    Attributes:
        last: the last that was asked for; None: there was none.
        ended: the last that ended by itself; it may be the same.
    """

    last: Check | None = None
    ended: Check | None = None


async def read_checks(objects: ObjectStore, tenant: str, kind: CheckKind) -> Checks:
    """Return what is known of the checks of one kind; raises Corrupt, Unavailable."""
    found = await read_last(objects, _FOLDER.format(tenant=tenant, kind=kind))
    return Checks() if found is None else _decode(found[1], found[0])


async def begin_check(
    objects: ObjectStore, queue: WorkQueue, tenant: str, kind: CheckKind, *, by: str, now_us: int
) -> Check:
    """Ask for a check, which a worker does; return it.

    Raises:
        Conflict: one of this kind is under way.
        Unavailable: a store or the queue cannot be reached.
    """
    known = await read_checks(objects, tenant, kind)
    if known.last is not None and known.last.is_open(now_us):
        raise Conflict("a check of this kind is under way already")
    number = (known.last.number if known.last else 0) + 1
    check = Check(kind, tenant, new_pack_id(now_us), now_us, by, number=number)
    await _write(objects, Checks(check, known.ended))
    job = Job(job_id=check.check_id, kind=JOB, tenant=tenant, body={"kind": kind.value})
    try:
        await queue.send(job)
    except PacsError:
        # Nobody would ever begin it.
        await stop_check(objects, tenant, kind, now_us=now_us)
        raise
    return check


async def stop_check(objects: ObjectStore, tenant: str, kind: CheckKind, *, now_us: int) -> Check:
    """End a check that goes on: its worker finds that out, and ends.

    Raises:
        Conflict: none is under way.
    """

    def stopped(check: Check) -> Check:
        return replace(check, ended_us=now_us, was_stopped=True)

    ended = await tell(objects, tenant, kind, None, stopped)
    if ended is None:
        raise Conflict("no check of this kind is under way")
    return ended


async def tell(
    objects: ObjectStore,
    tenant: str,
    kind: CheckKind,
    check_id: str | None,
    changed: Callable[[Check], Check],
) -> Check | None:
    """Write what has become of a check; return it.

    Returns:
        None: it has ended, or another one has begun: whoever does it ends.
    """
    while True:
        known = await read_checks(objects, tenant, kind)
        last = known.last
        if last is None or last.ended_us or check_id not in {None, last.check_id}:
            return None
        now = replace(changed(last), number=last.number + 1)
        came_to_end = now.ended_us and not now.was_stopped and not now.failed
        try:
            await _write(objects, Checks(now, now if came_to_end else known.ended))
        except Conflict:
            continue  # it was stopped, or told of, meanwhile
        return now


async def _write(objects: ObjectStore, checks: Checks) -> None:
    last = checks.last
    assert last is not None
    same = checks.ended is last
    said = {
        "version": _VERSION,
        "last": asdict(last),
        "ended": None if checks.ended is None or same else asdict(checks.ended),
        "is_ended": same,
    }
    folder = _FOLDER.format(tenant=last.tenant, kind=last.kind)
    await write_next(objects, folder, last.number, orjson.dumps(said))


def _decode(data: bytes, number: int) -> Checks:
    try:
        said = orjson.loads(data)
        if said["version"] != _VERSION:
            raise Corrupt("what is kept of a check is of a version that is not known here")
        last = replace(_check(said["last"]), number=number)
        ended = said["ended"]
        return Checks(last, last if said["is_ended"] else _check(ended) if ended else None)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("what is kept of a check cannot be read") from error


def _check(said: dict[str, Any]) -> Check:
    findings = tuple(CheckFinding(**one) for one in said.pop("findings"))
    return Check(CheckKind(said.pop("kind")), findings=findings, **said)

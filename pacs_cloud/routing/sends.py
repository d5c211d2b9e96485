"""Studies that somebody had sent to a destination: what was asked, and what became of it.

Each is told by entries at `sends/{tenant}/{ss}/{study}/{time}-{what}.json`: one when it is
asked for, and one whenever a worker has sent a part of it, or could not. They are of the
moment: those of sendings that ended a month ago are removed by a worker.
"""

import asyncio
import heapq
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final

import orjson
from pydantic import TypeAdapter

from pacs_cloud.errors import Corrupt, NotFound
from pacs_cloud.objectstore.entries import VERSION, Entries
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

TREE: Final = "sends/"
_KEPT_US: Final = 30 * 86_400_000_000
_REMOVED: Final = 10_000
"""Entries that go in one run, and whatever else the last study has."""
_GIVEN_UP_US: Final = 8 * 86_400_000_000
"""Longer than a worker waits for what is cold, and than a queue keeps a job."""
_FAILURES: Final = 1000
"""Of a study that are looked at, the newest: each of its parts may fail a dozen times."""
_AT_ONCE: Final = 16
_LONGEST_REASON: Final = 300


class What(StrEnum):
    """What an entry tells."""

    ASKED = "asked"
    """Somebody wants it sent."""
    SENT = "sent"
    """A part of it is there."""
    FAILED = "failed"
    """A part of it could not be sent; it is tried again, as often as the queue does."""
    GIVEN_UP = "given-up"
    """It is not tried again: what was recalled for it never came, or it was not queued."""


@dataclass(frozen=True, slots=True)
class SendEntry:
    """One thing that is told of a sending.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        send_id: which sending.
        what: is told.
        destination: its AE title.
        instances: how many: of the study, or of the part.
        gone: how many of these were deleted before they could be sent.
        part: which, where a study is sent in several.
        who: asked for it.
        reason: why it failed, in words.
        entered_us: when, microseconds since 1970 UTC; later than all before it.
    """

    tenant: str
    study_instance_uid: str
    send_id: str
    what: What
    destination: str
    instances: int = 0
    part: int = 0
    who: str = ""
    reason: str = ""
    entered_us: int = 0
    gone: int = 0

    @property
    def key(self) -> str:
        """Where it lies."""
        return _SENDS.key(self.tenant, self.study_instance_uid, self.entered_us, self.what)


class SendState(StrEnum):
    """How far a sending is."""

    WAITING = "waiting"
    """It has not been tried yet, or what is cold of it is being recalled."""
    SENT = "sent"
    """All of it that was not deleted meanwhile is there."""
    FAILED = "failed"
    """It could not be sent, and is tried again."""
    GIVEN_UP = "given-up"
    """It is not tried again."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A study on its way to a destination.

    Attributes:
        send_id: tells it from all others.
        destination: its AE title.
        who: asked for it.
        asked_us: when.
        state: how far it is; WAITING also where all its failures are older than those looked at.
        instances: how many there are to send.
        sent: how many of them are there.
        tries: how often it failed, as far as that is looked at.
        reason: why, the last time.
        ended_us: when it was there, or given up; 0: it is neither.
    """

    send_id: str
    destination: str
    who: str
    asked_us: int
    state: SendState
    instances: int
    sent: int
    tries: int
    reason: str
    ended_us: int = 0

    @property
    def goes_on(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in {SendState.WAITING, SendState.FAILED}


def _encode(entry: SendEntry) -> bytes:
    return orjson.dumps({"version": VERSION, **asdict(entry)})


_ENTRY: Final = TypeAdapter(SendEntry)
_SENDS: Final = Entries(TREE, "a sending", _encode, _ENTRY.validate_python)


async def enter(objects: ObjectStore, entry: SendEntry, *, now_us: int) -> SendEntry:
    """Write `entry` behind all that a study has.

    Raises:
        Unavailable: the store cannot be reached.
    """
    names, reason = (entry.tenant, entry.study_instance_uid), entry.reason[:_LONGEST_REASON]

    def entry_at(entered_us: int) -> SendEntry:
        return replace(entry, reason=reason, entered_us=entered_us)

    return await _SENDS.enter(objects, *names, entry_at, now_us=now_us)


async def sendings_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> list[Sending]:
    """Return what became of a study's sendings, the newest first.

    Raises:
        Corrupt: an entry cannot be read.
        Unavailable: the store cannot be reached.
    """
    keys = await _SENDS.keys(objects, tenant, study_instance_uid)
    return [one for _, one in await _read(objects, _telling(keys), now_us)]


def _telling(keys: Sequence[str]) -> list[str]:
    """Return a study's keys, of failures the newest."""
    failures = [key for key in keys if key.endswith(f"-{What.FAILED}.json")]
    passed = {*failures[:-_FAILURES]}
    return [key for key in keys if key not in passed]


async def _read(
    objects: ObjectStore, keys: Sequence[str], now_us: int
) -> list[tuple[str, Sending]]:
    """Return the sendings that `keys` tell of, each with its study's UID, the newest first."""
    sendings = await _by_sending(objects, keys)
    found = [(some[0].study_instance_uid, _told(some, now_us)) for some in sendings]
    return sorted(found, key=lambda one: one[1].asked_us, reverse=True)


async def _by_sending(objects: ObjectStore, keys: Sequence[str]) -> list[list[SendEntry]]:
    """Return the entries of each sending; one that was removed since it was listed is none."""

    async def read(key: str) -> SendEntry | None:
        with suppress(NotFound):
            return await _SENDS.read(objects, key)
        return None

    found: dict[tuple[str, str], list[SendEntry]] = {}
    for first in range(0, len(keys), _AT_ONCE):
        for entry in await asyncio.gather(*map(read, keys[first : first + _AT_ONCE])):
            if entry is not None:
                found.setdefault((entry.study_instance_uid, entry.send_id), []).append(entry)
    return [*found.values()]


async def purge_ended(
    objects: ObjectStore, tenant: str, *, now_us: int, most: int = _REMOVED
) -> int:
    """Remove what tells of a tenant's sendings that ended more than 30 days ago.

    A study of which an entry cannot be read is passed over, and told.

    Args:
        objects: where they are.
        tenant: whose.
        now_us: the time.
        most: entries; the study in which that many are reached is the last one of this run.

    Returns:
        How many entries were removed.

    Raises:
        Unavailable: the store cannot be reached.
    """
    removed, before_us = 0, max(0, now_us - _KEPT_US)
    async for (_, study), keys in _SENDS.by_study(objects, tenant):
        if keys[0] >= _SENDS.key(tenant, study, before_us, ""):
            continue
        try:
            sendings = await _by_sending(objects, keys)
        except Corrupt as error:
            log.error("sending_unreadable", extra={"study": hashed(study), "reason": error})
            continue
        for entries in sendings:
            if 0 < _told(entries, now_us).ended_us < before_us:
                for entry in entries:
                    await objects.delete(entry.key)
                removed += len(entries)
        if removed >= most:
            break
    return removed


async def sendings_lately(
    objects: ObjectStore, tenant: str, *, since_us: int, most: int, now_us: int
) -> list[tuple[str, Sending]]:
    """Return a tenant's sendings of which something was told since, each with its study's UID.

    Args:
        objects: where they are.
        tenant: whose.
        since_us: microseconds since 1970 UTC.
        most: studies that are looked at: those of which something was told last.
        now_us: the time.

    Returns:
        Those first that were asked for last.

    Raises:
        Corrupt: an entry cannot be read.
        Unavailable: the store cannot be reached.
    """
    told: list[tuple[str, str, list[str]]] = []
    async for (_, study), keys in _SENDS.by_study(objects, tenant):
        if keys[-1] >= _SENDS.key(tenant, study, since_us, ""):
            heapq.heappush(told, (keys[-1].rpartition("/")[2], study, keys))
        if len(told) > most:
            heapq.heappop(told)
    return await _read(objects, [key for _, _, keys in told for key in _telling(keys)], now_us)


def _told(entries: Sequence[SendEntry], now_us: int) -> Sending:
    asked = next((one for one in entries if one.what is What.ASKED), entries[0])
    # By their parts: a job may be done twice.
    sent = {one.part: one for one in entries if one.what is What.SENT}
    failed = [one for one in entries if one.what is What.FAILED and one.part not in sent]
    given_up = next((one for one in entries if one.what is What.GIVEN_UP), None)
    count = sum(one.instances for one in sent.values())
    state, ended_us = SendState.WAITING, 0
    if asked.what is What.ASKED and count >= asked.instances:
        state, ended_us = SendState.SENT, max(one.entered_us for one in sent.values())
    elif given_up is not None:
        state, ended_us = SendState.GIVEN_UP, given_up.entered_us
    elif now_us - asked.entered_us > _GIVEN_UP_US:
        state, ended_us = SendState.GIVEN_UP, asked.entered_us + _GIVEN_UP_US
    elif failed:
        state = SendState.FAILED
    why = given_up or (failed[-1] if failed else None)
    return Sending(
        asked.send_id,
        asked.destination,
        asked.who,
        asked.entered_us,
        state,
        max(asked.instances, count),
        count - sum(one.gone for one in sent.values()),
        len(failed),
        why.reason if why else "",
        ended_us,
    )

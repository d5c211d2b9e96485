"""Holds: what keeps a study from being deleted and purged.

A study may have two, which know nothing of each other: a legal hold, until somebody
releases it, and a retention date. Each change of either is an object at
`holds/{tenant}/{ss}/{study}/{time}-{kind}-{set|released}.json`, written once and never
removed; the latest of each kind stands. The catalogue knows nothing of them, so a rebuild
takes none away.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from pacs_cloud.custody.walk import HOLDS
from pacs_cloud.errors import Corrupt, Held
from pacs_cloud.objectstore.keys import spread_of
from pacs_cloud.objectstore.port import ObjectStore

_VERSION: Final = 1


class HoldKind(StrEnum):
    """Which of the two."""

    LEGAL = "legal"
    """Until it is released."""
    RETENTION = "retention"
    """Until a date, or until it is released."""


@dataclass(frozen=True, slots=True)
class HoldEntry:
    """One change of a hold, as the ledger has it.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        kind: which of its two holds.
        is_set: whether it was set, rather than released.
        until_us: when a retention that was set ends, microseconds since 1970 UTC; 0 never.
        reason: why, in the words of whoever did it.
        who: who did it.
        entered_us: when; later than all before it.
    """

    tenant: str
    study_instance_uid: str
    kind: HoldKind
    is_set: bool
    until_us: int
    reason: str
    who: str
    entered_us: int

    def holds_at(self, now_us: int) -> bool:
        """Return whether the study is held, if this is the latest of its kind."""
        return self.is_set and (not self.until_us or now_us < self.until_us)

    @property
    def key(self) -> str:
        """Where it lies."""
        what = "set" if self.is_set else "released"
        below = holds_prefix(self.tenant, self.study_instance_uid)
        return f"{below}{self.entered_us:016x}-{self.kind}-{what}.json"


def holds_prefix(tenant: str, study_instance_uid: str = "") -> str:
    """Return what the keys of a study's holds begin with; "" of all of a tenant."""
    below = f"{spread_of(study_instance_uid)}/{study_instance_uid}/" if study_instance_uid else ""
    return f"{HOLDS}{tenant}/{below}"


async def hold_entries(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[HoldEntry]:
    """Return all that was entered about a study's holds, oldest first; raises Corrupt."""
    keys = [info.key async for info in objects.list(holds_prefix(tenant, study_instance_uid))]
    return [await _read(objects, key) for key in keys]


async def standing_holds(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> tuple[HoldEntry, ...]:
    """Return the holds that a study has now.

    Raises:
        Corrupt: an entry cannot be read: nobody may take that for none.
    """
    return _standing(await hold_entries(objects, tenant, study_instance_uid), now_us)


async def is_held(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> bool:
    """Return whether a study is held; raises Corrupt."""
    return bool(await standing_holds(objects, tenant, study_instance_uid, now_us=now_us))


async def refuse_held(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> None:
    """Return where a study is not held.

    Raises:
        Held: it is.
        Corrupt: an entry cannot be read.
    """
    for entry in await standing_holds(objects, tenant, study_instance_uid, now_us=now_us):
        what = (
            "The study is on legal hold: nothing of it is deleted before that is released."
            if entry.kind is HoldKind.LEGAL
            else "The study's retention date is not over: nothing of it is deleted before."
        )
        raise Held(f"{what} `pacs-cloud hold list` says why.")


async def all_holds(objects: ObjectStore, tenant: str, *, now_us: int) -> AsyncIterator[HoldEntry]:
    """Yield the holds that a tenant's studies have now, study by study; raises Corrupt."""
    study: list[HoldEntry] = []
    async for info in objects.list(holds_prefix(tenant)):
        entry = await _read(objects, info.key)
        if study and study[-1].study_instance_uid != entry.study_instance_uid:
            for one in _standing(study, now_us):
                yield one
            study = []
        study.append(entry)
    for one in _standing(study, now_us):
        yield one


def _standing(entries: Iterable[HoldEntry], now_us: int) -> tuple[HoldEntry, ...]:
    ordered: Sequence[HoldEntry] = sorted(entries, key=lambda entry: entry.entered_us)
    latest = {entry.kind: entry for entry in ordered}
    return tuple(latest[kind] for kind in sorted(latest) if latest[kind].holds_at(now_us))


async def write_entry(objects: ObjectStore, entry: HoldEntry) -> None:
    """Write `entry`; raises Conflict where another of its kind has its moment."""
    await objects.put_new(entry.key, _encode(entry))


async def _read(objects: ObjectStore, key: str) -> HoldEntry:
    entry = _decode(await objects.get(key))
    if entry.key != key:
        raise Corrupt("a hold says something else than its key")
    return entry


def _encode(entry: HoldEntry) -> bytes:
    fields = {
        "version": _VERSION,
        "tenant": entry.tenant,
        "study": entry.study_instance_uid,
        "kind": entry.kind,
        "set": entry.is_set,
        "until_us": entry.until_us,
        "reason": entry.reason,
        "who": entry.who,
        "entered_us": entry.entered_us,
    }
    return orjson.dumps(fields)


def _decode(data: bytes) -> HoldEntry:
    try:
        fields = orjson.loads(data)
        if fields["version"] != _VERSION:
            raise Corrupt("a hold is of a version that is not known here")
        return HoldEntry(
            tenant=str(fields["tenant"]),
            study_instance_uid=str(fields["study"]),
            kind=HoldKind(fields["kind"]),
            is_set=fields["set"] is True,
            until_us=int(fields["until_us"]),
            reason=str(fields["reason"]),
            who=str(fields["who"]),
            entered_us=int(fields["entered_us"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("a hold cannot be read") from error

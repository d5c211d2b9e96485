"""Holds: what keeps a study from being deleted and purged.

A study may have two, which know nothing of each other: a legal hold, until somebody
releases it, and a retention date. Each change of either is an object at
`holds/{tenant}/{ss}/{study}/{time}-{kind}-{set|released}.json`, written once and never
removed; the latest of each kind stands, but of dates that were set without a release
between them the last day. The catalogue knows nothing of them, so a rebuild takes none
away.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from pacs_cloud.custody.walk import HOLDS
from pacs_cloud.errors import Held
from pacs_cloud.objectstore.entries import VERSION, Entries
from pacs_cloud.objectstore.port import ObjectStore


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

    def outlasts(self, other: "HoldEntry") -> bool:
        """Return whether it ends later than another of its kind, both as they were set."""
        if not self.until_us or not other.until_us:
            return not self.until_us and other.until_us > 0
        return self.until_us > other.until_us

    @property
    def key(self) -> str:
        """Where it lies."""
        what = f"{self.kind}-{'set' if self.is_set else 'released'}"
        return HOLD_ENTRIES.key(self.tenant, self.study_instance_uid, self.entered_us, what)


async def hold_entries(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[HoldEntry]:
    """Return all that was entered about a study's holds, oldest first; raises Corrupt."""
    keys = await HOLD_ENTRIES.keys(objects, tenant, study_instance_uid)
    return [await HOLD_ENTRIES.read(objects, key) for key in keys]


async def standing_holds(
    objects: ObjectStore, tenant: str, study_instance_uid: str, *, now_us: int
) -> tuple[HoldEntry, ...]:
    """Return the holds that a study has now.

    Raises:
        Corrupt: an entry cannot be read: nobody may take that for none.
    """
    return standing(await hold_entries(objects, tenant, study_instance_uid), now_us)


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
    async for _, keys in HOLD_ENTRIES.by_study(objects, tenant):
        for one in standing([await HOLD_ENTRIES.read(objects, key) for key in keys], now_us):
            yield one


def standing(entries: Iterable[HoldEntry], now_us: int) -> tuple[HoldEntry, ...]:
    """Return the holds that a study has by all that was entered about them, oldest first."""
    latest: dict[HoldKind, HoldEntry] = {}
    for entry in entries:
        before = latest.get(entry.kind)
        # Only a release makes one shorter: two may be set in the same moment.
        if before is None or not (before.is_set and entry.is_set and before.outlasts(entry)):
            latest[entry.kind] = entry
    return tuple(latest[kind] for kind in sorted(latest) if latest[kind].holds_at(now_us))


def _encode(entry: HoldEntry) -> bytes:
    fields = {
        "version": VERSION,
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


def _entry_of(fields: dict[str, Any]) -> HoldEntry:
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


HOLD_ENTRIES: Final = Entries(HOLDS, "a hold", _encode, _entry_of)

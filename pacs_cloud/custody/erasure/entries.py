"""Erasures as objects: who asked, what was removed, and that it is gone.

Each step is an object at `erasures/{tenant}/{ss}/{study}/{time}-{step}.json`, written once
and never removed. What was asked for and not lifted is a *tombstone*: its SOP Instance UIDs
are never shown again, and what comes in under them is taken out of its pack. So these
objects are the ledger of erasures, their marks and their proofs in one.
"""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from pacs_cloud.custody.walk import ERASURES
from pacs_cloud.objectstore.entries import VERSION, Entries
from pacs_cloud.objectstore.keys import spread_of
from pacs_cloud.objectstore.port import ObjectStore

_KEY: Final = re.compile(r"erasures/([^/]+)/([0-9a-f]{2})/([0-9.]+)/([0-9a-f]{16})-([a-z]+)\.json")
SETTLES_US: Final = 7_200_000_000
"""For so long something that had begun before may still bring erased bytes: two hours."""


class Step(StrEnum):
    """What an entry says."""

    ASKED = "asked"
    """Somebody wants it: from here on it holds, whatever crashes."""
    REMOVING = "removing"
    """These keys are about to be removed."""
    PROVEN = "proven"
    """No version of any of these keys is left, and no pack holds anything of it."""
    LIFTED = "lifted"
    """It may be stored again; what was erased does not come back by that."""


@dataclass(frozen=True, slots=True)
class ErasureEntry:
    """One step of the erasures of a study.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        step: what it says.
        entered_us: when, microseconds since 1970 UTC; later than all before it.
        uids: what was asked for or lifted: SOP Instance UIDs.
        series_instance_uid: the one that was asked for; "" for all.
        who: who asked or lifted; "" of the archive itself.
        reason: why, in their words.
        versions: by key, how many versions there were when it was removed.
    """

    tenant: str
    study_instance_uid: str
    step: Step
    entered_us: int
    uids: tuple[str, ...] = ()
    series_instance_uid: str = ""
    who: str = ""
    reason: str = ""
    versions: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def key(self) -> str:
        """Where it lies."""
        return _ERASURES.key(self.tenant, self.study_instance_uid, self.entered_us, self.step)


def tombstones(entries: Iterable[ErasureEntry]) -> frozenset[str]:
    """Return the SOP Instance UIDs that are erased; `entries` are all of one study."""
    erased: set[str] = set()
    for one in sorted(entries, key=lambda one: one.entered_us):
        if one.step is Step.ASKED:
            erased.update(one.uids)
        elif one.step is Step.LIFTED:
            erased.difference_update(one.uids)
    return frozenset(erased)


def removed_keys(entries: Iterable[ErasureEntry]) -> dict[str, int]:
    """Return each key that was to be removed, and how many versions of it there were."""
    keys: dict[str, int] = {}
    for one in entries:
        if one.step is Step.REMOVING:
            keys.update({key: max(n, keys.get(key, 0)) for key, n in one.versions.items()})
    return keys


def is_proven(entries: Collection[ErasureEntry]) -> bool:
    """Return whether all that was asked for, removed or lifted was seen to be done since."""
    last = max((one.entered_us for one in entries if one.step is not Step.PROVEN), default=0)
    return any(one.step is Step.PROVEN and one.entered_us > last for one in entries)


def is_settled(entries: Collection[ErasureEntry]) -> bool:
    """Return whether that was seen so late that nothing had begun before."""
    acts = (Step.ASKED, Step.REMOVING)
    last = max((one.entered_us for one in entries if one.step in acts), default=0)
    return any(one.step is Step.PROVEN and one.entered_us >= last + SETTLES_US for one in entries)


async def erasures_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[ErasureEntry]:
    """Return all that was entered about a study's erasures, oldest first; raises Corrupt."""
    return await read_erasures(objects, await _ERASURES.keys(objects, tenant, study_instance_uid))


async def read_erasures(objects: ObjectStore, keys: Iterable[str]) -> list[ErasureEntry]:
    """Return the entries under these keys.

    Raises:
        Corrupt: one cannot be read: nobody may take that for none.
    """
    return [await _ERASURES.read(objects, key) for key in keys]


async def erasure_steps(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[list[ErasureEntry]]:
    """Yield the entries of each study that has any, as far as their keys tell: step and time."""
    async for _, keys in _ERASURES.by_study(objects, tenant):
        if steps := [entry for key in keys if (entry := _entry_named(key)) is not None]:
            yield steps


async def studies_with_erasures(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[tuple[str, str]]:
    """Yield tenant and UID of each study with entries, in the order of the keys."""
    async for first, *_ in erasure_steps(objects, tenant):
        yield first.tenant, first.study_instance_uid


def _entry_named(key: str) -> ErasureEntry | None:
    """Return what an entry's key tells; None for any other key."""
    match = _KEY.fullmatch(key)
    if match is None or match[2] != spread_of(match[3]) or match[5] not in set(Step):
        return None
    return ErasureEntry(match[1], match[3], Step(match[5]), int(match[4], 16))


async def enter(
    objects: ObjectStore,
    tenant: str,
    study_instance_uid: str,
    step: Step,
    *,
    now_us: int,
    uids: Sequence[str] = (),
    series_instance_uid: str = "",
    who: str = "",
    reason: str = "",
    versions: Mapping[str, int] | None = None,
) -> ErasureEntry:
    """Write one step, behind all that were entered before; fields as `ErasureEntry`."""

    def entry_at(entered_us: int) -> ErasureEntry:
        return ErasureEntry(
            tenant,
            study_instance_uid,
            step,
            entered_us,
            tuple(sorted(uids)),
            series_instance_uid,
            who,
            reason,
            dict(versions or {}),
        )

    return await _ERASURES.enter(objects, tenant, study_instance_uid, entry_at, now_us=now_us)


def _encode(entry: ErasureEntry) -> bytes:
    fields: dict[str, Any] = {
        "version": VERSION,
        "tenant": entry.tenant,
        "study": entry.study_instance_uid,
        "step": entry.step,
        "entered_us": entry.entered_us,
        "instances": entry.uids,
        "series": entry.series_instance_uid,
        "who": entry.who,
        "reason": entry.reason,
        "versions": dict(entry.versions),
    }
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)


def _entry_of(fields: dict[str, Any]) -> ErasureEntry:
    return ErasureEntry(
        tenant=str(fields["tenant"]),
        study_instance_uid=str(fields["study"]),
        step=Step(fields["step"]),
        entered_us=int(fields["entered_us"]),
        uids=tuple(map(str, fields["instances"])),
        series_instance_uid=str(fields["series"]),
        who=str(fields["who"]),
        reason=str(fields["reason"]),
        versions={str(key): int(count) for key, count in fields["versions"].items()},
    )


_ERASURES: Final = Entries(ERASURES, "an erasure", _encode, _entry_of)


def decode_erasure(data: bytes) -> ErasureEntry:
    """Return the entry in an object; raises Corrupt."""
    return _ERASURES.decode(data)

"""Marks: small objects that say which packs have been asked back from a cold class.

A mark is written on condition that there is none, by whoever asks first; its writer
alone then asks the store, so that any number of readers in any number of processes
cause one restore. Its key follows from the pack's record: once the pack has arrived
the record says until when, and the next recall has another key. It lies under
`recalls/{tenant}/` until that copy is gone; `tending` looks after it. One that cannot be
read is worth no more than none.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import orjson

from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NotFound
from pacs_cloud.objectstore.keys import PackKey, parse_recall_key, recall_key, recall_prefix
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.recall.causes import UNKNOWN, Cause, Why
from pacs_cloud.tiering.recall.times import service_arrival_s

log = logging.getLogger(__name__)

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RecallMark:
    """The name of one recall.

    Attributes:
        pack: of what.
        after_us: `PackRecord.recalled_until_us` when it was asked for.
    """

    pack: PackKey
    after_us: int

    @property
    def key(self) -> str:
        """Where it lies."""
        return recall_key(self.pack, self.after_us)

    @property
    def study(self) -> tuple[str, str]:
        """Whose, and of which study."""
        return self.pack.tenant, self.pack.study_instance_uid


@dataclass(frozen=True, slots=True)
class Recall:
    """One recall as it was asked for.

    Attributes:
        mark: its name.
        asked_us: when, microseconds since 1970 UTC.
        expected_us: when the pack should have arrived.
        storage_class: where it lay.
        speed: how quickly it was wanted.
        days: how long the copy is to stay.
        claim: unique: tells two that ask in one moment apart.
        cause: why.
        length_bytes: of the pack; 0 where a release wrote it that kept no sizes.
        instead_of: the speed that was wanted, where the store could not be asked at that; else "".
    """

    mark: RecallMark
    asked_us: int
    expected_us: int
    storage_class: str
    speed: RecallSpeed
    days: int
    claim: str = ""
    cause: Cause = UNKNOWN
    length_bytes: int = 0
    instead_of: str = ""

    @property
    def for_log(self) -> dict[str, object]:
        """What a log may say of it."""
        return {
            "study": hashed(self.mark.pack.study_instance_uid),
            "pack": self.mark.pack.pack_id,
            "storage_class": self.storage_class,
            "speed": self.speed,
            "days": self.days,
            "why": self.cause.why,
        }


def key_of(pack: PackRecord) -> PackKey:
    """Return the names of a pack's objects."""
    return PackKey(pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


def mark_for(pack: PackRecord) -> RecallMark:
    """Return the mark of the recall that would bring `pack` back."""
    return RecallMark(key_of(pack), pack.recalled_until_us)


async def put_recall(objects: ObjectStore, recall: Recall) -> bool:
    """Write `recall` where nobody has asked for its pack yet; return whether that was so."""
    fields = {
        "version": _VERSION,
        "asked_us": recall.asked_us,
        "expected_us": recall.expected_us,
        "storage_class": recall.storage_class,
        "speed": recall.speed,
        "days": recall.days,
        "claim": recall.claim,
        "why": recall.cause.why,
        "rule": recall.cause.rule,
        "bytes": recall.length_bytes,
        "instead_of": recall.instead_of,
    }
    try:
        await objects.put_new(recall.mark.key, orjson.dumps(fields))
    except Conflict:
        return False
    return True


async def ask_store(objects: ObjectStore, recall: Recall, now_us: int) -> tuple[Recall, ObjectInfo]:
    """Ask the store for what `recall` says; return how it was asked, and what is true then.

    A service has not always room for those in a hurry, and none in a deep archive, where the
    bucket's rules may have moved the pack since its record was written: it is asked at the
    usual speed then, and the mark says so.

    Raises:
        Corrupt: there is no such object.
        Denied, InvalidRequest, Offline: the store does not give it back.
        Unavailable: it cannot be reached.
    """
    key = recall.mark.pack.pack
    try:
        return recall, await objects.recall(key, recall.days, recall.speed)
    except NotFound as error:
        raise Corrupt("a pack's object is gone") from error
    except InvalidRequest:
        if recall.speed is not RecallSpeed.EXPEDITED:
            raise
    info = await objects.recall(key, recall.days, RecallSpeed.STANDARD)
    return await slow_down(objects, recall, info.storage_class, now_us), info


async def slow_down(
    objects: ObjectStore, recall: Recall, storage_class: str, begun_us: int
) -> Recall:
    """Return `recall` as one at the usual speed, begun then; its mark says so, too."""
    usual = RecallSpeed.STANDARD
    expected_us = begun_us + round(service_arrival_s(storage_class, usual) * 1_000_000)
    slower = replace(recall, speed=usual, expected_us=expected_us, instead_of=recall.speed.value)
    with suppress(Denied):  # not everybody may remove: whoever tends recalls does it then
        # Who finds no mark in between asks for what is under way already.
        await objects.delete(recall.mark.key)
        await put_recall(objects, slower)
    return slower


async def get_recall(objects: ObjectStore, mark: RecallMark) -> Recall:
    """Return the recall that has `mark`.

    Raises:
        NotFound: it is over.
        Corrupt: it cannot be read.
    """
    try:
        fields = orjson.loads(await objects.get(mark.key))
        return Recall(
            mark,
            int(fields["asked_us"]),
            int(fields["expected_us"]),
            str(fields["storage_class"]),
            RecallSpeed(fields["speed"]),
            int(fields["days"]),
            str(fields["claim"]),
            Cause(Why(fields.get("why", Why.UNKNOWN)), str(fields.get("rule", ""))),
            int(fields.get("bytes", 0)),
            str(fields.get("instead_of", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{mark.key} cannot be read") from error


async def drop_recall(objects: ObjectStore, mark: RecallMark) -> None:
    """Remove a mark that cannot be read, so that who wants its pack next asks anew.

    A good one that was written meanwhile may go with it: no port removes on a condition.
    Then somebody asks once more, and the store takes that for the recall under way.

    Raises:
        Denied: not everybody may remove.
    """
    await objects.delete(mark.key)
    fields = {"study": hashed(mark.pack.study_instance_uid), "pack": mark.pack.pack_id}
    log.warning("recall_mark_dropped", extra=fields)


async def recall_marks(
    objects: ObjectStore, tenant: str | None = None, study_instance_uid: str | None = None
) -> AsyncIterator[list[RecallMark]]:
    """Yield the marks of a study, of a tenant, or all: those of one study together."""
    study: list[RecallMark] = []
    async for info in objects.list(recall_prefix(tenant, study_instance_uid)):
        named = parse_recall_key(info.key)
        if named is None:
            continue
        mark = RecallMark(*named)
        if study and mark.study != study[0].study:
            yield study
            study = []
        study.append(mark)
    if study:
        yield study

"""Looks after recalls under way: what has arrived is noted, what was lost is asked for again.

A crash between a mark and the request to the store, or a store that forgot, leaves a
pack that nobody would ask for again; here that is seen. What has arrived is written
into the pack's record, so that searches tell it without a look at an object, and the
mark goes with the readable copy. A mark that cannot be read is dropped. Of what went cold
before thumbnails were kept one is made then.
"""

import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Final

from pacs_cloud.catalogue.pack_facts import note_packs
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, NotFound, Offline, PacsError
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import Availability, ObjectStore
from pacs_cloud.objectstore.storage_classes import (
    RecallSpeed,
    needs_recall,
    without_access_tier,
)
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.keeping import KeepThumbnail, keep_none
from pacs_cloud.tiering.recall.marks import (
    RecallMark,
    ask_store,
    drop_recall,
    get_recall,
    key_of,
    recall_marks,
    slow_down,
)

log = logging.getLogger(__name__)

GRACE_US: Final = 60_000_000
"""Whoever wrote a mark so short a time ago may be about to ask the store."""
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Tended:
    """What was found, in packs.

    Attributes:
        waiting: on their way still.
        arrived: noted as readable.
        restarted: asked for again.
        ended: whose readable copy is gone, or which need none any more.
        failed: whose mark could not be read, or which the store does not give back.
    """

    waiting: int = 0
    arrived: int = 0
    restarted: int = 0
    ended: int = 0
    failed: int = 0

    def __add__(self, other: "Tended") -> "Tended":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Tended(*(mine + theirs for mine, theirs in pairs))


async def tend_recalls(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    now_us: int,
    tenant: str | None = None,
    study_instance_uid: str | None = None,
    keep: KeepThumbnail = keep_none,
) -> Tended:
    """Look at every recall once; return what was found.

    Args:
        objects: where packs lie.
        catalogue: what they are of.
        now_us: microseconds since 1970 UTC.
        tenant: whose recalls; None: everybody's.
        study_instance_uid: of one study of theirs.
        keep: keeps a thumbnail of what has arrived.

    Raises:
        Unavailable: a store cannot be reached.
    """
    total = Tended()
    async for marks in recall_marks(objects, tenant, study_instance_uid):
        total += await _tend_study(objects, catalogue, marks, now_us, keep)
    return total


async def _tend_study(
    objects: ObjectStore,
    catalogue: Catalogue,
    marks: Sequence[RecallMark],
    now_us: int,
    keep: KeepThumbnail,
) -> Tended:
    """Look at the recalls of one study."""
    packs = {key_of(pack): pack for pack in await catalogue.packs(*marks[0].study)}
    total = Tended()
    arrived: dict[PackKey, int] = {}
    for mark in marks:
        pack = packs.get(mark.pack)
        if pack is None or not needs_recall(pack.storage_class):
            await objects.delete(mark.key)
            total += Tended(ended=1)
        elif mark.after_us < pack.recalled_until_us:
            # It has arrived; its copy is still there, or is not any more.
            if pack.recalled_until_us <= now_us:
                await objects.delete(mark.key)
                total += Tended(ended=1)
        else:
            try:
                found, until_us = await _look(objects, mark, now_us)
            except (Corrupt, Denied, InvalidRequest, NotFound, Offline) as error:
                # The others are looked after all the same.
                fields = {"pack": mark.pack.pack_id, "error": type(error).__name__}
                log.warning("recall_failed", extra=fields)
                found, until_us = Tended(failed=1), 0
            total += found
            if until_us:
                arrived[mark.pack] = until_us
    if arrived:
        # Before it is noted: who dies in between looks here again.
        at_hand = [pack for pack, until_us in arrived.items() if until_us > now_us]
        await _keep_thumbnails(at_hand, keep)

        def noted(pack: PackRecord) -> PackRecord:
            until_us = arrived.get(key_of(pack), 0)
            lies_in = without_access_tier(pack.storage_class)
            if until_us > now_us and lies_in != pack.storage_class:
                # It has come for good: no copy of it goes.
                return replace(pack, storage_class=lies_in, recalled_until_us=now_us)
            return replace(pack, recalled_until_us=max(pack.recalled_until_us, until_us))

        await note_packs(catalogue, *marks[0].study, noted, now_us=now_us)
    return total


async def _keep_thumbnails(arrived: Sequence[PackKey], keep: KeepThumbnail) -> None:
    """Keep a thumbnail of each series of which something has arrived, as far as that goes."""
    of_series: dict[tuple[str, str, str], list[str]] = {}
    for pack in arrived:
        names = pack.tenant, pack.study_instance_uid, pack.series_instance_uid
        of_series.setdefault(names, []).append(pack.pack_id)
    for names, pack_ids in of_series.items():
        try:
            await keep(*names, pack_ids)
        except PacsError as error:
            # Readers wait for the study, and the next recall tries it again.
            fields = {"study": hashed(names[1]), "error": type(error).__name__}
            log.warning("thumbnail_not_kept", extra=fields)


async def _look(objects: ObjectStore, mark: RecallMark, now_us: int) -> tuple[Tended, int]:
    """Return what became of one recall, and until when its pack is readable where it arrived."""
    try:
        info = await objects.head(mark.pack.pack)
        recall = await get_recall(objects, mark)
    except NotFound:
        # The pack is being purged, or somebody else has tended this mark: next time tells.
        return Tended(), 0
    except Corrupt:
        await drop_recall(objects, mark)
        return Tended(failed=1), 0
    stays_us = now_us + recall.days * _DAY_US
    match info.availability:
        case Availability.ONLINE:
            return Tended(arrived=1), info.available_until_us or stays_us
        case Availability.RESTORING:
            if recall.speed is RecallSpeed.EXPEDITED and now_us > recall.expected_us:
                # Whoever asked found no room for the hurried, and could not write that down.
                await slow_down(objects, recall, info.storage_class, recall.asked_us)
            return Tended(waiting=1), 0
        case Availability.OFFLINE if now_us > recall.expected_us + recall.days * _DAY_US:
            # It came, and went again while nobody looked: the next reader asks anew.
            return Tended(ended=1), now_us
        case Availability.OFFLINE if now_us > recall.asked_us + GRACE_US:
            try:
                await ask_store(objects, recall, now_us)
            except (Denied, InvalidRequest, Offline):
                # It is not under way: the next reader is told why.
                await objects.delete(mark.key)
                raise
            log.warning("recall_restarted", extra={"pack": mark.pack.pack_id})
            return Tended(restarted=1), 0
        case _:
            return Tended(waiting=1), 0

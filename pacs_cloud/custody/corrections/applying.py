"""Corrections made and taken back, study by study.

A mark is written first, then what is ordered, then each study is changed: its ledger
before the catalogue. Whoever dies on the way leaves the mark, and `settle` goes on from
there. Of a correction and its undoing each writes before it looks for the other, so that
at least one sees both: what is undone is undone in every study, whoever was quicker.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.corrections.book import (
    CorrectionMark,
    Undone,
    came_late,
    late_studies,
    put_correction,
    put_late_study,
    put_mark,
    put_undone,
    read_correction,
    read_undone,
    remove_mark,
    studies_left,
)
from pacs_cloud.custody.corrections.correction import Correction, CorrectionKind
from pacs_cloud.custody.corrections.ledger import Decide, follow_ledger
from pacs_cloud.custody.corrections.merges import refuse_bounded
from pacs_cloud.custody.corrections.patients import studies_of
from pacs_cloud.custody.corrections.telling import making, undoing
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.errors import Conflict, Corrupt, Denied, InvalidRequest, NotFound, Offline
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.caller import Caller
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

_STUDIES_AT_ONCE = 4
_ABOUT_ONE = (Corrupt, NotFound, Offline, Denied, InvalidRequest)
"""What is wrong with one study, and keeps no other from being changed: the last where the
catalogue has no room for what shall stand over it."""


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What came of a correction, or of its undoing.

    Attributes:
        studies: that it is about.
        changed: that show something else now.
        unreadable: that could not be changed: their ledger or a table cannot be read, or
            they have no room for another correction. They are tried again for as long as
            the correction has a mark.
    """

    studies: int
    changed: int
    unreadable: tuple[str, ...] = ()


class Corrector:
    """Makes corrections, and takes them back, in one archive; stateless, shared by all callers."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        load_table: LoadTable,
        now_us: Callable[[], int],
    ) -> None:
        """Work on an archive.

        Args:
            objects: its store: the ledger, and the corrections.
            catalogue: its catalogue.
            load_table: returns the table of a committed pack.
            now_us: the clock, microseconds since 1970 UTC.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._load_table = load_table
        self._now_us = now_us

    async def apply(self, correction: Correction) -> CarriedOut:
        """Make a correction; return what came of it.

        Once it is ordered it outlives any crash, and the catalogue. The mark of a patient
        merge stays until `settle` has looked for studies that came while it was made.

        Raises:
            Unavailable: a store cannot be reached, or a study keeps changing.
        """
        names = correction.tenant, correction.correction_id
        mark = CorrectionMark(*names, self._now_us())
        await put_mark(self._objects, mark)
        await put_correction(self._objects, correction)
        done = await self._carry_out(correction)
        if correction.source is None and not done.unreadable:
            await remove_mark(self._objects, mark)
        _log("corrected", correction, done)
        return done

    async def apply_late(self, correction: Correction, study_instance_uid: str) -> CarriedOut:
        """Make a correction in a study that came later, unless it is undone meanwhile.

        Raises:
            Unavailable: as `apply`.
        """
        names = correction.tenant, correction.correction_id
        mark = CorrectionMark(*names, self._now_us())
        await put_mark(self._objects, mark)
        if await read_undone(self._objects, *names) is None:
            await put_late_study(self._objects, *names, study_instance_uid, mark.marked_us)
        done = await self._carry_out(correction, only=[study_instance_uid])
        if not done.unreadable:
            await remove_mark(self._objects, mark)
        _log("corrected_late", correction, done)
        return done

    async def undo(
        self, tenant: str, correction_id: str, *, caller: Caller, who: str, reason: str
    ) -> CarriedOut:
        """Take a correction back, in studies that came later too; return what came of it.

        Raises:
            Denied: it is a patient merge, and the caller may correct some studies only.
            NotFound: there is no such correction.
            Conflict: it was undone before.
            Corrupt: it cannot be read.
            Unavailable: as `apply`.
        """
        correction = await read_correction(self._objects, tenant, correction_id)
        if correction.kind is CorrectionKind.PATIENT_MERGE:
            refuse_bounded(caller)
        if await read_undone(self._objects, tenant, correction_id) is not None:
            raise Conflict("This correction is undone already.")
        mark = CorrectionMark(tenant, correction_id, self._now_us())
        await put_mark(self._objects, mark)
        undone = Undone(who, reason, mark.marked_us)
        await put_undone(self._objects, tenant, correction_id, undone)
        done = await self._carry_out(correction)
        if not done.unreadable:
            await remove_mark(self._objects, mark)
        _log("correction_undone", correction, done)
        return done

    async def settle(self, mark: CorrectionMark) -> CarriedOut:
        """Go on with what has a mark, be it made or undone, and remove the mark.

        Of a patient merge the studies are added that came while it was made. Where some
        cannot be read, a mark of these alone is left.

        Raises:
            Corrupt: the correction cannot be read.
            Unavailable: as `apply`.
        """
        names = mark.tenant, mark.correction_id
        try:
            left = await studies_left(self._objects, mark)
            correction = await read_correction(self._objects, *names)
        except NotFound:
            await remove_mark(self._objects, mark)  # nothing was ordered yet
            return CarriedOut(0, 0)
        if not left and await read_undone(self._objects, *names) is None:
            await self._add_late(correction)
        done = await self._carry_out(correction, left)
        if done.unreadable == left != ():
            return done
        if done.unreadable:
            now_us = self._now_us()
            await put_mark(self._objects, CorrectionMark(*names, now_us, done.unreadable))
        await remove_mark(self._objects, mark)
        return done

    async def _add_late(self, correction: Correction) -> None:
        """Add the studies that name who was merged away, and are not its own yet."""
        if correction.source is None:
            return
        names = correction.tenant, correction.correction_id
        known = {*correction.studies, *await late_studies(self._objects, *names)}
        for study in await studies_of(self._catalogue, correction.tenant, correction.source):
            uid = study.study_instance_uid
            if uid not in known and correction.is_about(study):
                await put_late_study(self._objects, *names, uid, self._now_us())

    async def _carry_out(self, correction: Correction, only: Sequence[str] = ()) -> CarriedOut:
        """Have every study (or `only` some) show the correction, or not where it is undone."""
        names = correction.tenant, correction.correction_id
        undone = await read_undone(self._objects, *names)
        done = await self._change_each(correction, undone, only)
        if undone is None:
            undone = await read_undone(self._objects, *names)
            if undone is not None:  # while it was made
                done = await self._change_each(correction, undone, only)
        return done

    async def _change_each(
        self, correction: Correction, undone: Undone | None, only: Sequence[str]
    ) -> CarriedOut:
        names = correction.tenant, correction.correction_id
        late = {*(only or await late_studies(self._objects, *names))}
        meant = sorted(only or {*correction.studies, *late})

        async def uids() -> AsyncIterator[str]:
            for uid in meant:
                yield uid

        async def change(uid: str) -> bool | None:
            try:
                came_us = await came_late(self._objects, *names, uid) if uid in late else None
                if came_us is None and uid not in correction.studies:
                    return False  # nobody has made it one of its own
                decide = (
                    undoing(correction, undone)
                    if undone is not None
                    else making(correction, came_us)
                )
                return await self._follow(correction.tenant, uid, decide)
            except _ABOUT_ONE as error:
                log.error("correction_unreadable", extra={"study": hashed(uid), "reason": error})
                return None

        async with aclosing(in_order(change, uids(), _STUDIES_AT_ONCE)) as done:
            outcomes = [one async for one in done]
        unreadable = tuple(uid for uid, one in zip(meant, outcomes, strict=True) if one is None)
        return CarriedOut(len(meant), sum(one is True for one in outcomes), unreadable)

    async def _follow(self, tenant: str, study_instance_uid: str, decide: Decide) -> bool:
        return await follow_ledger(
            self._objects,
            self._catalogue,
            tenant,
            study_instance_uid,
            load_table=self._load_table,
            now_us=self._now_us(),
            decide=decide,
        )


def _log(event: str, correction: Correction, done: CarriedOut) -> None:
    log.info(
        event,
        extra={
            "kind": correction.kind,
            "correction": correction.correction_id,
            "studies": done.studies,
            "changed": done.changed,
        },
    )

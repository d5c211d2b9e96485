"""Of two contents under one UID the other one shown, and that undone.

What is chosen is a decision in the ledger first, one object for both packs, then a change
of the catalogue on condition that the study is as it was read. It says nothing of the
trash: whatever was deleted stays deleted. Whoever dies in between leaves a mark: whoever
tends the trash takes the choice back; to choose again ends it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pacs_cloud.catalogue.decisions import Decision, standing
from pacs_cloud.catalogue.hiding import Hidden, change_hidden
from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import ConflictKind, HiddenReason, StudyState, UidRef
from pacs_cloud.custody.conflicts.ledger import Choice, choices_of, promotions, record_choice
from pacs_cloud.custody.conflicts.listing import GAVE_WAY, LOST, Disagreement, disagreement
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.trash.marks import Action, Mark, Scope, put_mark, remove_mark
from pacs_cloud.errors import Conflict, NotFound
from pacs_cloud.objectstore.port import ObjectStore


async def promote(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    conflict_id: str,
    *,
    load_table: LoadTable,
    who: str,
    now_us: int,
) -> Disagreement:
    """Show the one of two contents that is hidden, and hide the other; return how it is now.

    Args:
        objects: the store, with the ledger.
        catalogue: the catalogue.
        tenant: whose.
        conflict_id: which conflict.
        load_table: returns the table of a committed pack.
        who: who chooses.
        now_us: microseconds since 1970 UTC.

    Raises:
        NotFound: there is no such conflict, or it is over.
        Conflict: it is not about two contents in one series: both are shown.
        Corrupt: a decision, or a pack's table, cannot be read.
        Unavailable: a store cannot be reached, or the study keeps changing.
    """
    now = await disagreement(catalogue, tenant, conflict_id)
    if now.shown is None:
        raise Conflict("Both are shown already: there is nothing to choose.")
    newcomer_is_shown = now.shown == now.newcomer
    shows = await _digest(now, now.hidden, load_table)
    hides = await _digest(now, now.shown, load_table)
    change = _Change(
        objects,
        catalogue,
        now,
        Choice(
            command=str(uuid.uuid4()),
            conflict_id=now.conflict_id,
            is_undo=False,
            pack_id=now.hidden.pack_id,
            was=HiddenReason(now.resolution),
            other_pack_id=now.shown.pack_id,
            who=who,
            chosen_us=0,
            decisions=(),
            sop_instance_uid=now.sop_instance_uid,
            shows_digest=shows,
            hides_digest=hides,
        ),
        HiddenReason.KEPT_FIRST if newcomer_is_shown else HiddenReason.REPLACED,
    )
    await change.make(load_table, now_us)
    return await disagreement(catalogue, tenant, now.conflict_id)


async def undo(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    conflict_id: str,
    *,
    load_table: LoadTable,
    who: str,
    now_us: int,
) -> Disagreement:
    """Take the last promotion of a conflict back; return how it is now. Arguments as `promote`.

    Raises:
        NotFound: there is no such conflict, it is over, or nothing was promoted in it.
        Corrupt, Unavailable: as `promote`.
    """
    now = await disagreement(catalogue, tenant, conflict_id)
    names = tenant, now.newcomer.study_instance_uid
    if now.kind is not ConflictKind.CONTENT:
        raise NotFound("Nothing was promoted in this conflict.")
    # Where the two lie now: a repack may have put them into other packs since.
    sides = await _sides(now, load_table)
    choices = await choices_of(objects, *names)
    made = promotions(choices, now.conflict_id, now.sop_instance_uid, sides)
    if not made:
        raise NotFound("Nothing was promoted in this conflict.")
    last = made[-1]
    change = _Change(
        objects,
        catalogue,
        now,
        replace(
            last,
            command=str(uuid.uuid4()),
            conflict_id=now.conflict_id,
            is_undo=True,
            pack_id=sides.get(last.hides_digest, last.other_pack_id),
            other_pack_id=sides.get(last.shows_digest, last.pack_id),
            shows_digest=last.hides_digest,
            hides_digest=last.shows_digest,
            who=who,
        ),
        last.was,
    )
    await change.make(load_table, now_us)
    return await disagreement(catalogue, tenant, now.conflict_id)


async def standing_promotions(
    objects: ObjectStore, now: Disagreement, load_table: LoadTable
) -> list[Choice]:
    """Return the promotions of a conflict that `undo` would take back, the last one first."""
    if now.kind is not ConflictKind.CONTENT:
        return []
    choices = await choices_of(objects, now.tenant, now.newcomer.study_instance_uid)
    sides = await _sides(now, load_table)
    return promotions(choices, now.conflict_id, now.sop_instance_uid, sides)[::-1]


async def _sides(now: Disagreement, load_table: LoadTable) -> dict[str, str]:
    """Return in which packs the two contents lie now, by their digests."""
    return {
        await _digest(now, side, load_table): side.pack_id for side in (now.newcomer, now.other)
    }


async def _digest(about: Disagreement, side: UidRef, load_table: LoadTable) -> str:
    """Return the digest of one of the two contents; raises Corrupt, NotFound."""
    table = await load_table(about.tenant, side)
    uid = about.sop_instance_uid
    return next(one.digest for one in table.instances if one.sop_instance_uid == uid)


class _Change:
    """One choice on its way into the ledger and the catalogue."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        about: Disagreement,
        choice: Choice,
        reason: HiddenReason,
    ) -> None:
        """Show what `choice` says, and hide the other one for `reason`."""
        self._objects = objects
        self._catalogue = catalogue
        self._about = about
        self._choice = choice
        self._reason = reason
        self._told: dict[str, Decision] = {}
        self._mark: Mark | None = None
        self._is_over = False

    async def make(self, load_table: LoadTable, now_us: int) -> None:
        """Make it, in the ledger first; raises NotFound where the conflict is over meanwhile."""
        await change_hidden(
            self._catalogue,
            self._about.tenant,
            self._about.newcomer.study_instance_uid,
            self._plan,
            load_table=load_table,
            record=self._record,
            now_us=now_us,
            told=self._told,
        )
        if self._mark is not None:
            await remove_mark(self._objects, self._mark)
        if self._is_over:
            raise NotFound("The conflict is over: something of it has changed meanwhile.")

    async def _plan(self, state: StudyState) -> Mapping[str, Hidden]:
        await self._read_ledger()
        uid, choice = self._about.sop_instance_uid, self._choice
        hidden = {pack.pack_id: pack.hidden for pack in state.packs}
        shows, hides = hidden.get(choice.pack_id), hidden.get(choice.other_pack_id)
        if shows is None or hides is None:
            self._is_over = True
            return {}
        is_made = uid not in shows and hides.get(uid) is self._reason
        is_open = shows.get(uid) is not None and uid not in hides
        self._is_over = not is_made and not (is_open and self._may_show(shows[uid]))
        if is_made or self._is_over:
            return {}
        return {
            choice.pack_id: {other: why for other, why in shows.items() if other != uid},
            choice.other_pack_id: {**hides, uid: self._reason},
        }

    def _may_show(self, reason: HiddenReason) -> bool:
        """Return whether what is hidden for `reason` is still the conflict's other side."""
        return reason in LOST | GAVE_WAY if self._choice.is_undo else reason is self._choice.was

    async def _read_ledger(self) -> None:
        """Learn what a choice has said of the packs, where nothing was decided since."""
        names = self._about.tenant, self._about.newcomer.study_instance_uid
        decisions = await decisions_of(self._objects, *names)
        last_us = max((one.decided_us for one in decisions), default=0)
        hidden = standing(decisions)
        for pack_id in (self._choice.pack_id, self._choice.other_pack_id):
            last = max(
                (one for one in decisions if one.pack_id == pack_id),
                key=lambda one: one.decided_us,
                default=None,
            )
            self._told.pop(pack_id, None)
            if last is not None and last.is_choice:
                self._told[pack_id] = replace(last, hidden=hidden[pack_id], decided_us=last_us)

    async def _record(self, decisions: Sequence[Decision]) -> None:
        first = decisions[0]
        if self._mark is None:
            scope = Scope(first.tenant, first.study_instance_uid)
            mark = Mark(scope, Action.TEND, first.decided_us)
            await put_mark(self._objects, mark)
            self._mark = mark
        await record_choice(self._objects, self._choice, decisions)

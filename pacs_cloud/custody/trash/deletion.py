"""Deletions into a trash, and what takes them back.

Deleting hides: the ledger says which instances of which packs, then the catalogue
shows it. No byte is touched until the retention is over (`purging`).
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.catalogue.decisions import standing
from pacs_cloud.catalogue.hiding import Hidden, Plan, change_hidden
from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, StudyState
from pacs_cloud.custody.holds import refuse_held
from pacs_cloud.custody.ledger import decisions_of
from pacs_cloud.custody.trash.marked_ledger import MarkedLedger
from pacs_cloud.custody.trash.marks import Action, Scope
from pacs_cloud.errors import Gone, NotFound, Unavailable
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)

_LOADS_AT_ONCE = 8
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restoration did.

    Attributes:
        instances: visible again.
        left: still in the trash: an instance of the same UID is visible meanwhile.
        purged: lost for good to a purge that came first.
    """

    instances: int
    left: int
    purged: int = 0


class Trash:
    """Deletes and restores in one archive; stateless, shared by all callers."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        load_table: LoadTable,
        now_us: Callable[[], int],
    ) -> None:
        """Work on an archive.

        Args:
            objects: its store: the ledger and the marks.
            catalogue: its catalogue.
            load_table: returns the table of a committed pack.
            now_us: the clock, microseconds since 1970 UTC.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._load_table = load_table
        self._now_us = now_us

    async def delete(self, scope: Scope) -> int:
        """Hide every instance of `scope` that is visible, or rejected; return how many.

        What is committed while it runs is not of it. Once it has returned the
        deletion outlives any crash, and the catalogue.

        Raises:
            Gone: all of it was deleted before.
            NotFound: there is nothing of it.
            Held: its study is on hold.
            Corrupt: a pack's table, or a hold, cannot be read.
            Unavailable: a store cannot be reached, or the study keeps changing.
        """
        ledger = MarkedLedger(self._objects, scope, Action.DELETE)
        meant: set[tuple[str, str]] = set()
        visible: Mapping[str, frozenset[str]] = {}
        deleted = 0
        for _ in range(_TRIES):
            names = scope.study_instance_uid, scope.series_instance_uid or None
            packs = await self._catalogue.packs(scope.tenant, *names)
            if deleted and visible.keys() <= {pack.pack_id for pack in packs}:
                break
            # Else a repack has put one for some of them: what was meant lies in that.
            visible = await self._visible(scope, packs)
            series = {pack.pack_id: pack.series_instance_uid for pack in packs}
            if deleted:
                visible = _only(visible, series, meant)
            elif visible:
                # One that is set from here on leaves the deletion, and keeps its purge away.
                study = scope.tenant, scope.study_instance_uid
                await refuse_held(self._objects, *study, now_us=self._now_us())
                meant = {(series[pack_id], uid) for pack_id in visible for uid in visible[pack_id]}
            else:
                raise absence(packs, scope.sop_instance_uid or None)
            # What was visible may have given way to something else meanwhile.
            deleted += await self._change(scope, ledger, _deletion_of(visible))
        else:
            raise Unavailable(f"a study kept changing through {_TRIES} tries to delete")
        _log("deleted", scope, instances=deleted)
        return deleted

    async def _visible(
        self, scope: Scope, packs: Sequence[PackRecord]
    ) -> dict[str, frozenset[str]]:
        """Return, by pack id, what of `scope` can be deleted, without packs that have nothing."""
        if scope.sop_instance_uid:
            uid = scope.sop_instance_uid
            found = (await self._catalogue.find_uids(scope.tenant, [uid])).get(uid, ())
            return {
                pack.pack_id: frozenset({uid})
                for pack in packs
                if ref_of(pack) in found and uid not in _put_away(pack)
            }
        gate = asyncio.Semaphore(_LOADS_AT_ONCE)

        async def of(pack: PackRecord) -> frozenset[str]:
            async with gate:
                table = await self._load_table(pack.tenant, ref_of(pack))
            return frozenset(one.sop_instance_uid for one in table.instances) - _put_away(pack)

        showing = [pack for pack in packs if len(_put_away(pack)) < pack.instance_count]
        uids = await asyncio.gather(*map(of, showing))
        return {pack.pack_id: some for pack, some in zip(showing, uids, strict=True)}

    async def restore(self, scope: Scope) -> Restored:
        """Show again what of `scope` is in the trash; return what came of it.

        Of several deleted versions of an instance the one that was stored last comes
        back. An instance whose UID is visible stays where it is.

        Raises:
            Gone: nothing of it is in the trash any more: a purge came first.
            NotFound: nothing of it is in the trash.
            Corrupt: a pack's table cannot be read.
            Unavailable: a store cannot be reached, or the study keeps changing.
        """
        seen: set[tuple[str, str]] = set()

        async def plan(state: StudyState) -> Mapping[str, Hidden]:
            deleted = _deleted(state.packs, scope)
            # Of what a repack has put into another pack meanwhile only that one counts.
            moved = set().union(*deleted.values())
            ids = {pack.pack_id for pack in state.packs}
            seen.difference_update(
                [(pack_id, uid) for pack_id, uid in seen if pack_id not in ids and uid in moved]
            )
            seen.update((pack_id, uid) for pack_id, uids in deleted.items() for uid in uids)
            shown = await self._shown(scope, state, set().union(*deleted.values()))
            wanted: dict[str, Hidden] = {}
            for pack in sorted(state.packs, key=lambda pack: pack.pack_id, reverse=True):
                series = shown.setdefault(pack.series_instance_uid, set())
                if come := deleted.get(pack.pack_id, set()) - series:
                    series |= come
                    wanted[pack.pack_id] = {
                        uid: why for uid, why in pack.hidden.items() if uid not in come
                    }
            return wanted

        ledger = MarkedLedger(self._objects, scope, Action.RESTORE)
        restored = await self._change(scope, ledger, plan)
        await ledger.unmark()
        left = purged = 0
        if restored < len(seen):
            left, purged = await self._rest(scope, seen)
        if (purged and not restored + left) or (not seen and await self._was_purged(scope)):
            raise Gone(
                "Nothing of this is in the trash: what was deleted of it is purged, it is gone"
                " for good."
            )
        if not seen:
            raise NotFound("Nothing of this is in the trash.")
        _log("restored", scope, instances=restored)
        return Restored(restored, left, purged)

    async def _shown(self, scope: Scope, state: StudyState, uids: set[str]) -> dict[str, set[str]]:
        """Return, by series, which of `uids` is visible in a pack of it."""
        packs = {ref_of(pack): pack for pack in state.packs}
        shown: dict[str, set[str]] = {}
        for uid, refs in (await self._catalogue.find_uids(scope.tenant, uids)).items():
            for ref in refs:
                if ref in packs and uid not in packs[ref].hidden:
                    shown.setdefault(ref.series_instance_uid, set()).add(uid)
        return shown

    async def _rest(self, scope: Scope, seen: set[tuple[str, str]]) -> tuple[int, int]:
        """Return how many of `seen`, by pack id and UID, are in the trash, and how many purged."""
        packs = await self._catalogue.packs(scope.tenant, scope.study_instance_uid)
        # A pack that is not there any more was purged with all that was in it.
        reasons = {pack.pack_id: pack.hidden for pack in packs}
        now = [
            reasons[pack_id].get(uid) if pack_id in reasons else HiddenReason.PURGED
            for pack_id, uid in seen
        ]
        return now.count(HiddenReason.DELETED), now.count(HiddenReason.PURGED)

    async def _was_purged(self, scope: Scope) -> bool:
        """Return whether the ledger, which outlives packs, says that something of it is purged."""
        decisions = await decisions_of(self._objects, scope.tenant, scope.study_instance_uid)
        series = {one.pack_id: one.series_instance_uid for one in decisions}
        return any(
            why is HiddenReason.PURGED and scope.has(uid)
            for pack_id, hidden in standing(decisions).items()
            if scope.series_instance_uid in {"", series[pack_id]}
            for uid, why in hidden.items()
        )

    async def _change(self, scope: Scope, ledger: MarkedLedger, plan: Plan) -> int:
        """Make the change; return how many instances it touched."""
        changed = await change_hidden(
            self._catalogue,
            scope.tenant,
            scope.study_instance_uid,
            plan,
            load_table=self._load_table,
            record=ledger.record,
            now_us=self._now_us(),
        )
        return changed.instances


def _put_away(pack: PackRecord) -> set[str]:
    """Return what a pack hides for another reason than a rejection note."""
    return {uid for uid, why in pack.hidden.items() if why is not HiddenReason.REJECTED}


def _only(
    visible: Mapping[str, frozenset[str]],
    series: Mapping[str, str],
    meant: Collection[tuple[str, str]],
) -> dict[str, frozenset[str]]:
    """Return what of `visible` is in `meant`, series and UID; `series` are the packs'."""
    some = {
        pack_id: frozenset(uid for uid in uids if (series[pack_id], uid) in meant)
        for pack_id, uids in visible.items()
    }
    return {pack_id: uids for pack_id, uids in some.items() if uids}


def _deletion_of(visible: Mapping[str, frozenset[str]]) -> Plan:
    """Return the plan that deletes what is in `visible`, and nothing that comes later."""

    async def plan(state: StudyState) -> Mapping[str, Hidden]:
        return {
            pack.pack_id: {**pack.hidden, **dict.fromkeys(uids, HiddenReason.DELETED)}
            for pack in state.packs
            if (uids := visible.get(pack.pack_id, frozenset()) - _put_away(pack))
        }

    return plan


def _deleted(packs: Sequence[PackRecord], scope: Scope) -> dict[str, set[str]]:
    """Return, by pack id, what of `scope` lies in the trash."""
    return {
        pack.pack_id: uids
        for pack in packs
        if scope.has_pack(pack)
        and (
            uids := {
                uid
                for uid, why in pack.hidden.items()
                if why is HiddenReason.DELETED and scope.has(uid)
            }
        )
    }


def _log(event: str, scope: Scope, *, instances: int) -> None:
    log.info(
        event,
        extra={
            "level": scope.level,
            "study": hashed(scope.study_instance_uid),
            "instances": instances,
        },
    )

"""What a purge of one study shall hide, from its records and its ledger."""

from collections.abc import Mapping, Sequence

from pacs_cloud.catalogue.decisions import Decision, deleted_since, standing, unfollowed_choices
from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import GONE, HiddenReason, PackRecord, StudyState
from pacs_cloud.custody.holds import is_held
from pacs_cloud.custody.ledger import as_told, decided_by, decisions_of
from pacs_cloud.objectstore.port import ObjectStore


class PurgePlan:
    """Says what is hidden, and why, once what is due of a study is purged.

    First the catalogue follows the ledger in what was deleted and restored, where a
    crash had kept it from that. A purge in the ledger is ended only where the catalogue
    has its instances in the trash: else it has lost to a restoration, which is told and
    must hold, and is taken back. So is one whose study is on hold meanwhile: of a held
    study nothing is purged that the catalogue still has.

    Attributes:
        purged: by pack id and SOP Instance UID, what the last plan purges.
        told: by pack id, what the ledger says of the trash that the catalogue does not.
        is_purging: whether the last plan purges something.
        is_held: whether the last plan leaves something that is due, because of a hold.
    """

    def __init__(
        self, objects: ObjectStore, catalogue: Catalogue, *, now_us: int, cutoff_us: int
    ) -> None:
        """Plan for one study.

        Args:
            objects: the store, with the ledger.
            catalogue: the catalogue.
            now_us: microseconds since 1970 UTC.
            cutoff_us: what was deleted then or before is due.
        """
        self.purged: set[tuple[str, str]] = set()
        self.told: dict[str, Decision] = {}
        self.is_held = False
        self.is_purging = False
        self._objects = objects
        self._catalogue = catalogue
        self._now_us = now_us
        self._cutoff_us = cutoff_us

    async def __call__(self, state: StudyState) -> Mapping[str, Hidden]:
        """Return, by pack id, what each pack of the study shall hide.

        Raises:
            Corrupt, NotFound, Offline, Denied: a decision cannot be read.
            Unavailable: a store cannot be reached.
        """
        # Read behind the state: whatever changes after both changes the state's `rev`.
        study = state.study
        decisions = await decisions_of(self._objects, study.tenant, study.study_instance_uid)
        decided, since = standing(decisions), deleted_since(decisions)
        packs = {pack.pack_id: pack for pack in state.packs}
        # What an earlier try did not come to.
        self.purged.difference_update(
            [
                (pack_id, uid)
                for pack_id, uid in self.purged
                if pack_id in packs and packs[pack_id].hidden.get(uid) is not HiddenReason.PURGED
            ]
        )
        self.told |= _untrue(state.packs, decisions)
        followed = {
            pack.pack_id: _follow(pack.hidden, decided.get(pack.pack_id)) for pack in state.packs
        }
        await _keep_what_came_again(self._catalogue, packs, followed)
        due = {
            pack_id: {
                uid
                for uid, why in hidden.items()
                if why is HiddenReason.DELETED
                # Not what is hidden only now: that is purged at the second pass.
                and packs[pack_id].hidden.get(uid) is HiddenReason.DELETED
                and since.get(pack_id, {}).get(uid, self._now_us) <= self._cutoff_us
            }
            for pack_id, hidden in followed.items()
        }
        wanted = _purge(followed, due)
        await _purge_others(self._catalogue, state.packs, wanted, decided)
        is_due = _purges(state.packs, wanted)
        names = study.tenant, study.study_instance_uid
        self.is_held = is_due and await is_held(self._objects, *names, now_us=self._now_us)
        self.is_purging = is_due and not self.is_held
        if self.is_held:
            followed = {
                pack.pack_id: _follow(pack.hidden, decided.get(pack.pack_id), is_held=True)
                for pack in state.packs
            }
            await _keep_what_came_again(self._catalogue, packs, followed)
            return followed
        self.purged.update(
            (pack.pack_id, uid)
            for pack in state.packs
            for uid, why in wanted[pack.pack_id].items()
            if why is HiddenReason.PURGED and pack.hidden.get(uid) is not why
        )
        return wanted


def _untrue(packs: Sequence[PackRecord], decisions: Sequence[Decision]) -> dict[str, Decision]:
    """Return, by pack id, what stands in the ledger where the trash of the catalogue differs.

    So does a choice that died before the catalogue followed it.
    """
    decided = decided_by(decisions)
    unfollowed = unfollowed_choices(decisions, {pack.pack_id: pack.hidden for pack in packs})
    return {
        pack.pack_id: as_told(pack, decided)
        for pack in packs
        if pack.pack_id in unfollowed
        or (
            pack.pack_id in decided.hidden
            and _gone(decided.hidden[pack.pack_id]) != _gone(pack.hidden)
        )
    }


def _gone(hidden: Hidden) -> dict[str, HiddenReason]:
    return {uid: why for uid, why in hidden.items() if why in GONE}


def _purges(packs: Sequence[PackRecord], wanted: Mapping[str, Hidden]) -> bool:
    """Return whether `wanted` purges something that is not purged yet."""
    return any(
        why is HiddenReason.PURGED and pack.hidden.get(uid) is not why
        for pack in packs
        for uid, why in wanted[pack.pack_id].items()
    )


def _follow(
    hidden: Hidden, decided: Hidden | None, *, is_held: bool = False
) -> dict[str, HiddenReason]:
    """Return `hidden` with what the ledger says of the trash, and nothing else, taken over.

    What else a decision says is its own commit's affair: that may never have happened.
    Nor is a purge followed of what is not in the trash: it may have lost to a
    restoration, which is told and must hold. Of a held study none is followed.
    """
    if decided is None:
        return dict(hidden)
    followed: dict[str, HiddenReason] = {}
    for uid in {*hidden, *decided}:
        was, now = hidden.get(uid), decided.get(uid)
        if now is HiddenReason.PURGED and (is_held or was not in GONE):
            now = was
        why = now if now in GONE or was in GONE else was
        if why is not None:
            followed[uid] = why
    return followed


async def _keep_what_came_again(
    catalogue: Catalogue,
    packs: Mapping[str, PackRecord],
    followed: Mapping[str, dict[str, HiddenReason]],
) -> None:
    """Leave in the trash, in `followed`, what is visible elsewhere in its series by now.

    The ledger had it restored, and whoever did that died: then it was stored again.
    """
    back = [
        (pack_id, uid)
        for pack_id, hidden in followed.items()
        for uid, why in packs[pack_id].hidden.items()
        if why is HiddenReason.DELETED and uid not in hidden
    ]
    if not back:
        return
    tenant = next(iter(packs.values())).tenant
    found = await catalogue.find_uids(tenant, {uid for _, uid in back})
    shown = {
        (ref.series_instance_uid, uid)
        for uid, refs in found.items()
        for ref in refs
        if ref.pack_id in packs and uid not in packs[ref.pack_id].hidden
    }
    for pack_id, uid in back:
        if (packs[pack_id].series_instance_uid, uid) in shown:
            followed[pack_id][uid] = HiddenReason.DELETED


def _purge(
    hidden: Mapping[str, Hidden], due: Mapping[str, set[str]]
) -> dict[str, dict[str, HiddenReason]]:
    """Return, by pack id, what is hidden once `due` is purged."""
    return {
        pack_id: {**reasons, **dict.fromkeys(due[pack_id], HiddenReason.PURGED)}
        for pack_id, reasons in hidden.items()
    }


async def _purge_others(
    catalogue: Catalogue,
    packs: Sequence[PackRecord],
    wanted: Mapping[str, dict[str, HiddenReason]],
    decided: Mapping[str, Hidden],
) -> None:
    """Purge in `wanted` the versions, too, that were hidden because of one that is purged.

    That one may be gone by now: then the ledger says of the version that it goes too.
    A version stays while one of the same UID is visible in its series, in the trash, or
    rejected.
    """
    purged: set[tuple[str, str]] = set()
    other: dict[tuple[str, str], list[str]] = {}
    alive: set[tuple[str, str]] = set()
    for pack in packs:
        for uid, why in wanted[pack.pack_id].items():
            place = pack.series_instance_uid, uid
            said = decided.get(pack.pack_id, {}).get(uid)
            if HiddenReason.PURGED in {why, said}:
                purged.add(place)
            if why is HiddenReason.PURGED:
                continue
            if why in {HiddenReason.DELETED, HiddenReason.REJECTED}:
                alive.add(place)
            else:
                other.setdefault(place, []).append(pack.pack_id)
    ending = (purged & other.keys()) - alive
    if not ending:
        return
    found = await catalogue.find_uids(packs[0].tenant, {uid for _, uid in ending})
    for series, uid in ending:
        is_shown = any(
            ref.series_instance_uid == series
            and ref.pack_id in wanted
            and uid not in wanted[ref.pack_id]
            for ref in found.get(uid, ())
        )
        if not is_shown:
            for pack_id in other[series, uid]:
                wanted[pack_id][uid] = HiddenReason.PURGED

"""What becomes of an instance whose UID was seen before."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from blake3 import blake3

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import (
    ConflictKind,
    ConflictRecord,
    HiddenReason,
    PackRecord,
    StudyState,
    UidRef,
)
from pacs_cloud.pack.index import PackIndex, PackInstance


class UidPlaces(Protocol):
    """Where UIDs were seen, and what of it is committed; verbs as in `Catalogue`."""

    async def find_uids(
        self, tenant: str, uids: Collection[str]
    ) -> Mapping[str, tuple[UidRef, ...]]:
        """Return where each SOP or Series Instance UID was staged."""
        ...

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> Sequence[PackRecord]:
        """Return the committed packs of a study or one series."""
        ...


LoadTable = Callable[[str, UidRef], Awaitable[PackIndex]]
"""Returns a committed pack's table, from the catalogue or from its object."""

SHOWN = "shown"
"""The resolution of a conflict whose both sides stay visible."""

_LOADS_AT_ONCE = 8


class ConflictPolicy(StrEnum):
    """What happens to other content under a SOP Instance UID that is already there."""

    KEEP_FIRST = "keep-first"
    """The first stays visible; the newcomer is kept, hidden."""
    REPLACE = "replace"
    """The newcomer becomes visible; the first is kept, hidden."""
    QUARANTINE = "quarantine"
    """The first stays visible; the newcomer waits, hidden, for an admin."""


Status = Literal["stored", "duplicate", "variant", "kept-first", "replaced", "quarantined"]


@dataclass(frozen=True, slots=True)
class InstanceOutcome:
    """What became of one instance of a pack.

    Attributes:
        status: "stored" visible; "duplicate" the same content was there; "variant" the
            same instance was there in another transfer syntax; "kept-first" and
            "quarantined" other content was there and stays; "replaced" other content
            was there and gave way to this.
        other_pack_id: where the other is; "" for "stored".
    """

    status: Status
    other_pack_id: str = ""


_STORED = InstanceOutcome("stored")


@dataclass(slots=True)
class Verdict:
    """What a pack's instances meet in their study.

    Attributes:
        outcomes: by SOP Instance UID.
        hidden: those of the pack that shall not be shown.
        replaced: by pack id, the SOP Instance UIDs in other packs that give way.
        conflicts: to be recorded.
        unsettled: where its UIDs are elsewhere and not shown: hidden, or not committed yet.
    """

    outcomes: dict[str, InstanceOutcome] = field(default_factory=dict[str, InstanceOutcome])
    hidden: dict[str, HiddenReason] = field(default_factory=dict[str, HiddenReason])
    replaced: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    conflicts: list[ConflictRecord] = field(default_factory=list[ConflictRecord])
    unsettled: dict[str, set[UidRef]] = field(default_factory=dict[str, set[UidRef]])


_OUTCOMES: Mapping[HiddenReason, Status] = {
    HiddenReason.DUPLICATE: "duplicate",
    HiddenReason.VARIANT: "variant",
    HiddenReason.KEPT_FIRST: "kept-first",
    HiddenReason.QUARANTINED: "quarantined",
    # These came in visible; what hid them came later.
    HiddenReason.REPLACED: "stored",
    HiddenReason.DELETED: "stored",
    HiddenReason.PURGED: "stored",
    HiddenReason.REJECTED: "stored",
}
_HIDES: Mapping[ConflictPolicy, HiddenReason] = {
    ConflictPolicy.KEEP_FIRST: HiddenReason.KEPT_FIRST,
    ConflictPolicy.QUARANTINE: HiddenReason.QUARANTINED,
}


_LOST = frozenset({HiddenReason.KEPT_FIRST, HiddenReason.QUARANTINED})
"""Why a newcomer is hidden that something stands against."""

_GAVE_WAY = frozenset({HiddenReason.REPLACED})
"""Why something is hidden that a newcomer stands for."""

_STANDS = frozenset({None, HiddenReason.DELETED, HiddenReason.REJECTED})
"""Why something is hidden (None: it is not) that stands against another one, or for it."""


def outcome_of(reason: HiddenReason | None, other_pack_id: str = "") -> InstanceOutcome:
    """Return the outcome of an instance that is hidden for `reason` (None: it is not)."""
    if reason is None:
        return InstanceOutcome("stored")
    status = _OUTCOMES[reason]
    return InstanceOutcome(status, "" if status == "stored" else other_pack_id)


def conflict(
    tenant: str,
    kind: ConflictKind,
    newcomer: UidRef,
    *,
    resolution: str,
    now_us: int,
    sop_instance_uid: str = "",
    other: UidRef | None = None,
) -> ConflictRecord:
    """Return the record of a disagreement; its id is the same whenever the same is found."""
    other_study = other.study_instance_uid if other else newcomer.study_instance_uid
    other_pack = other.pack_id if other else ""
    names = (tenant, kind, newcomer.study_instance_uid, sop_instance_uid)
    identity = "\0".join((*names, newcomer.pack_id, other_study, other_pack))
    return ConflictRecord(
        conflict_id=blake3(identity.encode()).hexdigest(length=16),
        tenant=tenant,
        kind=kind,
        study_instance_uid=newcomer.study_instance_uid,
        sop_instance_uid=sop_instance_uid,
        pack_id=newcomer.pack_id,
        other_study_instance_uid=other_study,
        other_pack_id=other_pack,
        resolution=resolution,
        found_us=now_us,
    )


def ref_of(pack: PackIndex | PackRecord) -> UidRef:
    """Return the names of a pack."""
    return UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)


async def met_before(catalogue: Catalogue, index: PackIndex, instance: PackInstance) -> bool:
    """Return whether another pack of the same series was staged that holds `instance`'s UID."""
    uid = instance.sop_instance_uid
    found = (await catalogue.find_uids(index.tenant, (uid,))).get(uid, ())
    series = series_of(ref_of(index))
    return any(ref.pack_id != index.pack_id and series_of(ref) == series for ref in found)


async def weigh(
    catalogue: UidPlaces,
    index: PackIndex,
    state: StudyState | None,
    load_table: LoadTable,
    *,
    policy: ConflictPolicy,
    now_us: int,
    decided: Mapping[str, HiddenReason] | None = None,
) -> Verdict:
    """Return what each instance of `index` meets among what is committed.

    `state` must have been read before: whatever is committed later makes the
    commit that follows this fail on its `rev`. Only packs that hold one of the
    pack's own UIDs are read.

    Args:
        catalogue: where it looks.
        index: the newcomer.
        state: its study.
        load_table: reads other packs.
        policy: for other content under the same UID.
        now_us: when, microseconds since 1970 UTC.
        decided: what of the newcomer is hidden, where that was decided before.
    """
    uids = [instance.sop_instance_uid for instance in index.instances]
    refs = await catalogue.find_uids(index.tenant, uids)
    own_series = (index.study_instance_uid, index.series_instance_uid)
    packs = {pack.pack_id: pack for pack in state.packs} if state else {}
    rivals: dict[str, list[PackRecord]] = {}
    strangers: dict[str, set[UidRef]] = {}
    for uid, found in refs.items():
        for ref in found:
            if ref.pack_id == index.pack_id:
                continue
            if series_of(ref) != own_series:
                strangers.setdefault(uid, set()).add(ref)
            elif ref.pack_id in packs:
                rivals.setdefault(uid, []).append(packs[ref.pack_id])
    verdict = Verdict()
    # What was erased is not judged: no byte of it stays, whoever brings it.
    erased = state.study.erased.intersection(uids) if state else frozenset[str]()
    if decided is None:
        verdict.outcomes = dict.fromkeys(uids, _STORED)  # what meets nobody
        verdict.hidden = dict.fromkeys(erased, HiddenReason.PURGED)
        tables = await _tables(index, rivals, load_table) if rivals else {}
        for instance in index.instances:
            met = rivals.get(instance.sop_instance_uid)
            if met is not None and instance.sop_instance_uid not in erased:
                _judge(verdict, index, instance, met, tables, policy=policy, now_us=now_us)
    else:
        decided = {**decided, **dict.fromkeys(erased, HiddenReason.PURGED)}
        for instance in index.instances:
            met = rivals.get(instance.sop_instance_uid, ())
            _follow(verdict, index, instance, met, decided, now_us=now_us)
    await settle(catalogue, index, strangers, verdict, now_us=now_us)
    return verdict


def series_of(ref: UidRef) -> tuple[str, str]:
    """Return the study and series of a pack."""
    return ref.study_instance_uid, ref.series_instance_uid


async def _tables(
    index: PackIndex, rivals: Mapping[str, Collection[PackRecord]], load_table: LoadTable
) -> dict[str, dict[str, PackInstance]]:
    """Return, by pack id, the instances of every pack that shows one of the pack's UIDs."""
    needed = {pack.pack_id for uid, met in rivals.items() for pack in met if _is_met(pack, uid)}
    gate = asyncio.Semaphore(_LOADS_AT_ONCE)

    async def load(pack_id: str) -> dict[str, PackInstance]:
        ref = UidRef(index.study_instance_uid, index.series_instance_uid, pack_id)
        async with gate:
            table = await load_table(index.tenant, ref)
        return {
            instance.sop_instance_uid: _with_all_attributes(table, instance)
            for instance in table.instances
            if instance.sop_instance_uid in rivals
        }

    ordered = sorted(needed)
    return dict(zip(ordered, await asyncio.gather(*map(load, ordered)), strict=True))


def _is_met(pack: PackRecord, uid: str) -> bool:
    """Return whether a newcomer meets what `pack` has under `uid`: it is shown, or rejected.

    What was rejected and comes again is not accepted anew (IHE RAD TF-3 4.66.4.2.3).
    """
    return pack.hidden.get(uid) in {None, HiddenReason.REJECTED}


def _with_all_attributes(table: PackIndex, instance: PackInstance) -> PackInstance:
    return instance._replace(attributes=table.attributes_of(instance))


def _judge(
    verdict: Verdict,
    index: PackIndex,
    instance: PackInstance,
    met: Collection[PackRecord],
    tables: Mapping[str, Mapping[str, PackInstance]],
    *,
    policy: ConflictPolicy,
    now_us: int,
) -> None:
    uid = instance.sop_instance_uid
    shown = [
        (pack, tables[pack.pack_id][uid])
        for pack in sorted(met, key=lambda pack: pack.pack_id)
        if _is_met(pack, uid) and uid in tables[pack.pack_id]
    ]
    if not shown:
        return
    for pack, other in shown:
        reason = _same(index, instance, other)
        if reason is not None:
            verdict.hidden[uid] = reason
            verdict.outcomes[uid] = outcome_of(reason, pack.pack_id)
            return
    if any(uid in pack.hidden for pack, _ in shown):
        policy = ConflictPolicy.QUARANTINE  # nothing takes the place of what was rejected
    elif policy is ConflictPolicy.REPLACE and index.sources[instance.source].yields:
        policy = ConflictPolicy.KEEP_FIRST
    if policy is ConflictPolicy.REPLACE:
        for pack, _ in shown:
            verdict.replaced.setdefault(pack.pack_id, set()).add(uid)
        verdict.outcomes[uid] = InstanceOutcome("replaced", shown[0][0].pack_id)
        resolution = HiddenReason.REPLACED
    else:
        resolution = _HIDES[policy]
        verdict.hidden[uid] = resolution
        verdict.outcomes[uid] = outcome_of(resolution, shown[0][0].pack_id)
    for pack, _ in shown:
        verdict.conflicts.append(
            conflict(
                index.tenant,
                ConflictKind.CONTENT,
                ref_of(index),
                resolution=resolution.value,
                now_us=now_us,
                sop_instance_uid=uid,
                other=ref_of(pack),
            )
        )


def _same(index: PackIndex, instance: PackInstance, other: PackInstance) -> HiddenReason | None:
    """Return how `instance` repeats `other`; None where it is other content.

    A variant is the same instance in another transfer syntax than the other came in: every
    attribute that searches know is equal, and so are the number and size of its frames.
    """
    if instance.digest == other.digest:
        return HiddenReason.DUPLICATE
    if (
        instance.received_syntax_uid != other.received_syntax_uid
        and instance.sop_class_uid == other.sop_class_uid
        and index.attributes_of(instance) == other.attributes
        and _shape(instance) == _shape(other)
    ):
        return HiddenReason.VARIANT
    return None


def _shape(instance: PackInstance) -> tuple[int, int, int]:
    pixels = instance.pixels
    return (pixels.frame_count, pixels.rows, pixels.columns) if pixels else (0, 0, 0)


def _follow(
    verdict: Verdict,
    index: PackIndex,
    instance: PackInstance,
    met: Collection[PackRecord],
    decided: Mapping[str, HiddenReason],
    *,
    now_us: int,
) -> None:
    """Apply what was decided, and find again the conflicts that it settled.

    The packs may come back in any order, so either of the two may be the newcomer. One that
    lies in the trash counts as shown: it may be restored.
    """
    uid = instance.sop_instance_uid
    reason = decided.get(uid)
    if reason is not None:
        verdict.hidden[uid] = reason
    shown = [pack for pack in met if uid not in pack.hidden]
    verdict.outcomes[uid] = outcome_of(reason, shown[0].pack_id if shown else "")
    for pack in met:
        theirs = pack.hidden.get(uid)
        mine_stands, theirs_stands = reason in _STANDS, theirs in _STANDS
        if (reason in _GAVE_WAY and theirs_stands) or (mine_stands and theirs in _LOST):
            newcomer, other = ref_of(pack), ref_of(index)
        elif (reason in _LOST and theirs_stands) or (mine_stands and theirs in _GAVE_WAY):
            newcomer, other = ref_of(index), ref_of(pack)
        else:
            continue
        resolution = theirs if mine_stands else reason
        assert resolution is not None
        verdict.conflicts.append(
            conflict(
                index.tenant,
                ConflictKind.CONTENT,
                newcomer,
                resolution=resolution.value,
                now_us=now_us,
                sop_instance_uid=uid,
                other=other,
            )
        )


async def settle(
    catalogue: UidPlaces,
    index: PackIndex | PackRecord,
    strangers: Mapping[str, Collection[UidRef]],
    verdict: Verdict,
    *,
    now_us: int,
) -> None:
    """Add the conflicts with other series and studies that show one of the pack's UIDs.

    What is there and not shown, which may change at any moment, goes to `verdict.unsettled`.
    """
    places = sorted({series_of(ref) for found in strangers.values() for ref in found})
    committed: dict[str, PackRecord] = {}
    for study, series in places:
        for pack in await catalogue.packs(index.tenant, study, series):
            committed[pack.pack_id] = pack
    for uid in sorted(strangers):
        if uid in verdict.hidden:
            continue
        for ref in sorted(strangers[uid], key=lambda ref: (*series_of(ref), ref.pack_id)):
            pack = committed.get(ref.pack_id)
            if pack is None or uid in pack.hidden:
                verdict.unsettled.setdefault(uid, set()).add(ref)
            else:
                verdict.conflicts.append(
                    conflict(
                        index.tenant,
                        ConflictKind.ELSEWHERE,
                        ref_of(index),
                        resolution=SHOWN,
                        now_us=now_us,
                        sop_instance_uid=uid,
                        other=ref,
                    )
                )

"""What disagrees in an archive, as its records have it now.

The catalogue's own records of conflicts say what a commit has met, and so where to look.
What is listed is worked out from what packs hide and show: it is the same whatever was
committed first, also after a rebuild, and follows what somebody chose.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.aggregate import disagreeing
from pacs_cloud.catalogue.judging import SHOWN, conflict
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import (
    ConflictKind,
    ConflictRecord,
    HiddenReason,
    PackRecord,
    StudyState,
    UidRef,
)
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.errors import NotFound

LOST: Final = frozenset({HiddenReason.KEPT_FIRST, HiddenReason.QUARANTINED})
"""Why a newcomer is hidden that another one stands against."""
GAVE_WAY: Final = frozenset({HiddenReason.REPLACED})
"""Why one is hidden that a newcomer stands for."""
MOST: Final = 100_000
"""Conflict records that are looked at, the newest first."""
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two instances, or patients, of which an admin may want to know.

    Attributes:
        conflict_id: unique; the same for as long as both sides lie in their packs. The id
            from before a repack is still understood (`disagreement`).
        tenant: whose.
        kind: what disagrees.
        sop_instance_uid: "" where it is about patients.
        newcomer: where the one lies that was committed later; of patients the study.
        other: where the other one lies; as the newcomer where it is about patients.
        shown: which is visible; None: both are.
        resolution: why the other is hidden, or "shown".
    """

    conflict_id: str
    tenant: str
    kind: ConflictKind
    sop_instance_uid: str
    newcomer: UidRef
    other: UidRef
    shown: UidRef | None
    resolution: str

    @property
    def found_us(self) -> int:
        """When the newcomer's pack was begun, microseconds since 1970 UTC; 0: about patients.

        Packs are named by their time (RFC 9562 5.7).
        """
        name = self.newcomer.pack_id.replace("-", "")
        return int(name[:12], 16) * 1000 if len(name) == 32 else 0

    @property
    def studies(self) -> tuple[str, ...]:
        """The studies that it is about."""
        return tuple(sorted({self.newcomer.study_instance_uid, self.other.study_instance_uid}))

    @property
    def hidden(self) -> UidRef:
        """Of two contents the one that is not visible."""
        return self.other if self.shown == self.newcomer else self.newcomer


async def disagreements(catalogue: Catalogue, tenant: str) -> AsyncGenerator[Disagreement]:
    """Yield what disagrees in a tenant's studies, those first whose conflicts came last.

    Raises:
        Unavailable: the catalogue cannot be reached.
    """
    records = await catalogue.conflicts(tenant, limit=MOST)
    async with aclosing(_among(catalogue, tenant, records)) as found:
        async for one in found:
            yield one


async def _among(
    catalogue: Catalogue, tenant: str, records: Iterable[ConflictRecord]
) -> AsyncGenerator[Disagreement]:
    """Yield what disagrees in the studies of some records."""
    elsewhere: dict[str, list[ConflictRecord]] = {}
    for record in records:
        some = elsewhere.setdefault(record.study_instance_uid, [])
        if record.kind is ConflictKind.ELSEWHERE:
            some.append(record)

    async def studies() -> AsyncIterator[str]:
        for study in elsewhere:
            yield study

    async def of_study(study: str) -> list[Disagreement]:
        state = await catalogue.study(tenant, study)
        if state is None:
            return []
        found = await _contents(catalogue, state)
        found += await _elsewhere(catalogue, state, elsewhere[study])
        found += _patients(state)
        return sorted(found, key=lambda one: (one.sop_instance_uid, one.conflict_id))

    told: set[str] = set()
    async with aclosing(in_order(of_study, studies(), _AT_ONCE)) as every:
        async for found in every:
            for one in found:
                if one.conflict_id not in told:
                    told.add(one.conflict_id)
                    yield one


async def disagreement(catalogue: Catalogue, tenant: str, conflict_id: str) -> Disagreement:
    """Return one of them, also by the id that it had before a repack; raises NotFound."""
    records = await catalogue.conflicts(tenant, limit=MOST)
    record = next((one for one in records if one.conflict_id == conflict_id), None)
    if record is not None:
        study = record.study_instance_uid
        near = [one for one in records if one.study_instance_uid == study]
        async with aclosing(_among(catalogue, tenant, near)) as those:
            async for one in those:
                if one.conflict_id == conflict_id:
                    return one
    found = [one async for one in _among(catalogue, tenant, records)]
    for one in found:
        if one.conflict_id == conflict_id:
            return one
    if record is not None:
        return await _now(catalogue, record, found)
    raise NotFound("There is no such conflict, or it is over.")


async def _now(
    catalogue: Catalogue, record: ConflictRecord, found: Iterable[Disagreement]
) -> Disagreement:
    """Return what has become of a conflict one of whose packs was merged; raises NotFound."""
    study = record.study_instance_uid
    packs = {pack.pack_id for pack in await catalogue.packs(record.tenant, study)}
    if {record.pack_id, record.other_pack_id} <= packs:
        raise NotFound("The conflict is over.")
    same = [
        one
        for one in found
        if (one.kind, one.sop_instance_uid) == (record.kind, record.sop_instance_uid)
        and one.newcomer.study_instance_uid == study
    ]
    if len(same) != 1:
        raise NotFound(
            "The conflict is over, or its packs were merged meanwhile: `conflicts list` has its"
            " id as it is now."
        )
    return same[0]


async def _contents(catalogue: Catalogue, state: StudyState) -> list[Disagreement]:
    """Return where other content under a UID is hidden while one is shown."""
    tenant = state.study.tenant
    hidden = [
        (pack, uid, why)
        for pack in state.packs
        for uid, why in pack.hidden.items()
        if why in LOST | GAVE_WAY
    ]
    if not hidden:
        return []
    packs = {_ref(pack): pack for pack in state.packs}
    refs = await catalogue.find_uids(tenant, {uid for _, uid, _ in hidden})
    found: list[Disagreement] = []
    for pack, uid, why in hidden:
        one = _ref(pack)
        for shown in _shown(uid, refs.get(uid, ()), packs):
            if shown.series_instance_uid != one.series_instance_uid:
                continue
            newcomer, other = (one, shown) if why in LOST else (shown, one)
            found.append(
                _told(tenant, ConflictKind.CONTENT, uid, newcomer, other, shown, why.value)
            )
    return found


async def _elsewhere(
    catalogue: Catalogue, state: StudyState, records: Iterable[ConflictRecord]
) -> list[Disagreement]:
    """Return which of `records` still hold: one UID shown in two series or studies."""
    tenant = state.study.tenant
    uids = {record.sop_instance_uid for record in records}
    refs = await catalogue.find_uids(tenant, uids) if uids else {}
    found: list[Disagreement] = []
    for record in records:
        uid = record.sop_instance_uid
        ids = {record.pack_id, record.other_pack_id}
        some = [ref for ref in refs.get(uid, ()) if ref.pack_id in ids]
        packs: dict[UidRef, PackRecord] = {}
        for ref in some:
            series = await catalogue.packs(tenant, ref.study_instance_uid, ref.series_instance_uid)
            packs |= {_ref(pack): pack for pack in series}
        both = sorted(_shown(uid, some, packs), key=lambda ref: ref.pack_id)
        if len(both) == 2:
            found.append(_told(tenant, ConflictKind.ELSEWHERE, uid, both[1], both[0], None, SHOWN))
    return found


def _patients(state: StudyState) -> list[Disagreement]:
    if not disagreeing(state.study.patients):
        return []
    study = UidRef(state.study.study_instance_uid, "", "")
    return [_told(state.study.tenant, ConflictKind.PATIENT, "", study, study, None, SHOWN)]


def _shown(uid: str, refs: Iterable[UidRef], packs: Mapping[UidRef, PackRecord]) -> list[UidRef]:
    return [ref for ref in refs if ref in packs and uid not in packs[ref].hidden]


def _told(
    tenant: str,
    kind: ConflictKind,
    sop_instance_uid: str,
    newcomer: UidRef,
    other: UidRef,
    shown: UidRef | None,
    resolution: str,
) -> Disagreement:
    record = conflict(
        tenant,
        kind,
        newcomer,
        resolution=resolution,
        now_us=0,
        sop_instance_uid=sop_instance_uid,
        other=other,
    )
    names = record.conflict_id, tenant, kind, sop_instance_uid
    return Disagreement(*names, newcomer, other, shown, resolution)


def _ref(pack: PackRecord) -> UidRef:
    return UidRef(pack.study_instance_uid, pack.series_instance_uid, pack.pack_id)

"""The change of a study that makes one of its packs visible: all that is written at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pacs_cloud.catalogue.aggregate import (
    Contribution,
    add_to_series,
    add_to_study,
    contribution_of,
    disagreeing,
)
from pacs_cloud.catalogue.judging import SHOWN, LoadTable, Verdict, conflict, ref_of
from pacs_cloud.catalogue.recompute import recompute
from pacs_cloud.catalogue.records import (
    ConflictKind,
    ConflictRecord,
    HiddenReason,
    OutboxEvent,
    PackRecord,
    Patient,
    SeriesRecord,
    StudyChange,
    StudyRecord,
    StudyState,
)
from pacs_cloud.dicom.amendment import of_series
from pacs_cloud.pack.index import PackIndex
from pacs_cloud.pack.pack_id import new_pack_id

PACK_STORED = "pack-stored"
"""The kind of the event that each commit of a new pack leaves in the outbox."""


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A pack that shall be visible.

    Attributes:
        index: its table.
        length_bytes: of its object.
        now_us: microseconds since 1970 UTC.
        load_table: returns the table of a committed pack.
        is_announced: whether its first commit leaves an event in the outbox.
    """

    index: PackIndex
    length_bytes: int
    now_us: int
    load_table: LoadTable
    is_announced: bool


async def change_by(
    newcomer: Newcomer,
    state: StudyState | None,
    own: PackRecord | None,
    verdict: Verdict,
    rev: int,
) -> StudyChange:
    """Return the change that makes `newcomer` visible as `verdict` says.

    Args:
        newcomer: the pack.
        state: its study as it was read; None where there is none yet.
        own: the pack's own record, where it is committed and waits for others to give way.
        verdict: which of its instances are shown, and which others they replace.
        rev: of the study's next record.

    Raises:
        Corrupt, NotFound: a table of another pack cannot be read.
    """
    index = newcomer.index
    hidden = dict(verdict.hidden)
    if own is not None:
        kept = {uid: why for uid, why in own.hidden.items() if uid not in verdict.outcomes}
        hidden |= kept
    pack = PackRecord(
        tenant=index.tenant,
        study_instance_uid=index.study_instance_uid,
        series_instance_uid=index.series_instance_uid,
        pack_id=index.pack_id,
        length_bytes=newcomer.length_bytes,
        instance_count=len(index.instances),
        committed_us=own.committed_us if own else newcomer.now_us,
        hidden=hidden,
        storage_class=own.storage_class if own else "STANDARD",
        recalled_until_us=own.recalled_until_us if own else 0,
        amendments=(of_series(state.study.amendments, index.series_instance_uid) if state else ()),
    )
    given_way = _hide(state, verdict.replaced)
    contribution = contribution_of(pack, index)
    if given_way or own is not None:
        study, series = await _recomputed(newcomer, state, given_way, contribution, rev)
    else:
        study, series = _added(state, contribution, rev)
    before = state.study if state else None
    conflicts = (
        *verdict.conflicts,
        *patient_conflicts(before, study, index, newcomer.now_us),
    )
    return StudyChange(
        tenant=index.tenant,
        study_instance_uid=index.study_instance_uid,
        before=before,
        after=study,
        put_series=(series,) if series else (),
        drop_series=() if series else _gone(index, state),
        put_packs=(pack, *given_way),
        conflicts=conflicts,
        events=(
            ()
            if own or not newcomer.is_announced
            else (event_about(PACK_STORED, index, newcomer.now_us),)
        ),
    )


async def _recomputed(
    newcomer: Newcomer,
    state: StudyState | None,
    given_way: tuple[PackRecord, ...],
    contribution: Contribution,
    rev: int,
) -> tuple[StudyRecord, SeriesRecord | None]:
    """Return the study and its series made again: what gave way cannot be subtracted."""
    packs = {pack.pack_id: pack for pack in (*(state.packs if state else ()), *given_way)}
    packs.pop(newcomer.index.pack_id, None)
    contributions = [contribution]
    for pack in packs.values():
        table = await newcomer.load_table(pack.tenant, ref_of(pack))
        contributions.append(contribution_of(pack, table))
    study, series = recompute(contributions, rev=rev, before=state.study if state else None)
    assert study is not None
    return study, series.get(newcomer.index.series_instance_uid)


def _gone(index: PackIndex, state: StudyState | None) -> tuple[str, ...]:
    uid = index.series_instance_uid
    known = {series.series_instance_uid for series in state.series} if state else set[str]()
    return (uid,) if uid in known else ()


def patient_conflicts(
    before: StudyRecord | None, after: StudyRecord, pack: PackIndex | PackRecord, now_us: int
) -> tuple[ConflictRecord, ...]:
    """Return the conflict where `pack` has brought one more patient into its study."""
    known = before.patients if before else frozenset[Patient]()
    if not disagreeing(after.patients) or after.patients <= known:
        return ()
    return (
        conflict(pack.tenant, ConflictKind.PATIENT, ref_of(pack), resolution=SHOWN, now_us=now_us),
    )


def event_about(kind: str, pack: PackIndex | PackRecord, now_us: int) -> OutboxEvent:
    """Return an event that names a pack."""
    body = {
        "study_instance_uid": pack.study_instance_uid,
        "series_instance_uid": pack.series_instance_uid,
        "pack_id": pack.pack_id,
    }
    return OutboxEvent(new_pack_id(now_us), kind, pack.tenant, body)


def _hide(state: StudyState | None, replaced: Mapping[str, set[str]]) -> tuple[PackRecord, ...]:
    """Return the packs of `state` whose instances give way, with these hidden."""
    if state is None:
        return ()
    return tuple(
        replace(
            pack,
            hidden={**pack.hidden, **dict.fromkeys(replaced[pack.pack_id], HiddenReason.REPLACED)},
        )
        for pack in state.packs
        if replaced.get(pack.pack_id)
    )


def _added(
    state: StudyState | None, contribution: Contribution, rev: int
) -> tuple[StudyRecord, SeriesRecord | None]:
    """Return the study and the series with `contribution` added."""
    series = next(
        (
            one
            for one in (state.series if state else ())
            if one.series_instance_uid == contribution.series_instance_uid
        ),
        None,
    )
    study = add_to_study(
        state.study if state else None, contribution, rev=rev, new_series=series is None
    )
    return study, add_to_series(series, contribution)

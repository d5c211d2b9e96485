"""A study's records made again from all its packs, for what cannot be subtracted."""

from collections.abc import Iterable
from dataclasses import replace

from pacs_cloud.catalogue.aggregate import Contribution, add_to_series, add_to_study
from pacs_cloud.catalogue.records import SeriesRecord, StudyRecord
from pacs_cloud.dicom.amendment import Amendment


def recompute(
    contributions: Iterable[Contribution], *, rev: int, before: StudyRecord | None = None
) -> tuple[StudyRecord | None, dict[str, SeriesRecord]]:
    """Return a study's records, made from the contributions of all its packs.

    Args:
        contributions: one of each committed pack, also of those that show nothing.
        rev: of the study record that is returned.
        before: the record that was, for what no instance tells.

    Returns:
        The study, and by UID the series of which something is visible. The study is None
        without packs, unless it has to be remembered (`is_remembered`).
    """
    study = None
    if before is not None and is_remembered(before):
        study = without_packs(before, rev)
    series: dict[str, SeriesRecord] = {}
    for contribution in contributions:
        known = series.get(contribution.series_instance_uid)
        after = add_to_series(known, contribution)
        if after is not None:
            series[contribution.series_instance_uid] = after
        study = add_to_study(study, contribution, rev=rev, new_series=known is None)
    if study is not None and before is not None:
        study = replace(study, has_cold_packs=before.has_cold_packs)
    return study, series


def is_remembered(study: StudyRecord) -> bool:
    """Return whether a study keeps its record without any pack: what comes later needs it."""
    return bool(study.amendments or study.erased or study.labels)


def without_packs(study: StudyRecord, rev: int) -> StudyRecord:
    """Return the record of a study as it is without any pack: what no instance tells of it."""
    return empty_study(
        study.tenant,
        study.study_instance_uid,
        rev,
        amendments=study.amendments,
        erased=study.erased,
        labels=study.labels,
    )


def empty_study(
    tenant: str,
    study_instance_uid: str,
    rev: int,
    *,
    amendments: tuple[Amendment, ...] = (),
    erased: frozenset[str] = frozenset(),
    labels: frozenset[str] = frozenset(),
) -> StudyRecord:
    """Return the record of a study that has no pack; searches do not find it."""
    return StudyRecord(
        tenant=tenant,
        study_instance_uid=study_instance_uid,
        rev=rev,
        attributes={},
        ranks={},
        patients=frozenset(),
        modalities=frozenset(),
        sop_classes=frozenset(),
        series_count=0,
        instance_count=0,
        length_bytes=0,
        first_received_us=0,
        last_received_us=0,
        amendments=amendments,
        erased=erased,
        labels=labels,
    )

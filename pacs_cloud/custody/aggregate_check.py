"""A study's records against what its visible instances give."""

from collections.abc import Mapping
from dataclasses import fields

from pacs_cloud.catalogue.records import SeriesRecord, StudyRecord, StudyState
from pacs_cloud.custody.findings import REBUILD, Finding, FindingKind, Severity


def against_packs(
    state: StudyState, given: StudyRecord | None, given_series: Mapping[str, SeriesRecord]
) -> list[Finding]:
    """Return how the records of a study and its series differ from what its packs give.

    Args:
        state: as the catalogue has it.
        given: what the study's record should be, but for its `rev`.
        given_series: what its series' should be, by UID.
    """
    findings: list[Finding] = []
    differing = _differing(given, state.study, ignore={"rev"})
    if differing:
        findings.append(_aggregate(state.study, f"the study's {differing} are not"))
    series = {one.series_instance_uid: one for one in state.series}
    for uid in sorted({*series, *given_series}):
        differing = _differing(given_series.get(uid), series.get(uid), ignore=set())
        if differing:
            findings.append(_aggregate(state.study, f"a series' {differing} are not", uid))
    return findings


def _aggregate(study: StudyRecord, what: str, series_instance_uid: str = "") -> Finding:
    return Finding(
        FindingKind.AGGREGATE,
        Severity.ERROR,
        f"{what} what its visible instances give",
        REBUILD,
        tenant=study.tenant,
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=series_instance_uid,
    )


def _differing(
    given: StudyRecord | SeriesRecord | None,
    kept: StudyRecord | SeriesRecord | None,
    *,
    ignore: set[str],
) -> str:
    """Return the names of the fields that differ, "" when none does; never their values."""
    if given is None or kept is None:
        return "" if given is kept else "records"
    names = [one.name for one in fields(kept) if one.compare and one.name not in ignore]
    return ", ".join(name for name in names if getattr(given, name) != getattr(kept, name))

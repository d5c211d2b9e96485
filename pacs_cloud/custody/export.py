"""The logical catalogue as text: what a rebuild must bring back, and nothing else.

Left out is what another life of the same archive would give otherwise: `rev`,
`committed_us`, storage classes, the outbox, leases and access times.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from blake3 import blake3

from pacs_cloud.catalogue.amendments import amendment_fields
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyRecord, StudyState


async def export_lines(catalogue: Catalogue, tenant: str | None = None) -> AsyncIterator[bytes]:
    """Yield canonical JSON, one study, series or pack a line, by tenant and UIDs.

    Every study is followed by its series, then its packs.
    """
    async for state in catalogue.export(tenant):
        for line in study_lines(state):
            yield line


@dataclass(frozen=True, slots=True)
class Exported:
    """A logical catalogue in short.

    Attributes:
        hash: the BLAKE3 of `export_lines`, hex: equal for equal logical catalogues,
            whatever store they lie in and in whatever order they were filled.
        studies: how many there are.
        series: of which something is visible.
        packs: that are committed.
        instances: that are visible.
    """

    hash: str
    studies: int
    series: int
    packs: int
    instances: int


async def export_hash(
    catalogue: Catalogue,
    tenant: str | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Return a logical catalogue in short; one study is in memory at a time.

    `progress` is told how many studies were read so far.
    """
    hasher = blake3()
    studies = series = packs = instances = 0
    async for state in catalogue.export(tenant):
        for line in study_lines(state):
            hasher.update(line)
        studies += 1
        series += len(state.series)
        packs += len(state.packs)
        instances += state.study.instance_count
        if progress is not None:
            progress(studies)
    return Exported(hasher.hexdigest(), studies, series, packs, instances)


async def digest(catalogue: Catalogue, tenant: str | None = None) -> str:
    """Return the hash of a logical catalogue alone."""
    return (await export_hash(catalogue, tenant)).hash


def study_lines(state: StudyState) -> list[bytes]:
    """Return the lines of one study."""
    series = sorted(state.series, key=lambda one: one.series_instance_uid)
    packs = sorted(state.packs, key=lambda one: (one.series_instance_uid, one.pack_id))
    return [_line(_study(state.study)), *map(_line, map(_series, series))] + [
        _line(_pack(pack)) for pack in packs
    ]


def _study(study: StudyRecord) -> dict[str, Any]:
    return {
        "study": study.study_instance_uid,
        "patients": sorted([patient.issuer, patient.patient_id] for patient in study.patients),
        "series_count": study.series_count,
        "amendments": [amendment_fields(one) for one in study.amendments],
        "erased": sorted(study.erased),
        "labels": sorted(study.labels),
        **_aggregate(study),
    }


def _series(series: SeriesRecord) -> dict[str, Any]:
    return {
        "study": series.study_instance_uid,
        "series": series.series_instance_uid,
        **_aggregate(series),
    }


def _aggregate(record: StudyRecord | SeriesRecord) -> dict[str, Any]:
    return {
        "tenant": record.tenant,
        "attributes": record.attributes,
        "ranks": dict(record.ranks),
        "modalities": sorted(record.modalities),
        "sop_classes": sorted(record.sop_classes),
        "instance_count": record.instance_count,
        "length_bytes": record.length_bytes,
        "first_received_us": record.first_received_us,
        "last_received_us": record.last_received_us,
    }


def _pack(pack: PackRecord) -> dict[str, Any]:
    return {
        "tenant": pack.tenant,
        "study": pack.study_instance_uid,
        "series": pack.series_instance_uid,
        "pack": pack.pack_id,
        "length_bytes": pack.length_bytes,
        "instance_count": pack.instance_count,
        "hidden": dict(pack.hidden),
        "amendments": [amendment_fields(one) for one in pack.amendments],
    }


def _line(record: dict[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)

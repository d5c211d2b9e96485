"""Records as bytes: compact JSON, quick to read by the hundred."""

from collections.abc import Mapping
from typing import Any

import orjson

from pacs_cloud.catalogue.amendments import amendment_fields, amendments_from_fields
from pacs_cloud.catalogue.records import (
    ConflictKind,
    ConflictRecord,
    HiddenReason,
    OutboxEvent,
    PackRecord,
    Patient,
    SeriesRecord,
    StudyRecord,
)
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import Corrupt

_NO_RANK = -1


def encode_study(study: StudyRecord) -> bytes:
    """Return `study` without its tenant, UID and rev, which its key and row hold."""
    return orjson.dumps(
        [
            study.attributes,
            *_encode_ranks(study.attributes, study.ranks),
            sorted([patient.issuer, patient.patient_id] for patient in study.patients),
            sorted(study.modalities),
            sorted(study.sop_classes),
            study.series_count,
            study.instance_count,
            study.length_bytes,
            study.first_received_us,
            study.last_received_us,
            # Most are not, and older records do not say.
            *([1] if study.has_cold_packs else ()),
            *_encode_more(study),
        ]
    )


def decode_study(tenant: str, study_instance_uid: str, rev: int, data: bytes) -> StudyRecord:
    """Return the study that `encode_study` made `data` from; raises Corrupt."""
    try:
        attributes, ranks, given, patients, modalities, classes, *numbers = orjson.loads(data)
        more = _more(numbers)
        series, instances, length_bytes, first, last, *cold = numbers
        return StudyRecord(
            tenant,
            study_instance_uid,
            rev,
            attributes,
            _decode_ranks(attributes, ranks, given),
            frozenset([Patient(issuer, patient_id) for issuer, patient_id in patients]),
            frozenset(modalities),
            frozenset(classes),
            series,
            instances,
            length_bytes,
            first,
            last,
            bool(cold and cold[0]),
            amendments_from_fields(more.get("amendments", ())),
            frozenset(more.get("erased", ())),
            frozenset(more.get("labels", ())),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Corrupt("a study record cannot be read") from error


def _encode_more(record: StudyRecord | PackRecord) -> list[dict[str, Any]]:
    """Return the last thing in a record: fields that most have not, and older ones do not know."""
    more: dict[str, Any] = {}
    if record.amendments:
        more["amendments"] = [amendment_fields(one) for one in record.amendments]
    if isinstance(record, StudyRecord) and record.erased:
        more["erased"] = sorted(record.erased)
    if isinstance(record, StudyRecord) and record.labels:
        more["labels"] = sorted(record.labels)
    return [more] if more else []


def _more(row: list[Any]) -> dict[str, Any]:
    """Take what `_encode_more` has put there off the end of `row`."""
    return row.pop() if row and isinstance(row[-1], dict) else {}


def encode_series(series: SeriesRecord) -> bytes:
    """Return `series` without its names, which its key holds."""
    return orjson.dumps(
        [
            series.attributes,
            *_encode_ranks(series.attributes, series.ranks),
            sorted(series.modalities),
            sorted(series.sop_classes),
            series.instance_count,
            series.length_bytes,
            series.first_received_us,
            series.last_received_us,
        ]
    )


def decode_series(
    tenant: str, study_instance_uid: str, series_instance_uid: str, data: bytes
) -> SeriesRecord:
    """Return the series that `encode_series` made `data` from; raises Corrupt."""
    try:
        attributes, ranks, given, modalities, classes, *numbers = orjson.loads(data)
        instances, length_bytes, first, last = numbers
        return SeriesRecord(
            tenant,
            study_instance_uid,
            series_instance_uid,
            attributes,
            _decode_ranks(attributes, ranks, given),
            frozenset(modalities),
            frozenset(classes),
            instances,
            length_bytes,
            first,
            last,
        )
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise Corrupt("a series record cannot be read") from error


def _encode_ranks(
    attributes: Elements, ranks: Mapping[str, str]
) -> tuple[list[str], dict[str, int]]:
    """Return the few different ranks, and for the attributes that have not the first: which.

    Nearly all of a record's attributes come from one instance.
    """
    different = sorted(set(ranks.values()))
    number = {rank: at for at, rank in enumerate(different)}
    which = {tag: number[ranks[tag]] if tag in ranks else _NO_RANK for tag in attributes}
    return different, {tag: at for tag, at in which.items() if at}


def _decode_ranks(
    attributes: Elements, ranks: list[str], given: Mapping[str, int]
) -> dict[str, str]:
    decoded = dict.fromkeys(attributes, ranks[0] if ranks else "")
    for tag, at in given.items():
        if at == _NO_RANK:
            del decoded[tag]
        else:
            decoded[tag] = ranks[at]
    return decoded


def encode_pack(pack: PackRecord) -> bytes:
    """Return `pack` without its names, which its key holds."""
    by_reason: dict[str, list[str]] = {}
    for uid in sorted(pack.hidden):
        by_reason.setdefault(pack.hidden[uid].value, []).append(uid)
    return orjson.dumps(
        [
            pack.length_bytes,
            pack.instance_count,
            pack.committed_us,
            pack.storage_class,
            by_reason,
            # Most were never recalled, and older records lack it.
            *([pack.recalled_until_us] if pack.recalled_until_us else ()),
            *_encode_more(pack),
        ]
    )


def decode_pack(
    tenant: str, study_instance_uid: str, series_instance_uid: str, pack_id: str, data: bytes
) -> PackRecord:
    """Return the pack that `encode_pack` made `data` from; raises Corrupt."""
    try:
        length_bytes, instances, committed_us, storage_class, by_reason, *rest = orjson.loads(data)
        more = _more(rest)
        (recalled_until_us,) = rest or (0,)
        return PackRecord(
            tenant,
            study_instance_uid,
            series_instance_uid,
            pack_id,
            length_bytes,
            instances,
            committed_us,
            {uid: HiddenReason(reason) for reason, uids in by_reason.items() for uid in uids},
            storage_class,
            recalled_until_us,
            amendments_from_fields(more.get("amendments", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("a pack record cannot be read") from error


def encode_conflict(conflict: ConflictRecord) -> bytes:
    """Return `conflict` whole."""
    return orjson.dumps(conflict)


def decode_conflict(data: bytes) -> ConflictRecord:
    """Return the conflict that `encode_conflict` made `data` from; raises Corrupt."""
    try:
        fields: dict[str, Any] = orjson.loads(data)
        kind = ConflictKind(fields.pop("kind"))
        return ConflictRecord(kind=kind, **fields)
    except (ValueError, TypeError, KeyError) as error:
        raise Corrupt("a conflict record cannot be read") from error


def encode_event(event: OutboxEvent) -> bytes:
    """Return `event` whole."""
    return orjson.dumps([event.event_id, event.kind, event.tenant, dict(event.body)])


def decode_event(data: bytes) -> OutboxEvent:
    """Return the event that `encode_event` made `data` from; raises Corrupt."""
    try:
        return OutboxEvent(*orjson.loads(data))
    except (ValueError, TypeError) as error:
        raise Corrupt("an outbox event cannot be read") from error

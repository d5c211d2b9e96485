"""Amendments as JSON fields, alike in records, in the ledger and in corrections."""

from collections.abc import Iterable
from typing import Any

from pacs_cloud.dicom.amendment import Amendment, AmendmentReason


def amendment_fields(amendment: Amendment) -> dict[str, Any]:
    """Return `amendment` as the fields of a JSON object, without those that say nothing."""
    fields = {
        "correction": amendment.correction_id,
        "elements": amendment.elements,
        "amended_us": amendment.amended_us,
        "series": amendment.series_instance_uid,
        "instance": amendment.sop_instance_uid,
        "reason": amendment.reason.value,
        "system": amendment.system,
        "source": amendment.source,
    }
    return {name: value for name, value in fields.items() if value != ""}


def amendment_from_fields(fields: dict[str, Any]) -> Amendment:
    """Return what `amendment_fields` wrote; raises as missing and odd values do."""
    elements = fields["elements"]
    if not isinstance(elements, dict) or not isinstance(fields["amended_us"], int):
        raise TypeError("an amendment's fields are of other types")
    return Amendment(
        correction_id=str(fields["correction"]),
        elements=elements,
        amended_us=fields["amended_us"],
        series_instance_uid=str(fields.get("series", "")),
        sop_instance_uid=str(fields.get("instance", "")),
        reason=AmendmentReason(fields["reason"]),
        system=str(fields.get("system", "")),
        source=str(fields.get("source", "")),
    )


def amendments_from_fields(rows: Iterable[dict[str, Any]]) -> tuple[Amendment, ...]:
    """Return several, in the order in which they were written."""
    return tuple(map(amendment_from_fields, rows))

"""What the ledger says of a study's amendments: each made once, and maybe undone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pacs_cloud.catalogue.amendments import amendment_fields, amendment_from_fields
from pacs_cloud.dicom.amendment import Amendment, in_order
from pacs_cloud.errors import Corrupt

_VERSION: Final = 1
_MADE, _UNDONE = "amendment", "amendment-undone"
AMENDMENT_KINDS: Final = frozenset({_MADE, _UNDONE})
"""The kinds of ledger objects that are about amendments, and decide nothing of packs."""


@dataclass(frozen=True, slots=True)
class AmendmentEntry:
    """One correction made or undone in one study; the latest about a correction stands.

    Attributes:
        tenant: whose.
        study_instance_uid: which study.
        correction_id: which correction.
        amendment: what it changes; None where it is undone.
        who: who did it.
        reason: why, in their words.
        entered_us: microseconds since 1970 UTC, no later than the `rev` of the commit that
            followed it.
    """

    tenant: str
    study_instance_uid: str
    correction_id: str
    amendment: Amendment | None
    who: str
    reason: str
    entered_us: int

    def to_json(self) -> bytes:
        """Return the bytes of its ledger object."""
        fields: dict[str, Any] = {
            "version": _VERSION,
            "kind": _UNDONE if self.amendment is None else _MADE,
            "tenant": self.tenant,
            "study": self.study_instance_uid,
            "correction": self.correction_id,
            "who": self.who,
            "reason": self.reason,
            "entered_us": self.entered_us,
        }
        if self.amendment is not None:
            fields["amendment"] = amendment_fields(self.amendment)
        return orjson.dumps(fields)

    @classmethod
    def from_json(cls, data: bytes) -> "AmendmentEntry":
        """Return the entry that `to_json` wrote; raises Corrupt."""
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields["version"] != _VERSION or fields["kind"] not in AMENDMENT_KINDS:
                raise Corrupt("an amendment's entry is of a kind or version not known here")
            is_made = fields["kind"] == _MADE
            return cls(
                tenant=str(fields["tenant"]),
                study_instance_uid=str(fields["study"]),
                correction_id=str(fields["correction"]),
                amendment=amendment_from_fields(fields["amendment"]) if is_made else None,
                who=str(fields["who"]),
                reason=str(fields["reason"]),
                entered_us=int(fields["entered_us"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt("an amendment's entry cannot be read") from error


def latest_entries(entries: Iterable[AmendmentEntry]) -> dict[str, AmendmentEntry]:
    """Return the entry that stands, by correction, of those about one study."""
    ordered = sorted(entries, key=lambda one: (one.entered_us, one.amendment is None))
    return {one.correction_id: one for one in ordered}


def standing_amendments(entries: Iterable[AmendmentEntry]) -> tuple[Amendment, ...]:
    """Return the amendments that stand, in order, by all the entries about one study."""
    latest = latest_entries(entries).values()
    return in_order(one.amendment for one in latest if one.amendment is not None)

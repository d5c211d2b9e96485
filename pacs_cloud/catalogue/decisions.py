"""What was decided about a pack's instances, as an object that outlives the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.errors import Corrupt

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """All the hidden instances of one pack, as of one moment; the latest decision stands.

    Attributes:
        tenant: whose.
        study_instance_uid: of the pack.
        series_instance_uid: of the pack.
        pack_id: which pack.
        hidden: each SOP Instance UID in it that is not shown, and why; empty when an
            earlier decision was taken back.
        decided_us: microseconds since 1970 UTC, the `rev` of the commit that it was
            written for: it grows from commit to commit of a study on any machine.
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    pack_id: str
    hidden: Mapping[str, HiddenReason]
    decided_us: int

    def to_json(self) -> bytes:
        """Return the bytes of the ledger object."""
        fields = {
            "version": _VERSION,
            "kind": "hidden",
            "tenant": self.tenant,
            "study": self.study_instance_uid,
            "series": self.series_instance_uid,
            "pack": self.pack_id,
            "hidden": {uid: self.hidden[uid].value for uid in sorted(self.hidden)},
            "decided_us": self.decided_us,
        }
        return orjson.dumps(fields)

    @classmethod
    def from_json(cls, data: bytes) -> "Decision":
        """Return the decision that `to_json` wrote; raises Corrupt."""
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if (fields["version"], fields["kind"]) != (_VERSION, "hidden"):
                raise Corrupt("a ledger object is of a kind or version that is not known here")
            return cls(
                tenant=str(fields["tenant"]),
                study_instance_uid=str(fields["study"]),
                series_instance_uid=str(fields["series"]),
                pack_id=str(fields["pack"]),
                hidden={uid: HiddenReason(why) for uid, why in fields["hidden"].items()},
                decided_us=int(fields["decided_us"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt("a ledger object cannot be read") from error


def standing(decisions: Iterable[Decision]) -> dict[str, Mapping[str, HiddenReason]]:
    """Return, by pack id, what the latest decision about each pack hides."""
    latest: dict[str, Decision] = {}
    for decision in decisions:
        other = latest.get(decision.pack_id)
        if other is None or decision.decided_us > other.decided_us:
            latest[decision.pack_id] = decision
    return {pack_id: decision.hidden for pack_id, decision in latest.items()}

"""What was decided about a pack's instances, as an object that outlives the catalogue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pacs_cloud.catalogue.amendment_entries import AMENDMENT_KINDS
from pacs_cloud.catalogue.records import GONE, STAYS_HIDDEN, HiddenReason
from pacs_cloud.errors import Corrupt

_VERSION = 1
_HIDDEN, _TRASH, _CHOICE = "hidden", "trash", "choice"


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
        about_trash: whether it deletes, restores, purges or rejects. Only such a decision
            takes back that an instance was deleted or rejected (`standing`).
        is_choice: whether somebody chose it (`encode_choice`).
    """

    tenant: str
    study_instance_uid: str
    series_instance_uid: str
    pack_id: str
    hidden: Mapping[str, HiddenReason]
    decided_us: int
    about_trash: bool = False
    is_choice: bool = False

    def to_json(self) -> bytes:
        """Return the bytes of the ledger object of a decision that is not about the trash."""
        fields = {
            "version": _VERSION,
            "kind": _HIDDEN,
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
            if (fields["version"], fields["kind"]) != (_VERSION, _HIDDEN):
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


def encode_trash(decisions: Sequence[Decision]) -> bytes:
    """Return one ledger object for what is deleted, restored or purged in one study at once.

    Args:
        decisions: of one study and one moment, one for each pack, at least one.
    """
    return _encode_together(decisions, _TRASH, {})


def encode_choice(decisions: Sequence[Decision], choice: Mapping[str, str]) -> bytes:
    """Return one ledger object for what somebody chose to show instead of something else.

    Args:
        decisions: of one study and one moment, one for each pack, at least one; none is
            about the trash.
        choice: what was chosen, and by whom, for `decode_choice`.
    """
    return _encode_together(decisions, _CHOICE, {"choice": dict(choice)})


def decode_choice(data: bytes) -> dict[str, str]:
    """Return what `encode_choice` was told; raises Corrupt."""
    try:
        fields: dict[str, Any] = orjson.loads(data)
        return {str(name): str(value) for name, value in fields["choice"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("a choice in the ledger cannot be read") from error


def _encode_together(decisions: Sequence[Decision], kind: str, more: Mapping[str, Any]) -> bytes:
    first = decisions[0]
    packs: list[dict[str, Any]] = []
    for one in sorted(decisions, key=lambda one: one.pack_id):
        by_reason: dict[str, list[str]] = {}
        for uid in sorted(one.hidden):
            by_reason.setdefault(one.hidden[uid].value, []).append(uid)
        packs.append(
            {"series": one.series_instance_uid, "pack": one.pack_id, "hidden": by_reason},
        )
    fields = {
        "version": _VERSION,
        "kind": kind,
        "tenant": first.tenant,
        "study": first.study_instance_uid,
        "decided_us": first.decided_us,
        "packs": packs,
        **more,
    }
    return orjson.dumps(fields)


def decode_decisions(data: bytes) -> tuple[Decision, ...]:
    """Return the decisions in a ledger object, of which an amendment has none; raises Corrupt."""
    try:
        fields: dict[str, Any] = orjson.loads(data)
        if fields["kind"] in AMENDMENT_KINDS:
            return ()
        if fields["kind"] not in {_TRASH, _CHOICE}:
            return (Decision.from_json(data),)
        if fields["version"] != _VERSION:
            raise Corrupt("a ledger object is of a version that is not known here")
        return tuple(
            Decision(
                tenant=str(fields["tenant"]),
                study_instance_uid=str(fields["study"]),
                series_instance_uid=str(pack["series"]),
                pack_id=str(pack["pack"]),
                hidden={
                    str(uid): HiddenReason(why)
                    for why, uids in pack["hidden"].items()
                    for uid in uids
                },
                decided_us=int(fields["decided_us"]),
                about_trash=fields["kind"] == _TRASH,
                is_choice=fields["kind"] == _CHOICE,
            )
            for pack in fields["packs"]
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt("a ledger object cannot be read") from error


def standing(decisions: Iterable[Decision]) -> dict[str, Mapping[str, HiddenReason]]:
    """Return, by pack id, what the latest decision about each pack hides.

    A commit that raced with a deletion may have written down, later, what it had read
    before: what was deleted or rejected stays so until a decision about the trash says
    otherwise.
    """
    latest: dict[str, Mapping[str, HiddenReason]] = {}
    for one in _in_order(decisions):
        latest[one.pack_id] = _after(latest.get(one.pack_id, {}), one)
    return latest


def told_by_commits(decisions: Sequence[Decision]) -> dict[str, Mapping[str, HiddenReason]]:
    """Return the part of `standing` about packs of which a commit decided last."""
    last = {one.pack_id: one for one in _in_order(decisions)}
    return {
        pack_id: hidden
        for pack_id, hidden in standing(decisions).items()
        if not (last[pack_id].about_trash or last[pack_id].is_choice)
    }


def unfollowed_choices(
    decisions: Sequence[Decision], hidden: Mapping[str, Mapping[str, HiddenReason]]
) -> set[str]:
    """Return the ids of packs of which the last decision is a choice that is not so.

    Args:
        decisions: all about one study.
        hidden: by pack id, what its packs hide.
    """
    last = {one.pack_id: one for one in _in_order(decisions)}
    stands = standing(decisions)
    return {
        pack_id
        for pack_id, one in last.items()
        if one.is_choice and pack_id in hidden and stands[pack_id] != hidden[pack_id]
    }


def deleted_since(decisions: Iterable[Decision]) -> dict[str, dict[str, int]]:
    """Return, by pack id and SOP Instance UID, when what is deleted now was deleted.

    Microseconds since 1970 UTC. What was restored in between counts from its last deletion,
    and a purge that was taken back counts for nothing.
    """
    latest: dict[str, Mapping[str, HiddenReason]] = {}
    since: dict[str, dict[str, int]] = {}
    for one in _in_order(decisions):
        latest[one.pack_id] = hidden = _after(latest.get(one.pack_id, {}), one)
        before = since.get(one.pack_id, {})
        since[one.pack_id] = {
            uid: before.get(uid, one.decided_us) for uid, why in hidden.items() if why in GONE
        }
    return {
        pack_id: {
            uid: time_us
            for uid, time_us in times.items()
            if latest[pack_id][uid] is HiddenReason.DELETED
        }
        for pack_id, times in since.items()
    }


def _in_order(decisions: Iterable[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda one: (one.decided_us, one.about_trash))


def _after(before: Mapping[str, HiddenReason], decision: Decision) -> Mapping[str, HiddenReason]:
    if decision.about_trash:
        return decision.hidden
    stays = {uid: why for uid, why in before.items() if why in STAYS_HIDDEN}
    return {**decision.hidden, **stays}

"""The decisions of the ledger, as objects."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pacs_cloud.catalogue.decisions import Decision, decode_decisions, encode_trash, standing
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.keys import decision_key, ledger_prefix
from pacs_cloud.objectstore.naming import naming
from pacs_cloud.objectstore.port import ObjectStore

_TRASH = "trash"
"""What stands for a pack's id in the key of what several packs share."""


class Gets(Protocol):
    """Gives whole objects, as `ObjectStore` does."""

    async def get(self, key: str, /) -> bytes:
        """Return the object."""
        ...


async def read_decisions(objects: Gets, key: str) -> tuple[Decision, ...]:
    """Return the decisions under `key`.

    Raises:
        NotFound: there is no such object.
        Corrupt: it cannot be read, or belongs to another study than its key says. Names it.
    """
    data = await objects.get(key)
    with naming(key):
        decisions = decode_decisions(data)
        for decision in decisions:
            if not key.startswith(ledger_prefix(decision.tenant, decision.study_instance_uid)):
                raise Corrupt("a decision lies under another study's key")
    return decisions


async def decisions_of(
    objects: ObjectStore, tenant: str, study_instance_uid: str
) -> list[Decision]:
    """Return every decision about one study; raises Corrupt."""
    decisions: list[Decision] = []
    async for info in objects.list(ledger_prefix(tenant, study_instance_uid)):
        decisions += await read_decisions(objects, info.key)
    return decisions


@dataclass(frozen=True, slots=True)
class Decided:
    """What stands decided about one study.

    Attributes:
        hidden: by pack id, what of the pack is hidden; packs without a decision are absent.
        last_us: when the last decision was taken; a later one must be later. 0 without any.
    """

    hidden: Mapping[str, Mapping[str, HiddenReason]]
    last_us: int


async def decided_of(objects: ObjectStore, tenant: str, study_instance_uid: str) -> Decided:
    """Return what stands decided about one study; raises Corrupt."""
    return decided_by(await decisions_of(objects, tenant, study_instance_uid))


def decided_by(decisions: Collection[Decision]) -> Decided:
    """Return what stands decided by all the decisions about one study."""
    last_us = max((decision.decided_us for decision in decisions), default=0)
    return Decided(standing(decisions), last_us)


def as_told(pack: PackRecord, decided: Decided) -> Decision:
    """Return what the ledger says of a pack that the catalogue does not (`change_hidden`).

    As of the time of the study's last decision: what is decided next must be later.
    """
    return Decision(
        tenant=pack.tenant,
        study_instance_uid=pack.study_instance_uid,
        series_instance_uid=pack.series_instance_uid,
        pack_id=pack.pack_id,
        hidden=decided.hidden[pack.pack_id],
        decided_us=decided.last_us,
        about_trash=True,
    )


async def record_decision(objects: ObjectStore, decision: Decision) -> None:
    """Write `decision`; writing it twice is one.

    Raises:
        Conflict: another decision of the same moment is there.
    """
    key = decision_key(
        decision.tenant, decision.study_instance_uid, decision.decided_us, decision.pack_id
    )
    await objects.put_new(key, decision.to_json())


async def record_trash(objects: ObjectStore, decisions: Sequence[Decision]) -> None:
    """Write what is deleted, restored or purged in one study at once, as one object.

    Raises:
        Conflict: other decisions of the same moment are there.
    """
    first = decisions[0]
    key = decision_key(first.tenant, first.study_instance_uid, first.decided_us, _TRASH)
    await objects.put_new(key, encode_trash(decisions))

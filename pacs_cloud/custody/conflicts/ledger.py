"""The choices between two contents, as the ledger has them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.catalogue.decisions import Decision, decode_choice, encode_choice
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.custody.ledger import read_decisions
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.keys import decision_key, ledger_prefix
from pacs_cloud.objectstore.naming import naming
from pacs_cloud.objectstore.port import ObjectStore

_CHOICE: Final = "choice"
"""What stands for a pack's id in the key of a choice."""
_PROMOTE, _UNDO = "promote", "undo"


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice, as the ledger has it.

    Attributes:
        command: unique; several objects of one command are its tries.
        conflict_id: what it is about.
        is_undo: whether it takes one back.
        pack_id: where the one lies that it shows.
        was: why that one was hidden before.
        other_pack_id: where the one lies that it hides.
        who: who chose.
        chosen_us: when, microseconds since 1970 UTC.
        decisions: what the packs hide from then on.
        sop_instance_uid: of both.
        shows_digest: of the data set that it shows: the same in whatever pack a repack
            puts it; "" where it was chosen before that was written down.
        hides_digest: of the one that it hides.
    """

    command: str
    conflict_id: str
    is_undo: bool
    pack_id: str
    was: HiddenReason
    other_pack_id: str
    who: str
    chosen_us: int
    decisions: tuple[Decision, ...]
    sop_instance_uid: str = ""
    shows_digest: str = ""
    hides_digest: str = ""

    def is_about(self, conflict_id: str, sop_instance_uid: str, digests: Collection[str]) -> bool:
        """Return whether it chose between these two contents, in whatever packs they lay then."""
        if not self.shows_digest:
            return self.conflict_id == conflict_id
        mine = {self.shows_digest, self.hides_digest}
        return self.sop_instance_uid == sop_instance_uid and mine == set(digests)

    def shows(self, sop_instance_uid: str) -> bool:
        """Return whether it came to that, rather than being taken back by its own command."""
        return any(
            one.pack_id == self.pack_id and sop_instance_uid not in one.hidden
            for one in self.decisions
        )


async def choices_of(objects: ObjectStore, tenant: str, study_instance_uid: str) -> list[Choice]:
    """Return the choices about one study, oldest first; raises Corrupt."""
    found: list[Choice] = []
    async for info in objects.list(ledger_prefix(tenant, study_instance_uid)):
        if info.key.endswith(f"-{_CHOICE}.json"):
            decisions = await read_decisions(objects, info.key)
            data = await objects.get(info.key)
            with naming(info.key):
                found.append(_choice(decode_choice(data), decisions))
    return found


def promotions(
    choices: Sequence[Choice], conflict_id: str, sop_instance_uid: str, digests: Collection[str]
) -> list[Choice]:
    """Return the promotions of a conflict that were not undone, oldest first.

    Args:
        choices: about its study.
        conflict_id: as it is now: packs that are merged give it another one.
        sop_instance_uid: of both contents.
        digests: of their data sets.
    """
    last_tries = {
        one.command: one for one in choices if one.is_about(conflict_id, sop_instance_uid, digests)
    }
    made: list[Choice] = []
    for one in last_tries.values():
        if not one.shows(sop_instance_uid):
            continue
        if not one.is_undo:
            made.append(one)
        elif made:
            made.pop()
    return made


async def record_choice(
    objects: ObjectStore, choice: Choice, decisions: Sequence[Decision]
) -> None:
    """Write what `choice` has packs hide, as one object.

    Raises:
        Conflict: another choice of the same moment is there.
    """
    first = decisions[0]
    data = encode_choice(
        [replace(one, about_trash=False, is_choice=True) for one in decisions], _fields(choice)
    )
    key = decision_key(first.tenant, first.study_instance_uid, first.decided_us, _CHOICE)
    await objects.put_new(key, data)


def _fields(choice: Choice) -> dict[str, str]:
    return {
        "command": choice.command,
        "conflict": choice.conflict_id,
        "action": _UNDO if choice.is_undo else _PROMOTE,
        "shows": choice.pack_id,
        "was": choice.was,
        "hides": choice.other_pack_id,
        "who": choice.who,
        "instance": choice.sop_instance_uid,
        "shows_digest": choice.shows_digest,
        "hides_digest": choice.hides_digest,
    }


def _choice(fields: Mapping[str, str], decisions: tuple[Decision, ...]) -> Choice:
    try:
        return Choice(
            command=fields["command"],
            conflict_id=fields["conflict"],
            is_undo=fields["action"] == _UNDO,
            pack_id=fields["shows"],
            was=HiddenReason(fields["was"]),
            other_pack_id=fields["hides"],
            who=fields["who"],
            chosen_us=decisions[0].decided_us,
            decisions=decisions,
            sop_instance_uid=fields.get("instance", ""),
            shows_digest=fields.get("shows_digest", ""),
            hides_digest=fields.get("hides_digest", ""),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise Corrupt("a choice in the ledger cannot be read") from error

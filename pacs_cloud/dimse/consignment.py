"""Which instances can share an association, and in which contexts they are offered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dimse.negotiation import Proposal
from pacs_cloud.dimse.outgoing import FALLBACKS
from pacs_cloud.retrieve.instances import Located

_MAX_CONTEXTS: Final = 128


@dataclass(frozen=True, slots=True)
class Consignment:
    """What goes over one association.

    Attributes:
        instances: in the order they are best read.
        proposals: a context for each SOP class and transfer syntax that is stored, so
            that the peer answers for each, and one for each class decompressed.
    """

    instances: Sequence[Located]
    proposals: tuple[Proposal, ...]


def consignments(instances: Sequence[Located]) -> Iterator[Consignment]:
    """Yield all instances in as few associations as their contexts need (PS3.8 9.3.2.2: 128)."""
    syntaxes: dict[str, dict[str, None]] = {}
    for located in instances:
        instance = located.instance
        syntaxes.setdefault(instance.sop_class_uid, {})[instance.transfer_syntax_uid] = None
    proposals: list[Proposal] = []
    classes: set[str] = set()
    for sop_class_uid, stored in syntaxes.items():
        of_class = _proposals(sop_class_uid, tuple(stored))
        if len(proposals) + len(of_class) > _MAX_CONTEXTS:
            yield Consignment(_of(classes, instances), tuple(proposals))
            proposals, classes = [], set()
        proposals += of_class
        classes.add(sop_class_uid)
    if proposals:
        yield Consignment(_of(classes, instances), tuple(proposals))


def _proposals(sop_class_uid: str, stored: tuple[str, ...]) -> list[Proposal]:
    proposals = [Proposal(sop_class_uid, (syntax,)) for syntax in stored]
    fallbacks = tuple(syntax for syntax in FALLBACKS if syntax not in stored)
    if fallbacks:
        proposals.append(Proposal(sop_class_uid, fallbacks))
    return proposals


def _of(classes: set[str], instances: Sequence[Located]) -> list[Located]:
    return [located for located in instances if located.instance.sop_class_uid in classes]

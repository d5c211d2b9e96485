"""Which presentation contexts an association has (PS3.7 D.3, PS3.8 7.1.1.13).

What this application offers is a table, abstract syntax to `Offer`. For each
proposed context the transfer syntax is the requestor's first that the offer
names. An offer that takes every syntax "as sent" takes the requestor's first
that is a registered transfer syntax and not retired, or, where it proposes
none such, its first well-formed one: what a sender puts first is what it holds.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydicom.uid import UID

from pacs_cloud.dicom.uid import IMPLICIT_LE, parse_uid
from pacs_cloud.dimse.associate import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Roles,
)
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.service import Service
from pacs_cloud.errors import InvalidUid, NotFound

_DICOM_ROOT: Final = "1.2.840.10008."


@dataclass(frozen=True, slots=True)
class Offer:
    """What this application does for one abstract syntax.

    Attributes:
        transfer_syntaxes: those accepted, or None for every one as sent.
        services: by command field, what carries out the peer's requests.
        invokes: whether we may also be the SCU, when the association's
            requestor asks to be the SCP (C-GET's storage contexts).
        answer_extended: the answer to extended negotiation information of the
            requestor, or None for no answer (PS3.7 D.3.3.5).
    """

    transfer_syntaxes: frozenset[str] | None
    services: Mapping[int, Service[Any]]
    invokes: bool = False
    answer_extended: Callable[[bytes], bytes | None] | None = None


@dataclass(frozen=True, slots=True)
class Repertoire:
    """All offers of one application entity.

    Attributes:
        offers: by abstract syntax.
        private: for abstract syntaxes outside DICOM's own root, or None.
    """

    offers: Mapping[str, Offer] = field(default_factory=dict[str, Offer])
    private: Offer | None = None

    def find(self, abstract_syntax: str) -> Offer | None:
        """Return the offer for `abstract_syntax`, or None."""
        offer = self.offers.get(abstract_syntax)
        if offer is None and self.private is not None and _is_private(abstract_syntax):
            return self.private
        return offer


NOTHING: Final = Offer(frozenset(), {})
"""The offer of a context on which we only ask."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context.

    Attributes:
        context_id: 1, 3, … 255.
        abstract_syntax: the SOP class or meta SOP class UID.
        transfer_syntax: of every data set in it.
        offer: what we do in it.
        performs: whether we are an SCP in it.
        invokes: whether we are an SCU in it.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    offer: Offer
    performs: bool
    invokes: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context that we propose.

    Attributes:
        abstract_syntax: the SOP class UID.
        transfer_syntaxes: in our order of preference.
        scu: whether we ask.
        offer: what we do as an SCP in it, with role selection; None for nothing.
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    scu: bool = True
    offer: Offer | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is answered to a request's contexts, and what then is in force."""

    answers: tuple[AnsweredContext, ...]
    roles: tuple[Roles, ...]
    extended: tuple[tuple[str, bytes], ...]
    contexts: Mapping[int, Context]


def answer(
    request: AssociateRequest, repertoire: Repertoire, requests: Container[int] | None = None
) -> Agreement:
    """Return the acceptor's side of the negotiation.

    Args:
        request: what is proposed.
        repertoire: what we offer.
        requests: the command fields of what this peer may ask for; None: of everything. A
            context of which nothing is left is a user-rejection (PS3.8 Table 9-18).
    """

    def is_allowed(field: int) -> bool:
        return requests is None or field in requests

    asked = {roles.sop_class_uid: roles for roles in request.roles}
    granted: dict[str, Roles] = {}
    answers: list[AnsweredContext] = []
    contexts: dict[int, Context] = {}
    for proposed in request.contexts:
        abstract_syntax = proposed.abstract_syntax
        offer = repertoire.find(abstract_syntax)
        if offer is None:
            answers.append(_refuse(proposed, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED))
            continue
        transfer_syntax = _choose(proposed.transfer_syntaxes, offer.transfer_syntaxes)
        if transfer_syntax is None:
            answers.append(_refuse(proposed, ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED))
            continue
        performs, invokes = any(map(is_allowed, offer.services)), False
        if (roles := asked.get(abstract_syntax)) is not None:
            performs = performs and roles.scu
            invokes = offer.invokes and roles.scp and is_allowed(CommandField.C_GET)
            granted[abstract_syntax] = Roles(abstract_syntax, performs, invokes)
        if not performs and not invokes:
            answers.append(_refuse(proposed, ContextResult.USER_REJECTION))
            continue
        answers.append(
            AnsweredContext(proposed.context_id, ContextResult.ACCEPTED, transfer_syntax)
        )
        contexts[proposed.context_id] = Context(
            proposed.context_id, abstract_syntax, transfer_syntax, offer, performs, invokes
        )
    return Agreement(
        tuple(answers),
        tuple(granted.values()),
        tuple(_answer_extended(request, contexts.values())),
        contexts,
    )


def propose(
    proposals: Sequence[Proposal],
) -> tuple[tuple[ProposedContext, ...], tuple[Roles, ...]]:
    """Return the contexts and the role selection of an A-ASSOCIATE-RQ.

    Raises:
        ValueError: more than the 128 contexts that one association can have.
    """
    if len(proposals) > 128:
        raise ValueError(f"{len(proposals)} presentation contexts; an association has at most 128")
    contexts = tuple(
        ProposedContext(2 * index + 1, proposal.abstract_syntax, proposal.transfer_syntaxes)
        for index, proposal in enumerate(proposals)
    )
    roles = {
        proposal.abstract_syntax: Roles(proposal.abstract_syntax, proposal.scu, scp=True)
        for proposal in proposals
        if proposal.offer is not None
    }
    return contexts, tuple(roles.values())


def agreed(proposals: Sequence[Proposal], accept: AssociateAccept) -> dict[int, Context]:
    """Return the requestor's side: the contexts that the peer accepted.

    An answer that we did not propose is passed over. Without a role selection
    in the answer the default roles stand (PS3.7 D.3.3.4).
    """
    roles = {granted.sop_class_uid: granted for granted in accept.roles}
    contexts: dict[int, Context] = {}
    for answered in accept.contexts:
        index = answered.context_id // 2
        if answered.result != ContextResult.ACCEPTED or index >= len(proposals):
            continue
        proposal = proposals[index]
        if answered.transfer_syntax not in proposal.transfer_syntaxes:
            continue
        granted = roles.get(proposal.abstract_syntax)
        performs = proposal.offer is not None and granted is not None and granted.scp
        invokes = proposal.scu and (proposal.offer is None or granted is None or granted.scu)
        contexts[answered.context_id] = Context(
            answered.context_id,
            proposal.abstract_syntax,
            answered.transfer_syntax,
            proposal.offer or NOTHING,
            performs,
            invokes,
        )
    return contexts


def context_to_invoke(
    contexts: Iterable[Context], abstract_syntax: str, transfer_syntax: str | None = None
) -> Context:
    """Return the context in which we may ask for `abstract_syntax`.

    Args:
        contexts: those of an association.
        abstract_syntax: the SOP class UID.
        transfer_syntax: which it must have, or None for any.

    Raises:
        NotFound: there is none.
    """
    for context in contexts:
        if (
            context.invokes
            and context.abstract_syntax == abstract_syntax
            and transfer_syntax in (None, context.transfer_syntax)
        ):
            return context
    raise NotFound(f"no accepted context for {abstract_syntax} in {transfer_syntax or 'any'}")


def _refuse(proposed: ProposedContext, result: ContextResult) -> AnsweredContext:
    # The field is there but means nothing; DCMTK and others send the first proposed syntax or
    # Implicit VR Little Endian.
    return AnsweredContext(proposed.context_id, result, IMPLICIT_LE)


def _choose(proposed: tuple[str, ...], accepted: frozenset[str] | None) -> str | None:
    if accepted is not None:
        return next((syntax for syntax in proposed if syntax in accepted), None)
    well_formed = [syntax for syntax in proposed if _is_well_formed(syntax)]
    current = (syntax for syntax in well_formed if _is_current_transfer_syntax(syntax))
    return next(current, well_formed[0] if well_formed else None)


def _answer_extended(
    request: AssociateRequest, contexts: Iterable[Context]
) -> Iterable[tuple[str, bytes]]:
    offers = {context.abstract_syntax: context.offer for context in contexts}
    for sop_class_uid, information in request.extended:
        offer = offers.get(sop_class_uid)
        if offer is not None and offer.answer_extended is not None:
            answered = offer.answer_extended(information)
            if answered is not None:
                yield sop_class_uid, answered


@lru_cache(maxsize=1024)
def _is_current_transfer_syntax(uid: str) -> bool:
    known = UID(uid)
    return known.is_transfer_syntax and not known.is_private and not known.is_retired


def _is_private(uid: str) -> bool:
    return _is_well_formed(uid) and not uid.startswith(_DICOM_ROOT)


def _is_well_formed(uid: str) -> bool:
    try:
        parse_uid(uid)
    except InvalidUid:
        return False
    return True

"""Which presentation contexts come out."""

import pytest

from pacs_cloud.dicom.uid import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dimse.associate import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Roles,
)
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.negotiation import (
    Offer,
    Proposal,
    Repertoire,
    agreed,
    answer,
    context_to_invoke,
    propose,
)
from pacs_cloud.dimse.storage_classes import STORAGE_CLASSES, storage_repertoire
from pacs_cloud.dimse.verification import VERIFICATION, VERIFICATION_OFFER, Verification
from pacs_cloud.errors import NotFound

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE = "1.3.12.2.1107.5.9.1"
J2K = "1.2.840.10008.1.2.4.90"
RETIRED = "1.2.840.10008.1.2.4.52"
VENDOR = "1.2.840.113619.5.2"
STORE = Offer(None, {CommandField.C_STORE: Verification()}, invokes=True)


def ask(
    *contexts: tuple[str, tuple[str, ...]], roles: tuple[Roles, ...] = (), **more: object
) -> AssociateRequest:
    return AssociateRequest(
        "PACS",
        "SCU",
        tuple(ProposedContext(2 * n + 1, *context) for n, context in enumerate(contexts)),
        0,
        "1.2.3",
        roles=roles,
        **more,
    )


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        ((J2K,), J2K),
        ((J2K, EXPLICIT_LE), J2K),
        ((IMPLICIT_LE, J2K), IMPLICIT_LE),
        ((RETIRED, J2K), J2K),
        ((RETIRED,), RETIRED),
        ((EXPLICIT_BE,), EXPLICIT_BE),
        ((VENDOR, IMPLICIT_LE), IMPLICIT_LE),
        ((VENDOR,), VENDOR),
        (("../x", VENDOR), VENDOR),
    ],
)
def test_as_sent_takes_what_the_sender_holds(proposed: tuple[str, ...], chosen: str) -> None:
    agreement = answer(ask((CT, proposed)), Repertoire({CT: STORE}))
    assert agreement.answers == (AnsweredContext(1, ContextResult.ACCEPTED, chosen),)
    assert agreement.contexts[1].transfer_syntax == chosen


def test_a_listed_offer_takes_the_requestors_first() -> None:
    agreement = answer(
        ask(
            (VERIFICATION, (J2K, EXPLICIT_LE, IMPLICIT_LE)),
            (VERIFICATION, (J2K,)),
            (CT, (J2K,)),
            (VERIFICATION, ()),
        ),
        Repertoire({VERIFICATION: VERIFICATION_OFFER}),
    )
    assert [answered.result for answered in agreement.answers] == [
        ContextResult.ACCEPTED,
        ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
        ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ]
    assert agreement.answers[0].transfer_syntax == EXPLICIT_LE
    assert list(agreement.contexts) == [1]


def test_storage_classes_hold_the_standards_and_take_private_ones_when_told() -> None:
    assert CT in STORAGE_CLASSES
    assert VERIFICATION not in STORAGE_CLASSES
    assert len(STORAGE_CLASSES) > 180
    assert "1.2.840.10008.5.1.4.1.1.6" in STORAGE_CLASSES  # ultrasound of 1993
    assert "1.2.840.10008.5.1.4.1.1.200.1" not in STORAGE_CLASSES  # belongs to no patient
    for flag in (True, False):
        repertoire = storage_repertoire(STORE, private_classes=flag)
        assert repertoire.find(CT) is STORE
        assert (repertoire.find(PRIVATE) is STORE) is flag
        assert repertoire.find("1.2.840.10008.999") is None
        assert repertoire.find("") is None
        assert repertoire.find("../../x") is None


@pytest.mark.parametrize(
    ("asked", "granted", "performs", "invokes"),
    [
        (None, None, True, False),
        ((True, True), (True, True), True, True),
        ((False, True), (False, True), False, True),
        ((True, False), (True, False), True, False),
    ],
)
def test_roles(
    asked: tuple[bool, bool] | None,
    granted: tuple[bool, bool] | None,
    performs: bool,
    invokes: bool,
) -> None:
    roles = () if asked is None else (Roles(CT, *asked),)
    agreement = answer(ask((CT, (J2K,)), roles=roles), Repertoire({CT: STORE}))
    assert agreement.roles == (() if granted is None else (Roles(CT, *granted),))
    context = agreement.contexts[1]
    assert (context.performs, context.invokes) == (performs, invokes)


def test_a_role_that_is_not_ours_is_not_granted() -> None:
    roles = (Roles(VERIFICATION, scu=False, scp=True),)
    agreement = answer(
        ask((VERIFICATION, (IMPLICIT_LE,)), roles=roles),
        Repertoire({VERIFICATION: VERIFICATION_OFFER}),
    )
    assert agreement.answers[0].result == ContextResult.USER_REJECTION
    assert agreement.roles == (Roles(VERIFICATION, scu=False, scp=False),)
    assert not agreement.contexts


def test_extended_negotiation_is_answered_by_the_offer_alone() -> None:
    find = Offer(frozenset((J2K,)), STORE.services, answer_extended=lambda asked: asked[:1])
    agreement = answer(
        ask((CT, (J2K,)), extended=((CT, b"\x01\x01"), (PRIVATE, b"\x01"))),
        Repertoire({CT: find}),
    )
    assert agreement.extended == ((CT, b"\x01"),)


def accept(contexts: tuple[AnsweredContext, ...], roles: tuple[Roles, ...] = ()) -> AssociateAccept:
    return AssociateAccept("PACS", "SCU", contexts, 0, "1.2", roles=roles)


def test_the_requestor_keeps_what_was_accepted_of_what_it_proposed() -> None:
    proposals = (
        Proposal(CT, (J2K, EXPLICIT_LE)),
        Proposal(VERIFICATION, (J2K,)),
        Proposal(CT, (IMPLICIT_LE,)),
    )
    contexts = agreed(
        proposals,
        accept(
            (
                AnsweredContext(1, 0, EXPLICIT_LE),
                AnsweredContext(3, 3, J2K),
                AnsweredContext(5, 0, J2K),  # never proposed there
                AnsweredContext(7, 0, J2K),  # never proposed at all
            )
        ),
    )
    assert list(contexts) == [1]
    assert contexts[1].invokes
    assert not contexts[1].performs
    assert context_to_invoke(contexts.values(), CT).context_id == 1
    with pytest.raises(NotFound):
        context_to_invoke(contexts.values(), CT, J2K)


@pytest.mark.parametrize(
    ("granted", "invokes", "performs"),
    [
        ((), True, False),
        ((Roles(CT, scu=False, scp=True),), False, True),
        ((Roles(CT, scu=True, scp=True),), True, True),
        ((Roles(CT, scu=True, scp=False),), True, False),
    ],
)
def test_the_requestors_roles(granted: tuple[Roles, ...], invokes: bool, performs: bool) -> None:
    proposals = (Proposal(CT, (J2K,), offer=STORE),)
    assert propose(proposals)[1] == (Roles(CT, scu=True, scp=True),)
    context = agreed(proposals, accept((AnsweredContext(1, 0, J2K),), granted))[1]
    assert (context.invokes, context.performs) == (invokes, performs)


def test_no_more_than_128_contexts() -> None:
    propose([Proposal(CT, (J2K,))] * 128)
    with pytest.raises(ValueError, match="128"):
        propose([Proposal(CT, (J2K,))] * 129)


def test_contexts_of_what_a_peer_may_not_ask_for_are_rejected() -> None:
    """PS3.8 Table 9-18: by the user, as it is no lack of ours."""
    find, echo = "1.2.840.10008.5.1.4.1.2.2.1", VERIFICATION
    offers = Repertoire(
        {
            CT: STORE,
            echo: VERIFICATION_OFFER,
            find: Offer(
                frozenset({IMPLICIT_LE}),
                {CommandField.C_FIND: Verification()},
                answer_extended=lambda information: information,
            ),
        },
        STORE,
    )
    plain = ask(
        *((one, (IMPLICIT_LE,)) for one in (CT, echo, find, PRIVATE)), extended=((find, b"\1"),)
    )
    storing = answer(plain, offers, {CommandField.C_STORE})
    assert [one.result for one in storing.answers] == [
        ContextResult.ACCEPTED,
        ContextResult.USER_REJECTION,
        ContextResult.USER_REJECTION,
        ContextResult.ACCEPTED,
    ]
    assert storing.extended == ()
    assert answer(plain, offers, {CommandField.C_FIND}).extended == ((find, b"\1"),)
    assert [one.result for one in answer(plain, offers, frozenset()).answers] == [1] * 4
    assert [one.result for one in answer(plain, offers).answers] == [0] * 4


@pytest.mark.parametrize(
    ("requests", "performs", "invokes"),
    [
        ({CommandField.C_STORE}, True, False),
        ({CommandField.C_GET}, False, True),
        ({CommandField.C_STORE, CommandField.C_GET}, True, True),
        ({CommandField.C_FIND}, None, None),
    ],
)
def test_storage_contexts_go_the_ways_that_a_peer_may(
    requests: set[int], performs: bool | None, invokes: bool | None
) -> None:
    both = ask((CT, (IMPLICIT_LE,)), roles=(Roles(CT, scu=True, scp=True),))
    agreement = answer(both, Repertoire({CT: STORE}), requests)
    if performs is None:
        assert agreement.answers[0].result == ContextResult.USER_REJECTION
        assert not agreement.contexts
    else:
        context = agreement.contexts[1]
        assert (context.performs, context.invokes) == (performs, invokes)
        assert agreement.roles == (Roles(CT, scu=bool(performs), scp=bool(invokes)),)

"""A-ASSOCIATE PDUs, against pynetdicom's codec in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import build_context, build_role
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from pacs_cloud.dimse.associate import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ProposedContext,
    Roles,
    UserIdentity,
)
from pacs_cloud.dimse.associate_codec import (
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)
from pacs_cloud.dimse.pdu import ProtocolViolation

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
J2K = "1.2.840.10008.1.2.4.90"

uids = st.lists(st.integers(0, 10**6), min_size=1, max_size=6).map(
    lambda parts: "1.2." + ".".join(map(str, parts))
)
titles = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=1, max_size=16)
windows = st.none() | st.tuples(st.integers(0, 65535), st.integers(0, 65535))
roles = st.lists(st.builds(Roles, uids, st.booleans(), st.booleans()), max_size=3).map(tuple)
extended = st.lists(st.tuples(uids, st.binary(max_size=9)), max_size=3).map(tuple)
identities = st.builds(
    UserIdentity, st.just(1), st.booleans(), st.binary(min_size=1, max_size=9)
) | st.builds(
    UserIdentity,
    st.just(2),
    st.booleans(),
    st.binary(min_size=1, max_size=9),
    st.binary(min_size=1, max_size=9),
)


@st.composite
def requests(draw: st.DrawFn) -> AssociateRequest:
    ids = draw(st.lists(st.integers(0, 127).map(lambda n: 2 * n + 1), unique=True, max_size=5))
    return AssociateRequest(
        draw(titles),
        draw(titles),
        tuple(
            ProposedContext(n, draw(uids), tuple(draw(st.lists(uids, min_size=1, max_size=3))))
            for n in ids
        ),
        draw(st.integers(0, 2**32 - 1)),
        draw(uids),
        draw(titles),
        draw(windows),
        draw(roles),
        draw(extended),
        draw(st.lists(st.tuples(uids, uids), max_size=2).map(tuple)),
        draw(st.none() | identities),
    )


@st.composite
def accepts(draw: st.DrawFn) -> AssociateAccept:
    ids = draw(st.lists(st.integers(0, 127).map(lambda n: 2 * n + 1), unique=True, max_size=5))
    return AssociateAccept(
        draw(titles),
        draw(titles),
        tuple(AnsweredContext(n, 0, draw(uids)) for n in ids),
        draw(st.integers(0, 2**32 - 1)),
        draw(uids),
        draw(titles),
        draw(windows),
        draw(roles),
        draw(extended),
        draw(st.none() | st.binary(min_size=1, max_size=20)),
    )


@given(requests())
def test_a_request_reads_back_and_pynetdicom_reads_the_same(request: AssociateRequest) -> None:
    encoded = encode_request(request)
    assert decode_request(encoded[6:]) == request
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(encoded)
    assert theirs.encode() == encoded
    assert theirs.called_ae_title == request.called_ae_title
    assert theirs.calling_ae_title == request.calling_ae_title
    assert [c.presentation_context_id for c in theirs.presentation_context] == [
        c.context_id for c in request.contexts
    ]


@given(accepts())
def test_an_acceptance_reads_back_and_pynetdicom_reads_the_same(accept: AssociateAccept) -> None:
    encoded = encode_accept(accept)
    assert decode_accept(encoded[6:]) == accept
    theirs = A_ASSOCIATE_AC()
    theirs.decode(encoded)
    assert theirs.encode() == encoded


def pynetdicom_request() -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = "SCU"
    primitive.called_ae_title = "PACS"
    first, second = build_context(CT, [EXPLICIT, J2K]), build_context(MR, [IMPLICIT])
    first.context_id, second.context_id = 1, 3
    primitive.presentation_context_definition_list = [first, second]
    longest = MaximumLengthNotification()
    longest.maximum_length_received = 16382
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "THEIRS_1"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 5
    window.maximum_number_operations_performed = 6
    more = SOPClassExtendedNegotiation()
    more.sop_class_uid, more.service_class_application_information = CT, b"\x01\x00"
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = "1.2.3", "1.2.840.10008.4.2"
    common.related_general_sop_class_identification = [CT, MR]
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.positive_response_requested = True
    identity.primary_field, identity.secondary_field = b"user", b"secret"
    primitive.user_information = [
        longest,
        implementation,
        version,
        window,
        build_role(CT, scu_role=True, scp_role=True),
        more,
        common,
        identity,
    ]
    return primitive


def test_a_request_of_pynetdicom_is_understood() -> None:
    theirs = A_ASSOCIATE_RQ()
    theirs.from_primitive(pynetdicom_request())
    assert decode_request(theirs.encode()[6:]) == AssociateRequest(
        "PACS",
        "SCU",
        (ProposedContext(1, CT, (EXPLICIT, J2K)), ProposedContext(3, MR, (IMPLICIT,))),
        16382,
        "1.2.3.4",
        "THEIRS_1",
        (5, 6),
        (Roles(CT, scu=True, scp=True),),
        ((CT, b"\x01\x00"),),
        (("1.2.3", "1.2.840.10008.4.2"),),
        UserIdentity(2, response_requested=True, primary=b"user", secondary=b"secret"),
    )


def test_the_repr_of_an_identity_keeps_its_secret() -> None:
    assert "secret" not in repr(UserIdentity(2, True, b"user", b"secret"))


def request_body() -> bytes:
    theirs = A_ASSOCIATE_RQ()
    theirs.from_primitive(pynetdicom_request())
    return theirs.encode()[6:]


def test_a_cut_request_is_a_violation_or_lacks_what_was_cut() -> None:
    body = request_body()
    whole = decode_request(body)
    for length in range(len(body)):
        try:
            assert decode_request(body[:length]) != whole
        except ProtocolViolation:
            continue


def test_unknown_items_are_passed_over() -> None:
    body = request_body()
    assert decode_request(body + b"\x77\x00\x00\x03abc") == decode_request(body)


def item(kind: int, value: bytes) -> bytes:
    return bytes((kind, 0)) + len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    "extra",
    [
        item(0x20, b"\x02\0\0\0" + item(0x30, CT.encode())),  # an even ID
        item(0x20, b"\x01\0\0\0" + item(0x30, CT.encode())),  # an ID used before
        item(0x20, b"\x05\0"),  # cut off
        item(0x20, b"\x05\0\0\0" + item(0x30, "1.2.ä".encode())),
        item(0x20, b"\x05\0\0\0\x30\0\xff\xff1.2"),  # longer than its parent
        item(0x50, item(0x51, b"\0\0\0")),
        item(0x50, item(0x53, b"\0\0\0\0\0")),
        item(0x50, item(0x54, b"\0\x03abc\0")),
        item(0x50, item(0x54, b"\0\xffabc")),
        item(0x50, item(0x58, b"\x01")),
        item(0x50, item(0x58, b"\x01\0\0\x09abc")),
        item(0x50, item(0x58, b"\x01\0\0\x03abc")),
        b"\x20\0\0",
    ],
)
def test_a_malformed_item_is_a_violation(extra: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_request(request_body() + extra)


def test_padded_uids_and_titles_are_stripped() -> None:
    request = AssociateRequest("PACS", "SCU", (ProposedContext(1, CT + "\0", (IMPLICIT,)),), 0, "")
    decoded = decode_request(encode_request(request)[6:])
    assert decoded.contexts[0].abstract_syntax == CT
    assert decoded.called_ae_title == "PACS"

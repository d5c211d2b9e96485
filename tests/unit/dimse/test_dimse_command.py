"""Command sets, against pynetdicom's messages."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import dimse_messages, dimse_primitives
from pynetdicom.dsutils import decode, encode

from pacs_cloud.dimse.command import (
    NO_DATA_SET,
    RESPONSE,
    Command,
    CommandField,
    Element,
    decode_command,
    encode_command,
    encode_plain_response,
)
from pacs_cloud.dimse.pdu import ProtocolViolation

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIMITIVES = {
    CommandField.C_STORE: (dimse_primitives.C_STORE, "C_STORE"),
    CommandField.C_FIND: (dimse_primitives.C_FIND, "C_FIND"),
    CommandField.C_GET: (dimse_primitives.C_GET, "C_GET"),
    CommandField.C_MOVE: (dimse_primitives.C_MOVE, "C_MOVE"),
    CommandField.C_ECHO: (dimse_primitives.C_ECHO, "C_ECHO"),
    CommandField.N_EVENT_REPORT: (dimse_primitives.N_EVENT_REPORT, "N_EVENT_REPORT"),
    CommandField.N_GET: (dimse_primitives.N_GET, "N_GET"),
    CommandField.N_SET: (dimse_primitives.N_SET, "N_SET"),
    CommandField.N_ACTION: (dimse_primitives.N_ACTION, "N_ACTION"),
    CommandField.N_CREATE: (dimse_primitives.N_CREATE, "N_CREATE"),
    CommandField.N_DELETE: (dimse_primitives.N_DELETE, "N_DELETE"),
}
VALUES = {
    "MessageID": 7,
    "AffectedSOPClassUID": CT,
    "AffectedSOPInstanceUID": "1.2.3.45",
    "RequestedSOPClassUID": CT,
    "RequestedSOPInstanceUID": "1.2.3.45",
    "Priority": 1,
    "MoveDestination": "ELSEWHERE",
    "MoveOriginatorApplicationEntityTitle": "MOVER",
    "MoveOriginatorMessageID": 77,
    "EventTypeID": 1,
    "ActionTypeID": 2,
    "AttributeIdentifierList": [0x00100010, 0x00080018],
}
RESPONSE_VALUES = {
    "MessageIDBeingRespondedTo": 7,
    "AffectedSOPClassUID": CT,
    "AffectedSOPInstanceUID": "1.2.3.45",
    "Status": 0xA700,
    "NumberOfRemainingSuboperations": 4,
    "NumberOfCompletedSuboperations": 3,
    "NumberOfFailedSuboperations": 2,
    "NumberOfWarningSuboperations": 1,
    "ErrorComment": "out of resources",
}
DATA_SETS = ("DataSet", "Identifier", "EventInformation", "ModificationList", "ActionInformation")


def message_of(field: CommandField, suffix: str, values: dict[str, object]) -> bytes:
    kind, name = PRIMITIVES[field]
    primitive = kind()
    for keyword, value in values.items():
        if hasattr(primitive, keyword):
            setattr(primitive, keyword, value)
    if suffix == "RQ":
        for keyword in DATA_SETS:
            if hasattr(primitive, keyword):
                setattr(primitive, keyword, BytesIO(b"\x08\x00\x05\x00\0\0\0\0"))
    message = getattr(dimse_messages, f"{name}_{suffix}")()
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    return encoded


def elements_of(encoded: bytes) -> dict[int, object]:
    """Return the elements as pydicom reads them."""
    data_set = decode(BytesIO(encoded), True, True)
    found: dict[int, object] = {}
    for element in data_set:
        value = element.value
        if element.tag == 0 or value in (None, ""):
            continue
        if element.VR == "AT":
            value = tuple(value) if element.VM > 1 else (int(value),)
        elif element.VR != "US":
            value = str(value)
        found[element.tag.element] = value
    return found


@pytest.mark.parametrize("field", PRIMITIVES)
def test_requests_of_pynetdicom_read_and_write_alike(field: CommandField) -> None:
    encoded = message_of(field, "RQ", VALUES)
    command = decode_command(encoded)
    assert command.elements == elements_of(encoded)
    assert encode_command(command.elements) == encoded
    assert command.field == field
    assert command.message_id == 7
    assert command.missing() is None


@pytest.mark.parametrize("field", PRIMITIVES)
def test_responses_of_pynetdicom_read_and_write_alike(field: CommandField) -> None:
    encoded = message_of(field, "RSP", RESPONSE_VALUES)
    command = decode_command(encoded)
    assert command.elements == elements_of(encoded)
    assert encode_command(command.elements) == encoded
    assert command.is_response
    assert command.field == field | RESPONSE
    assert (command.responded_to, command.status) == (7, 0xA700)


def test_a_cancel_of_pynetdicom_reads_and_writes_alike() -> None:
    primitive = dimse_primitives.C_CANCEL()
    primitive.MessageIDBeingRespondedTo = 9
    message = dimse_messages.C_CANCEL_RQ()
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    command = decode_command(encoded)
    assert (command.field, command.responded_to) == (CommandField.C_CANCEL, 9)
    assert not command.has_data_set
    assert encode_command(command.elements) == encoded


@given(
    st.dictionaries(
        st.sampled_from([Element.PRIORITY, Element.REMAINING_SUBOPERATIONS, Element.ERROR_ID]),
        st.integers(0, 65535),
    ),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=6).map(
        lambda parts: "1.2." + ".".join(map(str, parts))
    ),
    st.integers(0, 65535),
)
def test_commands_read_back(numbers: dict[Element, int], uid: str, message_id: int) -> None:
    elements = {
        **numbers,
        Element.COMMAND_FIELD: 0x7777,
        Element.MESSAGE_ID: message_id,
        Element.AFFECTED_SOP_CLASS_UID: uid,
    }
    encoded = encode_command(elements)
    assert decode_command(encoded).elements == elements
    assert elements_of(encoded) == elements


def test_missing_names_what_a_service_needs() -> None:
    store = {
        Element.COMMAND_FIELD: CommandField.C_STORE,
        Element.MESSAGE_ID: 1,
        Element.AFFECTED_SOP_CLASS_UID: CT,
        Element.DATA_SET_TYPE: 1,
    }
    assert Command(store).missing() is Element.AFFECTED_SOP_INSTANCE_UID
    store[Element.AFFECTED_SOP_INSTANCE_UID] = "1.2"
    assert Command(store).missing() is None
    store[Element.DATA_SET_TYPE] = 0x0101
    assert Command(store).missing() is Element.DATA_SET_TYPE


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return (
        group.to_bytes(2, "little")
        + number.to_bytes(2, "little")
        + len(value).to_bytes(4, "little")
        + value
    )


ECHO = element(0x0100, b"\x30\x00") + element(0x0110, b"\x01\x00") + element(0x0800, b"\x01\x01")


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        ECHO[:-1],
        ECHO + b"\0\0",
        ECHO + element(0x0010, b"", group=8),
        ECHO + element(0x0100, b"\x30\x00"),
        ECHO + element(0x0700, b"\0"),
        ECHO + element(0x0700, b"\0\0\0\0"),
        ECHO + element(0x0002, "1.2.é".encode()),
        ECHO + element(0x1005, b"\0\0\0"),
        ECHO + b"\0\0\x00\x09\xff\xff\xff\xff",
        element(0x0110, b"\x01\x00"),  # no command field
        element(0x0100, b"\x30\x00"),  # no message ID
        element(0x0100, b"\x30\x80") + element(0x0120, b"\x01\x00"),  # no status
        element(0x0100, b"\xff\x0f") + element(0x0110, b"\x01\x00"),  # cancels nothing
    ],
)
def test_a_malformed_command_is_a_violation(encoded: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_command(encoded)


def test_retired_elements_and_a_wrong_group_length_do_no_harm() -> None:
    encoded = element(0, b"\xff\0\0\0") + ECHO + element(0x0010, b"RECOGNITION ")
    assert decode_command(encoded) == decode_command(ECHO)


@pytest.mark.parametrize("elements", [{0x0002: 5}, {0x0100: "1"}, {0x0901: 5}, {0x0001: "x"}])
def test_a_command_of_ours_with_a_wrong_type_is_refused(elements: dict[int, int | str]) -> None:
    with pytest.raises(KeyError):
        encode_command(elements)


@given(
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.sampled_from(["", "1.2.3", "1.2.34"]),
    st.sampled_from(["", "1.2.5", "1.2.56"]),
)
def test_a_plain_response_is_the_command_set_of_its_elements(
    field: int, responded_to: int, status: int, sop_class_uid: str, sop_instance_uid: str
) -> None:
    elements: dict[int, int | str] = {
        Element.COMMAND_FIELD: field,
        Element.RESPONDED_TO: responded_to,
        Element.DATA_SET_TYPE: NO_DATA_SET,
        Element.STATUS: status,
    }
    if sop_class_uid:
        elements[Element.AFFECTED_SOP_CLASS_UID] = sop_class_uid
    if sop_instance_uid:
        elements[Element.AFFECTED_SOP_INSTANCE_UID] = sop_instance_uid
    encoded = encode_plain_response(field, responded_to, status, sop_class_uid, sop_instance_uid)
    assert encoded == encode_command(elements)

"""Command sets: the group 0000 elements of every message, read and written (PS3.7 6.3, E).

A command set is always Implicit VR Little Endian. It is kept as a mapping from
element number (the group is always 0000) to int, str or a tuple of tags.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse.pdu import ProtocolViolation

Value = int | str | tuple[int, ...]

NO_DATA_SET: Final = 0x0101
"""(0000,0800) of a message without a data set; any other value means there is one."""

_DATA_SET_FOLLOWS: Final = 0x0001
RESPONSE: Final = 0x8000
"""The bit that a response's command field adds to its request's."""

_PENDING: Final = frozenset[int]((Status.PENDING, Status.PENDING_WITH_UNSUPPORTED_KEYS))
_ELEMENT: Final = Struct("<HHI")
_HEADER_BYTES: Final = 8
_US: Final = Struct("<H")
_US_BYTES: Final = 2
_UL_BYTES: Final = 4
_US_ELEMENT: Final = Struct("<HHIH")
_UL_ELEMENT: Final = Struct("<HHII")
_TAG: Final = Struct("<HH")


class CommandField(IntEnum):
    """What a message asks for (PS3.7 Table E.1-1); responses add `RESPONSE`."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class Element(IntEnum):
    """Element numbers of the command group (PS3.7 E.1)."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    REMAINING_SUBOPERATIONS = 0x1020
    COMPLETED_SUBOPERATIONS = 0x1021
    FAILED_SUBOPERATIONS = 0x1022
    WARNING_SUBOPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


_E = Element
# An enumeration's member costs a call wherever it is named; every message needs these.
_GROUP_LENGTH: Final = _E.GROUP_LENGTH
_AFFECTED_SOP_CLASS_UID: Final = _E.AFFECTED_SOP_CLASS_UID
_COMMAND_FIELD: Final = _E.COMMAND_FIELD
_MESSAGE_ID: Final = _E.MESSAGE_ID
_RESPONDED_TO: Final = _E.RESPONDED_TO
_DATA_SET_TYPE: Final = _E.DATA_SET_TYPE
_STATUS: Final = _E.STATUS
_AFFECTED_SOP_INSTANCE_UID: Final = _E.AFFECTED_SOP_INSTANCE_UID
_C_CANCEL: Final = CommandField.C_CANCEL

_UID_ELEMENTS: Final = frozenset[int](
    (
        _E.AFFECTED_SOP_CLASS_UID,
        _E.REQUESTED_SOP_CLASS_UID,
        _E.AFFECTED_SOP_INSTANCE_UID,
        _E.REQUESTED_SOP_INSTANCE_UID,
    )
)
_TEXT_ELEMENTS: Final = frozenset[int](
    (_E.MOVE_DESTINATION, _E.ERROR_COMMENT, _E.MOVE_ORIGINATOR_AE_TITLE)
)
_TAG_ELEMENTS: Final = frozenset[int]((_E.OFFENDING_ELEMENT, _E.ATTRIBUTE_IDENTIFIER_LIST))
_US_ELEMENTS: Final = (
    frozenset[int](Element)
    - _UID_ELEMENTS
    - _TEXT_ELEMENTS
    - _TAG_ELEMENTS
    - frozenset[int]((_E.GROUP_LENGTH,))
)

_REQUIRED: Final[Mapping[int, tuple[Element, ...]]] = {
    CommandField.C_STORE: (
        _E.AFFECTED_SOP_CLASS_UID,
        _E.AFFECTED_SOP_INSTANCE_UID,
    ),
    CommandField.C_GET: (_E.AFFECTED_SOP_CLASS_UID,),
    CommandField.C_FIND: (_E.AFFECTED_SOP_CLASS_UID,),
    CommandField.C_MOVE: (_E.AFFECTED_SOP_CLASS_UID, _E.MOVE_DESTINATION),
    CommandField.N_EVENT_REPORT: (
        _E.AFFECTED_SOP_CLASS_UID,
        _E.AFFECTED_SOP_INSTANCE_UID,
        _E.EVENT_TYPE_ID,
    ),
    CommandField.N_GET: (_E.REQUESTED_SOP_CLASS_UID, _E.REQUESTED_SOP_INSTANCE_UID),
    CommandField.N_SET: (_E.REQUESTED_SOP_CLASS_UID, _E.REQUESTED_SOP_INSTANCE_UID),
    CommandField.N_ACTION: (
        _E.REQUESTED_SOP_CLASS_UID,
        _E.REQUESTED_SOP_INSTANCE_UID,
        _E.ACTION_TYPE_ID,
    ),
    CommandField.N_CREATE: (_E.AFFECTED_SOP_CLASS_UID,),
    CommandField.N_DELETE: (_E.REQUESTED_SOP_CLASS_UID, _E.REQUESTED_SOP_INSTANCE_UID),
}
_NEEDS_DATA_SET: Final = frozenset[int](
    (CommandField.C_STORE, CommandField.C_GET, CommandField.C_FIND, CommandField.C_MOVE)
)


@dataclass(frozen=True, slots=True)
class Command:
    """One message's command set.

    Attributes:
        elements: by element number; empty, retired and unknown ones are left out.
    """

    elements: Mapping[int, Value]

    def number(self, element: Element, default: int = 0) -> int:
        """Return a US element, or `default` where it is absent."""
        value = self.elements.get(element, default)
        return value if isinstance(value, int) else default

    def text(self, element: Element) -> str:
        """Return a UI, AE or LO element, or "" where it is absent."""
        value = self.elements.get(element, "")
        return value if isinstance(value, str) else ""

    @property
    def field(self) -> int:
        """The command field, known to `CommandField` or not."""
        return self.number(_COMMAND_FIELD)

    @property
    def is_response(self) -> bool:
        """Whether the message answers one of ours."""
        return bool(self.field & RESPONSE)

    @property
    def message_id(self) -> int:
        """The message ID of a request."""
        return self.number(_MESSAGE_ID)

    @property
    def responded_to(self) -> int:
        """The message ID that a response or a C-CANCEL refers to."""
        return self.number(_RESPONDED_TO)

    @property
    def status(self) -> int:
        """The status of a response."""
        return self.number(_STATUS)

    @property
    def is_pending(self) -> bool:
        """Whether more responses follow this one (FF00, FF01; PS3.7 C)."""
        return self.status in _PENDING

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows the command set."""
        return self.number(_DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET

    @property
    def affected_sop_class_uid(self) -> str:
        """(0000,0002), or ""."""
        return self.text(_AFFECTED_SOP_CLASS_UID)

    @property
    def affected_sop_instance_uid(self) -> str:
        """(0000,1000), or ""."""
        return self.text(_AFFECTED_SOP_INSTANCE_UID)

    def missing(self) -> Element | None:
        """Return an element that this request's service requires and lacks.

        (0000,0800) stands for a data set that should follow and does not.
        Priority is not asked for: devices leave it out, and nothing depends on it.
        """
        field = self.field
        for element in _REQUIRED.get(field, ()):
            if self.elements.get(element, "") == "":
                return element
        if field in _NEEDS_DATA_SET and not self.has_data_set:
            return _DATA_SET_TYPE
        return None


def decode_command(encoded: bytes) -> Command:
    """Return the command set in `encoded`.

    Raises:
        ProtocolViolation: it cannot be decoded, or lacks what an answer needs:
            the command field and the message ID, or the ID it responds to.
    """
    elements: dict[int, Value] = {}
    position, end = 0, len(encoded)
    while position < end:
        if end - position < _HEADER_BYTES:
            raise ProtocolViolation("a command element's header is cut off")
        group, element, length = _ELEMENT.unpack_from(encoded, position)
        position += _HEADER_BYTES
        stop = position + length
        if group != 0:
            raise ProtocolViolation(f"an element of group {group:04x} in a command set")
        if stop > end:
            raise ProtocolViolation(f"command element {element:04x} is cut off")
        if element in elements:
            raise ProtocolViolation(f"command element {element:04x} comes twice")
        # An empty value says no more than an absent element does.
        if length:
            if element in _US_ELEMENTS:
                if length != _US_BYTES:
                    raise ProtocolViolation(f"command element {element:04x} is not one US")
                (elements[element],) = _US.unpack_from(encoded, position)
            elif element in _UID_ELEMENTS:
                elements[element] = _ascii(encoded[position:stop])
            elif element in _TEXT_ELEMENTS:
                value = encoded[position:stop].strip(b"\0 ")
                elements[element] = value.decode("ascii", "replace")
            elif element in _TAG_ELEMENTS:
                elements[element] = _tags(encoded[position:stop])
        position = stop
    if _COMMAND_FIELD not in elements:
        raise ProtocolViolation("a command set without its command field")
    command = Command(elements)
    field = command.field
    is_response = field & RESPONSE
    by = _RESPONDED_TO if is_response or field == _C_CANCEL else _MESSAGE_ID
    if by not in elements:
        raise ProtocolViolation(f"command {field:04x} without {by.name}")
    if is_response and _STATUS not in elements:
        raise ProtocolViolation(f"response {field:04x} without a status")
    return command


def encode_command(elements: Mapping[int, Value]) -> bytes:
    """Return `elements` as a command set, with its group length in front.

    Raises:
        KeyError: an element number is not one of `Element`'s.
        struct.error: a number does not fit its 16 bits.
    """
    parts: list[bytes] = []
    for element in sorted(elements):
        value = elements[element]
        if isinstance(value, int):
            if element not in _US_ELEMENTS:
                raise KeyError(element)
            parts.append(_US_ELEMENT.pack(0, element, _US_BYTES, value))
            continue
        if isinstance(value, tuple):
            if element not in _TAG_ELEMENTS:
                raise KeyError(element)
            raw = b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in value)
        elif element in _UID_ELEMENTS:
            raw = _padded(value)
        elif element in _TEXT_ELEMENTS:
            raw = value.encode("ascii", "replace")
            raw += b" " * (len(raw) & 1)
        else:
            raise KeyError(element)
        parts.append(_ELEMENT.pack(0, element, len(raw)) + raw)
    body = b"".join(parts)
    return _UL_ELEMENT.pack(0, _GROUP_LENGTH, _UL_BYTES, len(body)) + body


def encode_plain_response(
    field: int, responded_to: int, status: int, sop_class_uid: str, sop_instance_uid: str
) -> bytes:
    """Return a response's command set that has no data set and says no more than it must.

    What `encode_command` returns for the same elements, at a fraction of its cost:
    every instance received is answered so.

    Args:
        field: the response's command field.
        responded_to: the request's message ID.
        status: (0000,0900).
        sop_class_uid: (0000,0002), "" for none.
        sop_instance_uid: (0000,1000), "" for none.

    Raises:
        struct.error: a number does not fit its 16 bits.
    """
    body = (
        _uid_element(_AFFECTED_SOP_CLASS_UID, sop_class_uid)
        + _US_ELEMENT.pack(0, _COMMAND_FIELD, _US_BYTES, field)
        + _US_ELEMENT.pack(0, _RESPONDED_TO, _US_BYTES, responded_to)
        + _US_ELEMENT.pack(0, _DATA_SET_TYPE, _US_BYTES, NO_DATA_SET)
        + _US_ELEMENT.pack(0, _STATUS, _US_BYTES, status)
        + _uid_element(_AFFECTED_SOP_INSTANCE_UID, sop_instance_uid)
    )
    return _UL_ELEMENT.pack(0, _GROUP_LENGTH, _UL_BYTES, len(body)) + body


def data_set_type(*, present: bool) -> int:
    """Return the value of (0000,0800)."""
    return _DATA_SET_FOLLOWS if present else NO_DATA_SET


def _uid_element(element: int, uid: str) -> bytes:
    if not uid:
        return b""
    raw = _padded(uid)
    return _ELEMENT.pack(0, element, len(raw)) + raw


def _padded(uid: str) -> bytes:
    raw = uid.encode("ascii")
    return raw + b"\0" if len(raw) & 1 else raw


def _ascii(value: bytes) -> str:
    try:
        return value.rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError as error:
        raise ProtocolViolation("a UID in a command set that is not ASCII") from error


def _tags(value: bytes) -> tuple[int, ...]:
    if len(value) % _TAG.size:
        raise ProtocolViolation("a list of tags of a length that is not a multiple of 4")
    return tuple(group << 16 | element for group, element in _TAG.iter_unpack(value))

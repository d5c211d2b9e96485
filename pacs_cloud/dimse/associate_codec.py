"""A-ASSOCIATE PDUs read and written (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3).

Unknown items and sub-items are passed over, as PS3.8 9.3.1 asks; a length that
leaves its parent is a violation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from pacs_cloud.dimse.associate import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    Roles,
    UserIdentity,
)
from pacs_cloud.dimse.pdu import PDU_HEADER, PduType, ProtocolViolation

_FIXED: Final = Struct(">H2x16s16s32x")
_ITEM: Final = Struct(">BxH")
_LENGTH: Final = Struct(">H")
_MAX_LENGTH: Final = Struct(">I")
_WINDOW: Final = Struct(">HH")


class _Item(IntEnum):
    APPLICATION_CONTEXT = 0x10
    CONTEXT_RQ = 0x20
    CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAX_LENGTH = 0x51
    IMPLEMENTATION_CLASS = 0x52
    OPERATIONS_WINDOW = 0x53
    ROLES = 0x54
    IMPLEMENTATION_VERSION = 0x55
    EXTENDED = 0x56
    COMMON_EXTENDED = 0x57
    IDENTITY_RQ = 0x58
    IDENTITY_AC = 0x59


@dataclass(slots=True)
class _UserInformation:
    max_length: int = 0
    implementation_class_uid: str = ""
    implementation_version: str = ""
    operations_window: tuple[int, int] | None = None
    roles: tuple[Roles, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    common_extended: tuple[tuple[str, str], ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = None


def decode_request(body: bytes) -> AssociateRequest:
    """Return the A-ASSOCIATE-RQ whose PDU has this body.

    Raises:
        ProtocolViolation: a length is wrong, a context ID is even or comes
            twice, or a name is not ASCII.
    """
    version, called, calling = _fixed(body)
    application_context = ""
    contexts: list[ProposedContext] = []
    information = _UserInformation()
    for kind, start, stop in _items(body, _FIXED.size, len(body)):
        if kind == _Item.APPLICATION_CONTEXT:
            application_context = _uid(body[start:stop])
        elif kind == _Item.CONTEXT_RQ:
            contexts.append(_proposed(body, start, stop))
        elif kind == _Item.USER_INFORMATION:
            information = _user_information(body, start, stop)
    _check_ids(context.context_id for context in contexts)
    return AssociateRequest(
        called,
        calling,
        tuple(contexts),
        information.max_length,
        information.implementation_class_uid,
        information.implementation_version,
        information.operations_window,
        information.roles,
        information.extended,
        information.common_extended,
        information.identity,
        application_context,
        version,
    )


def decode_accept(body: bytes) -> AssociateAccept:
    """Return the A-ASSOCIATE-AC whose PDU has this body.

    Raises:
        ProtocolViolation: as `decode_request`.
    """
    version, called, calling = _fixed(body)
    application_context = ""
    contexts: list[AnsweredContext] = []
    information = _UserInformation()
    for kind, start, stop in _items(body, _FIXED.size, len(body)):
        if kind == _Item.APPLICATION_CONTEXT:
            application_context = _uid(body[start:stop])
        elif kind == _Item.CONTEXT_AC:
            contexts.append(_answered(body, start, stop))
        elif kind == _Item.USER_INFORMATION:
            information = _user_information(body, start, stop)
    _check_ids(context.context_id for context in contexts)
    return AssociateAccept(
        called,
        calling,
        tuple(contexts),
        information.max_length,
        information.implementation_class_uid,
        information.implementation_version,
        information.operations_window,
        information.roles,
        information.extended,
        information.identity_response,
        application_context,
        version,
    )


def encode_request(request: AssociateRequest) -> bytes:
    """Return a whole A-ASSOCIATE-RQ PDU."""
    contexts = b"".join(
        _encode_item(
            _Item.CONTEXT_RQ,
            bytes((context.context_id, 0, 0, 0))
            + _encode_item(_Item.ABSTRACT_SYNTAX, context.abstract_syntax.encode())
            + b"".join(
                _encode_item(_Item.TRANSFER_SYNTAX, syntax.encode())
                for syntax in context.transfer_syntaxes
            ),
        )
        for context in request.contexts
    )
    information = _encode_information(request)
    information += b"".join(
        _encode_item(
            _Item.COMMON_EXTENDED, _sized(sop.encode()) + _sized(service.encode()) + b"\0\0"
        )
        for sop, service in request.common_extended
    )
    if (identity := request.identity) is not None:
        information += _encode_item(
            _Item.IDENTITY_RQ,
            bytes((identity.kind, identity.response_requested))
            + _sized(identity.primary)
            + _sized(identity.secondary),
        )
    return _encode(PduType.ASSOCIATE_RQ, request, contexts, information)


def encode_accept(accept: AssociateAccept) -> bytes:
    """Return a whole A-ASSOCIATE-AC PDU."""
    contexts = b"".join(
        _encode_item(
            _Item.CONTEXT_AC,
            bytes((context.context_id, 0, context.result, 0))
            + _encode_item(_Item.TRANSFER_SYNTAX, context.transfer_syntax.encode()),
        )
        for context in accept.contexts
    )
    information = _encode_information(accept)
    if accept.identity_response is not None:
        information += _encode_item(_Item.IDENTITY_AC, _sized(accept.identity_response))
    return _encode(PduType.ASSOCIATE_AC, accept, contexts, information)


def _fixed(body: bytes) -> tuple[int, str, str]:
    if len(body) < _FIXED.size:
        raise ProtocolViolation("an A-ASSOCIATE PDU shorter than its fixed fields")
    version, called, calling = _FIXED.unpack_from(body)
    return version, _ae_title(called), _ae_title(calling)


def _items(body: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each item's type and the half-open range of its value."""
    while start < end:
        if end - start < _ITEM.size:
            raise ProtocolViolation("an item's header is cut off")
        kind, length = _ITEM.unpack_from(body, start)
        start += _ITEM.size
        if length > end - start:
            raise ProtocolViolation(f"item {kind:#04x} is longer than what holds it")
        yield kind, start, start + length
        start += length


def _proposed(body: bytes, start: int, end: int) -> ProposedContext:
    if end - start < 4:
        raise ProtocolViolation("a presentation context item is cut off")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, first, stop in _items(body, start + 4, end):
        if kind == _Item.ABSTRACT_SYNTAX:
            abstract_syntax = _uid(body[first:stop])
        elif kind == _Item.TRANSFER_SYNTAX:
            transfer_syntaxes.append(_uid(body[first:stop]))
    return ProposedContext(body[start], abstract_syntax, tuple(transfer_syntaxes))


def _answered(body: bytes, start: int, end: int) -> AnsweredContext:
    if end - start < 4:
        raise ProtocolViolation("a presentation context item is cut off")
    result = body[start + 2]
    transfer_syntax = ""
    for kind, first, stop in _items(body, start + 4, end):
        # The syntax of a refused context means nothing and is not looked at (PS3.8 9.3.3.2).
        if kind == _Item.TRANSFER_SYNTAX and result == ContextResult.ACCEPTED:
            transfer_syntax = _uid(body[first:stop])
    return AnsweredContext(body[start], result, transfer_syntax)


def _user_information(body: bytes, start: int, end: int) -> _UserInformation:
    found = _UserInformation()
    for kind, first, stop in _items(body, start, end):
        value = body[first:stop]
        if kind == _Item.MAX_LENGTH:
            (found.max_length,) = _unpack(_MAX_LENGTH, value)
        elif kind == _Item.IMPLEMENTATION_CLASS:
            found.implementation_class_uid = _uid(value)
        elif kind == _Item.IMPLEMENTATION_VERSION:
            found.implementation_version = _text(value)
        elif kind == _Item.OPERATIONS_WINDOW:
            invoked, performed = _unpack(_WINDOW, value)
            found.operations_window = invoked, performed
        elif kind == _Item.ROLES:
            sop_class_uid, rest = _take(value)
            if len(rest) < 2:
                raise ProtocolViolation("a role selection without its roles")
            found.roles += (Roles(_uid(sop_class_uid), rest[0] == 1, rest[1] == 1),)
        elif kind == _Item.EXTENDED:
            sop_class_uid, rest = _take(value)
            found.extended += ((_uid(sop_class_uid), rest),)
        elif kind == _Item.COMMON_EXTENDED:
            sop_class_uid, rest = _take(value)
            service_class_uid, _ = _take(rest)
            found.common_extended += ((_uid(sop_class_uid), _uid(service_class_uid)),)
        elif kind == _Item.IDENTITY_RQ:
            if len(value) < 2:
                raise ProtocolViolation("a user identity without its type")
            primary, rest = _take(value[2:])
            secondary, _ = _take(rest)
            found.identity = UserIdentity(value[0], value[1] == 1, primary, secondary)
        elif kind == _Item.IDENTITY_AC:
            found.identity_response, _ = _take(value)
    return found


def _unpack(layout: Struct, value: bytes) -> tuple[int, ...]:
    if len(value) != layout.size:
        raise ProtocolViolation(f"a sub-item of {len(value)} bytes, not {layout.size}")
    return layout.unpack(value)


def _take(value: bytes) -> tuple[bytes, bytes]:
    """Return the field at the front, behind its own two-byte length, and what follows."""
    if len(value) < _LENGTH.size:
        raise ProtocolViolation("a sub-item's field has no length")
    (length,) = _LENGTH.unpack_from(value)
    stop = _LENGTH.size + length
    if stop > len(value):
        raise ProtocolViolation("a sub-item's field is longer than the sub-item")
    return value[_LENGTH.size : stop], value[stop:]


def _uid(value: bytes) -> str:
    try:
        # Odd UIDs in items are not padded (PS3.8 F.1), yet real devices do it.
        return value.rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError as error:
        raise ProtocolViolation("a UID that is not ASCII") from error


def _text(value: bytes) -> str:
    return value.strip(b"\0 ").decode("ascii", "replace")


_ae_title = _text


def _check_ids(ids: Iterable[int]) -> None:
    seen: set[int] = set()
    for context_id in ids:
        if context_id % 2 == 0 or context_id in seen:
            raise ProtocolViolation(f"presentation context ID {context_id} is even or not unique")
        seen.add(context_id)


def _sized(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _encode_item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _encode_information(message: AssociateRequest | AssociateAccept) -> bytes:
    parts = [
        _encode_item(_Item.MAX_LENGTH, _MAX_LENGTH.pack(message.max_length)),
        _encode_item(_Item.IMPLEMENTATION_CLASS, message.implementation_class_uid.encode()),
    ]
    if message.operations_window is not None:
        parts.append(
            _encode_item(_Item.OPERATIONS_WINDOW, _WINDOW.pack(*message.operations_window))
        )
    parts.extend(
        _encode_item(
            _Item.ROLES, _sized(roles.sop_class_uid.encode()) + bytes((roles.scu, roles.scp))
        )
        for roles in message.roles
    )
    if message.implementation_version:
        parts.append(
            _encode_item(_Item.IMPLEMENTATION_VERSION, message.implementation_version.encode())
        )
    parts.extend(
        _encode_item(_Item.EXTENDED, _sized(sop_class_uid.encode()) + value)
        for sop_class_uid, value in message.extended
    )
    return b"".join(parts)


def _encode(
    pdu_type: PduType,
    message: AssociateRequest | AssociateAccept,
    contexts: bytes,
    information: bytes,
) -> bytes:
    body = (
        _FIXED.pack(
            message.protocol_version,
            _encode_ae_title(message.called_ae_title),
            _encode_ae_title(message.calling_ae_title),
        )
        + _encode_item(_Item.APPLICATION_CONTEXT, message.application_context.encode())
        + contexts
        + _encode_item(_Item.USER_INFORMATION, information)
    )
    return PDU_HEADER.pack(pdu_type, len(body)) + body


def _encode_ae_title(title: str) -> bytes:
    return title.encode("ascii", "replace").ljust(16)[:16]

"""C-FIND over the query service (PS3.4 C.4.1, PS3.7 9.1.2)."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any, Final

from pacs_cloud.dicom import attributes
from pacs_cloud.dicom.charset import UTF_8, charset_for
from pacs_cloud.dicom.dicomjson import encode_dataset, to_dataset, vr_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.matching import Rules
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse.identifier import (
    QUERY_RETRIEVE_LEVEL,
    Identifier,
    IdentifierSink,
    read_identifier,
    require_higher_keys,
)
from pacs_cloud.dimse.information_models import Model
from pacs_cloud.dimse.query_extension import QueryExtension, negotiated
from pacs_cloud.dimse.refusal import refusal
from pacs_cloud.dimse.service import Operation, Response
from pacs_cloud.errors import InvalidRequest, PacsError, TooBroad, Unavailable
from pacs_cloud.query import computed
from pacs_cloud.query.criteria import EVERY_LEVEL, level_of
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.query.service import Search

_RETRIEVE_AE_TITLE: Final = "00080054"
_TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_OURS: Final = frozenset({_RETRIEVE_AE_TITLE, computed.INSTANCE_AVAILABILITY})
"""Attributes of an answer that no instance carries."""
_OF_PATIENT: Final = frozenset(attributes.PATIENT_TAGS) | computed.PATIENT_COMPUTED | EVERY_LEVEL
"""What a row of the patient level may hold."""


class CFind:
    """Searches in one information model."""

    def __init__(self, search: Search, model: Model) -> None:
        """Search with `search`, in `model`."""
        self._search = search
        self._model = model

    def open(self, operation: Operation, /) -> IdentifierSink:
        """Return what takes the identifier."""
        del operation
        return IdentifierSink()

    async def complete(self, operation: Operation, sink: IdentifierSink, /) -> Response:
        """Send a response for each match; return the last: success or cancelled.

        Raises:
            Denied: the peer may not search.
            InvalidRequest: the identifier is wrong.
            InvalidInstance: it cannot be decoded.
            TooBroad: the search would read too much; matches that came are right.
            Unavailable: a store does not answer.
        """
        syntax = operation.context.transfer_syntax
        identifier = read_identifier(sink.data, syntax, self._model)
        extension = negotiated(operation)
        if not extension.relational:
            require_higher_keys(identifier, self._model)
        request = _request(identifier, extension)
        returns = request.returns or frozenset()
        is_all_supported = identifier.keys.keys() - _OURS <= returns
        status = Status.PENDING if is_all_supported else Status.PENDING_WITH_UNSUPPORTED_KEYS
        # Another of our titles may be another tenant's.
        called = operation.association.request.called_ae_title
        async with aclosing(self._search.rows(operation.caller, request)) as rows:
            async for row in rows:
                if operation.cancelled.is_set():
                    return Response(Status.CANCELLED)
                answer = _answer(identifier, returns, row, called)
                await operation.respond(Response(status, _encode(answer, identifier, syntax)))
        return Response(Status.CANCELLED if operation.cancelled.is_set() else Status.SUCCESS)

    def failure(self, error: PacsError, /) -> Response:
        """Return A900 for a wrong identifier, A700 for too much, C000 for the rest."""
        is_too_much = isinstance(error, TooBroad | Unavailable)
        return refusal(error, Status.OUT_OF_RESOURCES if is_too_much else None)


def _answer(
    identifier: Identifier, returns: frozenset[str], row: Elements, ae_title: str
) -> Elements:
    """Return a row with everything that was asked for, empty where there is no value."""
    answer: Elements = {tag: row.get(tag) or {"vr": vr_of(tag)} for tag in returns}
    answer[QUERY_RETRIEVE_LEVEL] = {"vr": "CS", "Value": [identifier.level.name]}
    # PS3.4 C.4.1.1.3.2 wants it in every answer, asked for or not.
    answer[_RETRIEVE_AE_TITLE] = {"vr": "AE", "Value": [ae_title]}
    return answer


def _request(identifier: Identifier, extension: QueryExtension) -> SearchRequest:
    asked = identifier.keys.keys()
    if identifier.level == Level.PATIENT:
        returns = asked & _OF_PATIENT
    else:
        returns = {tag for tag in asked if _is_returned(tag, identifier.level)}
    keys = tuple(key for key in identifier.search_keys() if key.path[0] not in _OURS)
    return SearchRequest(
        identifier.level,
        keys,
        returns=frozenset(returns),
        fuzzy=extension.fuzzy,
        combined=extension.combined,
        rules=Rules(extension.empty_values, extension.multiple_values),
    )


def _is_returned(tag: str, level: Level) -> bool:
    """Tell whether rows of `level` have the attribute; only of it and the levels above."""
    if tag == computed.INSTANCE_AVAILABILITY or tag in EVERY_LEVEL:
        return True
    if tag in computed.PATIENT_COMPUTED:
        return False
    of = level_of(tag)
    return of is not None and of <= level


def _encode(answer: Elements, identifier: Identifier, transfer_syntax_uid: str) -> bytes:
    """Return an answer in a character set that holds it: the requester's own, else UTF-8."""
    named = "\\".join(identifier.charset)
    accepted = (named, UTF_8) if named else (UTF_8,)
    charset = charset_for(tuple(_texts(answer)), accepted)
    try:
        return encode_dataset(to_dataset(answer, charset), transfer_syntax_uid)
    except InvalidRequest:
        whole = {
            tag: element if _is_encodable(tag, element, transfer_syntax_uid) else {"vr": vr_of(tag)}
            for tag, element in answer.items()
        }
        return encode_dataset(to_dataset(whole, charset), transfer_syntax_uid)


def _is_encodable(tag: str, element: Element, transfer_syntax_uid: str) -> bool:
    """Tell whether a value fits its VR: devices store numbers that are none."""
    try:
        encode_dataset(to_dataset({tag: element}), transfer_syntax_uid)
    except InvalidRequest:
        return False
    return True


def _texts(elements: Elements) -> Iterator[str]:
    """Yield every text that the character set matters to."""
    for element in elements.values():
        values: list[Any] = element.get("Value", [])
        if element["vr"] == "SQ":
            for item in values:
                yield from _texts(item or {})
        elif element["vr"] in _TEXT_VRS:
            yield from _of_text(element)


def _of_text(element: Element) -> Iterator[str]:
    for value in element.get("Value", ()):
        yield str(PersonName.from_json(value)) if element["vr"] == "PN" else str(value or "")

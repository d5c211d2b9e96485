"""The words in which HTTP operations are described: parameters, operations, and their ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema (draft 2020-12)."""

UID_PATTERN: Final = r"^[0-9]+(\.[0-9]+)*$"
UID_SCHEMA: Final[Schema] = {"type": "string", "pattern": UID_PATTERN, "maxLength": 64}
FLAG_SCHEMA: Final[Schema] = {"type": "string", "enum": ["true", "false"]}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request.

    Attributes:
        name: as it is sent.
        place: where.
        description: what it does, with its clause.
        schema: of its value.
        example: a value that is taken.
        is_list: given several times, each time one value.
        is_required: whether a request without it is refused.
    """

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    example: Any = None
    is_list: bool = False
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one resource.

    Attributes:
        operation_id: unique; the transaction's name where the standard has one.
        summary: one sentence.
        source: the clause that says what it does, "" for what is ours.
        tag: its service.
        parameters: but those of its path.
        produces: media types of a 200, with the schema of each; {} for a binary body.
        consumes: media types of a body that it takes, with the schema of each.
        statuses: what it answers, beside what any request may get.
    """

    operation_id: str
    summary: str
    source: str
    tag: str
    parameters: tuple[Parameter, ...] = ()
    produces: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    consumes: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    statuses: tuple[int, ...] = (200,)


ANY_REQUEST: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What any request may get: malformed, to another host, one too many, too large a header, a store
that does not answer."""

GUARDED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""What any request may get for something that is not for anybody."""

STATUSES: Final[dict[int, str]] = {
    200: "What was asked for.",
    202: "Some instances were stored, some refused or changed; the data set says which and why.",
    204: "Nothing matches, or there is nothing to say.",
    206: "A range of it, or those instances that can be had as accepted.",
    304: "What the client holds is still the same.",
    400: "The request is malformed: a UID, a parameter, a media type, a body.",
    401: "Nobody knows who asks: sign in, or send a key.",
    403: "Not for this caller.",
    404: "There is no such thing.",
    406: "It cannot be had in any form the client accepts.",
    408: "The request's body stopped coming.",
    409: "Nothing was stored; the data set says why. Or it changed meanwhile, or is on hold.",
    410: "It was deleted, and is kept for a while before it is gone for good.",
    412: "A condition of the request does not hold.",
    413: "The search is too broad, or the body over its limit.",
    415: "Bodies of that media type are not taken here.",
    416: "The range is not within it.",
    421: "This host is not known by the name in the Host field.",
    429: "Too many requests come from this caller.",
    431: "The request's header and target are over their limit.",
    503: "The archive cannot do it now; Retry-After says when to ask again.",
}

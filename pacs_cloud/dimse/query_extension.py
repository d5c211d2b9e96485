"""Extended negotiation of the query/retrieve classes (PS3.4 C.5.1.1, C.5.2.1, C.5.3.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dimse.service import Operation

_RELATIONAL: Final = 0
_FUZZY: Final = 2
_FIND: Final = frozenset((_RELATIONAL, _FUZZY))
_RETRIEVE: Final = frozenset((_RELATIONAL,))


@dataclass(frozen=True, slots=True)
class QueryExtension:
    """What a requester and we have agreed on beyond the baseline.

    Attributes:
        relational: the unique keys of higher levels may be left out.
        fuzzy: person names match by their sound.
    """

    relational: bool
    fuzzy: bool


def negotiated(operation: Operation) -> QueryExtension:
    """Return what holds for an operation's SOP class."""
    for sop_class_uid, information in operation.association.request.extended:
        if sop_class_uid == operation.context.abstract_syntax:
            return QueryExtension(_has(information, _RELATIONAL), _has(information, _FUZZY))
    return QueryExtension(relational=False, fuzzy=False)


def answer_find(information: bytes) -> bytes:
    """Return the answer to a C-FIND class's application information.

    Byte by byte: relational queries yes; combined date-time matching no; fuzzy
    matching of names yes; timezone adjustment no; enhanced multi-frame conversion no.
    """
    return _answer(information, _FIND)


def answer_retrieve(information: bytes) -> bytes:
    """Return the answer to a C-MOVE or C-GET class's: relational retrieval yes, the rest no."""
    return _answer(information, _RETRIEVE)


Answer = Callable[[bytes], bytes | None]


def _answer(information: bytes, supported: frozenset[int]) -> bytes:
    return bytes(int(number in supported and byte == 1) for number, byte in enumerate(information))


def _has(information: bytes, number: int) -> bool:
    return len(information) > number and information[number] == 1

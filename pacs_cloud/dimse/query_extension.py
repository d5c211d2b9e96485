"""Extended negotiation of the query/retrieve classes (PS3.4 C.5.1.1, C.5.2.1, C.5.3.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dimse.service import Operation

_RELATIONAL: Final = 0
_DATE_TIME: Final = 1
_FUZZY: Final = 2
_EMPTY: Final = 5
_MULTIPLE: Final = 6
_FIND: Final = frozenset((_RELATIONAL, _DATE_TIME, _FUZZY, _EMPTY, _MULTIPLE))
_RETRIEVE: Final = frozenset((_RELATIONAL,))


@dataclass(frozen=True, slots=True)
class QueryExtension:
    """What a requester and we have agreed on beyond the baseline.

    Attributes:
        relational: the unique keys of higher levels may be left out.
        combined: a range of dates and one of their times are one.
        fuzzy: person names match by their sound.
        empty_values: two quotation marks match what has no value.
        multiple_values: each value of a list must be there.
    """

    relational: bool = False
    combined: bool = False
    fuzzy: bool = False
    empty_values: bool = False
    multiple_values: bool = False


def negotiated(operation: Operation) -> QueryExtension:
    """Return what holds for an operation's SOP class."""
    for sop_class_uid, information in operation.association.request.extended:
        if sop_class_uid == operation.context.abstract_syntax:
            numbers = (_RELATIONAL, _DATE_TIME, _FUZZY, _EMPTY, _MULTIPLE)
            return QueryExtension(*(_has(information, number) for number in numbers))
    return QueryExtension()


def answer_find(information: bytes) -> bytes:
    """Return the answer to a C-FIND class's application information.

    Byte by byte: relational queries yes; combined date-time matching yes; fuzzy
    matching of names yes; timezone adjustment no; enhanced multi-frame conversion no;
    empty value matching yes; multiple value matching yes.
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

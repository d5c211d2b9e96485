"""What a search asks and what it answers: the same for QIDO-RS and C-FIND."""

from dataclasses import dataclass
from enum import IntEnum

from pacs_cloud.dicom.elements import Elements


class Level(IntEnum):
    """What one row of the answer is (PS3.4 C.6.1.1), from the whole to its parts."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


@dataclass(frozen=True, slots=True)
class SearchKey:
    """One attribute that must match.

    Attributes:
        path: its tag, or the tags of the sequences that lead to it and its own.
        text: as PS3.4 C.2.2.2 writes it: a value, wildcards, a range, UIDs
            separated by backslash; "" or "*" match everything.
    """

    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search.

    Attributes:
        level: what to return.
        keys: what must match; keys of another level than `level` are relational: a
            study matches by a series that matches, a series by its study.
        returns: tags to return, None for every one that is stored apart (the
            attributes of the level and of all levels above it).
        limit: of rows, None for as many as the service gives at most.
        offset: of matching rows to pass over, in the stable newest-first order.
        fuzzy: match person names by their sound and parts (PS3.18 8.3.4.2).
    """

    level: Level
    keys: tuple[SearchKey, ...] = ()
    returns: frozenset[str] | None = None
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The rows, and what is known of those that were not returned.

    Attributes:
        rows: attributes by tag; each holds those of `returns` that have a place in
            this archive's records, computed ones too.
        more: None when every match is in `rows` (behind the offset); else how many
            further ones are known; 0 means that there may be some.
        more_is_exact: whether `more` is all of them.
        ignored: keys that could not be matched, because their attribute is not one
            that searches keep.
    """

    rows: list[Elements]
    more: int | None
    more_is_exact: bool
    ignored: tuple[tuple[str, ...], ...] = ()

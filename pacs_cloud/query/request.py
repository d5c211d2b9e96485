"""What a search asks and what it answers: the same for QIDO-RS and C-FIND."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.matching import BASELINE, Rules


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
        combined: match a range of dates and one of their times as one (PS3.4 C.2.2.2.5).
        rules: how keys match beyond the baseline.
        headers: match and return also what only full headers hold, where UIDs bound
            the search to studies, series or instances.
        everything: of an instance return its whole header, but for bulk data; with
            `headers` only.
    """

    level: Level
    keys: tuple[SearchKey, ...] = ()
    returns: frozenset[str] | None = None
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    combined: bool = False
    rules: Rules = BASELINE
    headers: bool = False
    everything: bool = False


class HeaderPlace(NamedTuple):
    """Where an instance's full header is.

    Attributes:
        ref: of its pack.
        offset: of its JSON in the pack's headers.
        length_bytes: of that JSON.
        sop_instance_uid: whose it is.
        amendments: of its pack, in order.
    """

    ref: UidRef
    offset: int
    length_bytes: int
    sop_instance_uid: str
    amendments: tuple[Amendment, ...]


class Row(NamedTuple):
    """One match.

    Attributes:
        elements: its attributes that are stored apart, or computed.
        places: of the headers of its instances, if something of them is to be returned.
        labels: of a study.
    """

    elements: Elements
    places: tuple[HeaderPlace, ...] = ()
    labels: frozenset[str] = frozenset()


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
        places: for each row where the headers are that `Search.whole_rows` completes
            it from; empty where nothing of them was asked for.
        unreturned: tags that were asked for and could not be returned, likewise.
        labels: of each row that is a study, in the order of `rows`; of other rows none.
    """

    rows: list[Elements]
    more: int | None
    more_is_exact: bool
    ignored: tuple[tuple[str, ...], ...] = ()
    places: list[tuple[HeaderPlace, ...]] = field(default_factory=list[tuple[HeaderPlace, ...]])
    unreturned: tuple[str, ...] = ()
    labels: list[frozenset[str]] = field(default_factory=list[frozenset[str]])

"""One study's series, documents and priors, found as whoever looks at it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.key_selection import KEY_OBJECT_SELECTION
from pacs_cloud.query import computed
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.studies.rows import (
    PATIENT_ID,
    RETURNS,
    STUDY,
    WITHOUT_PICTURE,
    StudyRow,
    day_text,
    is_cold,
    row_of,
)

SERIES, _INSTANCE, _SOP_CLASS = "0020000E", "00080018", "00080016"
_NUMBER, _DESCRIPTION, _MODALITY, _BODY_PART = "00200011", "0008103E", "00080060", "00180015"
_TITLE, _CONCEPT, _MEANING = "00420010", "0040A043", "00080104"
_CONTENT_DATE, _COMPLETION = "00080023", "0040A491"
_OF_SERIES: Final = frozenset(
    {SERIES, _NUMBER, _DESCRIPTION, _MODALITY, _BODY_PART, computed.SERIES_INSTANCES}
    | {computed.INSTANCE_AVAILABILITY}
)
_OF_DOCUMENT: Final = frozenset(
    {SERIES, _INSTANCE, _DESCRIPTION, _TITLE, _CONCEPT, _CONTENT_DATE, _COMPLETION}
)
_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_ENCAPSULATED: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.2"}  # PDF, CDA
)
_MOST_SERIES: Final = 500
_MOST_DOCUMENTS: Final = 50
_MOST_PRIORS: Final = 100
_PATTERN: Final = frozenset("*?\\")


@dataclass(frozen=True, slots=True)
class SeriesTile:
    """A series, in words; "" is what is not known."""

    uid: str
    number: str
    modality: str
    description: str
    body_part: str
    instances: int
    is_cold: bool
    has_picture: bool


@dataclass(frozen=True, slots=True)
class Document:
    """A report, or a document in a DICOM envelope.

    Attributes:
        series: of which series.
        uid: its SOP Instance UID.
        title: what it is called.
        date: when its content was made, `2026-01-31`.
        is_partial: whether it says that it is not complete.
    """

    series: str
    uid: str
    title: str
    date: str
    is_partial: bool


@dataclass(frozen=True, slots=True)
class StudyContents:
    """A study, with all that its page shows of it.

    Attributes:
        row: the study.
        series: that hold something else than documents, by number.
        documents: its reports and documents.
        has_more: whether it has more series than these.
    """

    row: StudyRow
    series: tuple[SeriesTile, ...]
    documents: tuple[Document, ...]
    has_more: bool


class Contents:
    """Finds them."""

    def __init__(self, search: Search) -> None:
        """Find them by `search`."""
        self._search = search

    async def study(self, caller: Caller, uid: str) -> StudyContents | None:
        """Return a study; None where it is not there, or not for them."""
        keys = (SearchKey((STUDY,), uid),)
        returns = RETURNS | {computed.SOP_CLASSES_IN_STUDY}
        found = await self._search.find(caller, SearchRequest(Level.STUDY, keys, returns, limit=1))
        if not found.rows:
            return None
        row = row_of(found.rows[0], found.labels[0])
        series = await self._search.find(
            caller, SearchRequest(Level.SERIES, keys, _OF_SERIES, limit=_MOST_SERIES)
        )
        classes: list[Any] = found.rows[0].get(computed.SOP_CLASSES_IN_STUDY, {}).get("Value") or []
        documents = await self._documents(caller, keys, [one for one in classes if _is_read(one)])
        of_series = Counter(one.series for one in documents)
        tiles = [_tile(one) for one in series.rows]
        shown = tuple(one for one in tiles if one.instances > of_series[one.uid])
        return StudyContents(row, shown, documents, series.more is not None)

    async def _documents(
        self, caller: Caller, keys: tuple[SearchKey, ...], classes: list[str]
    ) -> tuple[Document, ...]:
        if not classes:
            return ()
        keys = (*keys, SearchKey((_SOP_CLASS,), "\\".join(classes)))
        found = await self._search.find(
            caller, SearchRequest(Level.IMAGE, keys, _OF_DOCUMENT, limit=_MOST_DOCUMENTS)
        )
        return tuple(map(_document, found.rows))

    async def priors(self, caller: Caller, row: StudyRow) -> tuple[StudyRow, ...]:
        """Return the other studies of a study's patient that they see, the newest first.

        An ID of another issuer is another patient's; without an ID nothing tells whose it is.
        """
        if not row.patient_id or _PATTERN.intersection(row.patient_id):
            return ()
        keys = (SearchKey((PATIENT_ID,), row.patient_id),)
        found = await self._search.find(
            caller, SearchRequest(Level.STUDY, keys, RETURNS, limit=_MOST_PRIORS)
        )
        studies = map(row_of, found.rows, found.labels)
        return tuple(one for one in studies if one.issuer == row.issuer and one.uid != row.uid)


def _is_read(sop_class: str) -> bool:
    return sop_class in _ENCAPSULATED or (
        sop_class.startswith(_REPORTS) and sop_class != KEY_OBJECT_SELECTION
    )


def _tile(row: Elements) -> SeriesTile:
    modality = first_text(row, _MODALITY)
    return SeriesTile(
        first_text(row, SERIES),
        first_text(row, _NUMBER),
        modality,
        first_text(row, _DESCRIPTION),
        first_text(row, _BODY_PART),
        int(first_text(row, computed.SERIES_INSTANCES) or 0),
        is_cold(row),
        modality not in WITHOUT_PICTURE,
    )


def _document(row: Elements) -> Document:
    concept: list[Any] = row.get(_CONCEPT, {}).get("Value") or [{}]
    titles = (
        first_text(row, _TITLE),
        first_text(concept[0], _MEANING),
        first_text(row, _DESCRIPTION),
    )
    return Document(
        first_text(row, SERIES),
        first_text(row, _INSTANCE),
        next(filter(None, titles), ""),
        day_text(first_text(row, _CONTENT_DATE)),
        first_text(row, _COMPLETION) == "PARTIAL",
    )

"""What a link opens, found as its guest: access leaves out whatever they may not see."""

from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.elements import first_text, name_groups
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.security.caller import Caller

STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT_NAME, _PATIENT_ID, _BIRTH_DATE = "00100010", "00100020", "00100030"
_STUDY_DATE, _STUDY_DESCRIPTION, _MODALITIES = "00080020", "00081030", "00080061"
_SERIES_NUMBER, _SERIES_DESCRIPTION, MODALITY = "00200011", "0008103E", "00080060"
_SERIES_INSTANCES, _INSTANCE_NUMBER = "00201209", "00200013"
_MOST_SERIES: Final = 200
_MOST_INSTANCES: Final = 3000
_LAST: Final = 1 << 40
"""The number of what has none."""


@dataclass(frozen=True, slots=True)
class SharedSeries:
    """A series as a page shows it."""

    uid: str
    number: str
    modality: str
    description: str
    instances: str


@dataclass(frozen=True, slots=True)
class SharedStudy:
    """A study as a page shows it.

    Attributes:
        uid: its Study Instance UID.
        elements: its attributes, DICOM JSON.
        series: its series by number, no more than some hundreds.
        has_more: whether there are more.
    """

    uid: str
    elements: Elements
    series: tuple[SharedSeries, ...] = ()
    has_more: bool = False

    @property
    def patient(self) -> str:
        """The patient's name, as people write one."""
        groups = name_groups(self.elements, _PATIENT_NAME)
        family, _, rest = (groups[0] if groups else "").partition("^")
        given = " ".join(rest.replace("^", " ").split())
        return ", ".join(part for part in (family.strip(), given) if part)

    @property
    def patient_id(self) -> str:
        """The patient's ID."""
        return first_text(self.elements, _PATIENT_ID)

    @property
    def birth_date(self) -> str:
        """The patient's date of birth, `1970-01-31`."""
        return _day(first_text(self.elements, _BIRTH_DATE))

    @property
    def date(self) -> str:
        """When it was made, `2026-01-31`."""
        return _day(first_text(self.elements, _STUDY_DATE))

    @property
    def description(self) -> str:
        """What it is of."""
        return first_text(self.elements, _STUDY_DESCRIPTION)

    @property
    def modalities(self) -> str:
        """What it was made with."""
        values = self.elements.get(_MODALITIES, {}).get("Value") or ()
        return ", ".join(one for one in values if isinstance(one, str))


class ShareContents:
    """Finds studies, series and instances for guests."""

    def __init__(self, search: Search) -> None:
        """Find them by `search`."""
        self._search = search

    async def study(self, caller: Caller, uid: str, *, whole: bool = True) -> SharedStudy | None:
        """Return a study with its series; None where it is not there, or not for them.

        Args:
            caller: who asks.
            uid: its Study Instance UID.
            whole: whether its series are wanted, too.
        """
        keys = (SearchKey((STUDY,), uid),)
        found = await self._search.find(caller, SearchRequest(Level.STUDY, keys, limit=1))
        if not found.rows:
            return None
        if not whole:
            return SharedStudy(uid, found.rows[0])
        series = await self._search.find(
            caller, SearchRequest(Level.SERIES, keys, limit=_MOST_SERIES)
        )
        rows = sorted(series.rows, key=lambda row: _number(row, _SERIES_NUMBER))
        return SharedStudy(
            uid, found.rows[0], tuple(map(_series, rows)), has_more=series.more is not None
        )

    async def series(self, caller: Caller, study: str, uid: str) -> SharedSeries | None:
        """Return a series; None where it is not there, or not for them."""
        keys = (SearchKey((STUDY,), study), SearchKey((SERIES,), uid))
        found = await self._search.find(caller, SearchRequest(Level.SERIES, keys, limit=1))
        return _series(found.rows[0]) if found.rows else None

    async def instances(self, caller: Caller, study: str, series: str) -> list[str]:
        """Return the SOP Instance UIDs of a series by number, no more than some thousands."""
        keys = (SearchKey((STUDY,), study), SearchKey((SERIES,), series))
        returns = frozenset({INSTANCE, _INSTANCE_NUMBER})
        found = await self._search.find(
            caller, SearchRequest(Level.IMAGE, keys, returns, limit=_MOST_INSTANCES)
        )
        rows = sorted(found.rows, key=lambda row: _number(row, _INSTANCE_NUMBER))
        return [first_text(row, INSTANCE) for row in rows]


def _series(row: Elements) -> SharedSeries:
    return SharedSeries(
        first_text(row, SERIES),
        first_text(row, _SERIES_NUMBER),
        first_text(row, MODALITY),
        first_text(row, _SERIES_DESCRIPTION),
        first_text(row, _SERIES_INSTANCES),
    )


def _number(row: Elements, tag: str) -> int:
    try:
        return int(first_text(row, tag))
    except ValueError:
        return _LAST


def _day(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text

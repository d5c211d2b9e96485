"""What somebody looks for in the study list: the fields of its URL, and the searches they mean."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import urlencode

from pacs_cloud.dicom.matching import Rules
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

PRESETS: Final[Mapping[str, tuple[str, int]]] = {
    "today": ("Today", 0),
    "week": ("Last 7 days", 6),
    "month": ("Last 30 days", 29),
    "year": ("Last 365 days", 364),
}
"""Each with what it is called, and how many days before today it begins."""
RANGE: Final = "range"
"""The choice that has a first and a last day."""
MODALITIES: Final = (
    *("CR", "CT", "DX", "ECG", "ES", "IO", "MG", "MR", "NM", "OP", "OPT", "OT", "PT", "PX"),
    *("RF", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SM", "SR", "US", "XA", "XC"),
)
"""That people look for by name (PS3.3 C.7.3.1.1.1); any other can be asked for in the URL."""

_LONGEST: Final = 128
_WILD: Final = re.compile(r"[*?]")
_BY_SYNTAX: Final = re.compile(r"[*?^=]")
_EAST: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3々〆]{2,8}")
"""Kana, ideographs and Hangul: names that are written without a space."""
_LONGEST_FAMILY: Final = 3
"""Characters of such a family name."""
_SHORTEST_BEGINNING: Final = 3
"""Characters of an ID: for fewer the archive is not looked through while somebody types on."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is looked for; "" asks nothing.

    Attributes:
        name: words of the patient's name, or a key as PS3.4 C.2.2.2 writes it.
        id: Patient ID, or how one begins.
        accession: Accession Number, likewise.
        date: one of PRESETS, or RANGE.
        since: of RANGE the first day, `2026-01-31`.
        until: the last.
        modality: one, or several with commas between them.
        description: words of Study Description, in their order.
        sounds: "1": also names that sound like what was typed.
    """

    name: str = ""
    id: str = ""
    accession: str = ""
    date: str = ""
    since: str = ""
    until: str = ""
    modality: str = ""
    description: str = ""
    sounds: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Filters":
        """Return those of a URL's query.

        Raises:
            InvalidRequest: a field is too long, or no day, or no choice that there is.
        """
        said = {one.name: _words(query.get(one.name, "")) for one in fields(cls)}
        for field, text in said.items():
            if len(text) > _LONGEST:
                raise InvalidRequest(f"What is looked for as {field} is too long.")
        if said["since"] or said["until"]:
            said["date"] = RANGE
        elif said["date"] == RANGE:
            said["date"] = ""
        if said["date"] not in {"", RANGE, *PRESETS}:
            raise InvalidRequest(f"A date is one of {', '.join(PRESETS)}, or since and until.")
        for field in ("since", "until"):
            _day(said[field])
        if said["since"] and said["until"] and said["since"] > said["until"]:
            said["since"], said["until"] = said["until"], said["since"]
        said["sounds"] = "1" if said["sounds"] and said["name"] else ""
        return cls(**said)

    @property
    def said(self) -> dict[str, str]:
        """The fields that ask something, as a URL has them."""
        texts = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        if self.date == RANGE:
            del texts["date"]
        return {field: text for field, text in texts.items() if text}

    @property
    def folded(self) -> int:
        """How many of the fields ask something that a phone folds away: all but the name."""
        days = bool(self.since or self.until)
        folded = {"id", "accession", "date", "modality", "description"} & self.said.keys()
        return len(folded) + days

    def url(self, **more: object) -> str:
        """Return the list's URL that asks for this, and `more`."""
        query = urlencode({**self.said, **more})
        return f"/?{query}" if query else "/"

    def searches(
        self, returns: frozenset[str], today: dt.date, *, limit: int, offset: int
    ) -> tuple[SearchRequest, ...]:
        """Return the searches to try, until one finds something.

        First what was typed, by indexes. Where an ID or an accession number has no wildcard,
        then those that begin so; where a name is written without a space, then the places
        where its family name may end.
        """
        as_typed = self._name, self.id, self.accession
        parted = [(name, self.id, self.accession) for name in _parted(self.name)]
        begun = self._name, _begun(self.id), _begun(self.accession)
        common = self._common(today)
        rules = Rules(typed=True, by_sound=bool(self.sounds))
        found: list[SearchRequest] = []
        for name, patient_id, accession in dict.fromkeys((as_typed, *parted, begun)):
            texts = {"00100010": name, "00100020": patient_id, "00080050": accession, **common}
            keys = tuple(SearchKey((tag,), text) for tag, text in texts.items() if text)
            fuzzy = not _BY_SYNTAX.search(name)
            asked = SearchRequest(Level.STUDY, keys, returns, limit, offset, fuzzy, rules=rules)
            found.append(asked)
        return tuple(found)

    @property
    def _name(self) -> str:
        """The name's key; one with DICOM's signs means what PS3.4 says, but may go on."""
        name = self.name
        return name if not _BY_SYNTAX.search(name) or _WILD.search(name) else f"{name}*"

    def _common(self, today: dt.date) -> dict[str, str]:
        words = self.description.split()
        return {
            "00080020": self._days(today),
            "00080061": "\\".join(filter(None, self.modality.upper().replace(",", " ").split())),
            "00081030": f"*{'*'.join(words)}*" if words else "",
        }

    def _days(self, today: dt.date) -> str:
        if self.date in PRESETS:
            first = today - dt.timedelta(days=PRESETS[self.date][1])
            return f"{first:%Y%m%d}-{today:%Y%m%d}"
        if not (self.since or self.until):
            return ""
        return f"{_day(self.since)}-{_day(self.until)}"


def _words(text: str) -> str:
    """Return `text` with one blank between its words; a backslash would part values."""
    return " ".join(text.replace("\\", " ").split())


def _begun(text: str) -> str:
    is_told = len(text) >= _SHORTEST_BEGINNING and not _WILD.search(text)
    return f"{text}*" if is_told else text


def _parted(name: str) -> list[str]:
    """Return a name that is written without a space, with its components parted: `王^小东*`."""
    if not _EAST.fullmatch(name):
        return []
    ends = range(1, min(_LONGEST_FAMILY, len(name) - 1) + 1)
    return [f"{name[:end]}^{name[end:]}*" for end in ends]


def _day(text: str) -> str:
    """Return `2026-01-31` as `20260131`, "" for ""; raises InvalidRequest."""
    try:
        return f"{dt.date.fromisoformat(text):%Y%m%d}".rjust(8, "0") if text else ""
    except ValueError:
        raise InvalidRequest("A day is written as 2026-01-31.") from None

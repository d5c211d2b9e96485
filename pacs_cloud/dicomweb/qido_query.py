"""What a search URL asks (PS3.18 8.3.4, 10.6.1)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from pacs_cloud.dicom.dicomjson import path_of, vr_of
from pacs_cloud.dicom.matching import Rules
from pacs_cloud.dicom.moments import is_offset
from pacs_cloud.dicomweb import qido_tables
from pacs_cloud.dicomweb.requests import uid_of
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.criteria import level_of
from pacs_cloud.query.headers import creator_of
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"
_TIMEZONE: Final = ("00080201",)
_NOT_KEYS: Final = frozenset(
    {
        "accept",
        "charset",
        "emptyvaluematching",
        "fuzzymatching",
        "includefield",
        "limit",
        "multiplevaluematching",
        "offset",
    }
)
# A keyword begins with a capital and a tag with a digit: this is no attribute misspelt.
_FOREIGN: Final = re.compile(r"(?!dBdt)[_a-z][0-9A-Za-z_.\-]{0,63}")
_MALFORMED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MAX_NUMBER: Final = 10**9
_MAX_PARAMETERS: Final = 1000

Parameters = Mapping[str, list[str]]
"""Values by name, in the order they came."""


def parameters_of(request: Request) -> Parameters:
    """Return the parameters of a request's URL.

    Raises:
        InvalidRequest: percent-encoding or UTF-8 that is none, or too many parameters.
    """
    query: bytes = request.scope["query_string"]
    if _MALFORMED.search(query):
        raise InvalidRequest("A % in a URL has two hex digits behind it.")
    parts = [part for part in query.split(b"&") if part]
    if len(parts) > _MAX_PARAMETERS:
        raise InvalidRequest(f"A search has up to {_MAX_PARAMETERS} parameters.")
    found: dict[str, list[str]] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def read_search(request: Request, parameters: Parameters, level: Level) -> SearchRequest:
    """Return what a search URL asks.

    Raises:
        InvalidRequest: an unknown attribute, a number that is none, a repeated key.
    """
    keys: dict[tuple[str, ...], str] = {}
    for tag, name in ((_STUDY_UID, "study"), (_SERIES_UID, "series")):
        if uid := uid_of(request, name):
            keys[(tag,)] = uid
    from_path = frozenset(keys)
    for name, texts in parameters.items():
        if name in _NOT_KEYS or _FOREIGN.fullmatch(name):
            continue
        path = path_of(name)
        if path in from_path:
            raise InvalidRequest("A UID that the path gives cannot be given as a key as well.")
        if path in keys or len(texts) > 1:
            raise InvalidRequest("An attribute can be given as a key once.")
        # UIDs are listed with commas (8.3.4.1); viewers list modalities so, and no code has one.
        is_list = vr_of(path[-1]) in {"CS", "UI"}
        keys[path] = texts[0].replace(",", "\\") if is_list else texts[0]
    returns, everything = _returns(parameters, level, keys, from_path)
    return SearchRequest(
        level,
        tuple(SearchKey(path, text) for path, text in keys.items()),
        returns=returns,
        limit=_number(parameters, "limit"),
        offset=_number(parameters, "offset") or 0,
        fuzzy=_flag(parameters, "fuzzymatching"),
        combined=True,  # 8.3.4.1.1
        rules=Rules(
            empty_values=_flag(parameters, "emptyvaluematching"),
            multiple_values=_flag(parameters, "multiplevaluematching"),
            zone=_zone(keys.get(_TIMEZONE, "")),
        ),
        headers=True,
        everything=everything,
    )


def unsupported(parameters: Parameters) -> list[str]:
    """Return a sentence about parameters that had no effect (PS3.18 8.3)."""
    foreign = [name for name in parameters if name not in _NOT_KEYS and _FOREIGN.fullmatch(name)]
    if not foreign:
        return []
    return [f"The following parameters are not supported: {', '.join(sorted(foreign))}"]


def _returns(
    parameters: Parameters,
    level: Level,
    keys: Iterable[tuple[str, ...]],
    from_path: frozenset[tuple[str, ...]],
) -> tuple[frozenset[str], bool]:
    """Return the tags of an answer, and whether `all` was asked for.

    They are those of the tables, those asked for, and the keys' own. A series or an
    instance comes with its study's attributes unless the path gives the study, an
    instance with its series' unless the path gives the series.
    """
    levels = [level]
    if level > Level.STUDY and (_STUDY_UID,) not in from_path:
        levels.append(Level.STUDY)
    if level > Level.SERIES and (_SERIES_UID,) not in from_path:
        levels.append(Level.SERIES)
    tags = set(qido_tables.UIDS)
    for some in levels:
        tags.update(qido_tables.OF_LEVEL[some])
    everything = False
    for value in parameters.get("includefield", ()):
        for name in filter(None, (part.strip() for part in value.split(","))):
            if name.lower() == "all":
                everything = True
            else:
                tags.add(path_of(name)[0])
    if everything:
        for some in levels:
            tags |= qido_tables.EVERYTHING[some]
    tags.update(path[0] for path in keys)
    tags.update(filter(None, map(creator_of, tuple(tags))))
    # Attributes of a lower level are never returned (10.6.3.3).
    return frozenset(tag for tag in tags if (level_of(tag) or level) <= level), everything


def _number(parameters: Parameters, name: str) -> int | None:
    given = parameters.get(name)
    if not given:
        return None
    text = given[0].strip()
    if len(given) > 1 or not (text.isascii() and text.isdecimal()) or int(text) > _MAX_NUMBER:
        raise InvalidRequest(f"{name} is one number, 0 or more.")
    return int(text)


def _flag(parameters: Parameters, name: str) -> bool:
    given = {text.strip().lower() for text in parameters.get(name, ())}
    if not given <= {"true", "false"} or len(given) > 1:
        raise InvalidRequest(f"{name} is true or false.")
    return given == {"true"}


def _zone(text: str) -> str:
    """Return the offset from UTC that a request's dates and times are in, "" for none."""
    zone = text.strip()
    if zone and zone[0].isdigit() and text[0] == " ":
        zone = f"+{zone}"  # a plus sign that was not percent-encoded
    if zone and not is_offset(zone):
        raise InvalidRequest("TimezoneOffsetFromUTC is an offset such as +0100.")
    return zone


def _decoded(text: bytes) -> str:
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("A URL's text is UTF-8.") from error

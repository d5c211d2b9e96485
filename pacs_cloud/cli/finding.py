"""`find`: the same search as QIDO-RS and C-FIND, from the shell; here, or over QIDO-RS."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from pacs_cloud.bootstrap.services import open_reading
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_rows, stderr
from pacs_cloud.dicom.dicomjson import keyword_of, path_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.remote.address import remote_of
from pacs_cloud.remote.connection import open_connection
from pacs_cloud.remote.searching import Found, search
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

LEVELS = {
    "patient": Level.PATIENT,
    "study": Level.STUDY,
    "series": Level.SERIES,
    "instance": Level.IMAGE,
}
_CHARSET: Final = "00080005"
COLUMNS = {
    Level.PATIENT: ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    Level.STUDY: (
        "StudyDate",
        "PatientName",
        "PatientID",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedInstances",
        "StudyInstanceUID",
    ),
    Level.SERIES: (
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
        "SeriesInstanceUID",
    ),
    Level.IMAGE: ("InstanceNumber", "SOPClassUID", "SOPInstanceUID"),
}


def find_rows(
    settings: Settings, keys: Sequence[str], *, level: str, limit: int, as_json: bool
) -> None:
    """Print what matches.

    Raises:
        InvalidRequest, TooBroad: it cannot be searched by that.
        Unavailable: a store, or the archive elsewhere, does not answer.
        Unidentified, Denied, …: as `remote.answers.refusal`.
    """
    at = LEVELS.get(level)
    if at is None:
        raise InvalidRequest(f"--level is one of {', '.join(LEVELS)}, not {level!r}")
    asked = tuple(map(_key, keys))
    found = asyncio.run((_from_afar if settings.remote else _search)(settings, at, asked, limit))
    rows = ({keyword_of(tag): _plain(row[tag]) for tag in sorted(row)} for row in found.rows)
    print_rows(rows, COLUMNS[at], as_json=as_json, empty="Nothing matches.")
    if found.more is not None:
        more = f"{found.more}" if found.is_exact else "many"
        stderr.print(f"{more} more; ask with a larger --limit or more keys")
    for warning in found.warnings:
        stderr.print(warning)


async def _search(
    settings: Settings, level: Level, keys: tuple[SearchKey, ...], limit: int
) -> Found:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        request = SearchRequest(level, keys, limit=limit)
        found = await reading.search.find(system(settings.tenant), request)
    # What is printed is UTF-8, whatever the data sets are in.
    rows = [
        {tag: element for tag, element in row.items() if "Value" in element and tag != _CHARSET}
        for row in found.rows
    ]
    ignored = (f"not searched by: {'.'.join(map(keyword_of, path))}" for path in found.ignored)
    return Found(rows, found.more, found.more_is_exact, tuple(ignored))


async def _from_afar(
    settings: Settings, level: Level, keys: tuple[SearchKey, ...], limit: int
) -> Found:
    async with open_connection(remote_of(settings)) as connection:
        return await search(connection, level, keys, limit)


def _key(text: str) -> SearchKey:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidRequest(f"{text!r} is not KEY=VALUE, e.g. PatientID=123")
    return SearchKey(path_of(name), value)


def _plain(element: Element) -> object:
    """Return an attribute as people write it: one value, or a list of them."""
    values = list(_values(element))
    return values[0] if len(values) == 1 else values or None


def _values(element: Element) -> Iterator[object]:
    for value in element.get("Value", ()):
        if element["vr"] == "PN":
            groups: Element = value or {}
            named = [groups.get(g, "") for g in ("Alphabetic", "Ideographic", "Phonetic")]
            yield "=".join(named).rstrip("=")
        elif element["vr"] == "SQ":
            item: Elements = value
            yield {keyword_of(tag): _plain(inner) for tag, inner in item.items()}
        else:
            yield value

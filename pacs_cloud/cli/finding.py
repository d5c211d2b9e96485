"""`find`: the same search as QIDO-RS and C-FIND, from the shell."""

import asyncio
from collections.abc import Iterator, Sequence

from pacs_cloud.bootstrap.services import open_reading, open_stores
from pacs_cloud.cli.output import print_rows, stderr
from pacs_cloud.dicom.dicomjson import keyword_of, path_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.query.request import Level, SearchKey, SearchRequest, SearchResult
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

LEVELS = {
    "patient": Level.PATIENT,
    "study": Level.STUDY,
    "series": Level.SERIES,
    "instance": Level.IMAGE,
}
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
    """Print what matches; raises InvalidRequest, TooBroad, Unavailable."""
    at = LEVELS.get(level)
    if at is None:
        raise InvalidRequest(f"--level is one of {', '.join(LEVELS)}, not {level!r}")
    request = SearchRequest(at, tuple(map(_key, keys)), limit=limit)
    found = asyncio.run(_search(settings, request))
    rows = (
        {keyword_of(tag): _plain(element) for tag, element in row.items()} for row in found.rows
    )
    print_rows(rows, COLUMNS[at], as_json=as_json, empty="Nothing matches.")
    if found.more is not None:
        more = f"{found.more}" if found.more_is_exact else "many"
        stderr.print(f"{more} more; ask with a larger --limit or more keys")
    for path in found.ignored:
        stderr.print(f"not searched by: {'.'.join(map(keyword_of, path))}")


async def _search(settings: Settings, request: SearchRequest) -> SearchResult:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        return await reading.search.find(system(settings.tenant), request)


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

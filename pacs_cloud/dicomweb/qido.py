"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6)."""

import re
from collections.abc import AsyncGenerator, Iterable
from typing import Final

import orjson
from starlette.requests import Request

from pacs_cloud.dicom.dicomjson import path_of, vr_of
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicomweb import media, native_xml, qido_tables
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.negotiation import choose_document
from pacs_cloud.dicomweb.requests import accepted, root_url, uid_of
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import InvalidRequest, NotAcceptable
from pacs_cloud.query.criteria import level_of
from pacs_cloud.query.request import Level, SearchKey, SearchRequest, SearchResult
from pacs_cloud.query.service import Search

_STUDY_UID: Final = "0020000D"
_SERIES_UID: Final = "0020000E"
_INSTANCE_UID: Final = "00080018"
_CHARACTER_SET: Final = "00080005"
_UTF8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
_NOT_KEYS: Final = frozenset(
    {
        "accept",
        "charset",
        "emptyvaluematching",
        "fuzzymatching",
        "includefield",
        "limit",
        "multiplevaluematching",  # lists of values always match by any of them
        "offset",
    }
)
# A keyword begins with a capital and a tag with a digit: this is no attribute misspelt.
_FOREIGN: Final = re.compile(r"(?!dBdt)[_a-z][0-9A-Za-z_.\-]{0,63}")
_MAX_NUMBER: Final = 10**9
_UNCACHED: Final = {"cache-control": "no-store"}


class Qido:
    """The search resources over one archive."""

    def __init__(self, search: Search, tenant: str, public_url: str = "") -> None:
        self._search = search
        self._tenant = tenant
        self._public_url = public_url

    async def studies(self, request: Request) -> Answer:
        """Answer GET /studies."""
        return await self._answer(request, Level.STUDY)

    async def series(self, request: Request) -> Answer:
        """Answer GET /series and /studies/{study}/series."""
        return await self._answer(request, Level.SERIES)

    async def instances(self, request: Request) -> Answer:
        """Answer GET /instances, and below a study or a series."""
        return await self._answer(request, Level.IMAGE)

    async def _answer(self, request: Request, level: Level) -> Answer:
        content = choose_document(accepted(request), is_array=True)
        if content is None:
            raise NotAcceptable(
                "Search results are application/dicom+json, or "
                'multipart/related; type="application/dicom+xml".'
            )
        search = read_search(request, level)
        unused = _unused(request)
        result = await self._search.find(self._tenant, search)
        headers = dict(_UNCACHED)
        if warnings := [*_warnings(result), *unused]:
            headers["warning"] = "\n".join(warnings)
        if not result.rows:
            return Answer(status=204, headers=headers)
        root = root_url(request, self._public_url)
        rows = _completed(result.rows, level, search.returns or frozenset(), root)
        if content == media.DICOM_XML:
            writer = MultipartWriter(media.DICOM_XML)
            return Stream(_xml(rows, writer), writer.content_type, headers=headers)
        body = orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)
        return Bytes(body, content, headers=headers)


def read_search(request: Request, level: Level) -> SearchRequest:
    """Return what a search URL asks.

    Raises:
        InvalidRequest: an unknown attribute, a number that is none, a repeated key.
    """
    keys: dict[tuple[str, ...], str] = {}
    for tag, name in ((_STUDY_UID, "study"), (_SERIES_UID, "series")):
        if uid := uid_of(request, name):
            keys[(tag,)] = uid
    from_path = frozenset(keys)
    for name, text in request.query_params.multi_items():
        if name in _NOT_KEYS or _FOREIGN.fullmatch(name):
            continue
        path = path_of(name)
        if path in from_path:
            raise InvalidRequest("A UID that the path gives cannot be given as a key as well.")
        if path in keys:
            raise InvalidRequest("An attribute can be given as a key once.")
        # UIDs are listed with commas (8.3.4.1); viewers list modalities so, and no code has one.
        keys[path] = text.replace(",", "\\") if vr_of(path[-1]) in {"CS", "UI"} else text
    return SearchRequest(
        level,
        tuple(SearchKey(path, text) for path, text in keys.items()),
        returns=_returns(request, level, keys, from_path),
        limit=_number(request, "limit"),
        offset=_number(request, "offset") or 0,
        fuzzy=_flag(request, "fuzzymatching"),
    )


def _unused(request: Request) -> list[str]:
    """Return warnings of parameters that had no effect (PS3.18 8.3, 8.3.4.5)."""
    warnings: list[str] = []
    _flag(request, "multiplevaluematching")
    if _flag(request, "emptyvaluematching"):
        warnings.append(
            "The emptyvaluematching parameter is not supported. "
            "Empty Value Matching has not been performed."
        )
    names = {name for name in request.query_params if name not in _NOT_KEYS}
    if foreign := sorted(name for name in names if _FOREIGN.fullmatch(name)):
        warnings.append(f"The following parameters are not supported: {', '.join(foreign)}")
    return [_warning(said) for said in warnings]


def _returns(
    request: Request,
    level: Level,
    keys: Iterable[tuple[str, ...]],
    from_path: frozenset[tuple[str, ...]],
) -> frozenset[str]:
    """Return the tags of an answer: those of the tables, those asked for, the keys' own.

    A series or an instance comes with its study's attributes unless the path gives
    the study, an instance with its series' unless the path gives the series.
    """
    levels = [level]
    if level > Level.STUDY and (_STUDY_UID,) not in from_path:
        levels.append(Level.STUDY)
    if level > Level.SERIES and (_SERIES_UID,) not in from_path:
        levels.append(Level.SERIES)
    tags = set(qido_tables.UIDS)
    for some in levels:
        tags.update(qido_tables.OF_LEVEL[some])
    for value in request.query_params.getlist("includefield"):
        for name in filter(None, (part.strip() for part in value.split(","))):
            if name.lower() == "all":
                for some in levels:
                    tags |= qido_tables.EVERYTHING[some]
            else:
                tags.add(path_of(name)[0])
    tags.update(path[0] for path in keys)
    # Attributes of a lower level are never returned (10.6.3.3).
    return frozenset(tag for tag in tags if (level_of(tag) or level) <= level)


def _number(request: Request, name: str) -> int | None:
    given = request.query_params.getlist(name)
    if not given:
        return None
    text = given[0].strip()
    if len(given) > 1 or not (text.isascii() and text.isdecimal()) or int(text) > _MAX_NUMBER:
        raise InvalidRequest(f"{name} is one number, 0 or more.")
    return int(text)


def _flag(request: Request, name: str) -> bool:
    given = {text.strip().lower() for text in request.query_params.getlist(name)}
    if not given <= {"true", "false"} or len(given) > 1:
        raise InvalidRequest(f"{name} is true or false.")
    return given == {"true"}


def _warnings(result: SearchResult) -> list[str]:
    warnings: list[str] = []
    if result.more is not None:
        if result.more_is_exact:
            said = f"There are {result.more} additional results that can be requested"
        elif result.more:
            said = f"There are at least {result.more} additional results that can be requested"
        else:
            said = "There may be additional results that can be requested"
        warnings.append(said)
    if result.ignored:
        names = ", ".join(".".join(path) for path in result.ignored)
        warnings.append(f"The following keys are not supported and were not matched: {names}")
    return [_warning(said) for said in warnings]


def _warning(said: str) -> str:
    return f'299 pacs-cloud "{said}"'


def _completed(
    rows: list[Elements], level: Level, returns: frozenset[str], root: str
) -> list[Elements]:
    """Return rows with what only this edge knows: empty values, URLs, and that text is UTF-8."""
    empty: Elements = {
        tag: {"vr": vr}
        for some, always in qido_tables.ALWAYS.items()
        if some <= level
        for tag, vr in always.items()
        if tag in returns
    }
    completed: list[Elements] = []
    for row in rows:
        url = f"{root}/studies/{row[_STUDY_UID]['Value'][0]}"
        if level >= Level.SERIES:
            url += f"/series/{row[_SERIES_UID]['Value'][0]}"
        if level >= Level.IMAGE:
            url += f"/instances/{row[_INSTANCE_UID]['Value'][0]}"
        full = {**empty, **row, qido_tables.RETRIEVE_URL: {"vr": "UR", "Value": [url]}}
        if _CHARACTER_SET in full:
            full[_CHARACTER_SET] = _UTF8
        completed.append(full)
    return completed


async def _xml(rows: list[Elements], writer: MultipartWriter) -> AsyncGenerator[bytes]:
    for row in rows:
        document = native_xml.encode({tag: row[tag] for tag in sorted(row)})
        yield writer.begin(media.DICOM_XML) + document
    yield writer.end()

"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6)."""

from collections.abc import AsyncGenerator
from typing import Final

import orjson
from starlette.requests import Request

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicomweb import media, native_xml
from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.negotiation import choose_document
from pacs_cloud.dicomweb.qido_query import parameters_of, read_search, unsupported
from pacs_cloud.dicomweb.qido_rows import Completion
from pacs_cloud.dicomweb.requests import accepted, root_url
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.query.request import Level, SearchRequest, SearchResult
from pacs_cloud.query.service import Search
from pacs_cloud.security.caller import Caller

_UNCACHED: Final = {"cache-control": "no-store"}
_CHUNK_BYTES: Final = 64 << 10


class Qido:
    """The search resources over one archive."""

    def __init__(self, search: Search, public_url: str = "") -> None:
        self._search = search
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
        parameters = parameters_of(request)
        search = read_search(request, parameters, level)
        root = root_url(request, self._public_url)
        caller = caller_of(request)
        result = await self._search.find(caller, search)
        headers = dict(_UNCACHED)
        if said := [*_warnings(result), *unsupported(parameters)]:
            # Warning is no field of HTTP any more (RFC 9111 5.5): what is left is PS3.18's form.
            headers["warning"] = "\n".join(f"299 {root}: {one}" for one in said)
        if not result.rows:
            return Answer(status=204, headers=headers)
        completion = Completion(level, search.returns or frozenset(), root)
        if result.places:
            rows = self._whole(caller, search, result, completion)
        elif content == media.DICOM_XML:
            rows = _each(result.rows, completion)
        else:
            whole = [completion.completed(row) for row in result.rows]
            body = orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
            return Bytes(body, content, headers=headers)
        if content == media.DICOM_XML:
            writer = MultipartWriter(media.DICOM_XML)
            return Stream(_xml(rows, writer), writer.content_type, headers=headers)
        return Stream(_json(rows), content, headers=headers)

    async def _whole(
        self, caller: Caller, search: SearchRequest, result: SearchResult, completion: Completion
    ) -> AsyncGenerator[Elements]:
        async for row in self._search.whole_rows(caller, search, result):
            yield completion.completed(completion.with_urls(row))


def _warnings(result: SearchResult) -> list[str]:
    warnings: list[str] = []
    if result.more is not None:
        said = f"There are {result.more} additional results that can be requested"
        if not result.more:
            said = "There may be additional results that can be requested"
        elif not result.more_is_exact:
            said += ", perhaps more"
        warnings.append(said)
    if result.ignored:
        names = ", ".join(".".join(path) for path in result.ignored)
        warnings.append(f"The following keys are not supported and were not matched: {names}")
    if result.unreturned:
        names = ", ".join(result.unreturned)
        warnings.append(
            "The following attributes are only returned of studies, series and instances "
            f"that are named by their UID: {names}"
        )
    return warnings


async def _each(rows: list[Elements], completion: Completion) -> AsyncGenerator[Elements]:
    for row in rows:
        yield completion.completed(row)


async def _json(rows: AsyncGenerator[Elements]) -> AsyncGenerator[bytes]:
    chunk = bytearray(b"[")
    before = b""
    async for row in rows:
        chunk += before + orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
        before = b","
        if len(chunk) > _CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk) + b"]"


async def _xml(rows: AsyncGenerator[Elements], writer: MultipartWriter) -> AsyncGenerator[bytes]:
    async for row in rows:
        document = native_xml.encode({tag: row[tag] for tag in sorted(row)})
        yield writer.begin(media.DICOM_XML) + document
    yield writer.end()

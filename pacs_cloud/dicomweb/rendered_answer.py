"""What is rendered as one HTTP answer: each part made when its turn to be sent comes."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice
from typing import Final

from starlette.requests import Request

from pacs_cloud.dicomweb import problems
from pacs_cloud.dicomweb.byte_ranges import piece_answer
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.rendered_parts import Part
from pacs_cloud.dicomweb.responses import Answer, Bytes, Stream
from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.errors import InvalidRequest, NotAcceptable, NotFound, PacsError
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.pieces import Piece, stream
from pacs_cloud.retrieve.renditions import HTML, PDF

NOT_THIS_ONE: Final = (InvalidRequest, NotAcceptable, NotFound)
"""Why one instance or frame is not shown, where others are (PS3.18 10.4.3.1)."""
_POLICIES: Final = {
    # Our own page has a style of its own; browsers show no PDF in a sandbox, and run none of it.
    HTML: "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'",
    PDF: "default-src 'none'; frame-ancestors 'none'",
}
_AHEAD: Final = 2
"""Parts that are made while another is sent."""
_MOST_HELD: Final = 256
"""With so many parts that cannot be shown, and none yet that can, the answer begins."""


async def rendered_answer(
    request: Request,
    objects: ObjectStore,
    parts: Iterator[Part],
    content_type: str,
    headers: dict[str, str],
    *,
    is_multipart: bool,
    status: int = 200,
) -> Answer:
    """Return the answer that `parts` make.

    Args:
        request: its validators, and its Range, decide.
        objects: where found pieces lie.
        parts: at least one; the only one where `is_multipart` is not set.
        content_type: of the first.
        headers: with the answer's ETag.
        is_multipart: whether they go into a multipart body.
        status: of a whole answer.

    Raises:
        NotFound, NotAcceptable, InvalidRequest: a part alone cannot be shown.
    """
    mark = headers["etag"]
    media_type = content_type.partition(";")[0]
    if media_type in _POLICIES and not is_multipart:
        headers = {**headers, "content-security-policy": _POLICIES[media_type]}
    if is_unchanged(request, mark):
        return Answer(status=304, headers=headers)
    if is_multipart:
        writer = MultipartWriter(media_type, mark.strip('"'))
        chunks = _multipart(objects, writer, parts)
        return Stream(chunks, writer.content_type, status=status, headers=headers)
    part = next(parts)
    if request.method == "HEAD" and not part.is_found:
        # Only GET is worth a rendering; its length is not known before (RFC 9110 9.3.2).
        return Answer(content_type, status=status, headers=headers)
    pieces = await part.pieces()
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return Bytes(pieces[0], content_type, status=status, headers=headers)
    return piece_answer(request, objects, pieces, content_type, headers)


async def _multipart(
    objects: ObjectStore, writer: MultipartWriter, parts: Iterator[Part]
) -> AsyncGenerator[bytes]:
    """Yield the parts, the next ones made while one is sent.

    Raises:
        NotFound, NotAcceptable, InvalidRequest: none of them can be shown. Nothing was
            yielded then: this is the answer's status.
    """
    ahead: deque[tuple[Part, asyncio.Task[Sequence[Piece]]]] = deque()
    failures: list[PacsError] = []
    has_begun = False
    try:
        while True:
            for part in islice(parts, _AHEAD + 1 - len(ahead)):
                ahead.append((part, asyncio.create_task(_made(part))))
            if not ahead:
                break
            part, task = ahead.popleft()
            begin, pieces = "", ()
            try:
                begin, pieces = part.content_type, await task
            except NOT_THIS_ONE as error:
                failures.append(error)
                if not has_begun and len(failures) < _MOST_HELD:
                    continue
            has_begun = True
            # One image that cannot be shown is said in its place; the others come.
            at_hand = b"".join(
                writer.begin(problems.PROBLEM_JSON) + problems.of_error(failure).content
                for failure in failures
            )
            failures.clear()
            if begin:
                at_hand += writer.begin(begin)
            # With the first bytes of the part: should these fail, nothing hides it yet.
            async for chunk in stream(objects, (at_hand, *pieces)):
                yield chunk
        if not has_begun:
            raise failures[0]
        yield writer.end()
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)


async def _made(part: Part) -> Sequence[Piece]:
    return await part.pieces()

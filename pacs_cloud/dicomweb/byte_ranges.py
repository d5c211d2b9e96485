"""Parts of a body by Range (RFC 9110 14): one range; several are answered with the whole body."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dicomweb.responses import Answer, Stream
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.pieces import Piece, cut, length_of, stream

_RANGE: Final = re.compile(r"bytes=[ \t,]*([0-9]{0,19})-([0-9]{0,19})[ \t,]*", re.IGNORECASE)


def piece_answer(
    request: Request,
    objects: ObjectStore,
    pieces: Sequence[Piece],
    content_type: str,
    headers: Mapping[str, str],
) -> Answer:
    """Return the answer whose body `pieces` make, or the part of it that is asked for.

    Args:
        request: its Range and If-Range decide.
        objects: where the pieces lie.
        pieces: of the body; where their length is known, ranges are offered.
        content_type: of the whole body.
        headers: with its ETag.
    """
    length = length_of(pieces)
    if length is None:
        return Stream(stream(objects, pieces), content_type, headers=headers)
    headers = {**headers, "accept-ranges": "bytes"}
    asked = asked_range(request, headers["etag"], length)
    if asked is None:
        chunks = stream(objects, pieces)
        return Stream(chunks, content_type, headers=headers, length_bytes=length)
    start, end = asked
    if start >= end:
        return problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"There are {length} bytes.",
            headers={"content-range": f"bytes */{length}", "accept-ranges": "bytes"},
        )
    return Stream(
        stream(objects, cut(pieces, start, end)),
        content_type,
        status=HTTPStatus.PARTIAL_CONTENT,
        headers={**headers, "content-range": f"bytes {start}-{end - 1}/{length}"},
        length_bytes=end - start,
    )


def asked_range(request: Request, etag: str, length_bytes: int) -> tuple[int, int] | None:
    """Return the half-open range of bytes that is asked for, None where it is the whole.

    Args:
        request: with its Range; one that cannot be read is ignored (RFC 9110 14.2).
        etag: of the representation, strong; If-Range must name it.
        length_bytes: of the representation.

    Returns:
        An empty range where no byte of it is there.
    """
    given = request.headers.get("range")
    if given is None or request.method != "GET":
        return None
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != etag:
        return None
    matched = _RANGE.fullmatch(given.strip())
    if matched is None:
        return None
    first, last = matched.groups()
    if not first:
        return (max(length_bytes - int(last), 0), length_bytes) if last else None
    start = int(first)
    if not last:
        return start, max(start, length_bytes)
    if int(last) < start:
        return None
    return start, min(int(last) + 1, length_bytes)

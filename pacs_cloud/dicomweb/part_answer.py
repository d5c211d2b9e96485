"""Representations as one HTTP answer: multipart/related, or one part alone (PS3.18 8.6.1)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from blake3 import blake3
from starlette.requests import Request

from pacs_cloud.dicomweb.byte_ranges import piece_answer
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.dicomweb.negotiation import Choice
from pacs_cloud.dicomweb.responses import Answer, Stream
from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.retrieve.pieces import Piece, stream

CACHING: Final = {
    # Only the reader's own device may keep it, and asks each time whether it still stands:
    # an instance may be hidden, deleted or its patient corrected at any moment.
    "cache-control": "private, no-cache",
    "vary": "accept",
}
_COUNTABLE_PARTS: Final = 20_000
"""More are not gone through before they are sent: without a length, and so without ranges."""
SOME_ARE_MISSING: Final = (
    '299 pacs-cloud "Some instances have no representation that was asked for"'
)


class Part(NamedTuple):
    """One part of an answer.

    Attributes:
        choice: how it is written.
        pieces: its content.
        location: its URL, "" where it says none.
    """

    choice: Choice
    pieces: Iterable[Piece]
    location: str = ""


class Whole(NamedTuple):
    """All that one answer holds.

    Attributes:
        state: a mark that changes with what is served.
        choices: the different ones among the parts', the first part's first; their
            `is_multipart` is the same.
        parts: makes the parts, the same each time.
        part_count: how many there are.
        is_partial: whether some of the resource is left out, as it does not exist in any
            representation that was asked for (PS3.18 10.4.3.1: 206).
        mark: of what else is in the bytes, as the URL above all locations.
    """

    state: str
    choices: tuple[Choice, ...]
    parts: Callable[[], Iterator[Part]]
    part_count: int
    is_partial: bool = False
    mark: str = ""


def part_answer(request: Request, objects: ObjectStore, whole: Whole) -> Answer:
    """Return the answer to a GET or HEAD: 200, 206 or 304, or 416 for its Range."""
    first = whole.choices[0]
    kind = "multipart" if first.is_multipart else "alone"
    etag = etag_of(
        whole.state, kind, whole.mark, *{choice.content_type for choice in whole.choices}
    )
    headers = {**CACHING, "etag": etag}
    if is_unchanged(request, etag):
        return Answer(status=304, headers=headers)
    if first.is_multipart:
        # The boundary follows from the ETag, so that equal marks mean equal bytes.
        boundary = etag.strip('"')
        content_type = MultipartWriter(first.content, boundary).content_type

        def pieces() -> Iterator[Piece]:
            writer = MultipartWriter(first.content, boundary)
            for choice, some, location in whole.parts():
                yield writer.begin(choice.content_type, location=location)
                yield from some
            yield writer.end()

    else:
        content_type = first.content_type

        def pieces() -> Iterator[Piece]:
            for _, some, _ in whole.parts():
                yield from some

    if whole.is_partial:
        headers["warning"] = SOME_ARE_MISSING
        return Stream(stream(objects, pieces()), content_type, status=206, headers=headers)
    if whole.part_count > _COUNTABLE_PARTS:
        return Stream(stream(objects, pieces()), content_type, headers=headers)
    return piece_answer(request, objects, tuple(pieces()), content_type, headers)


def etag_of(state: str, *variants: str) -> str:
    """Return the ETag of one representation of a resource in a state, quoted.

    The state stands in front: whoever changes a resource has seen it in that state, in
    whatever representation.
    """
    mark = blake3(state.encode())
    for variant in sorted(variants):
        mark.update(f"\n{variant}".encode())
    return f'{_front(state)}{mark.hexdigest(length=16)}"'


def is_of_state(etag: str, state: str) -> bool:
    """Tell whether `etag` is a strong one of a resource in a state (RFC 9110 13.1.1)."""
    return etag.startswith(_front(state))


def _front(state: str) -> str:
    return f'"{blake3(state.encode()).hexdigest(length=12)}-'

"""Rendered parts: made while they are sent, a few at a time, and never half an answer as a whole."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pacs_cloud.dicomweb.rendered_answer import rendered_answer
from pacs_cloud.dicomweb.rendered_parts import Part
from pacs_cloud.errors import NotAcceptable, PacsError, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.retrieve.pieces import Piece, Slice

JPEG = "image/jpeg"


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path) as store:
        yield store


class Source:
    """Parts without an end, and how many of them were taken and made.

    Attributes:
        taken: parts that were asked for.
        made: those whose content was.
    """

    def __init__(self, failing: dict[int, PacsError] | None = None, count: int = 1 << 40) -> None:
        self.taken = 0
        self.made = 0
        self._failing = failing or {}
        self._count = count

    def parts(self) -> Iterator[Part]:
        while self.taken < self._count:
            self.taken += 1
            yield Part(JPEG, self._pieces(self.taken))

    def _pieces(self, number: int) -> Any:
        async def made() -> Sequence[Piece]:
            self.made += 1
            if number in self._failing:
                raise self._failing[number]
            return (b"picture %d" % number,)

        return made


class Reader:
    """Reads an answer, and goes away after so many messages."""

    class Left(Exception):
        """It has gone."""

    def __init__(self, most: int = 1 << 30) -> None:
        self.status = 0
        self.body = b""
        self.is_complete = False
        self._left = most

    async def read(self, answer: Any) -> None:
        async def receive() -> Any:
            await asyncio.Event().wait()

        await answer({"type": "http", "method": "GET"}, receive, self._send)

    async def _send(self, message: Any) -> None:
        self._left -= 1
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self.body += message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        if self._left <= 0:
            raise Reader.Left


async def answer_of(objects: LocalObjectStore, parts: Iterator[Part], method: str = "GET") -> Any:
    request = Request({"type": "http", "method": method, "headers": [], "query_string": b""})
    return await rendered_answer(
        request, objects, parts, JPEG, {"etag": '"mark"'}, is_multipart=True
    )


async def test_parts_are_made_as_they_are_sent(objects: LocalObjectStore) -> None:
    source = Source()
    answer = await answer_of(objects, source.parts())
    assert source.taken == 0
    reader = Reader(most=10)
    with pytest.raises(Reader.Left):
        await reader.read(answer)
    sent = reader.body.count(b"picture")
    assert sent == 9
    assert sent <= source.made <= source.taken <= sent + 2


async def test_head_makes_none(objects: LocalObjectStore) -> None:
    source = Source()
    answer = await answer_of(objects, source.parts(), "HEAD")
    assert (answer.status, source.taken) == (200, 0)


@pytest.mark.parametrize(("failing", "sent"), [(1, 0), (4, 3)])
async def test_a_store_that_fails_ends_the_answer(
    objects: LocalObjectStore, failing: int, sent: int
) -> None:
    reader = Reader()
    parts = Source({failing: Unavailable("gone")}).parts()
    with pytest.raises(Unavailable):
        await reader.read(await answer_of(objects, parts))
    assert not reader.is_complete
    assert reader.body.count(b"picture") == sent
    assert (reader.status == 0) is (sent == 0)


async def test_an_object_that_is_lost_is_known_before_the_status(objects: LocalObjectStore) -> None:
    async def found() -> Sequence[Piece]:
        return (Slice("packs/none", 0, 10),)

    reader = Reader()
    with pytest.raises(PacsError):
        await reader.read(await answer_of(objects, iter((Part(JPEG, found),))))
    assert reader.status == 0


@pytest.mark.parametrize("failing", [{1}, {2}, {3}, {1, 2}, {2, 3}, {1, 3}])
async def test_what_cannot_be_shown_is_said_in_its_place(
    objects: LocalObjectStore, failing: set[int]
) -> None:
    reader = Reader()
    source = Source({number: NotAcceptable("No.") for number in failing}, count=3)
    await reader.read(await answer_of(objects, source.parts()))
    assert (reader.status, reader.is_complete) == (200, True)
    _, *parts, end = reader.body.split(b"--mark")
    kinds = [b"problem+json" if number in failing else b"jpeg" for number in (1, 2, 3)]
    assert [part.split(b"\r\n")[1].rpartition(b"/")[2][-12:] for part in parts] == kinds
    assert end == b"--\r\n"


async def test_where_nothing_can_be_shown_nothing_is_sent(objects: LocalObjectStore) -> None:
    reader = Reader()
    source = Source({number: NotAcceptable("No.") for number in (1, 2, 3)}, count=3)
    with pytest.raises(NotAcceptable):
        await reader.read(await answer_of(objects, source.parts()))
    assert reader.status == 0


async def test_the_answer_begins_after_some_that_cannot_be_shown(
    objects: LocalObjectStore,
) -> None:
    reader = Reader(most=3)
    source = Source({number: NotAcceptable("No.") for number in range(1, 10_000)})
    with pytest.raises(Reader.Left):
        await reader.read(await answer_of(objects, source.parts()))
    assert reader.status == 200
    assert source.taken < 1000

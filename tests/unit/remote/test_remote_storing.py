"""Files sent in many to a request, each with its own outcome, whatever is answered."""

from collections.abc import AsyncIterator, Callable, Sequence

import orjson
import pytest

from dicomweb_samples import make_instance
from pacs_cloud.errors import Denied, PacsError, Unavailable
from pacs_cloud.ingest.import_sources import FoundFile, UnreadableFile
from pacs_cloud.ingest.importer import ImportedFile, Verdict
from pacs_cloud.remote.connection import Connection
from pacs_cloud.remote.store_answer import read_store_answer, reason_of
from pacs_cloud.remote.storing import store_files
from unit.remote.hostile import Asked, answer, asking


class Source:
    """Files in memory; a text instead of bytes is why the rest of one cannot be read."""

    name = "test"

    def __init__(self, **contents: Sequence[bytes | str]) -> None:
        self._contents = contents

    async def files(self) -> AsyncIterator[FoundFile]:
        for name, pieces in self._contents.items():
            yield FoundFile(name, sum(map(len, pieces)), lambda pieces=pieces: _read(pieces))


async def _read(pieces: Sequence[bytes | str]) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, str):
            raise UnreadableFile(piece)
        yield piece


def instance(number: int) -> bytes:
    return make_instance(f"1.2.3.1.{number}", rows=128)


def uids_in(asked: Asked) -> list[str]:
    """Return the UIDs of the instances of a request, in order."""
    boundary = asked.headers["content-type"].partition("boundary=")[2].encode()
    parts = (b"\r\n" + asked.body).split(b"\r\n--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    return [
        f"1.2.3.1.{number}"
        for part in parts[1:-1]
        for number in range(9)
        if part.endswith(instance(number))
    ]


def said(stored: Sequence[str] = (), others: int = 0, **refused: int) -> bytes:
    def items(tag: str, some: list[dict[str, object]]) -> dict[str, object]:
        return {tag: {"vr": "SQ", "Value": some}} if some else {}

    def uid(text: str) -> dict[str, object]:
        return {"00081155": {"vr": "UI", "Value": [text]}}

    def why(code: int) -> dict[str, object]:
        return {"00081197": {"vr": "US", "Value": [code]}}

    failed = [uid(name.replace("_", ".")[1:]) | why(code) for name, code in refused.items()]
    body = items("00081199", [uid(one) for one in stored]) | items("00081198", failed)
    body |= items("0008119A", [why(0xC000)] * others)
    return answer(orjson.dumps(body), "200 OK" if stored else "409 Conflict")


def as_asked(asked: Asked) -> bytes:
    return said(uids_in(asked))


async def stored(
    connection: Connection, source: Source, told: Callable[[int], None] = lambda _: None, **how: int
) -> dict[str, tuple[str, str]]:
    done: list[ImportedFile] = [file async for file in store_files(connection, source, told, **how)]
    outcomes = {file.name: (file.verdict.value, file.reason) for file in done}
    assert len(outcomes) == len(done), "a file was told of twice"
    return outcomes


ONE, TWO, THREE = ([instance(number)[:300], instance(number)[300:]] for number in (1, 2, 3))
STORED = (Verdict.STORED, "")


async def test_many_go_together_and_what_is_no_instance_stays() -> None:
    source = Source(a=ONE, DICOMDIR=TWO, note=[b"no DICOM" * 50], short=[b"x"], b=TWO)
    moves: list[int] = []
    async with asking(as_asked) as (connection, server):
        outcomes = await stored(connection, source, moves.append)
    assert outcomes == {
        "a": STORED,
        "DICOMDIR": (Verdict.SKIPPED, "dicomdir"),
        "note": (Verdict.SKIPPED, "not-dicom"),
        "short": (Verdict.SKIPPED, "not-dicom"),
        "b": STORED,
    }
    assert [uids_in(one) for one in server.asked] == [["1.2.3.1.1", "1.2.3.1.2"]]
    assert server.asked[0].line.startswith("POST /dicom-web/studies ")
    sizes = [sum(map(len, pieces)) for pieces in (ONE, TWO, TWO)]
    assert sum(moves) == sum(sizes) + 400 + 1


async def test_nothing_is_asked_where_nothing_is_an_instance() -> None:
    async with asking(as_asked) as (connection, server):
        await stored(connection, Source(note=[b"no DICOM" * 50]))
        assert await stored(connection, Source()) == {}
    assert server.asked == []


async def test_requests_are_bounded() -> None:
    source = Source(a=ONE, b=TWO, c=THREE)
    async with asking(as_asked) as (connection, server):
        await stored(connection, source, request_files=2)
        await stored(connection, source, request_bytes=sum(map(len, ONE)) + 1)
    assert [len(uids_in(one)) for one in server.asked] == [2, 1, 1, 1, 1]


async def test_whom_an_answer_does_not_name_is_sent_again_alone() -> None:
    first = said(["1.2.3.1.1", "9.9"], others=1)
    async with asking(first, said(["1.2.3.1.2"]), said(others=1)) as (connection, server):
        outcomes = await stored(connection, Source(a=ONE, b=TWO, c=THREE))
    assert outcomes == {"a": STORED, "b": STORED, "c": (Verdict.REFUSED, "unreadable")}
    assert [uids_in(one) for one in server.asked[1:]] == [["1.2.3.1.2"], ["1.2.3.1.3"]]


async def test_two_files_of_one_uid_are_told_apart() -> None:
    async with asking(as_asked, said(_1_2_3_1_1=0x0111)) as (connection, _):
        outcomes = await stored(connection, Source(a=ONE, b=ONE))
    assert outcomes == {"a": STORED, "b": (Verdict.REFUSED, "conflict")}


@pytest.mark.parametrize("status", ["400 Bad Request", "413 Too Large", "415 No"])
async def test_one_that_spoils_a_request_is_found(status: str) -> None:
    problem = answer(b'{"detail": "not\\nthis"}', status, content_type="application/problem+json")

    def answered(asked: Asked) -> bytes:
        return problem if "1.2.3.1.2" in uids_in(asked) else as_asked(asked)

    async with asking(answered) as (connection, _):
        files = [file async for file in store_files(connection, Source(a=ONE, b=TWO), print)]
    assert {file.name: file.verdict for file in files} == {"a": "stored", "b": "refused"}
    assert files[1].message == "not this"


async def test_one_that_cannot_be_read_does_not_keep_the_others() -> None:
    torn = [TWO[0] + bytes(20_000), "the disk"]
    moves: list[int] = []
    source = Source(a=ONE, gone=["no such file"], torn=torn, b=THREE)
    async with asking(as_asked) as (connection, _):
        outcomes = await stored(connection, source, moves.append)
    unreadable = (Verdict.REFUSED, "unreadable-file")
    assert outcomes == {"a": STORED, "gone": unreadable, "torn": unreadable, "b": STORED}
    assert sum(moves) == sum(sum(map(len, one)) for one in (ONE, ["no such file"], torn, THREE))


async def test_a_pause_sends_all_of_it_again() -> None:
    busy = answer(b"", "429 Too Many Requests", retry_after="0")
    moves: list[int] = []
    async with asking(busy, as_asked) as (connection, server):
        assert await stored(connection, Source(a=ONE), moves.append) == {"a": STORED}
    assert server.asked[0].body.split(b"\r\n\r\n")[1:] != []
    assert sum(moves) == sum(map(len, ONE))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(b"", "403 Forbidden"), Denied),
        (answer(b"", "503 Unavailable", retry_after="60"), Unavailable),
        (answer(b"[[]]"), Unavailable),
        (answer(b"7"), Unavailable),
    ],
)
async def test_what_is_no_answer_ends_it(said: bytes, kind: type[PacsError]) -> None:
    async with asking(said) as (connection, server):
        with pytest.raises(kind):
            await stored(connection, Source(a=ONE))
    assert len(server.asked) == 1


def test_reasons_are_words_of_ours() -> None:
    assert reason_of(0xA700).reason == "out-of-resources"
    assert reason_of(0xC123).reason == "unreadable"
    assert "C123H" in reason_of(0xC123).message
    assert reason_of(0x0105).reason == "refused"
    odd = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": ["x"]}}, None]}}
    assert read_store_answer(odd).refused[""].reason == "processing-failure"
    deep: object = {}
    for _ in range(40):
        deep = {"00081199": {"vr": "SQ", "Value": [deep]}}
    with pytest.raises(Unavailable):
        read_store_answer(deep)

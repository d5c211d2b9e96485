"""Files that come from whoever answers: the one that was asked for, whole, or none."""

from pathlib import Path

import pytest

from dicomweb_samples import make_instance
from pacs_cloud.errors import NotAcceptable, NotFound, Unavailable
from pacs_cloud.remote import retrieving
from pacs_cloud.remote.connection import Connection
from pacs_cloud.remote.retrieving import instance, zip_file
from pacs_cloud.remote.searching import Place
from pacs_cloud.remote.unfinished import NAME, Fetched, Unfinished
from unit.remote.hostile import answer, asking

STUDY, PLACE = "1.2.3.1", Place("1.2.3.1.1", "1.2.3.1.1.1")
FILE = make_instance(PLACE.sop_instance_uid, rows=200)
RELATED = 'multipart/related; type="application/dicom"; boundary="a b"'


def related(*files: bytes, end: bytes = b"\r\n--a b--", **headers: str) -> bytes:
    body = b"".join(
        b"\r\n--a b\r\nContent-Type: application/dicom\r\nContent-Length: 5\r\n\r\n" + file
        for file in files
    )
    return answer(body + end, content_type=RELATED, **headers)


async def fetched(connection: Connection, etag: str = "") -> tuple[str, bytes] | None:
    async with instance(connection, STUDY, PLACE, etag=etag) as sent:
        if sent is None:
            return None
        return sent.etag, b"".join([chunk async for chunk in sent.chunks])


@pytest.mark.parametrize("said", [related(FILE), answer(FILE, content_type="application/dicom")])
async def test_an_instance_comes_as_a_part_or_alone(said: bytes) -> None:
    async with asking(said) as (connection, server):
        assert await fetched(connection) == ("", FILE)
    assert server.asked[0].line == (
        "GET /dicom-web/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1 HTTP/1.1"
    )
    assert "if-none-match" not in server.asked[0].headers


async def test_what_is_still_as_it_was_does_not_come_again() -> None:
    async with asking(b'HTTP/1.1 304 Not Modified\r\netag: "x"\r\n\r\n') as (connection, server):
        assert await fetched(connection, '"x"') is None
        with pytest.raises(Unavailable, match="304"):
            await fetched(connection)
    assert server.asked[0].headers["if-none-match"] == '"x"'


@pytest.mark.parametrize(
    ("etag", "kept"),
    [('"abc"', '"abc"'), ('W/"abc"', ""), ("abc", ""), ('"a\tb"', ""), ('"' + "a" * 999 + '"', "")],
)
async def test_only_a_mark_that_can_be_sent_back_is_kept(etag: str, kept: str) -> None:
    async with asking(related(FILE, etag=etag)) as (connection, _):
        assert await fetched(connection) == (kept, FILE)


@pytest.mark.parametrize(
    "said",
    [
        related(),
        related(FILE, FILE),
        related(FILE, end=b""),
        related(make_instance("1.2.3.1.1.2")),
        related(b""),
        related(b"<html>"),
        related(FILE[:140]),
        answer(b"", content_type=RELATED),
        answer(b"x" * 100_000, content_type=RELATED),
        answer(FILE, content_type="text/html"),
        answer(FILE, content_type="multipart/related"),
        answer(FILE, content_type="multipart/related; boundary=" + "x" * 80),
        answer(b"--a b\r\n" + b"x" * 9000, content_type=RELATED),
        b"HTTP/1.1 200 OK\r\ncontent-type: application/dicom\r\n\r\n" + FILE,
        answer(FILE, content_type="application/dicom").replace(
            b"content-length: ", b"content-length: 9"
        ),
    ],
    ids=range(15),
)
async def test_what_is_not_that_file_is_none(said: bytes) -> None:
    async with asking(said, hangs_up=True) as (connection, _):
        with pytest.raises(Unavailable) as caught:
            await fetched(connection)
    assert "\n" not in str(caught.value)


async def test_a_file_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieving, "LARGEST_BYTES", 1 << 20)
    begun = f"HTTP/1.1 200 OK\r\ncontent-type: {RELATED}\r\n\r\n--a b\r\n\r\n".encode() + FILE
    async with asking(begun, goes_on=bytes(1 << 16)) as (connection, _):
        with pytest.raises(Unavailable, match="does not end"):
            await fetched(connection)


async def test_a_zip_is_one_or_the_archive_makes_none() -> None:
    async with (
        asking(answer(b"PK", content_type="application/zip")) as (connection, _),
        zip_file(connection, STUDY) as sent,
    ):
        assert sent.length_bytes == 2
        assert [chunk async for chunk in sent.chunks] == [b"PK"]
    for said in (answer(b"", "406 No"), answer(b"", "400 No"), related(FILE)):
        async with asking(said) as (connection, _):
            with pytest.raises(NotAcceptable, match="directory"):
                async with zip_file(connection, STUDY):
                    pass
    async with asking(answer(b"", "404 No")) as (connection, _):
        with pytest.raises(NotFound):
            async with zip_file(connection, STUDY):
                pass


class TestUnfinished:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "1.2.3"

    @pytest.fixture
    def path(self, folder: Path) -> Path:
        (folder / "1.2.4").mkdir(parents=True)
        path = folder / "1.2.4" / "1.2.5.dcm"
        path.write_bytes(b"12345")
        return path

    def noted(self, path: Path, etag: str = '"e"', length_bytes: int = 5) -> Fetched | None:
        first = Unfinished(path.parents[1])
        first.note(path, etag, length_bytes)
        first.close()
        again = Unfinished(path.parents[1])
        again.close()
        return again.known(path)

    def test_what_was_noted_is_known_again(self, path: Path) -> None:
        assert self.noted(path) == Fetched('"e"', 5)

    def test_what_has_no_mark_or_another_length_is_not(self, path: Path) -> None:
        assert self.noted(path, "") is None
        assert self.noted(path, length_bytes=6) is None
        path.unlink()
        assert self.noted(path) is None

    def test_what_is_done_leaves_nothing(self, folder: Path) -> None:
        unfinished = Unfinished(folder)
        assert (folder / NAME).exists()
        unfinished.forget()
        unfinished.close()
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize(
        "text",
        [
            '{"file": "1.2.4/1.2.5.dcm", "etag": "e", "bytes": 5}',
            '{"file": "1.2.4/1.2.5.dcm", "etag": "\\"e\\r\\nx: y\\"", "bytes": 5}',
            '{"file": "1.2.4/1.2.5.dcm"',
            "[" * 10_000,
            "[]\nnull\n7",
            "é",
        ],
    )
    def test_what_was_spoilt_is_not_believed(self, folder: Path, path: Path, text: str) -> None:
        (folder / NAME).write_text(text)
        unfinished = Unfinished(folder)
        assert unfinished.known(path) is None
        unfinished.close()

    def test_where_nothing_can_be_written_it_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(Unavailable, match="cannot write"):
            Unfinished(tmp_path / "file" / "x")

"""Whatever a client sends: parts are never mixed up, and nothing but our own errors comes out."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from pacs_cloud.dicomweb.media import parse_accept, parse_media_type
from pacs_cloud.dicomweb.multipart import MultipartReader, MultipartWriter, PartBegins, PartBytes
from pacs_cloud.errors import PacsError

BOUNDARY = "b"
# Pieces that together look like a boundary more often than chance would have it.
NEARLY = st.lists(
    st.sampled_from(
        [
            b"\r",
            b"\n",
            b"\r\n",
            b"-",
            b"--",
            b"b",
            b"--b",
            b"\r\n--b",
            b"--b--",
            b" ",
            b"A: 1",
            b"x",
        ]
    ),
    max_size=30,
).map(b"".join)
CONTENT = st.one_of(st.binary(max_size=200), NEARLY)


def cut(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(body), *(place % (len(body) + 1) for place in cuts)})
    return [body[a:b] for a, b in pairwise(places)]


def events(chunks: list[bytes], boundary: str = BOUNDARY) -> list[object]:
    """Return what a reader makes of the chunks, its error at the end, contents joined."""
    reader = MultipartReader(boundary, max_parts=50)
    found: list[object] = []
    try:
        for chunk in chunks:
            for event in reader.feed(chunk):
                if isinstance(event, PartBegins):
                    found += [event.headers, b""]
                elif isinstance(event, PartBytes):
                    assert len(event.view) > 0
                    content = found[-1]
                    assert isinstance(content, bytes)
                    found[-1] = content + bytes(event.view)
                else:
                    found.append("end")
        reader.finish()
    except PacsError as error:
        found.append(str(error))
    return found


@given(CONTENT, st.lists(st.integers(0, 10_000), max_size=10))
@example(b"\r--b\n\r\n--b--", [8])
@example(b"\n--b\n\r\n--b\r\n", [9])
@example(b"\n--b\nA: 1\n\nx\n--b--", [5])
def test_any_body_reads_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    whole, pieces = events([body]), events(cut(body, cuts))
    # What was taken before an error depends on how much came at once; the rest does not.
    assert whole == pieces or (whole != [] and whole[-1] == pieces[-1] != "end")


@given(
    st.lists(st.tuples(st.sampled_from(["a/b", "application/dicom"]), CONTENT), max_size=5),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_what_is_written_is_read(parts: list[tuple[str, bytes]], cuts: list[int]) -> None:
    writer = MultipartWriter("a/b")  # a boundary of 32 random digits: it is in no content
    body = b"".join(writer.begin(kind) + content for kind, content in parts) + writer.end()
    expected: list[object] = []
    for kind, content in parts:
        expected += [{"content-type": kind}, content, "end"]
    assert events(cut(body, cuts), writer.boundary) == expected


@given(st.text(max_size=200), st.lists(st.text(max_size=50), max_size=3))
def test_any_accept_header_is_read_or_refused(header: str, query: list[str]) -> None:
    try:
        ranges = parse_accept(header, query)
    except PacsError:
        return
    assert all(0 < one.quality <= 1 for one in ranges)


@given(
    st.lists(
        st.sampled_from(
            ["a/b", ";", "q=", "0.5", ",", '"', "\\", "type=", "*", "/", " ", "=", "x"]
        ),
        max_size=30,
    ).map("".join)
)
def test_nearly_right_media_types_are_read_or_refused(text: str) -> None:
    for parse in (parse_accept, parse_media_type):
        try:
            parse(text)
        except PacsError:
            continue

"""What an iPhone films becomes an MP4 of its picture and sound, where it lies, and nothing else."""

import struct

import pytest

from pacs_cloud.dicom.uid import MPEG4_AVC_HIGH
from pacs_cloud.dicom.wrapping.mp4_boxes import boxes
from pacs_cloud.dicom.wrapping.mp4_movie import movie_of
from pacs_cloud.dicom.wrapping.video import wrapped_video
from pacs_cloud.dicom.wrapping.wrapped import Wrapped
from pacs_cloud.errors import InvalidInstance
from wrapping_samples import SECRET_PLACE, WHERE, Writable, box, mov, mp4, track


def video(data: bytes) -> tuple[Wrapped, bytes]:
    file = Writable(data)
    wrapped = wrapped_video(file.read, file.write, len(data), WHERE)
    return wrapped, bytes(file.data)


def found(data: bytes, *kinds: bytes, start: int = 0, end: int | None = None) -> bytes:
    """Return what the first box holds that lies at a path of kinds; plain fields may precede."""
    read = Writable(data).read
    for box_ in boxes(read, start, len(data) if end is None else end):
        if box_.kind == kinds[0]:
            if len(kinds) == 1:
                return data[box_.start : box_.end]
            return found(data, *kinds[1:], start=box_.start, end=box_.end)
    raise AssertionError(f"{kinds!r} is not there")


MDIA = (b"moov", b"trak", b"mdia")
STBL = (*MDIA, b"minf", b"stbl")


def test_it_is_an_mp4_file_of_the_same_length_and_the_same_picture_and_sound() -> None:
    data = mov()
    wrapped, made = video(data)
    assert wrapped.transfer_syntax_uid == MPEG4_AVC_HIGH
    assert len(made) == len(data)
    assert found(made, b"ftyp") == b"mp42" + bytes(4) + b"mp42"
    assert made.count(b"\x5a" * 5000) == made.count(b"\xa5" * 500) == 1
    assert made.index(b"\x5a" * 5000) == data.index(b"\x5a" * 5000)
    movie = movie_of(Writable(made).read, len(made))
    assert [one.handler for one in movie.tracks] == [b"vide", b"soun"]
    assert movie.tracks[0].samples == 50
    # Wrapped again it has nothing left to take out.
    assert video(made)[1] == made


def test_it_tells_nothing_but_picture_and_sound() -> None:
    data = mov()
    assert data.count(SECRET_PLACE) == 4  # and one more that is cut in two
    _, made = video(data)
    for part in (SECRET_PLACE, SECRET_PLACE[:10], SECRET_PLACE[-10:], b"mebx", b"appl", b"Core"):
        assert part not in made


def test_headers_say_what_mp4_wants() -> None:
    _, made = video(mov())
    assert found(made, b"moov", b"mvhd")[72:96] == bytes(24)
    # As QuickTime has it the last flag says that the track is in the poster.
    assert found(made, b"moov", b"trak", b"tkhd")[:4] == b"\0\0\0\7"
    assert found(made, *MDIA, b"hdlr") == bytes(8) + b"vide" + bytes(29)
    assert found(made, *MDIA, b"mdhd")[20:] == struct.pack(">HH", 0x55C4, 0)
    assert found(made, *MDIA, b"minf", b"vmhd")[4:] == bytes(8)
    assert found(made, *MDIA, b"minf", b"dinf", b"dref")[8:] == box(b"url ", b"\0\0\0\1")
    assert b"nclc" not in made


def test_a_language_that_is_not_said_is_none() -> None:
    _, made = video(
        mov().replace(struct.pack(">IHH", 2000, 0, 7), struct.pack(">IHH", 2000, 0x7FFF, 7))
    )
    assert found(made, *MDIA, b"mdhd")[20:] == struct.pack(">HH", 0x55C4, 0)


def test_pictures_may_be_shown_before_they_are_decoded_for() -> None:
    _, made = video(mov())
    assert found(made, *STBL, b"ctts") == struct.pack(">IIIi", 1 << 24, 1, 50, -20)


def test_nothing_behind_the_picture_s_boxes_is_left_nothing() -> None:
    colours = box(b"colr", b"nclc", struct.pack(">HHH", 1, 1, 1))
    square = box(b"pasp", struct.pack(">II", 1, 1))
    data = mov()
    assert data.count(colours + bytes(4)) == 1
    _, made = video(data.replace(colours + bytes(4), square + bytes(6)))
    entry = found(made[made.index(b"avc1") - 4 :], b"avc1")
    inside = list(boxes(Writable(entry).read, 78, len(entry)))
    assert [one.kind for one in inside] == [b"avcC", b"pasp"]
    assert entry.endswith(square + bytes(6))


def test_the_picture_s_description_is_whole_boxes() -> None:
    _, made = video(mov())
    entry = found(made[made.index(b"avc1") - 4 :], b"avc1")
    assert entry[8:24] == bytes(16)
    inside = list(boxes(Writable(entry).read, 78, len(entry)))
    assert [one.kind for one in inside] == [b"avcC", b"free"]
    assert inside[-1].end == len(entry)


def test_the_sound_s_decoder_is_where_mp4_has_it() -> None:
    _, made = video(mov())
    entry = found(made[made.index(b"mp4a") - 4 :], b"mp4a")
    assert entry[8:16] == bytes(8)
    assert entry[16:28] == struct.pack(">HHII", 1, 16, 0, 44100 << 16)
    inside = list(boxes(Writable(entry).read, 28, len(entry)))
    assert [one.kind for one in inside] == [b"esds", b"free"]
    assert b"what decodes the sound" in entry
    assert inside[-1].end == len(entry)


def test_a_sound_that_mp4_has_no_place_for_goes_where_another_is() -> None:
    _, made = video(mov(sounds=(b"apac", b"mp4a")))
    movie = movie_of(Writable(made).read, len(made))
    assert [one.coding for one in movie.tracks] == [b"avc1", b"mp4a"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (mov(b"hvc1"), r"H\.265.*Settings, Camera, Formats, Most Compatible"),
        (mov(b"hev1"), r"H\.265.*MP4 with H\.264"),
        (mp4(track(coding=b"hvc1")), r"H\.265.*Most Compatible"),
        (mov(b"ap4h"), "not H.264.*MP4 with H.264"),
        (mov(sounds=(b"lpcm",)), "sound.*AAC"),
        (mp4(track(), track(b"soun", b"alac")), "sound.*AAC"),
        (mov(elsewhere=True), "in another file"),
        (mov(shift=5000), "damaged"),
        # Zeros would go there a thousand times.
        (mov(told=1000), "damaged"),
    ],
)
def test_what_cannot_be_taken_is_said_and_what_to_do(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInstance, match=words):
        video(data)


def test_no_cut_and_no_changed_byte_does_more_than_be_refused() -> None:
    data = mov()
    index = data.index(b"moov")
    for at in (*range(40), *range(index - 4, len(data), 3)):
        for changed in (data[:at], data[:at] + b"\xff" + data[at + 1 :]):
            try:
                video(changed)
            except InvalidInstance:
                continue


@pytest.mark.parametrize(
    ("kind", "held"), [(b"ftyp", 4), (b"mvhd", 20), (b"tkhd", 2), (b"hdlr", 14), (b"vmhd", 4)]
)
def test_a_header_that_is_too_short_is_not_written_over(kind: bytes, held: int) -> None:
    data = bytearray(mov())
    at = data.index(kind) - 4
    rest = int.from_bytes(data[at : at + 4]) - 8 - held
    data[at : at + 4] = (8 + held).to_bytes(4)
    data[at + 8 + held : at + 16 + held] = rest.to_bytes(4) + b"free"
    with pytest.raises(InvalidInstance, match="damaged"):
        video(bytes(data))

"""Pictures that are made to keep whoever takes them in busy."""

import subprocess
import sys

import pytest

from pacs_cloud.dicom.wrapping.jpeg_parts import parts_of
from pacs_cloud.dicom.wrapping.mp4_movie import movie_of
from pacs_cloud.errors import InvalidInstance
from wrapping_samples import Writable, box, jpeg, mp4, track

SCAN = (
    "from pacs_cloud.dicom.wrapping.jpeg_parts import parts_of\n"
    "from wrapping_samples import jpeg\n"
    "from pacs_cloud.errors import InvalidInstance\n"
    "data = jpeg(exif=False)\n"
    "at = data.index(b'\\xff\\xda')\n"
    "scan = at + 2 + int.from_bytes(data[at + 2 : at + 4], 'big')\n"
    "try:\n"
    "    parts_of(data[:scan] + b'\\xff' * 4_000_000 + b'\\0')\n"
    "except InvalidInstance as error:\n"
    "    print(error)\n"
)


def test_a_scan_of_fill_bytes_is_looked_through_once() -> None:
    # In a process of its own: nothing ends a pattern that is being tried.
    done = subprocess.run(
        [sys.executable, "-c", SCAN],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=120,
        check=True,
        text=True,
    )
    assert "ends in the middle" in done.stdout


@pytest.mark.parametrize("fill", [1, 2, 7])
def test_fill_bytes_before_a_marker_are_no_part_of_the_scan(fill: int) -> None:
    data = jpeg(exif=False)
    end = data.rindex(b"\xff\xd9")
    filled = data[:end] + b"\xff" * fill + data[end:]
    assert parts_of(filled).stream == parts_of(data).stream


def test_the_parts_of_all_tracks_together_are_counted() -> None:
    told = box(b"trak", track(b"text", b"text")[8:], box(b"free") * 60_000)
    data = mp4(track(), told, told)
    with pytest.raises(InvalidInstance, match="too many parts"):
        movie_of(Writable(data).read, len(data))


def test_a_file_of_many_parts_is_looked_through_once() -> None:
    data = mp4() + box(b"mdat") * 10_000 + box(b"free") * 10_000
    movie = movie_of(Writable(data).read, len(data))
    assert (len(movie.media), len(movie.private)) == (10_001, 10_003)

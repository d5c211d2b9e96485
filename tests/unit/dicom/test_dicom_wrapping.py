"""What is no DICOM becomes an instance: whole, valid, and without what cameras tell besides."""

import io
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from shutil import which
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from pacs_cloud.dicom.element_values import text
from pacs_cloud.dicom.elements import element
from pacs_cloud.dicom.uid import EXPLICIT_LE, JPEG_BASELINE, MPEG4_AVC_HIGH
from pacs_cloud.dicom.wrapping.document import wrapped_pdf
from pacs_cloud.dicom.wrapping.photo import wrapped_photo
from pacs_cloud.dicom.wrapping.video import MPEG4_AVC_HIGH_4_2, wrapped_video
from pacs_cloud.dicom.wrapping.wrapped import Wrapped, in_memory
from pacs_cloud.errors import InvalidInstance
from wrapping_samples import (
    AT_US,
    PDF,
    SECRET_PLACE,
    WHERE,
    Writable,
    avcc,
    box,
    jpeg,
    mp4,
    picture,
    png,
    track,
)

PATIENT_AND_STUDY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate")
TYPE_2 = ("StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "Manufacturer")
TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
IMAGE_1 = (
    *("ImageType", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
)
IMAGE_2 = ("InstanceNumber", "PatientOrientation", "AcquisitionContextSequence", "ContentDate")


def file_of(wrapped: Wrapped) -> bytes:
    return b"".join(wrapped.chunks())


def read(wrapped: Wrapped) -> Dataset:
    """Return what pydicom reads, once all that every IOD has is seen to be there."""
    found = dcmread(io.BytesIO(file_of(wrapped)))
    assert all(getattr(found, name) for name in (*TYPE_1, *PATIENT_AND_STUDY))
    assert all(name in found for name in TYPE_2)
    assert found.PatientName == "PHOTO^PAULA"
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    return found


def shown(found: Dataset) -> Image.Image:
    """Return the picture in a JPEG photograph."""
    from pydicom.encaps import generate_frames

    (frame,) = generate_frames(found.PixelData, number_of_frames=1)
    return Image.open(io.BytesIO(frame)).convert("RGB")


def corners(seen: Image.Image) -> list[str]:
    """Return which colour is brightest in each corner."""
    names = {(1, 0, 0): "red", (0, 1, 0): "lime", (0, 0, 1): "blue", (1, 1, 1): "white"}
    right, low = seen.width - 4, seen.height - 4
    places = [(4, 4), (right, 4), (4, low), (right, low)]
    pixels = [seen.getpixel(place) for place in places]
    return [names[tuple(int(one > 128) for one in pixel)] for pixel in pixels]  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable, reportOperatorIssue, reportArgumentType]


def video(data: bytes) -> tuple[Wrapped, Writable]:
    file = Writable(data)
    return wrapped_video(file.read, file.write, len(data), WHERE), file


class TestPhoto:
    def test_an_upright_jpeg_stays_as_it_is(self) -> None:
        data = jpeg()
        wrapped = wrapped_photo(data, WHERE)
        found = read(wrapped)
        assert found.file_meta.TransferSyntaxUID == JPEG_BASELINE
        assert found.SOPClassUID.name == "VL Photographic Image Storage"
        assert all(getattr(found, name) != "" for name in IMAGE_1)
        assert all(name in found for name in IMAGE_2)
        assert (found.Modality, found.PhotometricInterpretation) == ("XC", "YBR_FULL_422")
        assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == (
            "01",
            "ISO_10918_1",
        )
        assert (found.AcquisitionDate, found.AcquisitionTime) == ("20260102", "030405")
        with Image.open(io.BytesIO(data)) as before:
            assert np.array_equal(np.asarray(shown(found)), np.asarray(before.convert("RGB")))

    @pytest.mark.parametrize("make", [jpeg, lambda: jpeg(progressive=True)])
    def test_it_tells_nothing_of_the_camera(self, make: Any) -> None:
        data = make()
        assert SECRET_PLACE in data
        assert b"SecretPhone" in data
        written = file_of(wrapped_photo(data, WHERE))
        for told in (SECRET_PLACE, b"SecretPhone", b"Exif", b"another picture"):
            assert told not in written

    @pytest.mark.parametrize(
        ("orientation", "seen"),
        [
            (1, ["red", "lime", "blue", "white"]),
            (2, ["lime", "red", "white", "blue"]),
            (3, ["white", "blue", "lime", "red"]),
            (6, ["blue", "red", "white", "lime"]),
            (8, ["lime", "white", "red", "blue"]),
        ],
    )
    def test_it_stands_upright(self, orientation: int, seen: list[str]) -> None:
        found = read(wrapped_photo(jpeg(orientation=orientation), WHERE))
        assert corners(shown(found)) == seen
        sides = (64, 48) if orientation in {6, 8} else (48, 64)
        assert (found.Rows, found.Columns) == sides
        steps = 1 if orientation == 1 else 2
        ratios = found.LossyImageCompressionRatio
        assert (len(ratios) if steps > 1 else isinstance(ratios, float) and 1) == steps

    @pytest.mark.parametrize(
        ("mode", "photometric"), [("L", "MONOCHROME2"), ("CMYK", "YBR_FULL_422")]
    )
    def test_other_colours(self, mode: str, photometric: str) -> None:
        found = read(wrapped_photo(jpeg(mode), WHERE))
        assert found.PhotometricInterpretation == photometric
        assert found.SamplesPerPixel == (1 if mode == "L" else 3)

    def test_rgb_says_so(self) -> None:
        found = read(wrapped_photo(jpeg(keep_rgb=True), WHERE))
        assert found.PhotometricInterpretation == "RGB"
        assert corners(shown(found)) == ["red", "lime", "blue", "white"]

    def test_progressive_becomes_baseline(self) -> None:
        found = read(wrapped_photo(jpeg(progressive=True), WHERE))
        assert shown(found).info.get("progressive") is None
        assert len(found.LossyImageCompressionRatio) == 2

    def test_its_colour_profile_stays(self) -> None:
        from PIL.ImageCms import ImageCmsProfile, createProfile

        profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
        found = read(wrapped_photo(jpeg(icc_profile=profile), WHERE))
        assert found.ICCProfile[12:16] == b"scnr"
        assert found.ICCProfile[128 : len(profile)] == profile[128:]

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
    def test_png_is_native(self, mode: str) -> None:
        found = read(wrapped_photo(png(mode), WHERE))
        assert found.file_meta.TransferSyntaxUID == EXPLICIT_LE
        grey = mode in {"L", "LA", "1", "I;16"}
        assert found.PhotometricInterpretation == ("MONOCHROME2" if grey else "RGB")
        expected = np.asarray(picture(mode="L" if grey else "RGB")).astype(int)
        if mode not in {"1", "I;16"}:
            assert np.array_equal(found.pixel_array.astype(int), expected)
        assert len(found.PixelData) == 48 * 64 * (1 if grey else 3)

    def test_what_comes_twice_is_one(self) -> None:
        first, second = (read(wrapped_photo(jpeg(), WHERE)) for _ in range(2))
        other = read(wrapped_photo(jpeg("L"), WHERE))
        assert first == second
        assert first.SOPInstanceUID != other.SOPInstanceUID
        assert first.SeriesInstanceUID == other.SeriesInstanceUID

    @pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9])
    def test_what_is_cut_short_is_refused(self, part: float) -> None:
        for data in (jpeg(exif=False), png(), jpeg(progressive=True)):
            end = data.rindex(b"\xff\xd9" if data.startswith(b"\xff") else b"IEND")
            with pytest.raises(InvalidInstance, match=r"middle|damaged|no JPEG"):
                wrapped_photo(data[: int(end * part)], WHERE)

    def test_a_bomb_is_refused_before_it_is_decoded(self) -> None:
        whole = png()
        sides = (30_000).to_bytes(4, "big") * 2
        with pytest.raises(InvalidInstance, match="megapixels"):
            wrapped_photo(whole[:16] + sides + whole[24:], WHERE)
        with pytest.raises(InvalidInstance):
            wrapped_photo(b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00", WHERE)

    def test_its_second_header_is_no_way_past_the_first(self) -> None:
        small, large = (picture(*size).convert("1") for size in ((8, 8), (9000, 9000)))
        written = [io.BytesIO(), io.BytesIO()]
        small.save(written[0], "PNG")
        large.save(written[1], "PNG")
        first, second = (one.getvalue() for one in written)
        with pytest.raises(InvalidInstance, match="megapixels"):
            wrapped_photo(first[:33] + second[8:], WHERE)  # its IHDR before the other's

    def test_of_adobe_s_segment_only_what_tells_colours_stays(self) -> None:
        tells = b"Adobe\0\x64\0\0\0\0\x01"
        for bodies in ((tells + SECRET_PLACE,), (tells, SECRET_PLACE)):
            data = jpeg(exif=False)
            segments = [b"\xff\xee" + struct.pack(">H", 2 + len(one)) + one for one in bodies]
            stored = file_of(wrapped_photo(data[:2] + b"".join(segments) + data[2:], WHERE))
            assert SECRET_PLACE not in stored
            assert b"\xff\xee\x00\x0e" + tells in stored

    def test_no_changed_bytes_do_more_than_be_refused(self) -> None:
        chance = Random(9)
        wholes = [jpeg(), jpeg(orientation=6), jpeg("CMYK"), png(), png("P"), png("I;16")]
        for number in range(900):
            data = bytearray(wholes[number % len(wholes)])
            for _ in range(number % 5 + 1):
                data[chance.randrange(min(len(data), 400))] = chance.choice((0, 255, number % 256))
            try:
                file_of(wrapped_photo(bytes(data), WHERE))
            except InvalidInstance:
                continue


class TestDocument:
    def test_a_pdf(self) -> None:
        found = read(wrapped_pdf(in_memory(PDF + b"\n"), len(PDF) + 1, WHERE))
        assert found.SOPClassUID.name == "Encapsulated PDF Storage"
        assert found.EncapsulatedDocument.startswith(PDF)
        assert found.EncapsulatedDocumentLength == len(PDF) + 1
        assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"
        assert found.ConversionType == "WSD"
        for name in ("AcquisitionDateTime", "ConceptNameCodeSequence", "DocumentTitle"):
            assert name in found

    @pytest.mark.parametrize("data", [b"", b"%PDF-", b"%PDF-1.4 cut", b"<html>%%EOF", b"x" + PDF])
    def test_what_is_none_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidInstance):
            wrapped_pdf(in_memory(data), len(data), WHERE)


class TestVideo:
    def test_an_mp4(self) -> None:
        wrapped, file = video(mp4())
        found = read(wrapped)
        assert found.SOPClassUID.name == "Video Photographic Image Storage"
        assert found.file_meta.TransferSyntaxUID == MPEG4_AVC_HIGH
        assert all(getattr(found, name) != "" for name in IMAGE_1)
        assert all(name in found for name in IMAGE_2)
        assert (found.Rows, found.Columns, found.NumberOfFrames) == (480, 640, 50)
        assert (found.FrameTime, found.CineRate) == (40, 25)
        assert found.FrameIncrementPointer == 0x00181063
        assert found.PhotometricInterpretation == "YBR_PARTIAL_420"
        assert bytes(file.data) in file_of(wrapped)

    def test_it_tells_not_where_it_was(self) -> None:
        data = mp4()
        assert data.count(SECRET_PLACE) == 3
        wrapped, file = video(data)
        assert SECRET_PLACE not in file_of(wrapped)
        assert len(file.data) == len(data)
        assert file.data.count(b"free") == 3
        assert file.data[file.data.index(b"mdat") :][:5000] == data[data.index(b"mdat") :][:5000]

    @pytest.mark.parametrize(
        ("profile", "constraints", "level", "syntax"),
        [
            (100, 0, 41, MPEG4_AVC_HIGH),
            (77, 0, 31, MPEG4_AVC_HIGH),
            (66, 0x40, 30, MPEG4_AVC_HIGH),
            (100, 0, 42, MPEG4_AVC_HIGH_4_2),
        ],
    )
    def test_its_syntax(self, profile: int, constraints: int, level: int, syntax: str) -> None:
        made = track(configuration=avcc(profile, constraints, level))
        wrapped, _ = video(mp4(made))
        assert wrapped.transfer_syntax_uid == syntax

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (mp4(track(configuration=avcc(110))), "profile 110"),
            (mp4(track(configuration=avcc(66))), "profile 66"),
            (mp4(track(configuration=avcc(level=51))), "level 5.1"),
            (mp4(track(coding=b"hvc1")), "HEVC"),
            (mp4(track(coding=b"mp4v")), "not H.264"),
            (mp4(track(configuration=b"")), "how it is coded"),
            (mp4(track(), track()), "several pictures"),
            (mp4(track(b"soun", b"mp4a")), "no picture"),
            (mp4(track(samples=0)), "empty"),
            (mp4(track(samples=1 << 20)), "how long its frames"),
            (mp4(more=box(b"mvex", bytes(8))), "fragments"),
        ],
    )
    def test_what_dicom_has_no_place_for_is_refused_in_words(self, data: bytes, words: str) -> None:
        with pytest.raises(InvalidInstance, match=words):
            video(data)

    def test_without_an_index_it_is_refused(self) -> None:
        data = mp4()
        with pytest.raises(InvalidInstance, match="no index"):
            video(data[: data.index(b"moov") - 4])

    @pytest.mark.parametrize(
        "data",
        [
            mp4() + box(b"free", SECRET_PLACE),  # dash cameras; and what others blank, and leave
            mp4() + box(b"sefd", SECRET_PLACE),
            mp4(more=box(b"free", SECRET_PLACE)),
            mp4(more=box(b"gps ", SECRET_PLACE)),
        ],
    )
    def test_boxes_that_no_movie_needs_tell_nothing(self, data: bytes) -> None:
        wrapped, _ = video(data)
        assert SECRET_PLACE not in file_of(wrapped)

    def test_boxes_within_boxes_without_end_are_not_followed(self) -> None:
        nested = SECRET_PLACE
        for _ in range(3000):
            nested = box(b"moov", nested)
        wrapped, _ = video(mp4(more=nested) + box(b"moov", nested))
        assert SECRET_PLACE not in file_of(wrapped)

    def test_more_frames_than_bytes_are_refused(self) -> None:
        with pytest.raises(InvalidInstance, match="damaged"):
            video(mp4(track(samples=30_000, seconds=1000), data=10))

    def test_no_cut_and_no_changed_byte_does_more_than_be_refused(self) -> None:
        data = mp4(data=10)
        for at in range(0, len(data), 3):
            for changed in (data[:at], data[:at] + b"\xff" + data[at + 1 :], data[:at] + bytes(9)):
                try:
                    wrapped, _ = video(changed)
                    file_of(wrapped)
                except InvalidInstance:
                    continue


def every(tmp_path: Path) -> Iterator[Path]:
    made = {
        "photo": wrapped_photo(jpeg(), WHERE),
        "turned": wrapped_photo(jpeg(orientation=6), WHERE),
        "png": wrapped_photo(png(), WHERE),
        "pdf": wrapped_pdf(in_memory(PDF), len(PDF), WHERE),
        "video": video(mp4())[0],
    }
    for name, wrapped in made.items():
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(file_of(wrapped))
        yield path


def test_dcmtk_reads_them(tmp_path: Path) -> None:
    if which("dcmdump") is None:
        pytest.skip("dcmdump of DCMTK is not installed")
    for path in every(tmp_path):
        ran = subprocess.run(
            ["dcmdump", "-q", "+E", path], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, ""), path.name


@pytest.mark.parametrize(
    ("said", "zone", "time"), [("+0900", "+0900", "170000"), ("", "", ""), ("CET", "", "")]
)
def test_it_is_dated_in_the_zone_of_its_study(said: str, zone: str, time: str) -> None:
    where = replace(WHERE, study={**WHERE.study, "00080201": element("SH", said)})
    elements = wrapped_photo(jpeg(), where).elements
    assert text(elements, "00080201") == zone
    assert ("00080201" in elements) == bool(zone)
    here = datetime.fromtimestamp(AT_US / 1e6)
    assert text(elements, "00080033") == (time or f"{here:%H%M%S}")


def test_nothing_of_a_study_is_taken_for_the_file() -> None:
    where = replace(WHERE, study={**WHERE.study, "00081030": {"vr": "UN", "BulkDataURI": "x"}})
    with pytest.raises(InvalidInstance, match="00081030"):
        file_of(wrapped_photo(jpeg(), where))

"""Whole instances in every target: the same pixels, the same elements."""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import pytest
from dicom_making import (
    bundled_files,
    dataset_of,
    encapsulated,
    explicit,
    image,
    implicit,
    instance,
    readable,
    real_files,
    real_folder,
    transcoded,
)
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_fragments

from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, LOSSY, encode_frame
from pacs_cloud.dicom.coding.transcode import can_transcode, transcoded_parts
from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.pixel_format import PixelFormat, pixel_format_of
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    DEFLATED_LE,
    ENCAPSULATED_UNCOMPRESSED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    IMPLICIT_LE,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal

LOSSLESS = [syntax for syntax in ENCODABLE if syntax not in LOSSY]
SMALL = 300_000  # bytes of a file
DESCRIBED_ANEW = {"00280004", "00280006"}


def part10(dataset: bytes, syntax: str) -> Dataset:
    meta = encode_file_meta(sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=syntax)
    with quiet_pydicom():
        return dcmread(io.BytesIO(meta + dataset), force=True)


def elements_but_pixels(dataset: bytes) -> dict[str, Any]:
    return {
        tag: element
        for tag, element in read_elements(dataset, EXPLICIT_LE).items()
        if tag not in DESCRIBED_ANEW
        and not tag.startswith("7FE0")
        and not tag.endswith("0000")  # group lengths, which would be wrong
    }


def pixels_of(dataset: Dataset) -> Any:
    with quiet_pydicom():
        return dataset.pixel_array


@dataclass(frozen=True)
class Source:
    """An image file: as it is, and decompressed, which another test compares with pydicom."""

    name: str
    dataset: bytes
    syntax: str
    native: bytes
    pixel_format: PixelFormat
    pixels: Any


def images(paths: list[Path], largest: int) -> Iterator[Source]:
    for path in readable(paths):
        if path.stat().st_size > largest:
            continue
        dataset, syntax = dataset_of(path)
        try:
            native = transcoded(dataset, syntax)
            elements = read_elements(native, EXPLICIT_LE)
        except InvalidInstance:
            continue  # broken on purpose
        if "7FE00010" not in elements or "00280010" not in elements:
            continue
        try:
            pixels = pixels_of(part10(native, EXPLICIT_LE))
        except (ValueError, AttributeError):
            continue  # fewer pixels than it says
        stored = read_elements(dataset, syntax) if syntax != DEFLATED_LE else elements
        pixel_format = pixel_format_of(stored)
        yield Source(path.name, dataset, syntax, native, pixel_format, pixels)


def check(source: Source, target: str) -> bool:
    if not can_transcode(source.syntax, target, source.pixel_format):
        with pytest.raises(InvalidInstance) as refused:
            transcoded_parts(source.dataset, source.syntax, target)
        assert refused.value.refusal is Refusal.UNSUPPORTED_SYNTAX, source.name
        return False
    out = transcoded(source.dataset, source.syntax, target)
    after = part10(out, target)
    assert np.array_equal(source.pixels, pixels_of(after)), f"{source.name} to {target}"
    assert elements_but_pixels(source.native) == elements_but_pixels(out), source.name
    with quiet_pydicom():
        frames = int(after.get("NumberOfFrames", 1) or 1)
    assert len(list(generate_fragments(after.PixelData))) == 1 + frames  # after the offset table
    return True


def test_every_small_file_in_every_lossless_target() -> None:
    done = dict.fromkeys(LOSSLESS, 0)
    for source in images(bundled_files(), SMALL):
        for target in LOSSLESS:
            if source.syntax != target:
                done[target] += check(source, target)
    assert min(done.values()) > 10


def test_small_real_files() -> None:
    files = [p for p in real_files() if p.parent.name == "single"]
    if not files:
        pytest.skip(f"no real data in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    for source in images(files, SMALL):
        for target in (HTJ2K_LOSSLESS_RPCL, JPEG_LS_LOSSLESS, JPEG_LOSSLESS_SV1):
            if source.syntax != target:
                check(source, target)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_file_in_every_lossless_target() -> None:
    for source in images([*bundled_files(), *real_files()], 1 << 40):
        for target in LOSSLESS:
            if source.syntax != target:
                check(source, target)


def one_of(name: str) -> tuple[bytes, str]:
    return dataset_of(next(p for p in bundled_files() if p.name == name))


@pytest.mark.parametrize("target", LOSSLESS)
def test_from_every_native_syntax(target: str) -> None:
    dataset, syntax = one_of("MR_small.dcm")
    assert syntax == EXPLICIT_LE
    expected = transcoded(dataset, syntax, target)
    deflater = zlib.compressobj(wbits=-15)
    deflated = deflater.compress(dataset) + deflater.flush()
    assert transcoded(deflated, DEFLATED_LE, target) == expected
    implicitly = part10(
        transcoded(transcoded(dataset, syntax, IMPLICIT_LE), IMPLICIT_LE, target), target
    )
    assert np.array_equal(pixels_of(implicitly), pixels_of(part10(dataset, syntax)))
    big, big_syntax = one_of("MR_small_bigendian.dcm")
    assert big_syntax == EXPLICIT_BE
    swapped = part10(transcoded(big, EXPLICIT_BE, target), target)
    assert np.array_equal(pixels_of(swapped), pixels_of(part10(dataset, syntax)))


@pytest.mark.parametrize("source", LOSSLESS)
@pytest.mark.parametrize("target", [*LOSSLESS, EXPLICIT_LE, IMPLICIT_LE])
def test_from_every_target_to_every_other(source: str, target: str) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (2, 9, 7, 3)).astype(np.uint8)
    native = image(
        explicit(0x00280004, "CS", b"RGB "),
        explicit(0x00280006, "US", b"\0\0"),
        explicit(0x7FE00010, "OB", pixels.tobytes()),
        rows=9,
        columns=7,
        samples=3,
        frames=2,
    )
    first = transcoded(native, EXPLICIT_LE, source)
    assert np.array_equal(pixels_of(part10(first, source)), pixels)
    second = transcoded(first, source, target)
    assert np.array_equal(pixels_of(part10(second, target)), pixels)
    if target == EXPLICIT_LE:
        assert second == native


def test_the_same_syntax_gives_the_same_bytes() -> None:
    data = image(encapsulated(b"??"))
    for syntax in (HTJ2K_LOSSLESS, "1.2.3"):
        assert transcoded(data, syntax, syntax) == data


def test_without_pixels_only_the_headers_change() -> None:
    data = instance(explicit(0x0040A730, "SQ", b""))
    assert transcoded(data, EXPLICIT_LE, RLE_LOSSLESS) == transcoded(data, EXPLICIT_LE, EXPLICIT_LE)
    out = transcoded(transcoded(data, EXPLICIT_LE, IMPLICIT_LE), IMPLICIT_LE, RLE_LOSSLESS)
    assert read_elements(out, EXPLICIT_LE) == read_elements(data, EXPLICIT_LE)


@pytest.mark.parametrize("target", [EXPLICIT_BE, DEFLATED_LE, ENCAPSULATED_UNCOMPRESSED, "1.2.3"])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(InvalidRequest):
        transcoded_parts(instance(), EXPLICIT_LE, target)
    assert not can_transcode(EXPLICIT_LE, target, PixelFormat(2, 2, 1, 8, 8, 0, "MONOCHROME2"))


def test_a_fragment_for_each_frame_of_even_length_after_an_empty_table() -> None:
    pixels = bytes(range(25)) * 3
    native = image(
        explicit(0x00280004, "CS", b"MONOCHROME2 "),
        explicit(0x7FE00001, "OV", bytes(8)),
        explicit(0x7FE00010, "OB", pixels + b"\0"),
        rows=5,
        columns=5,
        frames=3,
    )
    out = transcoded(native, EXPLICIT_LE, JPEG_2000_LOSSLESS)
    assert [tag for tag in read_elements(out, EXPLICIT_LE) if tag.startswith("7FE0")] == [
        "7FE00010"
    ]
    start = out.index(pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)) + 12
    assert out[start : start + 8] == pack("<HHL", 0xFFFE, 0xE000, 0)
    assert out.endswith(pack("<HHL", 0xFFFE, 0xE0DD, 0))
    at, lengths = start + 8, list[int]()
    while out[at + 2 : at + 4] == b"\x00\xe0":
        lengths.append(int.from_bytes(out[at + 4 : at + 8], "little"))
        at += 8 + lengths[-1]
    assert len(lengths) == 3
    assert all(length % 2 == 0 for length in lengths)


def test_frames_are_made_as_they_are_asked_for() -> None:
    """A broken third frame is met only after the first two have been given."""
    good = transcoded(
        image(explicit(0x7FE00010, "OB", bytes(64)), rows=8, columns=8), EXPLICIT_LE, RLE_LOSSLESS
    )
    codestream = list(generate_fragments(part10(good, RLE_LOSSLESS).PixelData))[1]
    data = image(encapsulated(codestream, codestream, b"\1\0"), rows=8, columns=8, frames=3)
    parts = transcoded_parts(data, RLE_LOSSLESS, JPEG_LS_LOSSLESS)
    given = list[bytes]()
    with pytest.raises(InvalidInstance) as refused:
        for part in parts:
            given.append(part)  # what was given before it raised counts
    assert refused.value.refusal is Refusal.UNREADABLE
    assert b"".join(given).count(b"\xff\xf7") == 2  # frame headers of JPEG-LS
    broken = image(encapsulated(b"\1\0"), rows=8, columns=8)
    with pytest.raises(InvalidInstance):
        transcoded_parts(broken, RLE_LOSSLESS, JPEG_LS_LOSSLESS)


def test_missing_frames_are_refused() -> None:
    data = image(explicit(0x7FE00010, "OB", bytes(64)), rows=8, columns=8, frames=2)
    with pytest.raises(InvalidInstance, match="fewer frames") as refused:
        transcoded_parts(data, EXPLICIT_LE, RLE_LOSSLESS)
    assert refused.value.refusal is Refusal.UNREADABLE


def test_subsampled_colour_has_to_be_so() -> None:
    """Some label YBR_FULL_422 what has three samples a pixel: then nobody knows."""
    colour = explicit(0x00280004, "CS", b"YBR_FULL_422")
    subsampled = image(colour, explicit(0x7FE00010, "OB", bytes(range(8))), samples=3)
    out = part10(transcoded(subsampled, EXPLICIT_LE, RLE_LOSSLESS), RLE_LOSSLESS)
    assert out.PhotometricInterpretation == "YBR_FULL"
    whole = image(colour, explicit(0x7FE00010, "OB", bytes(range(12))), samples=3)
    with pytest.raises(InvalidInstance) as refused:
        transcoded_parts(whole, EXPLICIT_LE, RLE_LOSSLESS)
    assert refused.value.refusal is Refusal.UNREADABLE


def test_frames_unlike_the_first_are_refused() -> None:
    """The colour of a lossless frame is what its own header says, but a data set says it once."""
    pixels = bytes(range(48))
    pixel_format = PixelFormat(4, 4, 3, 8, 8, 0, "RGB")
    codestream, _ = encode_frame(pixels, pixel_format, JPEG_LOSSLESS_SV1)
    header = codestream.index(b"\xff\xc3") + 10
    assert codestream[header : header + 9 : 3] == b"RGB"
    named = bytearray(codestream)
    named[header : header + 9 : 3] = bytes((1, 2, 3))
    scan = named.index(b"\xff\xda") + 5
    named[scan : scan + 6 : 2] = bytes((1, 2, 3))
    data = image(
        explicit(0x00280004, "CS", b"YBR_FULL"),
        encapsulated(codestream, bytes(named)),
        rows=4,
        columns=4,
        samples=3,
        frames=2,
    )
    for target in (EXPLICIT_LE, RLE_LOSSLESS):
        with pytest.raises(InvalidInstance, match="alike"):
            transcoded(data, JPEG_LOSSLESS_SV1, target)


def test_fragments_in_a_native_syntax_are_refused() -> None:
    for syntax in (EXPLICIT_LE, EXPLICIT_BE):
        with pytest.raises(InvalidInstance) as refused:
            transcoded(image(encapsulated(bytes(4))), syntax, IMPLICIT_LE)
        assert refused.value.refusal is Refusal.UNREADABLE


def test_floating_point_pixels_stay_native() -> None:
    data = image(explicit(0x7FE00008, "OF", bytes(16)), bits=32)
    with pytest.raises(InvalidInstance) as refused:
        transcoded_parts(data, EXPLICIT_LE, RLE_LOSSLESS)
    assert refused.value.refusal is Refusal.UNSUPPORTED_SYNTAX
    assert implicit(0x7FE00008, bytes(16)) in transcoded(data, EXPLICIT_LE, IMPLICIT_LE)


def photograph(*elements: bytes) -> bytes:
    ramp = np.add.outer(np.arange(32), np.arange(40)).astype(np.uint8) * 3
    pixels = np.stack([ramp, ramp // 2, 255 - ramp])
    return image(
        explicit(0x00280004, "CS", b"RGB "),
        explicit(0x00280006, "US", b"\1\0"),
        explicit(0x7FE00010, "OB", pixels.tobytes()),
        *elements,
        rows=32,
        columns=40,
        samples=3,
    )


def test_baseline_says_what_was_lost() -> None:
    data = photograph()
    out = transcoded(data, EXPLICIT_LE, JPEG_BASELINE)
    elements = read_elements(out, EXPLICIT_LE)
    assert elements["00280004"]["Value"] == ["YBR_FULL_422"]
    assert elements["00280006"]["Value"] == [0]
    assert elements["00282110"]["Value"] == ["01"]
    assert elements["00282114"]["Value"] == ["ISO_10918_1"]
    fragment = list(generate_fragments(part10(out, JPEG_BASELINE).PixelData))[1]
    ratio = 32 * 40 * 3 / len(fragment)
    assert elements["00282112"]["Value"] == [pytest.approx(ratio, rel=0.02)]
    assert elements["00080018"] == read_elements(data, EXPLICIT_LE)["00080018"]
    with quiet_pydicom():
        got = part10(out, JPEG_BASELINE).pixel_array
        expected = part10(data, EXPLICIT_LE).pixel_array
    assert np.abs(got.astype(int) - expected.astype(int)).mean() < 8


def test_an_earlier_loss_is_not_forgotten() -> None:
    out = transcoded(
        photograph(
            explicit(0x00282110, "CS", b"01"),
            explicit(0x00282112, "DS", b"7.5 "),
            explicit(0x00282114, "CS", b"ISO_15444_1 "),
        ),
        EXPLICIT_LE,
        JPEG_BASELINE,
    )
    elements = read_elements(out, EXPLICIT_LE)
    assert elements["00282112"]["Value"][0] == 7.5
    assert len(elements["00282112"]["Value"]) == 2
    assert elements["00282114"]["Value"] == ["ISO_15444_1", "ISO_10918_1"]


def test_what_was_subsampled_is_measured_as_it_was_decoded() -> None:
    """A JPEG called YBR_FULL_422 holds three samples a pixel once it is decoded."""
    first = transcoded(photograph(), EXPLICIT_LE, JPEG_BASELINE)
    # Every baseline codestream is one of the extended process too.
    again = transcoded(first, JPEG_EXTENDED, JPEG_BASELINE)
    fragment = list(generate_fragments(part10(again, JPEG_BASELINE).PixelData))[1]
    ratios = read_elements(again, EXPLICIT_LE)["00282112"]["Value"]
    assert ratios[1] == pytest.approx(32 * 40 * 3 / len(fragment), rel=0.02)


def test_lossless_targets_say_nothing_of_losses() -> None:
    out = transcoded(photograph(), EXPLICIT_LE, HTJ2K_LOSSLESS)
    assert not {"00282110", "00282112", "00282114"} & read_elements(out, EXPLICIT_LE).keys()


@pytest.mark.parametrize(
    ("source", "target", "photometric", "is_possible"),
    [
        (EXPLICIT_LE, HTJ2K_LOSSLESS, "MONOCHROME2", True),
        (JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, "YBR_RCT", True),
        (EXPLICIT_LE, JPEG_LS_LOSSLESS, "YBR_RCT", False),
        (JPEG_BASELINE, RLE_LOSSLESS, "YBR_PARTIAL_422", True),
        (EXPLICIT_LE, RLE_LOSSLESS, "YBR_PARTIAL_422", False),
        (RLE_LOSSLESS, EXPLICIT_LE, "anything", True),
        ("1.2.3", EXPLICIT_LE, "MONOCHROME2", False),
        ("1.2.3", "1.2.3", "MONOCHROME2", True),
        ("1.2.3", RLE_LOSSLESS, "MONOCHROME2", False),
    ],
)
def test_what_can_be_had(source: str, target: str, photometric: str, is_possible: bool) -> None:
    samples = 1 if photometric == "MONOCHROME2" else 3
    pixel_format = PixelFormat(4, 4, samples, 8, 8, 0, photometric)
    assert can_transcode(source, target, pixel_format) == is_possible

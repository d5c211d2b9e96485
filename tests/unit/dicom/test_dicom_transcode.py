"""Decompressing: every pixel as pydicom decodes it, every element as it was."""

import io
import zlib
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
    item,
    real_files,
    real_folder,
    transcoded,
)
from pydicom import Dataset, dcmread

from pacs_cloud.dicom.coding.codestream import claimed_size
from pacs_cloud.dicom.coding.frame_decoding import can_decode, decode_frame
from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    DEFLATED_IMAGE_FRAME,
    DEFLATED_LE,
    ENCAPSULATED_UNCOMPRESSED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    HTJ2K_LOSSLESS,
    IMPLICIT_LE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal

UNDECODABLE = {"JPEG2000-embedded-sequence-delimiter.dcm"}  # broken on purpose
BEYOND_PYDICOM = {
    # twelve bits a sample
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
    "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
    "RG2_JPLY.dcm",
    # retired JPEG processes
    "CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
    "CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
    # RLE of single bits that are packed first, which PS3.5 G does not define
    "liver_rle.dcm",
}
BUNDLED = [p for p in bundled_files() if p.parent.name in {"test_files", "charset_files"}]
UNREADABLE = {
    "MR_truncated.dcm",
    "rtplan_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
}


def part10(dataset: bytes, syntax: str) -> Dataset:
    meta = encode_file_meta(sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=syntax)
    return dcmread(io.BytesIO(meta + dataset))


def elements(dataset: Dataset, path: str = "") -> dict[str, Any]:
    """All elements but the pixels and what describes them, private ones as far as VRs are known."""
    found: dict[str, Any] = {}
    for element in dataset:
        name = f"{path}/{element.tag}"
        if element.tag.element == 0 or element.tag.group == 0x7FE0:
            continue
        if element.VR == "SQ":
            found[name] = len(element.value)
            for number, inner in enumerate(element.value):
                found |= elements(inner, f"{name}/{number}")
        else:
            found[name] = (element.VR, element.value)
    return found


def check(path: Path, target: str) -> None:
    dataset, syntax = dataset_of(path)
    with quiet_pydicom():
        before, after = (
            dcmread(path, force=True),
            part10(transcoded(dataset, syntax, target), target),
        )
        left, right = elements(before), elements(after)
        for name in {name for name in left if name.endswith(("(0028,0004)", "(0028,0006)"))}:
            left.pop(name), right.pop(name)
        if target == IMPLICIT_LE and syntax != IMPLICIT_LE:
            # VRs are gone: private and ambiguous ones are read otherwise
            left, right = ({n: v for n, (v) in e.items() if _is_public(n)} for e in (left, right))
        if path.name != "nested_priv_SQ.dcm":  # its odd length was padded
            assert left == right
        if "PixelData" in before and "Rows" in before and syntax != DEFLATED_IMAGE_FRAME:
            pixels = after.pixel_array
            assert np.array_equal(before.pixel_array, pixels)


def _is_public(name: str) -> bool:
    groups = [part[1:5] for part in name.split("/") if part.startswith("(")]
    return all(int(group, 16) % 2 == 0 for group in groups) and "(0028,3006)" not in name


def candidates(paths: list[Path]) -> list[Path]:
    skipped = UNDECODABLE | BEYOND_PYDICOM | UNREADABLE | {"meta_missing_tsyntax.dcm", "badVR.dcm"}
    return [
        p
        for p in paths
        if p.name not in skipped and "DICOMDIR" not in p.name and "IM0000" not in p.name
    ]


@pytest.mark.parametrize("target", [EXPLICIT_LE, IMPLICIT_LE])
@pytest.mark.parametrize("path", candidates(BUNDLED), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_bundled_file(path: Path, target: str) -> None:
    check(path, target)


def test_real_files() -> None:
    files = [p for p in candidates(real_files()) if p.parent.name == "single"]
    if not files:
        pytest.skip(f"no real data in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    for path in files:
        for target in (EXPLICIT_LE, IMPLICIT_LE):
            check(path, target)


def test_what_cannot_be_decoded_is_refused_before_a_byte_is_given() -> None:
    files = [p for p in [*bundled_files(), *real_files()] if p.name in UNDECODABLE]
    assert files
    for path in files:
        with pytest.raises(InvalidInstance):
            transcoded_parts(*dataset_of(path), EXPLICIT_LE)


@pytest.mark.parametrize(
    "syntax",
    [
        JPEG_BASELINE,
        JPEG_LOSSLESS_SV1,
        JPEG_LS_LOSSLESS,
        JPEG_2000,
        JPEG_2000_LOSSLESS,
        RLE_LOSSLESS,
        DEFLATED_IMAGE_FRAME,
        EXPLICIT_LE,
        DEFLATED_LE,
    ],
)
def test_decodable_syntaxes(syntax: str) -> None:
    assert can_decode(syntax)


def test_decodable_depends_on_the_bits_of_a_sample() -> None:
    assert can_decode(JPEG_EXTENDED, bits_allocated=8, bits_stored=8)
    assert can_decode(JPEG_EXTENDED, bits_allocated=16, bits_stored=12)
    assert not can_decode(JPEG_EXTENDED, bits_allocated=16, bits_stored=16)
    assert can_decode(RLE_LOSSLESS, bits_allocated=16, bits_stored=12)
    assert can_decode(RLE_LOSSLESS, bits_allocated=1, bits_stored=1)
    assert not can_decode(RLE_LOSSLESS, bits_allocated=12, bits_stored=12)


def test_others_are_not() -> None:
    assert not can_decode("1.2.3.4")
    with pytest.raises(InvalidInstance) as refused:
        transcoded(image(encapsulated(b"??")), "1.2.3.4")
    assert refused.value.refusal is Refusal.UNSUPPORTED_SYNTAX


def test_htj2k() -> None:
    assert can_decode(HTJ2K_LOSSLESS)
    files = [p for p in real_files() if p.name.startswith("HTJ2K")]
    if not files:
        pytest.skip(f"no real data in {real_folder()} (PACS_TEST_REAL_DATA names another folder)")
    for path in files:
        check(path, EXPLICIT_LE)


def test_no_target_that_nobody_is_given() -> None:
    with pytest.raises(InvalidRequest):
        transcoded(instance(), EXPLICIT_LE, EXPLICIT_BE)


def test_the_same_syntax_gives_the_same_bytes() -> None:
    data = instance(explicit(0x00080000, "UL", b"\1\0\0\0"))
    assert transcoded(data, EXPLICIT_LE) == data
    assert transcoded(bytearray(data), EXPLICIT_LE) == data


def test_a_deflated_data_set_is_inflated() -> None:
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(instance()) + deflater.flush()
    assert transcoded(stream, DEFLATED_LE) == instance()


def test_lossless_colour_keeps_its_space() -> None:
    path = next(p for p in bundled_files() if p.name == "SC_rgb_rle.dcm")
    dataset, syntax = dataset_of(path)
    assert read_elements(transcoded(dataset, syntax), EXPLICIT_LE)["00280004"]["Value"] == ["RGB"]


def test_jpeg_colour_becomes_rgb_by_pixel_and_keeps_its_uid() -> None:
    path = next(p for p in bundled_files() if p.name == "SC_rgb_dcmtk_+eb+cy+s2.dcm")
    dataset, syntax = dataset_of(path)
    before, after = (
        HeaderReader().read(dataset, syntax),
        HeaderReader().read(transcoded(dataset, syntax), EXPLICIT_LE),
    )
    assert before.attributes["00280004"]["Value"] == ["YBR_FULL_422"]
    assert after.attributes["00280004"]["Value"] == ["RGB"]
    assert after.sop_instance_uid == before.sop_instance_uid
    assert b'"00280006":{"vr":"US","Value":[0]}' in after.json


def test_offset_tables_of_what_is_no_longer_encapsulated_go() -> None:
    data = image(
        explicit(0x00280004, "CS", b"MONOCHROME2 "),
        explicit(0x7FE00001, "OV", bytes(8)),
        explicit(0x7FE00002, "OV", b"\4\0\0\0\0\0\0\0"),
        encapsulated(b"\1\2\3\4"),
    )
    out = transcoded(data, ENCAPSULATED_UNCOMPRESSED)
    assert [tag for tag in read_elements(out, EXPLICIT_LE) if tag.startswith("7FE0")] == [
        "7FE00010"
    ]
    assert out.endswith(explicit(0x7FE00010, "OB", b"\1\2\3\4"))
    assert transcoded(data, ENCAPSULATED_UNCOMPRESSED, IMPLICIT_LE).endswith(
        implicit(0x7FE00010, b"\1\2\3\4")
    )


def test_frames_of_single_bits_share_bytes_again() -> None:
    pixels = (np.arange(3 * 9) % 2).reshape(3, 9)
    frames = [zlib.compressobj(wbits=-15) for _ in pixels]
    fragments = [
        d.compress(np.packbits(p, bitorder="little").tobytes()) + d.flush()
        for d, p in zip(frames, pixels, strict=True)
    ]
    fragments = [f + b"\0" * (len(f) % 2) for f in fragments]
    data = image(encapsulated(*fragments), rows=3, columns=3, bits=1, frames=3)
    out = transcoded(data, DEFLATED_IMAGE_FRAME)
    packed = np.packbits(pixels.ravel(), bitorder="little").tobytes()
    assert out.endswith(explicit(0x7FE00010, "OB", packed))


def test_frames_come_one_by_one() -> None:
    data = image(encapsulated(b"\1\2\3\4", b"\5\6\7\10"), frames=2)
    parts = list(transcoded_parts(data, ENCAPSULATED_UNCOMPRESSED, EXPLICIT_LE))
    assert parts[-2:] == [b"\1\2\3\4", b"\5\6\7\10"]


def test_a_short_frame_is_unreadable() -> None:
    with pytest.raises(InvalidInstance):
        transcoded(image(encapsulated(b"\1\2")), ENCAPSULATED_UNCOMPRESSED)


def test_frames_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InvalidInstance, match="told apart"):
        transcoded(image(encapsulated(b"\1\2\3\4"), frames=2), ENCAPSULATED_UNCOMPRESSED)


def test_big_endian_words_are_swapped_in_items_too() -> None:
    nested = explicit(0x00283010, "SQ", b"", order=">")
    data = instance(
        nested,
        explicit(0x00280010, "US", b"\1\2", order=">"),
        explicit(0x00282000, "OW", b"\1\2", order=">"),
        order=">",
    )
    out = transcoded(data, EXPLICIT_BE)
    assert explicit(0x00280010, "US", b"\2\1") in out
    assert explicit(0x00282000, "OW", b"\2\1") in out


def test_group_lengths_go_and_odd_values_are_padded() -> None:
    data = instance(
        explicit(0x00100000, "UL", b"\1\0\0\0"),
        explicit(0x00100020, "LO", b"1"),
        explicit(0x00400275, "SQ", item(explicit(0x00400009, "SH", b"123"))),
    )
    out = transcoded(data, EXPLICIT_LE, IMPLICIT_LE)
    assert implicit(0x00100020, b"1 ") in out
    assert implicit(0x00400009, b"123 ") in out
    assert implicit(0x00100000, b"\1\0\0\0") not in out


def test_a_long_value_becomes_un_where_its_vr_cannot_hold_it() -> None:
    text = b"9" * 70_000
    long = implicit(0x00200032, text)
    uids = [implicit(t, b"1.2\0") for t in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)]
    out = transcoded(b"".join([*uids, long]), IMPLICIT_LE, EXPLICIT_LE)
    assert out.endswith(explicit(0x00200032, "UN", text))


def test_decode_frame() -> None:
    path = next(p for p in bundled_files() if p.name == "MR_small_RLE.dcm")
    dataset, syntax = dataset_of(path)
    pixels = HeaderReader().read(dataset, syntax).pixels
    assert pixels is not None
    assert pixels.frames is not None
    stream = b"".join(dataset[a:b] for a, b in pixels.frames.ranges(0))
    pixel_format = PixelFormat(64, 64, 1, 16, 16, 1, "MONOCHROME2")
    data, native = decode_frame(stream, syntax, pixel_format)
    assert native == pixel_format
    assert data == dcmread(path).pixel_array.astype("<i2").tobytes()


@pytest.mark.parametrize(
    "syntax", [JPEG_BASELINE, JPEG_2000, JPEG_LS_LOSSLESS, RLE_LOSSLESS, DEFLATED_IMAGE_FRAME]
)
def test_a_broken_codestream_is_unreadable(syntax: str) -> None:
    with pytest.raises(InvalidInstance) as refused:
        decode_frame(b"\xff\xff\0\0", syntax, PixelFormat(4, 4, 1, 8, 8, 0, "MONOCHROME2"))
    assert refused.value.refusal is Refusal.UNREADABLE


@pytest.mark.parametrize(
    ("codestream", "size"),
    [
        (b"\xff\xd8\xff\xe0\0\4ab\xff\xff\xc0\0\x0b\x08\0\4\0\5\1", (4, 5)),
        (b"\xff\xd8\xff\xf7\0\x0b\x08\0\4\0\5\1", (4, 5)),
        (b"\xff\x4f\xff\x51\0\x29\0\0" + pack(">4L", 7, 6, 2, 2), (4, 5)),
        (b"\0\0\0\x0cjP  " + b"\xff\x4f\xff\x51\0\x29\0\0" + pack(">4L", 5, 4, 0, 0), (4, 5)),
        (b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\5\1", None),
        (b"\xff\xd8\xff\xc0\0", None),
        (b"\xff\xd8ab", None),
        (b"\xff\x4f\xff\x51", None),
        (b"", None),
    ],
)
def test_the_size_a_codestream_claims(codestream: bytes, size: tuple[int, int] | None) -> None:
    assert claimed_size(codestream) == size


def test_a_codestream_of_another_size_is_not_decoded() -> None:
    bomb = b"\xff\x4f\xff\x51\0\x29\0\0" + pack(">4L", 60_000, 60_000, 0, 0) + bytes(99)
    with pytest.raises(InvalidInstance, match="60000 by 60000"):
        decode_frame(bomb, JPEG_2000, PixelFormat(4, 4, 1, 8, 8, 0, "MONOCHROME2"))


def test_a_frame_stored_by_plane_stays_so() -> None:
    data = image(
        explicit(0x00280004, "CS", b"RGB "),
        explicit(0x00280006, "US", b"\1\0"),
        encapsulated(bytes(range(12))),
        samples=3,
    )
    out = transcoded(data, ENCAPSULATED_UNCOMPRESSED)
    assert explicit(0x00280006, "US", b"\1\0") in out
    assert out.endswith(bytes(range(12)))

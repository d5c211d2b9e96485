"""Pixels: when they are given out, what of them is blanked, and what hides in codestreams."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
)

from deid_samples import made, output, part10, patient
from deid_scanner import read
from pacs_cloud.dicom.coding.frame_encoding import encode_frame
from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.deid.codestreams import without_comments
from pacs_cloud.dicom.deid.rules import parse_rules
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.uid import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    VIDEO,
)
from pacs_cloud.errors import InvalidRequest

ROWS, COLUMNS = 24, 32
TOP = "version = 1\n[[pixels]]\nblank = [[0, 0, 32, 4], [30, 20, 100, 100]]\n"
CLEAN = "clean-pixel-data"


def masked() -> np.ndarray:
    mask = np.zeros((ROWS, COLUMNS), bool)
    mask[:4] = True
    mask[20:, 30:] = True
    return mask


def image(
    samples: int = 1,
    bits: int = 16,
    stored: int | None = None,
    *,
    frames: int = 1,
    signed: bool = False,
    planar: int = 0,
    photometric: str = "",
    sop_class: str = UltrasoundImageStorage,
) -> Dataset:
    """Return an image of noise; only grey ones are signed."""
    ds = patient(sop_class)
    ds.Modality = "US"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = photometric or ("MONOCHROME2" if samples == 1 else "RGB")
    ds.BitsAllocated, ds.BitsStored = bits, stored or bits
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(signed)
    if samples > 1:
        ds.PlanarConfiguration = planar
    if frames > 1:
        ds.NumberOfFrames = frames
    rng = np.random.default_rng(7)
    low, high = (
        (-(1 << ds.BitsStored - 1), 1 << ds.BitsStored - 1) if signed else (1, 1 << ds.BitsStored)
    )
    shape = (frames, samples, ROWS, COLUMNS) if planar else (frames, ROWS, COLUMNS, samples)
    kind = f"<{'i' if signed else 'u'}{bits // 8}"
    ds.PixelData = rng.integers(low, high, shape).astype(kind).tobytes()
    ds["PixelData"].VR = "OB" if bits == 8 else "OW"
    return ds


def pixel_format(ds: Dataset) -> PixelFormat:
    return PixelFormat(
        ds.Rows,
        ds.Columns,
        ds.SamplesPerPixel,
        ds.BitsAllocated,
        ds.BitsStored,
        ds.PixelRepresentation,
        ds.PhotometricInterpretation,
        ds.get("PlanarConfiguration", 0),
    )


def compressed(ds: Dataset, syntax: str) -> Dataset:
    """Return the image in a lossless transfer syntax, or JPEG Baseline."""
    described, count = pixel_format(ds), int(ds.get("NumberOfFrames", 1))
    size = described.frame_bits // 8
    encoded = []
    for number in range(count):
        frame = ds.PixelData[number * size : (number + 1) * size]
        codestream, form = encode_frame(frame, described, syntax)
        encoded.append(codestream)
        ds.PhotometricInterpretation = form.photometric_interpretation
    ds.PixelData = encapsulate(encoded)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    if ds.SamplesPerPixel > 1:
        ds.PlanarConfiguration = 0
    return ds


def blanked(data: bytes, rules: str = TOP) -> Dataset:
    return read(output(data, CLEAN, rules=parse_rules(rules)))


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"bits": 8},
        {"signed": True, "stored": 12},
        {"photometric": "MONOCHROME1", "stored": 10},
        {"samples": 3, "bits": 8},
        {"samples": 3, "bits": 8, "planar": 1},
        {"samples": 3, "bits": 8, "photometric": "YBR_FULL"},
        {"bits": 8, "photometric": "PALETTE COLOR"},
        {"frames": 3, "bits": 8},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLE_LOSSLESS,
        JPEG_LS_LOSSLESS,
        JPEG_LOSSLESS_SV1,
        JPEG_2000_LOSSLESS,
        HTJ2K_LOSSLESS,
    ],
)
def test_rectangles_are_black_and_the_rest_is_bit_for_bit(kwargs: dict, syntax: str) -> None:
    ds = image(**kwargs)
    native = ds.PixelData
    # HTJ2K holds what it holds: its own tests say what.
    is_native = syntax in {ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian}
    if not is_native:
        ds = compressed(ds, syntax)
    elif syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = np.frombuffer(native, "<u2").astype(">u2").tobytes()
    after = blanked(part10(ds, syntax))
    expected_syntax = ExplicitVRLittleEndian if is_native else syntax
    assert after.file_meta.TransferSyntaxUID == expected_syntax
    assert after.BurnedInAnnotation == "NO"
    described = replace(pixel_format(image(**kwargs)))
    kind = f"<{'i' if described.is_signed else 'u'}{described.bits_allocated // 8}"
    planar = described.planar_configuration == 1
    count = kwargs.get("frames", 1)
    before = np.frombuffer(native, kind)
    before = before.reshape(
        (count, described.samples_per_pixel, ROWS, COLUMNS)
        if planar
        else (count, ROWS, COLUMNS, described.samples_per_pixel)
    )
    if planar:
        before = before.transpose(0, 2, 3, 1)
    pixels = decoded(after, kind, count)
    assert np.array_equal(pixels[:, ~masked()], before[:, ~masked()])
    dark = pixels[:, masked()]
    photometric = kwargs.get("photometric", "")
    if photometric == "MONOCHROME1":
        assert (dark == (1 << described.bits_stored) - 1).all()
    elif described.is_signed:
        assert (dark == -(1 << described.bits_stored - 1)).all()
    elif photometric == "YBR_FULL":
        assert (dark == [0, 128, 128]).all()
    else:
        assert not dark.any()


def decoded(ds: Dataset, kind: str, count: int) -> np.ndarray:
    """Return the samples by pixel, decoded by the package's decoder where encapsulated."""
    from pacs_cloud.dicom.coding.frame_decoding import decode_frame

    syntax, described = str(ds.file_meta.TransferSyntaxUID), pixel_format(ds)
    data = ds.PixelData
    if syntax != ExplicitVRLittleEndian:
        frames = generate_frames(data, number_of_frames=count)
        made_frames = [decode_frame(frame, syntax, described) for frame in frames]
        data = b"".join(frame for frame, _ in made_frames)
        described = made_frames[0][1]
    size = described.samples_per_pixel * ROWS * COLUMNS * count
    samples = np.frombuffer(data, kind)[:size]
    if described.planar_configuration == 1:
        planes = samples.reshape(count, described.samples_per_pixel, ROWS, COLUMNS)
        return planes.transpose(0, 2, 3, 1)
    return samples.reshape(count, ROWS, COLUMNS, described.samples_per_pixel)


def test_lossy_pixels_are_stored_decoded() -> None:
    ds = compressed(image(3, 8), JPEG_BASELINE)
    ds.LossyImageCompression = "01"
    after = blanked(part10(ds, JPEG_BASELINE))
    assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (after.PhotometricInterpretation, after.LossyImageCompression) == ("RGB", "01")
    pixels = np.frombuffer(after.PixelData, "u1").reshape(ROWS, COLUMNS, 3)
    assert not pixels[masked()].any()
    assert pixels[~masked()].any()
    assert after.pixel_array.shape == (ROWS, COLUMNS, 3)


def test_all_but_the_ultrasound_regions() -> None:
    ds = image(bits=8)
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 4, 5
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 19, 20
    ds.SequenceOfUltrasoundRegions = [region]
    after = blanked(part10(ds), "version = 1\n[[pixels]]\noutside_regions = true\n")
    pixels = np.frombuffer(after.PixelData, "u1").reshape(ROWS, COLUMNS)
    before = np.frombuffer(ds.PixelData, "u1").reshape(ROWS, COLUMNS)
    inside = np.zeros((ROWS, COLUMNS), bool)
    inside[5:21, 4:20] = True
    assert np.array_equal(pixels[inside], before[inside])
    assert not pixels[~inside].any()
    del ds.SequenceOfUltrasoundRegions
    rules = parse_rules("version = 1\n[[pixels]]\noutside_regions = true\n")
    assert made(part10(ds), CLEAN, rules=rules).withheld is Withheld.CANNOT_BE_BLANKED


def test_a_rule_that_blanks_needs_its_option() -> None:
    result = made(part10(image()), rules=parse_rules(TOP))
    assert result.withheld is Withheld.RULE_NEEDS_OPTION


def test_pixels_of_other_forms_are_not_blanked() -> None:
    ds = image(3, 8, photometric="YBR_FULL_422")
    ds.PixelData = ds.PixelData[: ROWS * COLUMNS * 2]
    assert made(part10(ds), CLEAN, rules=parse_rules(TOP)).withheld is Withheld.CANNOT_BE_BLANKED


def test_a_broken_frame_is_not_given_out() -> None:
    ds = image(bits=8)
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xc3 no image"])
    ds["PixelData"].is_undefined_length = True
    result = made(part10(ds, JPEG_LOSSLESS_SV1), CLEAN, rules=parse_rules(TOP))
    assert result.withheld is Withheld.CANNOT_BE_BLANKED


@pytest.mark.parametrize(
    ("sop_class", "values", "withheld"),
    [
        (CTImageStorage, {"Modality": "CT"}, None),
        (CTImageStorage, {"Modality": "CT", "BurnedInAnnotation": "YES"}, Withheld.BURNED_IN),
        (
            CTImageStorage,
            {"Modality": "CT", "ImageType": "DERIVED\\SECONDARY\\SCREEN SAVE"},
            Withheld.BURNED_IN,
        ),
        (
            CTImageStorage,
            {
                "Modality": "CT",
                "ImageType": "DERIVED\\PRIMARY\\DOSE_INFO",
                "BurnedInAnnotation": "NO",
            },
            Withheld.BURNED_IN,
        ),
        (CTImageStorage, {"Modality": "OT"}, Withheld.BURNED_IN),
        (UltrasoundImageStorage, {}, Withheld.BURNED_IN),
        (UltrasoundImageStorage, {"BurnedInAnnotation": "NO"}, None),
        (SecondaryCaptureImageStorage, {"Modality": "MR"}, Withheld.BURNED_IN),
        (XRayAngiographicImageStorage, {"Modality": "XA"}, Withheld.BURNED_IN),
        (
            VLWholeSlideMicroscopyImageStorage,
            {
                "Modality": "SM",
                "BurnedInAnnotation": "NO",
                "ImageType": "ORIGINAL\\PRIMARY\\LABEL\\NONE",
            },
            Withheld.BURNED_IN,
        ),
        ("1.2.840.10008.5.1.4.1.1.1", {"Modality": "CR"}, Withheld.BURNED_IN),
        ("1.2.840.10008.5.1.4.1.1.128", {"Modality": "PT"}, None),
    ],
)
def test_pixels_that_may_show_text(sop_class: str, values: dict, withheld) -> None:
    ds = image(sop_class=sop_class)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    assert made(part10(ds), rules=None).withheld is withheld


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("", True),
        ('manufacturer = "acme*"', True),
        ('manufacturer = "other*"', False),
        ('model = "U-9??"', True),
        ('modality = "CT"', False),
        ('image_type = "*SCREEN SAVE*"', True),
        ("rows = 24\ncolumns = 32", True),
        ("rows = 25", False),
        (f'sop_class = "{UltrasoundImageStorage}"', True),
    ],
)
def test_rules_fit_by_what_an_instance_says(rule: str, fits: bool) -> None:
    ds = image()
    ds.Manufacturer, ds.ManufacturerModelName = "ACME Medical", "U-900"
    ds.ImageType = ["ORIGINAL", "SECONDARY", "SCREEN SAVE"]
    result = made(part10(ds), rules=parse_rules(f"version = 1\n[[pixels]]\n{rule}\n"))
    assert (result.withheld is None) is fits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[pixels", "no TOML"),
        ("version = 2", "version"),
        ("[[pixels]]\nblank = [[0, 0, 0, 1]]", "pixels.0.blank"),
        ("[[pixels]]\ncolour = 1", "pixels.0.colour"),
        ('[[private]]\ncreator = "A"\ngroup = "00G1"\nelements = []', "private.0.group"),
    ],
)
def test_rules_that_are_none(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_rules(text)


def with_comment(codestream: bytes, comment: bytes = b"Jean-Luc Mueller") -> bytes:
    length = (len(comment) + 2).to_bytes(2, "big")
    if codestream.startswith(b"\xff\xd8"):
        exif = b"\xff\xe1" + length + comment
        return codestream[:2] + exif + b"\xff\xfe" + length + comment + codestream[2:]
    size = int.from_bytes(codestream[4:6], "big")
    return codestream[: 4 + size] + b"\xff\x64" + length + comment + codestream[4 + size :]


@pytest.mark.parametrize(
    "syntax",
    [JPEG_LS_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_BASELINE],
)
def test_comments_go_and_pixels_stay(syntax: str) -> None:
    ds = compressed(image(bits=8, frames=2), syntax)
    frames = [without_comments(one) for one in generate_frames(ds.PixelData, number_of_frames=2)]
    ds.PixelData = encapsulate([with_comment(frames[0]), frames[1]])
    ds["PixelData"].is_undefined_length = True
    data = part10(ds, syntax)
    assert b"Jean-Luc Mueller" in data
    result = made(data)
    out = b"".join(result.parts())
    assert result.pixels == "comments-removed"
    assert b"Mueller" not in out
    kept = [one.rstrip(b"\0") for one in generate_frames(read(out).PixelData, number_of_frames=2)]
    assert kept == [one.rstrip(b"\0") for one in frames]


def test_codestreams_without_comments_are_the_same_bytes() -> None:
    for syntax in (JPEG_LOSSLESS_SV1, JPEG_2000_LOSSLESS, RLE_LOSSLESS):
        ds = compressed(image(bits=8), syntax)
        (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
        plain = without_comments(frame)
        assert without_comments(plain) is plain
        assert without_comments(plain + b"\0") == plain + b"\0"
    assert without_comments(b"") == b""
    assert without_comments(b"\xff\xd8\xff\xfe\xff\xff cut") == b"\xff\xd8"


def test_what_follows_the_end_of_an_image_goes() -> None:
    ds = compressed(image(bits=8), JPEG_LOSSLESS_SV1)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    plain = without_comments(frame).rstrip(b"\0")
    assert without_comments(plain + b"Jean-Luc") == plain


def test_boxes_of_text_go() -> None:
    ds = compressed(image(bits=8), JPEG_2000_LOSSLESS)
    (frame,) = generate_frames(ds.PixelData, number_of_frames=1)
    plain = without_comments(frame)
    signature = b"\0\0\0\x0cjP  \r\n\x87\n"
    codestream = (len(plain) + 8).to_bytes(4, "big") + b"jp2c" + plain
    text = (8 + 8).to_bytes(4, "big") + b"xml Jean-Luc"
    assert without_comments(signature + text + codestream) == signature + codestream


def test_video_is_given_out_where_it_is_said_to_show_no_text() -> None:
    ds = image(3, 8, frames=2)
    ds.PixelData = encapsulate([b"\0\0\0\1 stream"])
    ds["PixelData"].is_undefined_length = True
    ds.BurnedInAnnotation = "NO"
    syntax = min(VIDEO)
    assert made(part10(ds, syntax), rules=None).pixels == "untouched"


def test_large_frames_are_read_where_they_lie(tmp_path: Path) -> None:
    """The result of a mapped file holds spans of it, not its pixels."""
    import mmap
    import tracemalloc

    from deid_samples import KNOWN_CLEAN, PROJECT
    from pacs_cloud.dicom.deid.deidentifier import Deidentifier

    ds = image(bits=16)
    ds.Rows = ds.Columns = 4096
    ds.PixelData = bytes(2 * 4096 * 4096)
    path = tmp_path / "large.dcm"
    path.write_bytes(part10(ds))
    del ds
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tracemalloc.start()
    try:
        result = Deidentifier(PROJECT, frozenset(), KNOWN_CLEAN).file(mapped)
        total = sum(map(len, result.parts()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 2 * 4096 * 4096
    assert peak < 20 << 20

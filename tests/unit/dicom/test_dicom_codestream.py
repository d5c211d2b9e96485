"""What real codestreams say of themselves agrees with the data sets they came in."""

import pytest
from dicom_making import bundled_files, dataset_of, readable, real_files
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.coding.codestream import HEAD_BYTES, claims_of
from pacs_cloud.dicom.coding.video import video_syntax
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.errors import InvalidInstance

KNOWN = {
    uid.JPEG_BASELINE,
    uid.JPEG_EXTENDED,
    uid.JPEG_LOSSLESS,
    uid.JPEG_LOSSLESS_SV1,
    uid.JPEG_LS_LOSSLESS,
    uid.JPEG_LS_NEAR_LOSSLESS,
    uid.JPEG_2000_LOSSLESS,
    uid.JPEG_2000,
    uid.HTJ2K_LOSSLESS,
    uid.HTJ2K,
}
# A lossless codestream is allowed where a lossy one is (PS3.5 A.4.4), and so is a baseline
# one in the extended syntax, an RPCL one in the syntax of any order.
ALSO = {
    uid.JPEG_2000: uid.JPEG_2000_LOSSLESS,
    uid.JPEG_EXTENDED: uid.JPEG_BASELINE,
    uid.HTJ2K: uid.HTJ2K_LOSSLESS,
    uid.HTJ2K_LOSSLESS_RPCL: uid.HTJ2K_LOSSLESS,
}
ODD = {"JPEG2000-embedded-sequence-delimiter.dcm"}  # its frame is not what it seems


def frames() -> list[tuple[str, str, bytes, dict[str, object]]]:
    found = []
    for path in [*readable(bundled_files()), *readable(real_files())]:
        dataset, syntax = dataset_of(path)
        try:
            header = HeaderReader().read(dataset, syntax)
        except InvalidInstance:
            continue
        pixels = header.pixels
        if pixels is None or not pixels.encapsulated or not pixels.frames or path.name in ODD:
            continue
        frame = b"".join(dataset[start:end] for start, end in pixels.frames.ranges(0))
        named = {tag: element.get("Value") for tag, element in header.attributes.items()}
        found.append((path.name, syntax, frame[:HEAD_BYTES], named))
    return found


def test_real_frames_claim_what_they_are() -> None:
    compared = 0
    for name, syntax, frame, named in frames():
        if syntax not in KNOWN and syntax != uid.HTJ2K_LOSSLESS_RPCL:
            continue
        claims = claims_of(frame)
        assert claims is not None, name
        assert claims.transfer_syntax_uid in {syntax, ALSO.get(syntax)}, name
        elements = claims.pixel_format.elements()
        for tag in ("00280002", "00280010", "00280011"):
            assert elements[tag]["Value"] == named[tag], (name, tag)
        if named["00280100"] != [1]:  # segmentations keep a bit in a byte
            assert elements["00280100"]["Value"] == named["00280100"], name
        compared += 1
    assert compared > 20


def test_every_beginning_of_a_frame_is_read_or_not() -> None:
    for _, _, frame, _ in frames()[::5]:
        for length in range(0, min(len(frame), 600), 7):
            claims_of(frame[:length])


@given(
    st.binary(max_size=80), st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xc0"])
)
def test_anything_is_read_or_not(rest: bytes, start: bytes) -> None:
    claims = claims_of(start + rest)
    assert claims is None or claims.pixel_format.rows > 0 < claims.pixel_format.columns


@pytest.mark.parametrize(
    ("media", "head", "syntax"),
    [
        ("video/mp4", b"\0\0\0\x20ftypisom", "1.2.840.10008.1.2.4.102"),
        ("video/mp4", b"no video", None),
        ("video/mpeg", b"\0\0\x01\xb3\x2d\x02\x40\x33", "1.2.840.10008.1.2.4.100"),
        ("video/mpeg2", b"\0\0\x01\xba....\0\0\x01\xb3\x78\x04\x38\x33", "1.2.840.10008.1.2.4.101"),
        ("video/mpeg", b"\0\0\x01\xb3", None),
    ],
)
def test_videos(media: str, head: bytes, syntax: str | None) -> None:
    assert video_syntax(media, head) == syntax

"""Metadata and bulk data of any kind: a file that can be read comes out, or a refusal."""

import random
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom import native_model
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicomweb import native_xml, stow_metadata
from pacs_cloud.dicomweb.media import OCTETS, MediaType
from pacs_cloud.dicomweb.stow_assembly import assemble
from pacs_cloud.dicomweb.stow_bulk import StowBulk
from pacs_cloud.errors import InvalidInstance, InvalidRequest
from pacs_cloud.ingest.directory import take_spool_directory
from pacs_cloud.ingest.session import Session
from pacs_cloud.ingest.side_file import SideFile

VRS = [
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF"),
    *("OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN"),
    *("UR", "US", "UT", "UV", "", "XX"),
]
TAGS = [
    *("00080005", "00080008", "00080016", "00080018", "0020000D", "0020000E", "00100010"),
    *("00280008", "00280010", "00280011", "00280100", "00020010", "00083002", "7FE00001"),
    *("7FE00002", "7FE00008", "7FE00010", "00090010", "00091001", "00880200", "FFFCFFFC", "x"),
]
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5", "1.2.3", "AAAA", "00100010"]),
    st.fixed_dictionaries({}, optional={"Alphabetic": st.text(max_size=9), "Phonetic": st.none()}),
)


def _element(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"vr": st.sampled_from(VRS)},
        optional={
            "Value": st.lists(inner, max_size=4),
            "InlineBinary": st.sampled_from(["", "AAEC", "/v8A4AAAAAA=", "!", 5]),
            "BulkDataURI": st.sampled_from(
                ["one", "many", "items", "empty", "none", "http://[", 5]
            ),
        },
    )


DATA_SETS = st.recursive(
    SCALARS,
    lambda inner: st.dictionaries(st.sampled_from(TAGS), _element(inner), max_size=6),
    max_leaves=12,
)
UIDS = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3.4.1"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3.1"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.3.1.1"]},
}
KINDS = [
    MediaType(OCTETS),
    MediaType(OCTETS, {"transfer-syntax": "1.2.840.10008.1.2.4.50"}),
    MediaType("image/jpeg"),
    MediaType("image/jp2"),
    MediaType("image/png"),
    MediaType("image/gif"),
    MediaType("video/mp4"),
    MediaType("image/dicom-rle"),
    MediaType("text/plain"),
]


class _Disk:
    """What a session gives to bulk data: a side file."""

    def __init__(self, folder: Path) -> None:
        self._directory = take_spool_directory(folder)

    def side_file(self) -> SideFile:
        return SideFile(self._directory, 1.0)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return cast("Session", _Disk(tmp_path_factory.mktemp("spool")))


async def bulk_of(disk: Session, kind: MediaType) -> StowBulk:
    bulk = StowBulk(disk, "http://archive/dicom-web/studies")
    items = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0abcd"
    for location, content in (
        ("one", b"\xff\xd8\xff\xc0 a frame"),
        *[("many", b"\x89PNG\r\n\x1a\n"), ("many", b"GIF89a")],
        ("items", items),
        ("empty", b""),
    ):
        bulk.begin(location, kind)
        await bulk.write(memoryview(content))
        bulk.end()
    await bulk.complete()
    return bulk


def file_of(document: bytes, bulk: StowBulk) -> bytes | None:
    """Return the composed file; None where it is refused, which is always in our own words."""
    try:
        return b"".join(
            piece if isinstance(piece, bytes) else bulk.read(piece.offset, piece.length)
            for piece in assemble(document, bulk, None)
        )
    except InvalidInstance:
        return None


def check(file: bytes | None) -> bool:
    """Read a composed file: whatever is composed is well formed; only its UIDs may be wrong."""
    if file is None:
        return False
    meta = read_file_meta(file)
    try:
        HeaderReader().read(file[meta.dataset_offset :], meta.transfer_syntax_uid)
    except InvalidInstance as refused:
        reason = str(refused)
    else:
        return True
    assert "UID" in reason, reason
    return False


@given(st.dictionaries(st.sampled_from(TAGS), _element(DATA_SETS)), st.sampled_from(KINDS))
async def test_any_metadata_is_composed_or_refused(
    disk: Session, elements: dict[str, Any], kind: MediaType
) -> None:
    bulk = await bulk_of(disk, kind)
    try:
        document = orjson.dumps({**elements, **UIDS})
        check(file_of(document, bulk))
        check(file_of(orjson.dumps(elements), bulk))
    finally:
        bulk.close()


def real_headers() -> list[bytes]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "real" / "single"
    found = []
    for path in sorted(folder.glob("*.dcm")):
        data = path.read_bytes()
        try:
            meta = read_file_meta(data)
            found.append(
                HeaderReader().read(data[meta.dataset_offset :], meta.transfer_syntax_uid).json
            )
        except InvalidInstance:
            continue
    return [header for header in found if len(header) < 20_000]


async def test_broken_real_metadata_is_composed_or_refused(disk: Session) -> None:
    headers = real_headers()
    if not headers:
        pytest.skip("no real DICOM data beside the project")
    dice = random.Random(3)
    bulk = await bulk_of(disk, MediaType(OCTETS))
    composed = 0
    for _ in range(1500):
        document = bytearray(dice.choice(headers))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(document))
            document[at : at + dice.randint(0, 3)] = dice.choice(
                [
                    b"",
                    b"{",
                    b"]",
                    b'"',
                    b"0",
                    b"-",
                    b"null",
                    b",",
                    b"\xff",
                    b"E",
                    b"vr",
                    b"SQ",
                    b"OB",
                ]
            )
        try:
            instances = stow_metadata.split(b"[" + bytes(document) + b"]")
        except InvalidRequest:
            continue
        composed += sum(check(file_of(one, bulk)) for one in instances)
    bulk.close()
    assert composed > 10


def test_broken_real_xml_is_parsed_or_refused() -> None:
    headers = real_headers()
    if not headers:
        pytest.skip("no real DICOM data beside the project")
    documents = [native_xml.encode(orjson.loads(header)) for header in headers]
    dice = random.Random(4)
    parsed = 0
    for _ in range(1500):
        document = bytearray(dice.choice(documents))
        at = dice.randrange(len(document))
        document[at : at + dice.randint(0, 3)] = dice.choice(
            [b"", b"<", b">", b'"', b"&", b"&amp;", b"0", b"/", b"\xff", b"<Item/>", b"\0", b"A"]
        )
        try:
            native_model.parse(bytes(document))
        except InvalidRequest:
            continue
        parsed += 1
    assert parsed > 10

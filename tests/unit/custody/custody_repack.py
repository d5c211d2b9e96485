"""Series to be repacked, and looks at what becomes of their bytes."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, PackRecord
from pacs_cloud.custody.export import study_lines
from pacs_cloud.custody.repack.due import repack_series
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.part10 import encode_file_meta, read_file_meta
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import PackIndex
from unit.custody.custody_house import DAY_US, STUDY, House
from unit.custody.custody_packs import Sample, commit, pack_files, put

SERIES = f"{STUDY}.1"
OTHER_SERIES = f"{STUDY}.2"


async def repack(
    house: House,
    folder: Path,
    *,
    series: str = SERIES,
    terms: RepackTerms | None = None,
    objects: ObjectStore | None = None,
    catalogue: Catalogue | None = None,
    now_us: Callable[[], int] | None = None,
) -> Repacked:
    """Repack a series, a long time after everything came in."""
    folder.mkdir(exist_ok=True)
    house.clock.now_us += 30 * DAY_US
    return await repack_series(
        objects or house.objects,
        catalogue or house.catalogue,
        "default",
        STUDY,
        series,
        terms=terms or RepackTerms(),
        folder=folder,
        now_us=now_us or house.clock.tick,
    )


async def small_packs(house: House, count: int = 4) -> list[str]:
    """Store packs of one series, of one to three instances each; return their ids."""
    ids: list[str] = []
    for number in range(1, count + 1):
        samples = [Sample(f"{SERIES}.{number}{n}") for n in range(number % 3 + 1)]
        ids.append((await house.store(*samples, series=SERIES)).key.pack_id)
    return ids


async def packs(house: House, series: str = SERIES) -> list[PackRecord]:
    return list(await house.catalogue.packs("default", STUDY, series))


async def shown(house: House) -> dict[tuple[str, str], bytes]:
    """Every visible instance's file, by series and SOP Instance UID."""
    return {
        (series, uid): file
        for (series, uid, why), files in (await instances(house)).items()
        if why is None
        for file in files
    }


async def instances(house: House) -> dict[tuple[str, str, HiddenReason | None], list[bytes]]:
    """Every instance's file, sorted, by series, SOP Instance UID and why it is hidden."""
    found: dict[tuple[str, str, HiddenReason | None], list[bytes]] = {}
    for record in await house.catalogue.packs("default", STUDY):
        for one in (await table_of(house, record)).instances:
            span = one.offset, one.offset + one.length_bytes
            file = await house.objects.get(key_of(record).pack, *span)
            uid = one.sop_instance_uid
            place = record.series_instance_uid, uid, record.hidden.get(uid)
            found.setdefault(place, []).append(file)
    return {key: sorted(files) for key, files in found.items()}


def key_of(record: PackRecord) -> PackKey:
    names = record.study_instance_uid, record.series_instance_uid, record.pack_id
    return PackKey(record.tenant, *names)


async def table_of(house: House, record: PackRecord) -> PackIndex:
    return await load_table(house.objects, house.catalogue, record.tenant, ref_of(record))


async def records(house: House) -> list[bytes]:
    """The study's and the series' records, as the export has them, without its packs."""
    state = await house.catalogue.study("default", STUDY)
    assert state is not None
    return study_lines(state)[: 1 + len(state.series)]


LARGE = bytes(range(256)) * 5
"""A value that a header only points at."""


def image(number: int = 1, *, frames: int = 1, colour: bool = False, bits: int = 16) -> Dataset:
    """A smooth picture, as of a phantom."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{SERIES}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.PatientID, ds.PatientName, ds.Modality = "P1", "TEST^RECODE", "CT"
    ds.StudyDate, ds.StudyTime = "20260102", "101112"
    ds.Rows, ds.Columns = 63, 65
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
    ds.PixelRepresentation = int(bits == 16)
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    if frames > 1:
        ds.NumberOfFrames = frames
    shape = (frames, 63, 65, ds.SamplesPerPixel)
    ramp = np.indices(shape).sum(axis=0) + number
    values = (ramp * 7 - 500).astype("<i2") if bits == 16 else (ramp % 256).astype("u1")
    data = values.tobytes()
    ds.add_new(0x7FE00010, "OW" if bits == 16 else "OB", data + bytes(len(data) % 2))
    ds.PixelPaddingValue = 0
    item = Dataset()
    item.CodeMeaning = "Größe"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ProcedureCodeSequence = Sequence([item])
    block = ds.private_block(0x0011, "PACS_CLOUD TEST", create=True)
    block.add_new(0x01, "OB", LARGE)
    return ds


def encoded(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    raw = io.BytesIO()
    out = DicomIO(raw)
    out.is_little_endian, out.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    write_dataset(out, ds)
    return raw.getvalue()


def head(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    return encode_file_meta(
        sop_class_uid=ds.SOPClassUID,
        sop_instance_uid=ds.SOPInstanceUID,
        transfer_syntax_uid=syntax,
    )


async def store_images(
    house: House, *images: Dataset, syntax: str = ExplicitVRLittleEndian
) -> None:
    """Store a pack of `images`."""
    files = [(head(ds, syntax), encoded(ds, syntax), syntax) for ds in images]
    made = pack_files(house.clock, "default", files)
    await put(house.objects, made)
    await commit(house.objects, house.catalogue, made, house.clock)


def native(file: bytes) -> Dataset:
    """A Part 10 file as Explicit VR Little Endian."""
    meta = read_file_meta(file)
    dataset = file[meta.dataset_offset :]
    if meta.transfer_syntax_uid != EXPLICIT_LE:
        dataset = b"".join(transcoded_parts(dataset, meta.transfer_syntax_uid, EXPLICIT_LE))
    start = encode_file_meta(
        sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=EXPLICIT_LE
    )
    ds = dcmread(io.BytesIO(start + dataset))
    if "PixelData" in ds and ds.BitsAllocated == 8:
        ds["PixelData"].VR = "OB"  # from implicit VR it comes as OW, which is the same
    return ds

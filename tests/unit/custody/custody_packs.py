"""Small real packs, put into a store and committed as the archive does it."""

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from blake3 import blake3
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pacs_cloud.catalogue.commit import commit_pack
from pacs_cloud.catalogue.judging import ConflictPolicy, InstanceOutcome
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.ledger import record_decision
from pacs_cloud.custody.stored_pack import load_table, staged_pack
from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.build import Entry, build_index
from pacs_cloud.pack.index import Door, PackIndex, Source, encode_index
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.pack.provenance import Provenance
from pacs_cloud.pack.writer import PackWriter

NOW_US = 1_760_000_000_000_000
SOURCE = Source(Door.DIMSE, "PACS", "CT1", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance: equal samples are equal to the byte."""

    uid: str
    words: str = "first"
    patient: str = "P1"
    modality: str = "CT"


@dataclass(frozen=True, slots=True)
class Made:
    """One pack before it is stored."""

    key: PackKey
    data: bytes
    index: bytes
    table: PackIndex


@dataclass(slots=True)
class Clock:
    """Time that goes on by a second with every look."""

    now_us: int = NOW_US
    reader: HeaderReader = field(default_factory=HeaderReader)

    def tick(self) -> int:
        self.now_us += 1_000_000
        return self.now_us


def dataset_of(study: str, series: str, sample: Sample) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, sample.uid
    ds.StudyDate, ds.StudyTime, ds.Modality = "20260102", "101112", sample.modality
    ds.StudyDescription = sample.words
    ds.PatientName, ds.PatientID = "TEST^CUSTODY", sample.patient
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation, ds.SamplesPerPixel = 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.add_new(0x7FE00010, "OW", sample.words.encode().ljust(32, b"\0")[:32])
    raw = io.BytesIO()
    out = DicomIO(raw)
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, ds)
    return raw.getvalue()


def make_pack(
    clock: Clock,
    tenant: str,
    study: str,
    series: str,
    samples: Sequence[Sample],
    *,
    replaces: tuple[str, ...] = (),
    merged_rev: int | None = None,
) -> Made:
    """Return a finished pack of `samples`."""
    head = bytes(128) + b"DICM"
    files = [
        (head, dataset_of(study, series, sample), ExplicitVRLittleEndian) for sample in samples
    ]
    return pack_files(clock, tenant, files, replaces=replaces, merged_rev=merged_rev)


def pack_files(
    clock: Clock,
    tenant: str,
    files: Sequence[tuple[bytes, bytes, str]],
    *,
    replaces: tuple[str, ...] = (),
    merged_rev: int | None = None,
) -> Made:
    """Return a finished pack of one series' files.

    Args:
        clock: gives the times.
        tenant: whose.
        files: of each what is before its data set, that, and how it is encoded.
        replaces: ids of packs.
        merged_rev: the study's `rev` as of which it was merged from them.
    """
    pack_id = new_pack_id(clock.tick())
    entries: list[Entry] = []
    study = series = ""
    with tempfile.TemporaryFile() as file:
        writer = PackWriter(file.fileno())
        for head, dataset, syntax in files:
            received_us = clock.tick()
            header = clock.reader.read(dataset, syntax)
            study, series = header.study_instance_uid, header.series_instance_uid
            member = writer.append(
                header.sop_instance_uid, [head, dataset], Provenance(tenant, SOURCE, received_us)
            )
            entries.append(
                Entry(
                    sop_instance_uid=header.sop_instance_uid,
                    sop_class_uid=header.sop_class_uid,
                    transfer_syntax_uid=header.transfer_syntax_uid,
                    offset=member.offset,
                    length_bytes=member.length_bytes,
                    dataset_offset=len(head),
                    digest=blake3(dataset).hexdigest(),
                    received_us=received_us,
                    source=SOURCE,
                    header=header.json,
                    attributes=header.attributes,
                    pixels=header.pixels,
                    bulk=header.bulk,
                )
            )
        table = build_index(
            entries,
            pack_id=pack_id,
            tenant=tenant,
            study_instance_uid=study,
            series_instance_uid=series,
            replaces=replaces,
            merged_rev=merged_rev,
        )
        index = encode_index(table, [entry.header for entry in entries])
        length = writer.finish(index)
        data = os.pread(file.fileno(), length, 0)
    return Made(PackKey(tenant, study, series, pack_id), data, index, table)


async def put(objects: ObjectStore, made: Made, *, index: bool = True) -> None:
    """Put a pack and its index object into the store, as before a commit."""
    if index:
        await objects.put_new(made.key.index, made.index)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pack"
        path.write_bytes(made.data)
        await objects.put_file(made.key.pack, path)


async def commit(
    objects: ObjectStore,
    catalogue: Catalogue,
    made: Made,
    clock: Clock,
    policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST,
) -> Mapping[str, InstanceOutcome]:
    """Commit a pack that is in the store."""
    return await commit_pack(
        catalogue,
        made.table,
        staged_pack(made.table, made.index),
        len(made.data),
        policy=policy,
        now_us=clock.tick(),
        load_table=partial(load_table, objects, catalogue),
        record_decision=partial(record_decision, objects),
    )


async def fill(
    objects: ObjectStore,
    catalogue: Catalogue,
    policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST,
    clock: Clock | None = None,
) -> list[Made]:
    """Store an archive with all that may happen in one; return its packs in commit order."""
    clock = clock or Clock()
    made: list[Made] = []
    # "1.2.3.4" sorts before "1.2.3" among keys, and behind it among UIDs.
    for tenant, study in (("default", "1.2.3"), ("default", "1.2.3.4"), ("second", "1.2.3")):
        first = [Sample(f"{study}.1.{n}") for n in range(1, 6)]
        plans: list[tuple[str, list[Sample]]] = [
            (f"{study}.1", first),
            # a second pack of the series, one of another, and one of another modality
            (f"{study}.1", [Sample(f"{study}.1.{n}") for n in range(6, 9)]),
            (f"{study}.2", [Sample(f"{study}.2.1", modality="SR")]),
            # partly sent again, and all of it
            (f"{study}.1", [*first[:2], Sample(f"{study}.1.9")]),
            (f"{study}.1", first),
            # other content, twice; and an instance seen in another series already
            (f"{study}.1", [Sample(f"{study}.1.1", "second"), Sample(f"{study}.1.10")]),
            (f"{study}.1", [Sample(f"{study}.1.1", "third")]),
            (f"{study}.2", [Sample(f"{study}.1.2"), Sample(f"{study}.2.2", patient="P2")]),
        ]
        packs = [make_pack(clock, tenant, study, *plan) for plan in plans]
        # Packs are not committed in the order in which they were begun.
        for pack in (packs[0], packs[2], packs[1], *packs[3:]):
            await put(objects, pack)
            await commit(objects, catalogue, pack, clock, policy)
            made.append(pack)
    return made

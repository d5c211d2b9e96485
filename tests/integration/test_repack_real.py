"""Every real series to HTJ2K by the command line, and back: bit for bit what was received.

What is not encoded anew stays as it was received, and is counted by why: told here from
the original alone, by pydicom. `make soak` prints the table.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from test_command_line import lines, pacs

from pacs_cloud.bootstrap.services import Stores, open_stores
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.custody.stored_pack import key_of, load_table
from pacs_cloud.dicom.part10 import encode_file_meta, read_file_meta
from pacs_cloud.dicom.quiet import quiet_pydicom
from pacs_cloud.dicom.uid import (
    EXPLICIT_LE,
    HTJ2K_LOSSLESS_RPCL,
    IMPLICIT_LE,
    is_encapsulated,
)
from pacs_cloud.pack.instance import PackInstance
from pacs_cloud.settings import load_settings
from unit.dicom.dicom_making import bundled_files, dataset_of, readable, real_files, transcoded

SMALL_BYTES = 60_000
EVERY = ("--htj2k", "--yes", "--least-saving", "0", "--quiet-days", "0")
SIGNED_OR_LOSSY = ("DigitalSignaturesSequence", "MACParametersSequence")
LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")


@dataclass
class Row:
    """What became of one series."""

    modality: str
    instances: int = 0
    recoded: int = 0
    before_bytes: int = 0
    after_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Original:
    """A file as it was received."""

    file: bytes
    dataset: bytes
    syntax: str
    read: Dataset


def originals(paths: Iterable[Path]) -> Iterator[tuple[Path, Original]]:
    for path in readable(list(paths)):
        dataset, syntax = dataset_of(path)
        try:
            with quiet_pydicom():
                read = dcmread(path, force=True)
                _ = read.SOPInstanceUID, read.StudyInstanceUID, read.SeriesInstanceUID
        except Exception:  # noqa: BLE001  broken on purpose, in whichever way
            continue
        yield path, Original(path.read_bytes(), dataset, syntax, read)


def batches(paths: Iterable[Path]) -> list[dict[Path, Original]]:
    """Put files together so that no SOP Instance UID comes twice in one archive."""
    found: list[tuple[set[str], dict[Path, Original]]] = []
    for path, original in originals(paths):
        uid = str(original.read.SOPInstanceUID)
        free = next((one for one in found if uid not in one[0]), None)
        if free is None:
            free = set[str](), dict[Path, Original]()
            found.append(free)
        free[0].add(uid)
        free[1][path] = original
    return [batch for _, batch in found]


def why_it_stays(original: Original) -> str:
    """Why an instance cannot be encoded anew, or gains nothing by it; "" where it can."""
    read, syntax = original.read, original.syntax
    if any(original.file[:128]):
        return "another program's preamble"
    if "FloatPixelData" in read or "DoubleFloatPixelData" in read:
        return "float"
    if "PixelData" not in read:
        return "no pixels"
    if is_encapsulated(syntax):
        return "compressed already"
    if syntax not in {EXPLICIT_LE, IMPLICIT_LE}:
        return UID(syntax).name.removesuffix(" VR Little Endian").lower()
    if says_any(read, SIGNED_OR_LOSSY):
        return "signed"
    if says_any(read, LOSSY) or is_lossy(read):
        return "lossy"
    if read.BitsAllocated not in {8, 16}:
        return f"{read.BitsAllocated} bit"
    if read.get("SamplesPerPixel", 1) > 1 and read.get("PlanarConfiguration", 0):
        return "colour by plane"
    if "42" in read.PhotometricInterpretation:
        return "subsampled"
    frames = int(read.get("NumberOfFrames", 1) or 1)
    samples = read.Rows * read.Columns * read.get("SamplesPerPixel", 1)
    length = samples * frames * read.BitsAllocated // 8
    if len(read.PixelData) != length + length % 2:
        return "more or less than its frames"
    meta = encode_file_meta(
        sop_class_uid=read.SOPClassUID,
        sop_instance_uid=read.SOPInstanceUID,
        transfer_syntax_uid=HTJ2K_LOSSLESS_RPCL,
    )
    if len(meta + transcoded(original.dataset, syntax, HTJ2K_LOSSLESS_RPCL)) >= len(original.file):
        return "gains nothing"
    return ""


def says_any(read: Dataset, keywords: Iterable[str]) -> bool:
    return any(element.keyword in keywords for element in read.iterall())


def is_lossy(read: Dataset) -> bool:
    return any(
        element.keyword == "LossyImageCompression" and element.value != "00"
        for element in read.iterall()
    )


def native(dataset: bytes, syntax: str) -> Dataset:
    """A data set as Explicit VR Little Endian."""
    meta = encode_file_meta(
        sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=EXPLICIT_LE
    )
    return dcmread(io.BytesIO(meta + transcoded(dataset, syntax)))


def others(read: Dataset) -> list[Any]:
    """Every element but the pixels, and group lengths, which whoever writes anew leaves out."""
    return [one for one in read if one.keyword != "PixelData" and one.tag.element != 0]


async def stored(stores: Stores) -> Iterator[tuple[PackInstance, bytes, str]]:
    """Every instance with its file and its series."""
    found: list[tuple[PackInstance, bytes, str]] = []
    async for state in stores.catalogue.export():
        for record in state.packs:
            table = await load_table(
                stores.objects, stores.catalogue, record.tenant, ref_of(record)
            )
            for one in table.instances:
                span = one.offset, one.offset + one.length_bytes
                file = await stores.objects.get(key_of(record).pack, *span)
                found.append((one, file, record.series_instance_uid))
    return iter(found)


def check(one: PackInstance, file: bytes, original: Original) -> str:
    """Hold what is stored against what was received; return why it stays, "" where recoded."""
    why = why_it_stays(original)
    assert one.digest == blake3(original.dataset).hexdigest()
    if one.recoded is None:
        assert file == original.file
        assert why, "it could have been encoded anew"
        return why
    assert why == ""
    assert one.recoded.received_syntax_uid == original.syntax
    meta = read_file_meta(file)
    assert meta.transfer_syntax_uid == HTJ2K_LOSSLESS_RPCL
    was = native(original.dataset, original.syntax)
    now = native(file[meta.dataset_offset :], meta.transfer_syntax_uid)
    assert now.PixelData == was.PixelData
    assert others(now) == others(was)
    assert len(file) < len(original.file)
    return ""


async def there_and_back(folder: Path, batch: dict[Path, Original], rows: dict[str, Row]) -> None:
    """Import, repack, read: one archive's worth."""
    (folder / "in").mkdir(parents=True)
    for number, path in enumerate(batch):
        shutil.copyfile(path, folder / "in" / f"{number}.dcm")
    data = folder / "data"
    (*refused, counts) = map(json.loads, imported(folder / "in", data))
    done = lines(pacs("repack", *EVERY, "--data", data, "--json"))
    assert [one["problems"] for one in done if one["problems"]] == []
    by_uid = {str(one.read.SOPInstanceUID): one for one in batch.values()}
    recoded = 0
    async with open_stores(load_settings({"data": data})) as stores:
        found = list(await stored(stores))
    for one, file, series in found:
        original = by_uid[one.sop_instance_uid]
        row = rows.setdefault(series, Row(str(original.read.get("Modality", ""))))
        why = check(one, file, original)
        row.instances += 1
        row.before_bytes += len(original.file)
        row.after_bytes += len(file)
        row.recoded += not why
        recoded += not why
        row.reasons[why] += bool(why)
    assert len(found) + len(refused) == len(batch)
    assert recoded == sum(one["recoded"] for one in done)
    # What was received is known still, by its own digest.
    (*_, again) = map(json.loads, imported(folder / "in", data))
    assert again["duplicate"] == counts["stored"] == len(found)
    assert lines(pacs("conflicts", "list", "--data", data, "--json")) == []
    shutil.rmtree(folder)


def imported(files: Path, data: Path) -> list[str]:
    done = pacs("import", files, "--data", data, "--json", code=None)
    return done.stdout.splitlines()


def table_of(rows: dict[str, Row]) -> str:
    head = (
        f"{'series':>24} {'':4} {'inst':>5} {'htj2k':>5} {'before':>11} {'after':>11} {'ratio':>6}"
    )
    told = [head]
    total = Row("")
    for series, row in sorted(rows.items(), key=lambda one: -one[1].before_bytes):
        told.append(line_of(series[-24:], row))
        total.instances += row.instances
        total.recoded += row.recoded
        total.before_bytes += row.before_bytes
        total.after_bytes += row.after_bytes
        total.reasons += row.reasons
    told.append(line_of(f"{len(rows)} series", total))
    return "\n".join(told)


def line_of(name: str, row: Row) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in sorted(row.reasons.items()) if count)
    ratio = row.before_bytes / row.after_bytes
    return (
        f"{name:>24} {row.modality:4.4} {row.instances:5} {row.recoded:5} {row.before_bytes:11,} "
        f"{row.after_bytes:11,} {ratio:6.2f} {reasons}"
    )


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is odd in them
async def test_small_files_there_and_back(tmp_path: Path) -> None:
    rows: dict[str, Row] = {}
    files = [path for path in bundled_files() if path.stat().st_size <= SMALL_BYTES]
    await there_and_back(tmp_path / "0", batches(files)[0], rows)
    assert sum(row.recoded for row in rows.values()) > 3
    assert sum(row.instances for row in rows.values()) > 30


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_every_real_series_there_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: dict[str, Row] = {}
    files = [path for path in real_files() if "malformed" not in path.parts]
    for number, batch in enumerate(batches([*files, *bundled_files()])):
        await there_and_back(tmp_path / str(number), batch, rows)
    with capsys.disabled():
        print("\n" + table_of(rows))
    assert sum(row.recoded for row in rows.values()) > 50

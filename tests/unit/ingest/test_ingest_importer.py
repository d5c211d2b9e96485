"""Imports of folders, ZIP files and buckets."""

import os
import zipfile
from pathlib import Path

import pytest
from ingest_instances import SERIES, STUDY, ct_file

from pacs_cloud.errors import InvalidRequest, StorageFull
from pacs_cloud.ingest import importer
from pacs_cloud.ingest.import_sources import FolderSource, PrefixSource, ZipSource
from pacs_cloud.ingest.importer import ImportedFile, import_files, measure
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.caller import system


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """What a CD from another hospital looks like."""
    folder = tmp_path / "CD"
    (folder / "IMAGES").mkdir(parents=True)
    for number in range(5):
        (folder / "IMAGES" / f"I{number}").write_bytes(ct_file(number))
    (folder / "DICOMDIR").write_bytes(ct_file(0))
    (folder / "copy.dcm").write_bytes(ct_file(1))
    (folder / "directory").write_bytes(ct_file(8, sop_class="1.2.840.10008.1.3.10"))
    (folder / "viewer.exe").write_bytes(b"MZ" * 1000)
    (folder / "empty").write_bytes(b"")
    (folder / "broken.dcm").write_bytes(ct_file(9)[:-5])
    (folder / "report.dcm").write_bytes(ct_file(9, sop_class="1.2.3"))
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("nowhere")
    return folder


EXPECTED = {
    "copy.dcm": ("stored", ""),
    "IMAGES/I0": ("stored", ""),
    "IMAGES/I1": ("duplicate", ""),
    "IMAGES/I2": ("stored", ""),
    "IMAGES/I3": ("stored", ""),
    "IMAGES/I4": ("stored", ""),
    "DICOMDIR": ("skipped", "dicomdir"),
    "directory": ("skipped", "dicomdir"),
    "viewer.exe": ("skipped", "not-dicom"),
    "empty": ("skipped", "not-dicom"),
    "broken.dcm": ("refused", "unreadable"),
    "report.dcm": ("refused", "unsupported-class"),
    "dangling": ("refused", "unreadable-file"),
}


def said(files: list[ImportedFile]) -> dict[str, tuple[str, str]]:
    return {file.name: (file.verdict.value, file.reason) for file in files}


async def run(intake: Intake, source, **options) -> list[ImportedFile]:
    return [file async for file in import_files(intake, system("default"), source, **options)]


def accepts(sop_class_uid: str) -> bool:
    return sop_class_uid != "1.2.3"


@pytest.mark.parametrize("buffer_bytes", [512, 8 << 20])
async def test_a_folder(archive, medium, buffer_bytes) -> None:
    options = IntakeOptions(buffer_bytes=buffer_bytes)
    async with archive.intake(options, accepts_class=accepts) as intake:
        files = await run(intake, FolderSource(medium), files_at_once=1)
        expected = EXPECTED
        if buffer_bytes == 512:  # each in a pack of its own: whichever commits first is stored
            expected = said(files) | {
                n: v for n, v in EXPECTED.items() if v[0] != "stored" and n != "IMAGES/I1"
            }
            assert {said(files)[name][0] for name in ("copy.dcm", "IMAGES/I1")} == {
                "stored",
                "duplicate",
            }
        assert said(files) == expected
        assert all(file.message for file in files if file.verdict == "refused")
        assert await archive.instances(STUDY) == {f"{SERIES}.{n}": ct_file(n) for n in range(5)}
        total = await measure(FolderSource(medium))
        assert (total.files, total.length_bytes) == (
            len(files),
            sum(file.length_bytes for file in files),
        )


async def test_again_is_nothing_new(archive, medium) -> None:
    async with archive.intake(accepts_class=accepts) as intake:
        await run(intake, FolderSource(medium))
        again = await run(intake, FolderSource(medium))
        assert {file.verdict for file in again} == {"duplicate", "skipped", "refused"}
        assert len(await archive.packs(STUDY)) == 1


async def test_many_batches(archive, medium, monkeypatch) -> None:
    monkeypatch.setattr(importer, "COMMIT_FILES", 2)
    async with archive.intake(accepts_class=accepts) as intake:
        files = await run(intake, FolderSource(medium))
        assert sorted(said(files)) == sorted(EXPECTED)
        verdicts = [file.verdict for file in files]
        assert (verdicts.count("stored"), verdicts.count("duplicate")) == (5, 1)
        assert len(await archive.instances(STUDY)) == 5


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
async def test_a_zip(archive, medium, tmp_path, method) -> None:
    path = tmp_path / "medium.zip"
    with zipfile.ZipFile(path, "w", method) as target:
        for file in sorted(medium.rglob("*")):
            if file.is_dir() or file.is_file():
                target.write(file, file.relative_to(medium))
    async with archive.intake(accepts_class=accepts) as intake:
        files = await run(intake, ZipSource(path))
        assert sorted(said(files)) == sorted(EXPECTED.keys() - {"dangling"})
        assert len(await archive.instances(STUDY)) == 5
    (pack,) = await archive.packs(STUDY)
    assert (await archive.index(pack)).sources[0].calling == "medium.zip"


async def test_a_damaged_zip_member_is_refused_alone(archive, tmp_path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as target:
        for number in range(3):
            target.writestr(str(number), ct_file(number))
    data = path.read_bytes()
    path.write_bytes(data.replace(ct_file(1), ct_file(1)[:-1] + b"?"))
    async with archive.intake() as intake:
        files = said(await run(intake, ZipSource(path)))
    assert files == {
        "0": ("stored", ""),
        "1": ("refused", "unreadable-file"),
        "2": ("stored", ""),
    }


async def test_a_pack_can_be_imported(archive, medium, tmp_path, open_archive) -> None:
    async with archive.intake(accepts_class=accepts) as intake:
        await run(intake, FolderSource(medium / "IMAGES"))
    (pack,) = (archive.root / "objects").rglob("*.zip")
    async with archive.intake() as intake:
        files = said(await run(intake, ZipSource(pack)))
    assert files.pop("index.zst") == ("skipped", "not-dicom")
    assert set(files.values()) == {("duplicate", "")}


async def test_a_bucket(archive, tmp_path) -> None:
    async with LocalObjectStore(tmp_path / "bucket") as bucket:
        for number in range(3):
            await bucket.put_new(f"old/pacs/{number}", ct_file(number, pixels=bytes(3 << 20)))
        await bucket.put_new("old/pacs/readme.txt", b"x" * 500)
        await bucket.put_new("other", ct_file(7))
        async with archive.intake() as intake:
            files = said(await run(intake, PrefixSource(bucket, "old/pacs/", "old")))
    assert files == {
        "0": ("stored", ""),
        "1": ("stored", ""),
        "2": ("stored", ""),
        "readme.txt": ("skipped", "not-dicom"),
    }


async def test_a_name_that_no_archive_of_ours_has_is_refused_alone(archive, tmp_path) -> None:
    async with LocalObjectStore(tmp_path / "bucket") as bucket:
        await bucket.put_new("old/1", ct_file(1))
        (tmp_path / "bucket" / "old" / "IM 2.dcm").write_bytes(ct_file(2))
        async with archive.intake() as intake:
            files = said(await run(intake, PrefixSource(bucket, "old/", "old")))
    assert files == {"1": ("stored", ""), "IM 2.dcm": ("refused", "unreadable-file")}


async def test_one_file(archive, medium) -> None:
    async with archive.intake() as intake:
        assert said(await run(intake, FolderSource(medium / "copy.dcm"))) == {
            "copy.dcm": ("stored", "")
        }


async def test_no_such_source(archive, tmp_path) -> None:
    (tmp_path / "x.txt").write_bytes(b"x")
    async with archive.intake() as intake:
        for source in (FolderSource(tmp_path / "no"), ZipSource(tmp_path / "x.txt")):
            with pytest.raises(InvalidRequest):
                await run(intake, source)


async def test_a_full_disk_ends_an_import(archive, medium) -> None:
    async with archive.intake(IntakeOptions(high_water=0.0)) as intake:
        with pytest.raises(StorageFull):
            await run(intake, FolderSource(medium))


async def test_an_import_may_be_stopped(archive, medium, monkeypatch) -> None:
    monkeypatch.setattr(importer, "COMMIT_FILES", 2)
    async with archive.intake(accepts_class=accepts) as intake:
        files = import_files(intake, system("default"), FolderSource(medium))
        await anext(files)
        await files.aclose()
        assert len(await run(intake, FolderSource(medium))) == len(EXPECTED)
    assert len(await archive.instances(STUDY)) == 5

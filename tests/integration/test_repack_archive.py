"""A repacked archive over HTTP: clients see no difference, but for less that is stored."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomweb_archive import Running, accept_related, parts_of, served

from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.repack.due import repack_due
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.objectstore.port import ObjectStore

STUDY, SERIES = "1.2.3.1", "1.2.3.1.1"
URL = f"/studies/{STUDY}/series/{SERIES}"
DAY_US = 86_400_000_000
ROWS, FRAMES = 32, 2


def smooth(number: int) -> bytes:
    """A small CT of two frames that compresses well."""
    ramp = np.indices((FRAMES, ROWS, ROWS)).sum(axis=0) * 5 + number
    return make_instance(
        f"{SERIES}.{number}",
        rows=ROWS,
        frames=FRAMES,
        pixels=ramp.astype("<u2").tobytes(),
        PatientComments="some words " * 200,
    )


FILES = [smooth(number) for number in range(1, 7)]


async def filled(archive: Running) -> None:
    """Store `FILES`, two at a time, so that they lie in packs of two."""
    for start in range(0, len(FILES), 2):
        response = await archive.store(*FILES[start : start + 2])
        assert response.status_code == 200, response.text


async def packs(archive: Running) -> list[str]:
    return [info.key async for info in archive.objects.list("packs/")]


async def repacked(
    objects: ObjectStore, catalogue: Catalogue, work: Path, **terms: Any
) -> Repacked:
    work.mkdir(exist_ok=True)
    found = [
        one
        async for one in repack_due(
            objects,
            catalogue,
            terms=RepackTerms(quiet_days=1, least_saved_bytes=0, **terms),
            folder=work,
            now_us=lambda: now_us() + 30 * DAY_US,
        )
    ]
    (done,) = found
    return done


async def swept(objects: ObjectStore, catalogue: Catalogue) -> int:
    done = await adopt_orphans(
        objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us() + 31 * DAY_US
    )
    assert (done.adopted, done.problems) == (0, ())
    return done.removed


async def findings(objects: ObjectStore, catalogue: Catalogue) -> list[Any]:
    return [finding async for finding in check(objects, catalogue, deep=True)]


async def seen(archive: Running) -> dict[str, Any]:
    """What a client gets of the series, in every way."""
    client = archive.client
    rows = (await client.get(f"{URL}/instances?includefield=all")).json()
    metadata = (await client.get(f"{URL}/metadata")).json()
    study = (await client.get(f"/studies?StudyInstanceUID={STUDY}&includefield=all")).json()
    found: dict[str, Any] = {"rows": rows, "metadata": metadata, "study": study}
    whole = await client.get(URL, headers=accept_related("application/dicom", "*"))
    found["files"] = sorted(content for _, content in parts_of(whole))
    for number in range(1, len(FILES) + 1):
        frames = await client.get(
            f"{URL}/instances/{SERIES}.{number}/frames/1,2",
            headers=accept_related("application/octet-stream", EXPLICIT_LE),
        )
        found[f"frames {number}"] = [content for _, content in parts_of(frames)]
        bulk = await client.get(
            f"{URL}/instances/{SERIES}.{number}/bulkdata/00104000",
            headers=accept_related("application/octet-stream"),
        )
        found[f"bulk {number}"] = bulk.status_code
    return found


async def test_clients_see_no_difference(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        await filled(archive)
        before, old = await seen(archive), await packs(archive)
        done = await repacked(archive.objects, archive.catalogue, tmp_path / "work")
        assert (done.replaced, done.made, done.instances) == (3, 1, 6)
        assert await seen(archive) == before
        assert set(old) < set(await packs(archive))
        assert await swept(archive.objects, archive.catalogue) == 3
        assert await seen(archive) == before
        (left,) = await packs(archive)
        assert left not in old
        assert await findings(archive.objects, archive.catalogue) == []


async def test_recoded_it_is_the_same_once_decoded(tmp_path: Path) -> None:
    async with served(tmp_path) as archive:
        await filled(archive)
        before = await seen(archive)
        done = await repacked(archive.objects, archive.catalogue, tmp_path / "work", encode=True)
        assert (done.made, done.recoded) == (1, 6)
        assert done.saved_bytes > done.bytes_before / 3
        await swept(archive.objects, archive.catalogue)
        after = await seen(archive)
        for name in before:
            if name.startswith(("frames", "bulk")):
                assert after[name] == before[name], name
        for was, now in zip(before["files"], after["files"], strict=True):
            assert len(now) < len(was)
        native = await archive.client.get(
            URL, headers=accept_related("application/dicom", EXPLICIT_LE)
        )
        files = {_uid(content): content for _, content in parts_of(native)}
        for original in FILES:
            assert _read(files[_uid(original)]) == _read(original)
        # An original that is sent again is known, and nothing else about the study has changed.
        again = await archive.store(FILES[0], FILES[3])
        assert again.status_code == 200, again.text
        assert len((await seen(archive))["rows"]) == 6
        assert await archive.catalogue.conflicts("default") == []
        assert await findings(archive.objects, archive.catalogue) == []
        before_digest = await digest(archive.catalogue)
        await rebuild(
            archive.objects, archive.catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us()
        )
        assert await digest(archive.catalogue) == before_digest


@pytest.mark.parametrize("encode", [False, True])
async def test_in_the_cloud(
    cloud: tuple[ObjectStore, Catalogue], tmp_path: Path, encode: bool
) -> None:
    async with served(tmp_path, cloud) as archive:
        await filled(archive)
        before = await seen(archive)
        done = await repacked(*cloud, tmp_path / "work", encode=encode)
        assert (done.replaced, done.made, done.recoded) == (3, 1, 6 * encode)
        assert await swept(*cloud) == 3
        after = await seen(archive)
        assert after["frames 3"] == before["frames 3"]
        assert encode or after == before
        assert await findings(*cloud) == []
        known = await digest(archive.catalogue)
        await rebuild(*cloud, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us())
        assert await digest(archive.catalogue) == known


def _read(file: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(file))


def _uid(file: bytes) -> str:
    return _read(file).SOPInstanceUID


def real_files() -> list[bytes]:
    """Every Part 10 file of the real series and single instances."""
    named = os.environ.get("PACS_TEST_REAL_DATA")
    folder = Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "real"
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths if "malformed" not in path.parts]
    return [file for file in files if file[128:132] == b"DICM"]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is odd in them
async def test_every_real_series_is_the_same_again(tmp_path: Path) -> None:
    files = real_files()
    if not files:
        pytest.skip("there is no real data on this machine")
    async with served(tmp_path) as archive:
        for start in range(0, len(files), 5):  # so that a series lies in several packs
            await archive.store(*files[start : start + 5])
        before = await stored(archive)
        (tmp_path / "work").mkdir()
        done = [
            one
            async for one in repack_due(
                archive.objects,
                archive.catalogue,
                terms=RepackTerms(quiet_days=1, encode=True, least_saved_bytes=0),
                folder=tmp_path / "work",
                now_us=lambda: now_us() + 30 * DAY_US,
            )
        ]
        assert all(one.problems == () and not one.waiting for one in done)
        recoded = sum(one.recoded for one in done)
        assert recoded > 40
        after = await stored(archive)
        assert after.keys() == before.keys()
        changed = [uid for uid in before if after[uid] != before[uid]]
        assert len(changed) == recoded
        for uid in changed:
            study, series = (
                _read(before[uid]).StudyInstanceUID,
                _read(before[uid]).SeriesInstanceUID,
            )
            response = await archive.client.get(
                f"/studies/{study}/series/{series}/instances/{uid}",
                headers=accept_related("application/dicom", EXPLICIT_LE),
            )
            ((_, native),) = parts_of(response)
            was, now = _read(before[uid]), _read(native)
            assert np.array_equal(was.pixel_array, now.pixel_array)
            assert now.PixelData == was.PixelData
            del was.PixelData, now.PixelData
            assert [one for one in was if one.tag.element] == list(now)  # but group lengths
        assert await findings(archive.objects, archive.catalogue) == []


async def stored(archive: Running) -> dict[str, bytes]:
    """Every instance's file as it is stored, by SOP Instance UID."""
    rows = (await archive.client.get("/instances?limit=10000")).json()
    found: dict[str, bytes] = {}
    for row in rows:
        study, series, uid = (row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
        response = await archive.client.get(
            f"/studies/{study}/series/{series}/instances/{uid}",
            headers=accept_related("application/dicom", "*"),
        )
        ((_, found[uid]),) = parts_of(response)
    return found

"""DELETE: gone from every answer, 410 to whoever reads it, and back byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
from dicomweb_archive import Running, cloud_stores, holding, parts_of, served
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import purge_study

STUDY = "1.2.3.1"
FIRST, SECOND = f"{STUDY}.1", f"{STUDY}.2"
FUTURE_US = 1 << 60


@pytest.fixture(params=["embedded", "cloud"])
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    """An archive with two series of two instances, on files and in the cloud."""
    async with AsyncExitStack() as stack:
        stores = None
        if request.param == "cloud":
            bucket, table = map(request.getfixturevalue, ("best_bucket", "best_table"))
            stores = await stack.enter_async_context(cloud_stores(bucket, table))
        yield await stack.enter_async_context(holding(tmp_path, FILES.values(), stores))


FILES = {
    f"{series}.{number}": make_instance(f"{series}.{number}", series=series, Modality=modality)
    for series, modality in ((FIRST, "CT"), (SECOND, "SR"))
    for number in (1, 2)
}
PATHS = {
    "study": f"/studies/{STUDY}",
    "series": f"/studies/{STUDY}/series/{FIRST}",
    "instance": f"/studies/{STUDY}/series/{FIRST}/instances/{FIRST}.1",
}
SCOPES = {
    "study": Scope("default", STUDY),
    "series": Scope("default", STUDY, FIRST),
    "instance": Scope("default", STUDY, FIRST, f"{FIRST}.1"),
}
LEFT = {
    "study": set(),
    "series": {f"{SECOND}.1", f"{SECOND}.2"},
    "instance": FILES.keys() - {f"{FIRST}.1"},
}


async def found(archive: Running, path: str) -> set[str]:
    """The SOP Instance UIDs that a search finds."""
    answer = await archive.client.get(path)
    assert answer.status_code in {200, 204}, answer.text
    rows = answer.json() if answer.status_code == 200 else []
    return {row["00080018"]["Value"][0] for row in rows}


async def files(archive: Running) -> set[bytes]:
    answer = await archive.client.get(
        f"/studies/{STUDY}",
        headers={"accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    return {content for _, content in parts_of(answer)} if answer.status_code == 200 else set()


async def is_sound(archive: Running) -> bool:
    """Clean, and the same after a rebuild."""
    objects, catalogue = archive.objects, archive.catalogue
    assert [finding async for finding in check(objects, catalogue, deep=True)] == []
    before = await digest(catalogue)
    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us())
    assert await digest(catalogue) == before
    return True


@pytest.mark.parametrize("level", PATHS)
async def test_deleted_is_gone_everywhere_and_comes_back(archive: Running, level: str) -> None:
    path, left = PATHS[level], LEFT[level]
    answer = await archive.client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for below in (
        "",
        "/metadata",
        "/rendered",
        "/thumbnail",
        *(("/frames/1",) if level == "instance" else ()),
    ):
        gone = await archive.client.get(path + below)
        assert gone.status_code == 410
        assert gone.headers["content-type"] == "application/problem+json"
        assert gone.json()["status"] == 410
    assert (await archive.client.head(path)).status_code == 410
    assert (await archive.client.delete(path)).status_code == 410
    assert await found(archive, f"/studies/{STUDY}/instances") == left
    assert await found(archive, "/instances?PatientID=P1") == left
    assert await found(archive, f"/instances?SOPInstanceUID={FIRST}.1") == (left & {f"{FIRST}.1"})
    for search in (f"StudyInstanceUID={STUDY}", "PatientID=P1", "PatientName=DOE*", ""):
        answer = await archive.client.get(f"/studies?{search}")
        if not left:
            assert answer.status_code == 204
            continue
        (row,) = answer.json()
        assert row["00201208"]["Value"] == [len(left)]
        assert row["00201206"]["Value"] == [2 if level == "instance" else 1]
        assert set(row["00080061"]["Value"]) == {"CT", "SR"} - (
            {"CT"} if level == "series" else set()
        )
    answer = await archive.client.get(f"/studies/{STUDY}/series")
    assert len(answer.json() if answer.status_code == 200 else []) == len(
        {uid.rpartition(".")[0] for uid in left}
    )
    assert await files(archive) == {FILES[uid] for uid in left}
    assert await is_sound(archive)

    assert archive.services.trash is not None
    await archive.services.trash.restore(SCOPES[level])
    assert await found(archive, f"/studies/{STUDY}/instances") == FILES.keys()
    assert await files(archive) == set(FILES.values())
    assert await is_sound(archive)


async def test_purged_is_not_known_any_more(archive: Running) -> None:
    await archive.client.delete(PATHS["instance"])
    purge = partial(
        purge_study,
        archive.objects,
        archive.catalogue,
        "default",
        STUDY,
        load_table=partial(load_table, archive.objects, archive.catalogue),
        now_us=now_us(),
        cutoff_us=FUTURE_US,
    )
    assert (await purge()).instances == 1
    # Its pack has another instance, which is shown: so much of it is known.
    assert (await archive.client.get(PATHS["instance"])).status_code == 410
    assert await is_sound(archive)
    await archive.client.delete(PATHS["study"])
    assert (await purge()).packs == 2
    for path in PATHS.values():
        assert (await archive.client.get(path)).status_code == 404
        assert (await archive.client.delete(path)).status_code == 404
    keys = [info.key async for info in archive.objects.list("")]
    assert [key for key in keys if key.startswith(("packs/", "index/"))] == []
    assert await is_sound(archive)
    assert (await archive.store(*FILES.values())).status_code == 200
    assert await files(archive) == set(FILES.values())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/1.9", 404),
        (f"/studies/{STUDY}/series/1.9", 404),
        (f"/studies/{STUDY}/series/{SECOND}/instances/{FIRST}.1", 404),
        ("/studies/1..9", 400),
        (f"/studies/{STUDY}/series/x", 400),
        ("/studies", 405),
        (f"/studies/{STUDY}/series", 405),
        (f"{PATHS['instance']}/frames/1", 405),
        (f"/studies/{STUDY}/metadata", 405),
    ],
)
async def test_what_cannot_be_deleted(archive: Running, path: str, status: int) -> None:
    answer = await archive.client.delete(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert await found(archive, f"/studies/{STUDY}/instances") == FILES.keys()


@pytest.mark.parametrize("level", PATHS)
async def test_only_what_was_seen_is_deleted(archive: Running, level: str) -> None:
    path = PATHS[level]
    etags = [
        (await archive.client.get(path, headers={"accept": accept})).headers["etag"]
        for accept in (
            "*/*",
            "application/zip",
            'multipart/related; type="application/dicom"; transfer-syntax=*',
        )
    ]
    assert len(set(etags)) > 1
    other = (await archive.client.get(f"/studies/{STUDY}/series/{SECOND}")).headers["etag"]
    for tags in (other, f'{other}, "x"', f"W/{etags[0]}", etags[0].strip('"'), '""', ""):
        answer = await archive.client.delete(path, headers={"if-match": tags})
        assert answer.status_code == 412, tags
        assert answer.headers["content-type"] == "application/problem+json"
    assert await found(archive, f"/studies/{STUDY}/instances") == FILES.keys()
    new = make_instance(f"{FIRST}.3", series=FIRST)
    if level != "instance":
        assert (await archive.store(new)).status_code == 200
        answer = await archive.client.delete(path, headers={"if-match": ", ".join(etags)})
        assert answer.status_code == 412
        etags = [(await archive.client.head(path)).headers["etag"]]
    answer = await archive.client.delete(path, headers={"if-match": f"{other}, {etags[-1]}"})
    assert answer.status_code == 204
    assert (await archive.client.head(path)).status_code == 410
    for tags in (etags[-1], "*"):
        answer = await archive.client.delete(path, headers={"if-match": tags})
        assert answer.status_code == 410
        assert (
            await archive.client.delete("/studies/1.9", headers={"if-match": tags})
        ).status_code == 404


async def test_whatever_is_there_is_deleted(archive: Running) -> None:
    answer = await archive.client.delete(PATHS["series"], headers={"if-match": "*"})
    assert answer.status_code == 204


async def test_the_same_may_be_stored_again(archive: Running) -> None:
    await archive.client.delete(PATHS["study"])
    again = await archive.store(*FILES.values())
    assert again.status_code == 200
    assert "00081198" not in again.json()
    assert await files(archive) == set(FILES.values())
    assert await is_sound(archive)


async def test_a_client_deletes(tmp_path: Path) -> None:
    path = Path(str(get_testdata_file("CT_small.dcm")))
    ds = dcmread(path)
    async with served(tmp_path) as archive:
        await archive.store(path.read_bytes())
        client = DICOMwebClient(archive.url)
        await asyncio.to_thread(client.delete_study, ds.StudyInstanceUID)
        assert await asyncio.to_thread(client.search_for_studies) == []


async def test_where_nobody_may_delete_the_method_is_not_there(tmp_path: Path) -> None:
    async with served(tmp_path, may_delete=False) as archive:
        await archive.store(*FILES.values())
        for path in PATHS.values():
            answer = await archive.client.delete(path)
            assert answer.status_code == 405
            assert "DELETE" not in answer.headers["allow"]
        assert await files(archive) == set(FILES.values())


async def test_the_resources_say_that_they_can_be_deleted(archive: Running) -> None:
    for path in PATHS.values():
        assert "DELETE" in (await archive.client.options(path)).headers["allow"].split(", ")
    document = (await archive.client.get(archive.url.replace("/dicom-web", "/openapi.json"))).json()
    described = document["paths"]["/dicom-web/studies/{study}"]["delete"]["responses"]
    assert {"204", "404", "410"} <= described.keys()

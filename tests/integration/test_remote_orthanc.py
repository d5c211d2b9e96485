"""Another one's archive, asked over DICOMweb: Orthanc with its plugin, where this machine has it."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dicomweb_samples import make_instance
from pacs_cloud.errors import NotAcceptable, NotFound, Unavailable
from pacs_cloud.ingest.import_sources import FolderSource
from pacs_cloud.query.request import Level, SearchKey
from pacs_cloud.remote.address import Remote
from pacs_cloud.remote.connection import Connection, open_connection
from pacs_cloud.remote.deleting import delete
from pacs_cloud.remote.retrieving import instance, zip_file
from pacs_cloud.remote.searching import Place, places, search
from pacs_cloud.remote.storing import store_files
from servers.child import free_ports, running, until_ready

ORTHANC = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STUDY = "1.2.826.0.1.61"

pytestmark = pytest.mark.skipif(
    ORTHANC is None or not PLUGIN.exists(), reason="no Orthanc with DICOMweb on this machine"
)


@pytest.fixture
async def orthanc(tmp_path: Path) -> AsyncIterator[Connection]:
    folder = tmp_path / "orthanc"
    folder.mkdir()
    http, dimse = free_ports(2)
    told = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http,
        "DicomPort": dimse,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(told))
    url = f"http://127.0.0.1:{http}/dicom-web"
    command = (str(ORTHANC), str(folder / "orthanc.json"))
    async with running(command, log=folder / "log", cwd=folder) as process:

        async def ready() -> bool:
            async with httpx.AsyncClient() as client:
                try:
                    return (await client.get(f"{url}/studies")).status_code == 200
                except httpx.TransportError:
                    return False

        await until_ready(process, ready, seconds=60, log=folder / "log")
        async with open_connection(Remote(url, "")) as connection:
            yield connection


async def test_what_goes_in_is_found_and_comes_out(orthanc: Connection, tmp_path: Path) -> None:
    files = {
        Place(f"{STUDY}.{series}", f"{STUDY}.{series}.{number}"): make_instance(
            f"{STUDY}.{series}.{number}", study=STUDY, series=f"{STUDY}.{series}"
        )
        for series in (1, 2)
        for number in (1, 2, 3)
    }
    folder = tmp_path / "in"
    folder.mkdir()
    for place, file in files.items():
        (folder / place.sop_instance_uid).write_bytes(file)
    (folder / "torn").write_bytes(file[:400])
    (folder / "readme").write_text("no DICOM" * 50)
    verdicts = {
        one.name: one.verdict.value
        async for one in store_files(orthanc, FolderSource(folder), lambda _: None)
    }
    assert verdicts == {
        "torn": "refused",
        "readme": "skipped",
        **{place.sop_instance_uid: "stored" for place in files},
    }
    for level, count in ((Level.STUDY, 1), (Level.SERIES, 2), (Level.IMAGE, 6)):
        keys = [SearchKey(("00100010",), "Doe*"), SearchKey(("0020000D",), STUDY)]
        found = await search(orthanc, level, keys, 100)
        assert len(found.rows) == count
        assert {row["00100020"]["Value"][0] for row in found.rows} == {"P1"}
    assert set(await places(orthanc, STUDY)) == set(files)
    for place, file in files.items():
        async with instance(orthanc, STUDY, place) as sent:
            assert sent is not None
            assert b"".join([chunk async for chunk in sent.chunks]) == file


async def test_what_it_does_not_have_is_said_in_a_line(orthanc: Connection) -> None:
    with pytest.raises(NotFound):
        await places(orthanc, STUDY)
    with pytest.raises(NotAcceptable, match="directory"):
        async with zip_file(orthanc, STUDY):
            pass
    with pytest.raises(Unavailable, match="405"):
        await delete(orthanc, STUDY, "", "")

"""DICOMweb over S3 and DynamoDB: the same answers as on files and SQLite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dicomweb_archive import Running, parts_of, served
from test_dicomweb_roundtrip import check, samples_of, store_all

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.objectstore.port import ObjectStore

# pydicom warns of what is odd in the samples, which is why they are samples.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
async def archive(cloud: tuple[ObjectStore, Catalogue], tmp_path: Path) -> AsyncIterator[Running]:
    async with served(tmp_path, cloud) as running:
        yield running


async def test_searches_and_retrievals(archive: Running) -> None:
    files = [
        make_instance(f"{study}.1.{number}", study=study, series=f"{study}.1", PatientName=name)
        for study, name in (("1.1", "Smith^Anna"), ("1.2", "Doe^Jane"))
        for number in (1, 2)
    ]
    response = await archive.store(*files)
    assert response.status_code == 200
    for query, expected in (
        ("PatientName=smith*", ["1.1"]),
        ("PatientName=*^JANE", ["1.2"]),
        ("SOPInstanceUID=1.2.1.2", ["1.2"]),
        ("StudyDate=20240102&ModalitiesInStudy=CT", ["1.2", "1.1"]),
        ("PatientID=nobody", []),
    ):
        found = await archive.client.get(f"/studies?{query}")
        rows = found.json() if found.content else []
        assert [row["0020000D"]["Value"][0] for row in rows] == expected, query
    (row,) = (await archive.client.get("/instances?SOPInstanceUID=1.2.1.2")).json()
    assert row["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    whole = await archive.client.get("/studies/1.1")
    assert sorted(content for _, content in parts_of(whole)) == sorted(files[:2])
    assert len((await archive.client.get("/studies/1.1/metadata")).json()) == 2
    assert (await archive.client.get("/studies/1.9")).status_code == 404


async def test_real_files_come_back_as_they_went_in(archive: Running, real_data: Path) -> None:
    # Each way of storing pixels is tried on files already; here it is the stores that differ.
    samples = samples_of(real_data / "single")[::7]
    taken = await store_all(archive, samples)
    assert len(taken) == len(samples)
    for sample in taken:
        await check(archive, sample)

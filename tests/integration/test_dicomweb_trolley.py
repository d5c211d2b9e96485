"""dicomtrolley, a Python client of research pipelines: searches, files by WADO-RS, metadata."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import requests
from dicomtrolley.core import Query, QueryLevels, Study
from dicomtrolley.qido_rs import QidoRS, RelationalQuery
from dicomtrolley.trolley import Trolley
from dicomtrolley.wado_rs import WadoRS, WadoRSMetaData
from dicomweb_archive import Running, holding
from pydicom.dataset import Dataset

from dicomweb_samples import make_instance

FILES = {
    f"{study}.{number}": make_instance(
        f"{study}.{number}",
        study=study,
        series=f"{study}.7",
        PatientID=f"P{study[-1]}",
        PatientName=name,
    )
    for study, name in (("1.2.3.1", "Doe^Jane"), ("1.2.3.2", "Müller^Zoë"))
    for number in (1, 2, 3)
}


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with holding(tmp_path, FILES.values()) as running:
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


async def test_trolley_finds_by_name_and_counts(
    archive: Running, session: requests.Session
) -> None:
    searcher = QidoRS(session, archive.url)

    def search() -> Sequence[Study]:
        query = Query(PatientName="müller*", query_level=QueryLevels.INSTANCE)
        return searcher.find_studies(query)

    (study,) = await asyncio.to_thread(search)
    (series,) = study.series
    assert sorted(one.uid for one in series.instances) == ["1.2.3.2.1", "1.2.3.2.2", "1.2.3.2.3"]


async def test_trolley_finds_relationally(archive: Running, session: requests.Session) -> None:
    searcher = QidoRS(session, archive.url)
    query = RelationalQuery(PatientID="P1", query_level=QueryLevels.SERIES)
    (study,) = await asyncio.to_thread(searcher.find_studies, query)
    assert [series.uid for series in study.series] == ["1.2.3.1.7"]


async def test_trolley_downloads_what_it_finds(archive: Running, session: requests.Session) -> None:
    trolley = Trolley(WadoRS(session, archive.url), QidoRS(session, archive.url))

    def download() -> list[Dataset]:
        return list(trolley.fetch_all_datasets(trolley.find_studies(Query(PatientID="P2"))))

    found = {str(one.SOPInstanceUID): one for one in await asyncio.to_thread(download)}
    stored = {uid: file for uid, file in FILES.items() if uid.startswith("1.2.3.2.")}
    assert {uid: one.PixelData for uid, one in found.items()} == {
        uid: pydicom.dcmread(BytesIO(file)).PixelData for uid, file in stored.items()
    }


async def test_trolley_reads_metadata_with_its_bulk_data(
    archive: Running, session: requests.Session
) -> None:
    large = bytes(range(256)) * 128
    file = make_instance("1.2.3.9.1", study="1.2.3.9", rows=128, pixels=large)
    assert (await archive.store(file)).status_code == 200
    trolley = Trolley(WadoRSMetaData(session, archive.url), QidoRS(session, archive.url))

    def headers() -> list[Dataset]:
        studies = trolley.find_studies(Query(StudyInstanceUID="1.2.3.9"))
        return list(trolley.fetch_all_datasets(studies))

    (header,) = await asyncio.to_thread(headers)
    assert header.SOPInstanceUID == "1.2.3.9.1"
    assert header.Rows == 128

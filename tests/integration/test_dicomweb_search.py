"""QIDO-RS over HTTP: keys, returned attributes, paging, warnings, formats (PS3.18 10.6)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from dicomweb_archive import Running, found, holding, parts_of, served
from pydicom.dataset import Dataset

from dicomweb_samples import make_instance

# One archive, which no test changes, for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDIES = (
    ("1.1", {"PatientName": "Smith^John", "PatientID": "P1", "StudyDate": "20240101"}),
    ("1.2", {"PatientName": "Smith^Anna", "PatientID": "P2", "StudyDate": "20240201"}),
    ("1.3", {"PatientName": "Müller^Anna", "PatientID": "P3", "StudyDate": "20240301"}),
    ("1.4", {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "PatientID": "P4"}),
    ("1.5", {"PatientName": "Doe^Jane", "PatientID": "P5", "StudyDate": ""}),
)


def request_item() -> Dataset:
    item = Dataset()
    item.ScheduledProcedureStepID = "STEP1"
    item.RequestedProcedureID = "RP1"
    return item


def files() -> list[bytes]:
    """Five studies; the first has two CT instances, one MR instance and a report number."""
    made = []
    for study, attributes in STUDIES:
        given: dict[str, Any] = {"StudyDate": "20240401", **attributes}
        made.append(make_instance(f"{study}.1.1", study=study, series=f"{study}.1", **given))
    first = STUDIES[0][1]
    made += [
        make_instance("1.1.1.2", study="1.1", series="1.1.1", **first),
        make_instance(
            "1.1.2.1",
            study="1.1",
            series="1.1.2",
            **first,
            Modality="MR",
            SeriesDescription="T1, axial",
            RequestAttributesSequence=[request_item()],
        ),
    ]
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with holding(tmp_path_factory.mktemp("archive"), files()) as running:
        yield running


STUDY, SERIES, SOP = "0020000D", "0020000E", "00080018"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["1.4", "1.3", "1.2", "1.1", "1.5"]),  # newest first, undated last
        ("PatientID=P2", ["1.2"]),
        ("00100020=P2", ["1.2"]),
        ("PatientID=nobody", []),
        ("PatientName=Smith*", ["1.2", "1.1"]),
        ("PatientName=smith^j*", ["1.1"]),
        ("PatientName=*^anna*", ["1.3", "1.2"]),
        ("PatientName=Muller*", ["1.3"]),
        ("PatientName=M%C3%BCller%5EAnna", ["1.3"]),
        ("PatientName=山田*", ["1.4"]),
        ("PatientName=*mit*", ["1.2", "1.1"]),
        ("PatientName=Smith%5EJoh%3F", ["1.1"]),
        ("PatientName=anna+smi&fuzzymatching=true", ["1.2"]),
        ("PatientName=anna+smi", []),
        ("StudyDate=20240201", ["1.2"]),
        ("StudyDate=20240115-20240315", ["1.3", "1.2"]),
        ("StudyDate=-20240201", ["1.2", "1.1"]),
        ("StudyDate=20240301-", ["1.4", "1.3"]),
        ("StudyInstanceUID=1.1,1.3", ["1.3", "1.1"]),
        ("StudyInstanceUID=1.1%5C1.3", ["1.3", "1.1"]),
        ("ModalitiesInStudy=MR", ["1.1"]),
        ("ModalitiesInStudy=CT&PatientID=P1", ["1.1"]),
        ("ModalitiesInStudy=MR,XA", ["1.1"]),
        ("ModalitiesInStudy=XA%5CMR&multiplevaluematching=true", []),
        ("ModalitiesInStudy=MR%5CCT&multiplevaluematching=true", ["1.1"]),
        ("ModalitiesInStudy=MR,CT&multiplevaluematching=true", ["1.1"]),
        ("Modality=MR", ["1.1"]),
        ("SOPInstanceUID=1.3.1.1", ["1.3"]),
        ("NumberOfStudyRelatedInstances=3", ["1.1"]),
        ("RequestAttributesSequence.RequestedProcedureID=RP1", ["1.1"]),
        ("00400275.00400009=STEP1&00400275.00401001=RP1", ["1.1"]),
        ("RequestAttributesSequence.RequestedProcedureID=RP2", []),
        ("PatientName=", ["1.4", "1.3", "1.2", "1.1", "1.5"]),
        ("limit=2", ["1.4", "1.3"]),
        ("limit=2&offset=3", ["1.1", "1.5"]),
        ("offset=9", []),
    ],
)
async def test_studies(archive: Running, query: str, expected: list[str]) -> None:
    assert await found(archive, f"/studies?{query}", STUDY) == expected


@pytest.mark.parametrize(
    ("url", "tag", "expected"),
    [
        ("/studies/1.1/series", SERIES, ["1.1.1", "1.1.2"]),
        ("/studies/1.1/series?Modality=MR", SERIES, ["1.1.2"]),
        ("/studies/1.9/series", SERIES, []),
        ("/series?Modality=MR", SERIES, ["1.1.2"]),
        ("/series?PatientID=P1", SERIES, ["1.1.1", "1.1.2"]),
        ("/series?SeriesInstanceUID=1.2.1", SERIES, ["1.2.1"]),
        ("/series?SOPInstanceUID=1.1.1.2", SERIES, ["1.1.1"]),
        ("/studies/1.1/series/1.1.1/instances", SOP, ["1.1.1.1", "1.1.1.2"]),
        ("/studies/1.1/instances", SOP, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("/studies/1.1/instances?InstanceNumber=2", SOP, ["1.1.1.2"]),
        ("/instances?PatientID=P1", SOP, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("/instances?SOPInstanceUID=1.1.1.2,1.3.1.1,9.9", SOP, ["1.3.1.1", "1.1.1.2"]),
        ("/instances?SeriesInstanceUID=1.1.2", SOP, ["1.1.2.1"]),
        ("/instances?limit=2", SOP, ["1.4.1.1", "1.3.1.1"]),
    ],
)
async def test_series_and_instances(
    archive: Running, url: str, tag: str, expected: list[str]
) -> None:
    assert await found(archive, url, tag) == expected


async def test_a_study_has_all_required_attributes(archive: Running) -> None:
    (row,) = (await archive.client.get("/studies?PatientID=P1")).json()
    assert row == {
        "00080020": {"vr": "DA", "Value": ["20240101"]},
        "00080030": {"vr": "TM", "Value": ["101500"]},
        "00080050": {"vr": "SH"},
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00080090": {"vr": "PN"},
        "00081190": {"vr": "UR", "Value": [f"{archive.url}/studies/1.1"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Smith^John"}]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "00100030": {"vr": "DA"},
        "00100040": {"vr": "CS"},
        "0020000D": {"vr": "UI", "Value": ["1.1"]},
        "00200010": {"vr": "SH"},
        "00201206": {"vr": "IS", "Value": [2]},
        "00201208": {"vr": "IS", "Value": [3]},
    }
    assert list(row) == sorted(row)


async def test_a_series_brings_its_study_only_when_the_path_does_not_give_it(
    archive: Running,
) -> None:
    (alone,) = (await archive.client.get("/series?SeriesInstanceUID=1.1.2")).json()
    assert alone["00100020"]["Value"] == ["P1"]
    assert alone["00201208"]["Value"] == [3]
    assert alone["00201209"]["Value"] == [1]
    (below,) = (await archive.client.get("/studies/1.1/series?Modality=MR")).json()
    assert "00100020" not in below
    assert below["0008103E"]["Value"] == ["T1, axial"]
    assert below["00400275"]["Value"][0]["00401001"]["Value"] == ["RP1"]
    assert below["00081190"]["Value"] == [f"{archive.url}/studies/1.1/series/1.1.2"]


async def test_an_instance_brings_what_the_path_does_not_give(archive: Running) -> None:
    (row,) = (await archive.client.get("/instances?SOPInstanceUID=1.1.2.1")).json()
    assert row["00100020"]["Value"] == ["P1"]
    assert row["00080060"]["Value"] == ["MR"]
    assert row["00280010"]["Value"] == [4]
    (below,) = (await archive.client.get("/studies/1.1/series/1.1.2/instances")).json()
    assert {"00100020", "00080060"}.isdisjoint(below)
    assert below["00080056"]["Value"] == ["ONLINE"]


async def test_includefield_adds_attributes(archive: Running) -> None:
    url = "/studies/1.1/series/1.1.2/instances"
    (some,) = (
        await archive.client.get(f"{url}?includefield=PatientID,00080060&includefield=BitsStored")
    ).json()
    assert some["00100020"]["Value"] == ["P1"]
    assert some["00080060"]["Value"] == ["MR"]
    assert some["00280101"]["Value"] == [16]
    (everything,) = (await archive.client.get(f"{url}?includefield=all")).json()
    assert everything["00280004"]["Value"] == ["MONOCHROME2"]
    (series,) = (
        await archive.client.get("/series?SeriesInstanceUID=1.1.2&includefield=SOPInstanceUID")
    ).json()
    assert "00080018" not in series


async def test_a_cut_answer_says_how_much_is_left(archive: Running) -> None:
    response = await archive.client.get("/studies?limit=2")
    # How many studies there are in all is not known without reading them.
    assert response.headers["warning"] == (
        f"299 {archive.url}: There are 1 additional results that can be requested, perhaps more"
    )
    last = await archive.client.get("/studies?limit=2&offset=3")
    assert "warning" not in last.headers
    instances = await archive.client.get("/studies/1.1/instances?limit=1")
    assert instances.headers["warning"] == (
        f"299 {archive.url}: There are 2 additional results that can be requested"
    )


async def test_the_archives_own_limit_is_said_as_well(tmp_path: Path) -> None:
    async with served(tmp_path, max_rows=3) as archive:
        await archive.store(*files())
        response = await archive.client.get("/studies")
        assert len(response.json()) == 3
        assert response.headers["warning"].startswith("299 ")


async def test_a_search_over_its_budget_is_413_and_says_what_to_give(tmp_path: Path) -> None:
    async with served(tmp_path, budget=3) as archive:
        await archive.store(*files())
        response = await archive.client.get("/studies?ReferringPhysicianName=nobody")
        assert response.status_code == 413
        assert "patient ID" in response.json()["detail"]
        assert (await archive.client.get("/studies?PatientID=P1")).status_code == 200


async def test_a_key_that_is_not_kept_is_named(archive: Running) -> None:
    response = await archive.client.get("/studies?SliceThickness=1&PatientID=P1")
    assert response.status_code == 200
    assert "00180050" in response.headers["warning"]


@pytest.mark.parametrize(
    "query",
    [
        "NoSuchKeyword=1",
        "limit=-1",
        "limit=ten",
        "limit=1&limit=2",
        "offset=1.5",
        "fuzzymatching=maybe",
        "StudyDate=yesterday",
        "StudyDate=20240301-20240101",
        "StudyInstanceUID=abc",
        "PatientID.PatientName=x",
        "RequestAttributesSequence=x",
        "PatientID=1&PatientID=2",
        "includefield=NoSuchKeyword",
        "accept=nonsense",
        "emptyvaluematching=perhaps",
        "multiplevaluematching=perhaps",
    ],
)
async def test_what_cannot_be_understood_is_400(archive: Running, query: str) -> None:
    response = await archive.client.get(f"/studies?{query}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["_=1700000000", "orderby=StudyDate", "fuzzy=true"])
async def test_a_parameter_that_is_not_supported_is_named(archive: Running, query: str) -> None:
    response = await archive.client.get(f"/studies?PatientID=P1&{query}")
    assert response.status_code == 200, response.text
    assert len(response.json()) == 1
    assert query.partition("=")[0] in response.headers["warning"]


async def test_a_slash_at_the_end_is_another_resource(archive: Running) -> None:
    # No redirection, which would name a host that a proxy may hide.
    assert (await archive.client.get("/studies/")).status_code == 404


async def test_a_uid_of_the_path_cannot_be_a_key_as_well(archive: Running) -> None:
    assert (await archive.client.get("/studies/1.1/series?StudyInstanceUID=1.2")).status_code == 400


@pytest.mark.parametrize(
    ("accept", "status", "content_type"),
    [
        ("application/dicom+json", 200, "application/dicom+json"),
        ("application/json", 200, "application/json"),
        ("*/*", 200, "application/dicom+json"),
        ("text/html, application/json;q=0.5", 200, "application/json"),
        ("text/html", 406, "application/problem+json"),
        ("application/dicom+json;q=0", 406, "application/problem+json"),
    ],
)
async def test_formats(archive: Running, accept: str, status: int, content_type: str) -> None:
    response = await archive.client.get("/studies", headers={"accept": accept})
    assert response.status_code == status
    assert response.headers["content-type"] == content_type


async def test_xml_is_multipart(archive: Running) -> None:
    response = await archive.client.get(
        "/studies?limit=2",
        headers={"accept": 'multipart/related; type="application/dicom+xml"'},
    )
    parts = parts_of(response)
    assert [content_type for content_type, _ in parts] == ["application/dicom+xml"] * 2
    assert "<FamilyName>Yamada</FamilyName>" in parts[0][1].decode()
    assert "<Ideographic><FamilyName>山田</FamilyName>" in parts[0][1].decode()


@pytest.mark.parametrize("accept", ["application/dicom%2Bjson", "application/dicom+json"])
async def test_the_query_outranks_the_accept_header(archive: Running, accept: str) -> None:
    response = await archive.client.get(
        f"/studies?accept={accept}", headers={"accept": "text/html"}
    )
    assert response.status_code == 200


async def test_results_are_not_kept_by_caches(archive: Running) -> None:
    assert (await archive.client.get("/studies")).headers["cache-control"] == "no-store"

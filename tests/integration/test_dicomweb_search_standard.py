"""QIDO-RS line by line: PS3.18 8.3.4 and 10.6, PS3.4 C.2.2.2."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio
from dicomweb_archive import Running, found, holding, parts_of, served
from pydicom.dataset import Dataset

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.judging import ConflictPolicy

# One archive, which no test changes, for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDY, SERIES, SOP = "0020000D", "0020000E", "00080018"

NAMES = (
    ("9.1", "Smith^John"),
    ("9.2", "Schmidt^Jürgen"),
    ("9.3", "Großmann^Zoë"),
    ("9.4", "Wałęsa^Łukasz"),
    ("9.5", "Ødegård^Bjørn"),
    ("9.6", "Παπαδόπουλος^Γιώργος"),
    ("9.7", "Иванов^Юрий"),
    ("9.8", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("9.9", "Müller-Lüdenscheidt^Anna Maria"),
    ("9.10", "O'Brien^Seán"),
    ("9.11", "Meyer^Catherine^^Dr."),
)
MOMENTS = (
    ("7.1", {"StudyDate": "20060705", "StudyTime": "0900"}),
    ("7.2", {"StudyDate": "20060705", "StudyTime": "1100"}),
    ("7.3", {"StudyDate": "20060706", "StudyTime": "0300"}),
    ("7.4", {"StudyDate": "20060707", "StudyTime": "1759"}),
    ("7.5", {"StudyDate": "20060707", "StudyTime": "1801"}),
    ("7.6", {"StudyDate": "20060706", "StudyTime": ""}),
    ("7.7", {"StudyDate": "", "StudyTime": "1200"}),
    # Half past eleven at night in New York is half past four in the morning in London.
    (
        "7.8",
        {"StudyDate": "20100131", "StudyTime": "233000", "TimezoneOffsetFromUTC": "-0500"},
    ),
)


def item(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def deep(**more: Any) -> dict[str, Any]:
    """Return what only full headers hold: acquisition parameters, nested sequences."""
    code = item(CodeValue="T-1", CodingSchemeDesignator="SRT", CodeMeaning="Köpfchen")
    region = item(AnatomicRegionSequence=[code])
    return {
        "KVP": "120.0",
        "ProtocolName": "Head",
        "ReferencedImageSequence": [
            item(ReferencedSOPInstanceUID="1.2.3"),
            item(ReferencedSOPInstanceUID="1.2.4"),
        ],
        "SharedFunctionalGroupsSequence": [item(FrameAnatomySequence=[region])],
        **more,
    }


def private(file: bytes, block: int, text: str) -> bytes:
    """Return a file with a private block of ACME's."""
    from io import BytesIO

    from pydicom import dcmread

    dataset = dcmread(BytesIO(file))
    dataset.add_new((0x0009, block), "LO", "ACME")
    dataset.add_new((0x0009, block << 8 | 1), "LO", text)
    dataset.add_new((0x0009, block << 8 | 2), "DS", "7.50")
    dataset.add_new((0x0009, block << 8 | 3), "SQ", [item(CodeValue="P-1")])
    dataset.add_new((0x0009, block << 8 | 4), "UN", b"raw text")
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def files() -> list[bytes]:
    made = [
        make_instance(f"{study}.1.1", study=study, series=f"{study}.1", PatientName=name)
        for study, name in NAMES
    ]
    made += [
        make_instance(f"{study}.1.1", study=study, series=f"{study}.1", PatientID="M", **given)
        for study, given in MOMENTS
    ]
    of = {"study": "8.1", "series": "8.1.1", "PatientID": "D"}
    made += [
        private(make_instance("8.1.1.1", **of, **deep(SliceThickness="1.50")), 0x10, "one"),
        private(make_instance("8.1.1.2", **of, **deep(SliceThickness="2")), 0x11, "two"),
        make_instance("8.1.1.3", **of, **deep(SliceThickness=None, LossyImageCompression="00")),
        make_instance("8.1.2.1", study="8.1", series="8.1.2", PatientID="D", KVP="80"),
    ]
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with holding(tmp_path_factory.mktemp("archive"), files()) as running:
        yield running


# Attributes that only headers hold


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SliceThickness=1.5", ["8.1.1.1"]),
        ("00180050=2.0", ["8.1.1.2"]),
        ("SliceThickness=+2", ["8.1.1.2"]),
        ("KVP=120", ["8.1.1.1", "8.1.1.2", "8.1.1.3"]),
        ("KVP=80", []),
        ("KVP=120&InstanceNumber=2", ["8.1.1.2"]),
        ("LossyImageCompression=0*", ["8.1.1.3"]),
        (
            "ReferencedImageSequence.ReferencedSOPInstanceUID=1.2.4",
            ["8.1.1.1", "8.1.1.2", "8.1.1.3"],
        ),
        ("ReferencedImageSequence.ReferencedSOPInstanceUID=1.2.5", []),
        (
            "52009229.00209071.00082218.00080104=K%C3%B6pf*&52009229.00209071.00082218.00080100=T-1",
            ["8.1.1.1", "8.1.1.2", "8.1.1.3"],
        ),
        (
            "52009229.00209071.00082218.00080104=Kopf*&52009229.00209071.00082218.00080100=T-1",
            [],
        ),
        ("00091001=one", ["8.1.1.1"]),
        ("00090010=ACME&00091001=two", ["8.1.1.2"]),
        ("00090010=ACME&00091002=7.5", ["8.1.1.1", "8.1.1.2"]),
        ("00090010=ACME&00091003.00080100=P-1", ["8.1.1.1", "8.1.1.2"]),
        ("00090010=ACME&00091004=raw*", ["8.1.1.1", "8.1.1.2"]),
        ("00090010=OTHER&00091001=one", []),
        ("emptyvaluematching=true&SliceThickness=%22%22", ["8.1.1.3"]),
        ("emptyvaluematching=true&LossyImageCompression=%22%22", ["8.1.1.1", "8.1.1.2"]),
    ],
)
async def test_any_attribute_matches_below_a_series(
    archive: Running, query: str, expected: list[str]
) -> None:
    response = await archive.client.get(f"/studies/8.1/series/8.1.1/instances?{query}")
    assert "warning" not in response.headers
    rows = response.json() if response.status_code == 200 else []
    assert [row[SOP]["Value"][0] for row in rows] == expected


@pytest.mark.parametrize(
    ("url", "tag", "expected"),
    [
        ("/studies/8.1/instances?KVP=80", SOP, ["8.1.2.1"]),
        ("/studies/8.1/series?KVP=80", SERIES, ["8.1.2"]),
        ("/series?StudyInstanceUID=8.1&KVP=120", SERIES, ["8.1.1"]),
        ("/studies?StudyInstanceUID=8.1,9.1&KVP=80", STUDY, ["8.1"]),
        ("/studies?SeriesInstanceUID=8.1.1&KVP=81", STUDY, []),
        ("/instances?SOPInstanceUID=8.1.1.1,8.1.1.2&SliceThickness=2", SOP, ["8.1.1.2"]),
    ],
)
async def test_any_attribute_matches_where_uids_bound_the_search(
    archive: Running, url: str, tag: str, expected: list[str]
) -> None:
    assert await found(archive, url, tag) == expected


async def test_an_attribute_no_search_keeps_is_named_where_nothing_bounds_it(
    archive: Running,
) -> None:
    response = await archive.client.get("/instances?PatientID=D&KVP=80&includefield=SliceThickness")
    assert len(response.json()) == 4
    fields = response.headers.get_list("warning")
    assert any("not matched: 00180060" in field for field in fields)
    assert any("00180050" in field for field in fields)
    assert all(field.startswith(f"299 {archive.url}: ") for field in fields)


async def test_includefield_returns_any_attribute_of_an_instance(archive: Running) -> None:
    url = "/studies/8.1/series/8.1.1/instances"
    response = await archive.client.get(
        f"{url}?includefield=KVP,00180050&includefield=ReferencedImageSequence"
        "&includefield=00091001,7FE00010"
    )
    first, second, third = response.json()
    assert [row["00180060"] for row in (first, second, third)] == [
        {"vr": "DS", "Value": [120.0]}
    ] * 3
    assert [row.get("00180050") for row in (first, second, third)] == [
        {"vr": "DS", "Value": [1.5]},
        {"vr": "DS", "Value": [2.0]},
        {"vr": "DS"},
    ]
    assert first["00081140"]["Value"][1]["00081155"]["Value"] == ["1.2.4"]
    # A private attribute comes with its creator, of this block only.
    assert first["00091001"] == {"vr": "LO", "Value": ["one"]}
    assert first["00090010"] == {"vr": "LO", "Value": ["ACME"]}
    assert {"00091001", "00090010", "00091101"}.isdisjoint(second)
    # Bulk data comes as a URL that answers.
    bulk = first["7FE00010"]["BulkDataURI"]
    assert bulk.startswith(f"{archive.url}/studies/8.1/series/8.1.1/instances/8.1.1.1/")
    value = await archive.client.get(bulk, headers={"accept": "application/octet-stream"})
    assert (value.status_code, len(value.content)) == (200, 32)
    # What was not asked for stays away.
    assert "00082112" not in first
    assert list(first) == sorted(first)


async def test_a_private_block_is_found_wherever_it_is(archive: Running) -> None:
    url = "/studies/8.1/series/8.1.1/instances?00090010=ACME&includefield=00091001"
    rows = (await archive.client.get(url)).json()
    assert [row["00091001"]["Value"] for row in rows] == [["one"], ["two"]]
    assert all(row["00090010"]["Value"] == ["ACME"] for row in rows)


async def test_includefield_of_a_series_is_what_its_instances_agree_on(archive: Running) -> None:
    url = "/studies/8.1/series?includefield=KVP,SliceThickness,SOPInstanceUID"
    first, second = (await archive.client.get(url)).json()
    assert [row["00180060"]["Value"] for row in (first, second)] == [[120.0], [80.0]]
    assert {"00180050", "00080018"}.isdisjoint(first)
    (study,) = (
        await archive.client.get("/studies?StudyInstanceUID=8.1&includefield=KVP,00081140")
    ).json()
    assert {"00180060", "00081140"}.isdisjoint(study)
    (study,) = (
        await archive.client.get("/studies?StudyInstanceUID=9.1&includefield=HighBit")
    ).json()
    assert study["00280102"]["Value"] == [15]


async def test_all_is_the_whole_header_of_an_instance_but_bulk_data(archive: Running) -> None:
    base = "/studies/8.1/series/8.1.1/instances"
    rows = (await archive.client.get(f"{base}?includefield=all&InstanceNumber=1")).json()
    (metadata,) = (await archive.client.get(f"{base}/8.1.1.1/metadata")).json()
    assert metadata.keys() - rows[0].keys() == {"7FE00010"}
    assert rows[0].keys() - metadata.keys() == {"00080056", "00081190", "00083002"}
    shared = metadata.keys() & rows[0].keys()
    assert {tag: metadata[tag] for tag in shared} == {tag: rows[0][tag] for tag in shared}


async def test_all_of_a_wide_search_is_what_searches_keep(archive: Running) -> None:
    (row,) = (await archive.client.get("/studies?includefield=all&PatientID=M&limit=1")).json()
    assert "00201208" in row
    rows = (await archive.client.get("/instances?includefield=all&PatientID=D")).json()
    assert {row["00280101"]["Value"][0] for row in rows} == {16}
    assert all("00180060" not in row for row in rows)


# Fuzzy matching


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("john smith", ["9.1"]),
        ("Smith^John", ["9.1"]),
        ("schmidt", ["9.2", "9.1"]),
        ("smi", ["9.1"]),
        ("Schmitt", ["9.2", "9.1"]),
        ("jurgen", ["9.2"]),
        ("grossmann", ["9.3"]),
        ("GROSSMAN ZOE", ["9.3"]),
        ("lukasz walesa", ["9.4"]),
        ("bjorn odegard", ["9.5"]),
        ("παπαδοπουλος", ["9.6"]),
        ("ΓΙΩΡΓΟΣ", ["9.6"]),
        ("иванов", ["9.7"]),
        ("ЮРИЙ иван", ["9.7"]),
        ("山田", ["9.8"]),
        ("太郎 山田", ["9.8"]),
        ("やまだ", ["9.8"]),
        ("ヤマダ", ["9.8"]),
        ("yamada 太", ["9.8"]),
        ("maria muller", ["9.9"]),
        ("Mueller Anna", ["9.9"]),
        ("ludensch ann", ["9.9"]),
        ("MullerLudenscheidt", ["9.9"]),
        ("sean obrien", ["9.10"]),
        ("O'Brien", ["9.10"]),
        ("brien", ["9.10"]),
        ("Maier Katherine", ["9.11"]),
        ("Katharina Meyer", ["9.11"]),
        ("dr meyer", ["9.11"]),
        ("mith", []),
        ("nobody", []),
        ("smith anna", []),
    ],
)
async def test_fuzzy_names(archive: Running, name: str, expected: list[str]) -> None:
    response = await archive.client.get(f"/studies?fuzzymatching=true&PatientName={quote(name)}")
    rows = response.json() if response.status_code == 200 else []
    assert sorted(row[STUDY]["Value"][0] for row in rows) == sorted(expected)
    assert "warning" not in response.headers


async def test_without_fuzzy_matching_names_are_literal(archive: Running) -> None:
    assert await found(archive, "/studies?PatientName=schmitt") == []
    assert await found(archive, "/studies?PatientName=john*") == []
    assert await found(archive, "/studies?fuzzymatching=false&PatientName=sm%3Fth*") == ["9.1"]


# Empty and multiple values


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("StudyTime=%22%22", ["7.6"]),
        ("StudyDate=%22%22", ["7.7"]),
        ("StudyDate=%22%22&StudyTime=12", ["7.7"]),
        ("StudyDate=20060706&RequestAttributesSequence=%22%22", ["7.3", "7.6"]),
        ("StudyDate=20060706&StudyTime=%22%22&Modality=CT", ["7.6"]),
        ("AccessionNumber=%22%22&StudyDate=20060705", ["7.1", "7.2"]),
        ("PatientName=%22%22", []),
    ],
)
async def test_empty_value_matching(archive: Running, query: str, expected: list[str]) -> None:
    response = await archive.client.get(f"/studies?PatientID=M&emptyvaluematching=true&{query}")
    assert "warning" not in response.headers
    rows = response.json() if response.status_code == 200 else []
    assert sorted(row[STUDY]["Value"][0] for row in rows) == expected
    # Without the parameter two quotation marks are text like any other.
    keys = query.replace("StudyDate=%22%22", "").replace("StudyTime=%22%22", "")
    if keys == query and "RequestAttributes" not in query:
        assert await found(archive, f"/studies?PatientID=M&{query}") == []


async def test_nothing_is_a_value_to_search_by(archive: Running) -> None:
    # Not by index, where studies without a patient's ID or an accession number are not.
    url = "/studies?emptyvaluematching=true&AccessionNumber=%22%22&PatientID="
    assert len(await found(archive, url)) == len(NAMES) + len(MOMENTS) + 1


# Dates and times


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The standard's own example: one range from the first day's ten to the last day's six.
        ("StudyDate=20060705-20060707&StudyTime=1000-1800", ["7.2", "7.3", "7.4", "7.6"]),
        ("StudyDate=20060705-&StudyTime=1000-", ["7.2", "7.3", "7.4", "7.5", "7.6", "7.8"]),
        ("StudyDate=-20060706&StudyTime=-0300", ["7.1", "7.2", "7.3", "7.6"]),
        ("StudyDate=20060705-20060707&StudyTime=1800-1000", ["7.3", "7.6"]),
        # Ranges of two forms, or one that is none, are two conditions.
        ("StudyDate=20060705-20060707&StudyTime=1000-", ["7.2", "7.4", "7.5"]),
        ("StudyDate=20060705&StudyTime=1000-1800", ["7.2"]),
        ("StudyDate=20060705-20060707&StudyTime=03", ["7.3"]),
        ("StudyTime=1100-1200", ["7.2", "7.7"]),
        ("StudyDate=-20991231", ["7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.8"]),
        ("StudyDate=19000101-", ["7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.8"]),
        # In UTC it was the first of February.
        ("StudyDate=20100131", ["7.8"]),
        ("StudyDate=20100201", []),
        ("TimezoneOffsetFromUTC=%2B0000&StudyDate=20100201", ["7.8"]),
        ("TimezoneOffsetFromUTC=+0000&StudyDate=20100131", []),
        ("TimezoneOffsetFromUTC=%2B0000&StudyDate=20100201-20100201&StudyTime=0400-0500", ["7.8"]),
        ("TimezoneOffsetFromUTC=%2B0100&StudyTime=0530", ["7.8"]),
        ("TimezoneOffsetFromUTC=-0500&StudyDate=20100131&StudyTime=2330", ["7.8"]),
    ],
)
async def test_moments(archive: Running, query: str, expected: list[str]) -> None:
    assert sorted(await found(archive, f"/studies?PatientID=M&{query}")) == expected
    # Also where the date, not the patient, is what is searched by.
    for other in ("PatientName=Doe^Jane", "StudyID="):
        studies = await found(archive, f"/studies?{other}&{query}")
        assert sorted(study for study in studies if study.startswith("7.")) == expected


# The URL


@pytest.mark.parametrize(
    "query",
    [
        "PatientName=Smith^John",
        "PatientName=Smith%5EJohn",
        "PatientName=sm?th*",
        "PatientName=sm%3Fth%2A",
        "PatientName=Smith^J*",
        "00100010=%53mith%5eJohn",
    ],
)
async def test_literal_and_encoded_characters(archive: Running, query: str) -> None:
    # Over a socket: a client's library would encode them.
    url = urlsplit(archive.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(
        f"GET {url.path}/studies?{query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Accept: application/dicom+json\r\nConnection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"9.1"' in answer
    assert b'"9.2"' not in answer


@pytest.mark.parametrize(
    "query",
    [
        "PatientName=%",
        "PatientName=%4",
        "PatientName=%zz",
        "PatientName=%FF",
        "PatientName=%C3",
        "Patient%ZZName=x",
        "PatientName=%ED%A0%80",
        "TimezoneOffsetFromUTC=noon",
        "StudyDate=20060705-20060707&StudyTime=2500-2600",
        "StudyInstanceUID=1.2&StudyInstanceUID=1.3",
        "PatientID=M&00100020=M",
        "KVP=high&StudyInstanceUID=1.2",
        "PixelData=x&StudyInstanceUID=1.2",
        "ReferencedImageSequence=x&StudyInstanceUID=1.2",
        "&".join(f"x{number}=1" for number in range(1001)),
    ],
)
async def test_what_cannot_be_understood_is_400(archive: Running, query: str) -> None:
    url = urlsplit(archive.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(
        f"GET {url.path}/studies?{query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
    assert b"application/problem+json" in answer
    assert b'"detail"' in answer


async def test_raw_utf8_is_understood(archive: Running) -> None:
    assert await found(archive, "/studies?PatientName=Wałęsa*") == ["9.4"]
    assert await found(archive, "/studies?PatientName==山田*") == ["9.8"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("InstanceNumber=1", 1),
        ("InstanceNumber=1.0", 1),
        ("InstanceNumber=%201%20", 1),
        ("InstanceNumber=001", 1),
        ("Rows=4", 3),
        ("Rows=4.0", 3),
        ("PhotometricInterpretation=MONO*", 3),
        ("PhotometricInterpretation=mono*", 0),
        ("PhotometricInterpretation=monochrome2", 0),
    ],
)
async def test_numbers_by_value_and_codes_by_case(
    archive: Running, query: str, expected: int
) -> None:
    rows = await found(archive, f"/studies/8.1/series/8.1.1/instances?{query}", SOP)
    assert len(rows) == expected


# What comes back


async def test_rows_tell_their_time_zone_and_availability(archive: Running) -> None:
    for url in ("/studies?StudyInstanceUID=7.8", "/studies/7.8/series", "/studies/7.8/instances"):
        (row,) = (await archive.client.get(url)).json()
        assert row["00080201"] == {"vr": "SH", "Value": ["-0500"]}
        assert row["00081190"]["Value"][0].startswith(f"{archive.url}/studies/7.8")
    for url in ("/studies?StudyInstanceUID=7.8", "/studies/7.8/instances"):
        (row,) = (await archive.client.get(url)).json()
        assert row["00080056"] == {"vr": "CS", "Value": ["ONLINE"]}


@pytest.mark.parametrize(
    ("url", "tag", "expected"),
    [
        ("/series?PatientName=Wał*", SERIES, ["9.4.1"]),
        ("/instances?PatientName=Wał*&Modality=CT", SOP, ["9.4.1.1"]),
        ("/instances?ModalitiesInStudy=CT&PatientID=D&SeriesInstanceUID=8.1.2", SOP, ["8.1.2.1"]),
        ("/series?ModalitiesInStudy=MR&PatientID=D", SERIES, []),
        ("/studies?PatientID=D&SOPClassUID=1.2.840.10008.5.1.4.1.1.2", STUDY, ["8.1"]),
        ("/studies?PatientID=D&InstanceNumber=9", STUDY, []),
        ("/studies?PatientID=D&NumberOfSeriesRelatedInstances=3", STUDY, ["8.1"]),
    ],
)
async def test_keys_of_any_level_are_relational(
    archive: Running, url: str, tag: str, expected: list[str]
) -> None:
    assert await found(archive, url, tag) == expected


async def test_an_instance_names_its_transfer_syntax(archive: Running) -> None:
    rows = (await archive.client.get("/studies/8.1/series/8.1.1/instances")).json()
    assert {row["00083002"]["Value"][0] for row in rows} == {"1.2.840.10008.1.2.1"}
    assert [row["00081190"]["Value"][0] for row in rows] == [
        f"{archive.url}/studies/8.1/series/8.1.1/instances/8.1.1.{number}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "url",
    [
        "/studies?PatientID=M",
        "/series?StudyInstanceUID=8.1&includefield=KVP",
        "/studies/8.1/series/8.1.1/instances?includefield=all",
        "/studies/8.1/instances",
        "/studies/8.1/series/8.1.1/instances?includefield=PixelData,00091004,00091003",
    ],
)
async def test_xml_says_the_same_as_json(archive: Running, url: str) -> None:
    rows = (await archive.client.get(url)).json()
    response = await archive.client.get(
        url, headers={"accept": 'multipart/related; type="application/dicom+xml"'}
    )
    documents = [ET.fromstring(document) for _, document in parts_of(response)]
    assert len(documents) == len(rows)
    for row, document in zip(rows, documents, strict=True):
        assert [element.get("tag") for element in document] == sorted(row)
        for element in document:
            said = row[element.get("tag")]
            assert element.get("vr") == said["vr"]
            if said["vr"] not in {"SQ", "PN"}:
                texts = [value.text or "" for value in element.findall("{*}Value")]
                values = said.get("Value", [])
                assert len(texts) == len(values)
                for text, value in zip(texts, values, strict=True):
                    assert text == str(value) or float(text) == float(value)


async def test_pages_of_equal_rows_fit_together(archive: Running) -> None:
    # All of Jane Doe's studies but two have one date and time.
    for url, tag in (("/studies?x=1", STUDY), ("/series?x=1", SERIES), ("/instances?x=1", SOP)):
        whole = await found(archive, url, tag)
        paged: list[str] = []
        while page := await found(archive, f"{url}&limit=4&offset={len(paged)}", tag):
            paged += page
        assert paged == whole
        assert len(set(whole)) == len(whole)


async def test_a_whole_header_answer_can_be_cut_as_well(archive: Running) -> None:
    url = "/studies/8.1/series/8.1.1/instances?includefield=all"
    response = await archive.client.get(f"{url}&limit=1&offset=1")
    assert [row[SOP]["Value"][0] for row in response.json()] == ["8.1.1.2"]
    assert "There are 1 additional results" in response.headers["warning"]
    assert (await archive.client.get(f"{url}&offset=3")).status_code == 204


async def test_headers_count_towards_the_budget(tmp_path_factory: pytest.TempPathFactory) -> None:
    large = "x" * (12 << 10)
    async with served(tmp_path_factory.mktemp("small"), budget=12) as archive:
        await archive.store(
            *(
                make_instance(f"1.1.1.{number}", study="1.1", series="1.1.1", TextValue=large)
                for number in range(1, 21)
            )
        )
        url = "/studies/1.1/series/1.1.1/instances"
        assert len((await archive.client.get(url)).json()) == 20
        for query in ("KVP=1", "includefield=KVP"):
            response = await archive.client.get(f"{url}?{query}")
            assert response.status_code == 413
            assert response.headers["content-type"] == "application/problem+json"
        # No more headers are counted than rows are wanted.
        response = await archive.client.get(f"{url}?includefield=KVP&limit=2")
        assert response.status_code == 200
        assert response.headers["warning"].endswith(
            "There are 18 additional results that can be requested"
        )


async def counts(archive: Running) -> list[list[Any]]:
    (study,) = (await archive.client.get("/studies?StudyInstanceUID=5.1")).json()
    series = (await archive.client.get("/studies/5.1/series")).json()
    instances = (await archive.client.get("/studies/5.1/instances")).json()
    return [
        [study[tag]["Value"] for tag in ("00201206", "00201208", "00080061")],
        [row["00201209"]["Value"] for row in series],
        [[row[SOP]["Value"][0], row["00280010"]["Value"][0]] for row in instances],
    ]


@pytest.mark.parametrize(
    ("policy", "rows"), [(ConflictPolicy.KEEP_FIRST, 4), (ConflictPolicy.REPLACE, 8)]
)
async def test_counts_are_of_what_is_shown(
    tmp_path_factory: pytest.TempPathFactory, policy: ConflictPolicy, rows: int
) -> None:
    async with served(tmp_path_factory.mktemp("counts"), policy=policy) as archive:
        of = {"study": "5.1", "series": "5.1.1"}
        first = make_instance("5.1.1.1", **of)
        await archive.store(first, make_instance("5.1.1.2", **of))
        await archive.store(make_instance("5.1.2.3", study="5.1", series="5.1.2", Modality="SR"))
        expected = [
            [[2], [3], ["CT", "SR"]],
            [[2], [1]],
            [["5.1.1.1", 4], ["5.1.1.2", 4], ["5.1.2.3", 4]],
        ]
        assert await counts(archive) == expected
        await archive.store(first)
        assert await counts(archive) == expected
        await archive.store(make_instance("5.1.1.1", **of, rows=8))
        expected[2][0][1] = rows
        assert await counts(archive) == expected
        # What is hidden is not found by what its header says, either.
        url = "/studies/5.1/instances?SOPInstanceUID=5.1.1.1&HighBit=15"
        assert await found(archive, url, SOP) == ["5.1.1.1"]

"""C-FIND through the real server: models, levels, keys, character sets, cancel."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from dimse_archive import (
    CT,
    EXPLICIT,
    IMPLICIT,
    PATIENT_FIND,
    STUDY_FIND,
    Running,
    encoded,
    extended_item,
    identifier_of,
    instance,
    running,
)
from pydicom import Dataset
from pynetdicom import build_context

from pacs_cloud.dimse.command import CommandField, Element
from pacs_cloud.dimse.negotiation import Proposal, context_to_invoke
from pacs_cloud.dimse.requestor import Instance, Peer, connect, store
from patience import PATIENCE_S

# Some identifiers are wrong on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")

PATIENT_STUDY_FIND = "1.2.840.10008.5.1.4.1.2.3.1"
RELATIONAL = b"\x01"
FUZZY = b"\x01\x00\x01"
COMBINED = b"\x01\x01"
EMPTY = b"\x01\x00\x00\x00\x00\x01"
MULTIPLE = b"\x01\x00\x00\x00\x00\x00\x01"

NAMES = {
    "P2": ("ISO_IR 100", "MÜLLER^JÖRG"),
    "P3": ("ISO_IR 126", "Διονυσιος"),
    "P4": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "P5": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "P6": ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
    "P7": ("ISO_IR 144", "Люкceмбypг"),
}


def stored() -> list[Dataset]:
    """Patient P1 with two studies, the first of two series of two; others with one instance."""
    datasets = [
        instance(1),
        instance(2),
        instance(3, SeriesInstanceUID="1.2.3.5", SeriesNumber=2, Modality="SR"),
        instance(4, SeriesInstanceUID="1.2.3.5", SeriesNumber=2, Modality="SR"),
        instance(
            5,
            StudyInstanceUID="1.2.30",
            SeriesInstanceUID="1.2.30.1",
            StudyDate="20240301",
            AccessionNumber="A5",
            Modality="MR",
            StudyDescription="HEAD",
        ),
    ]
    for number, (patient_id, (charset, name)) in enumerate(NAMES.items(), start=10):
        datasets.append(
            instance(
                number,
                SpecificCharacterSet=charset,
                PatientID=patient_id,
                PatientName=name,
                StudyInstanceUID=f"1.2.{number}",
                SeriesInstanceUID=f"1.2.{number}.1",
                StudyDate="20230101",
            )
        )
    return datasets


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        datasets = stored()
        assert set(await one.store(*datasets)) == {0}
        for dataset in datasets:
            assert await one.searchable(str(dataset.SOPInstanceUID))
        yield one


async def test_patients(archive: Running) -> None:
    rows = await archive.matches(
        PATIENT_FIND,
        "PATIENT",
        PatientID="P1",
        PatientName="",
        PatientBirthDate="",
        NumberOfPatientRelatedStudies="",
        NumberOfPatientRelatedInstances="",
    )
    (row,) = rows
    assert row.PatientName == "DOE^JANE"
    assert row.PatientBirthDate == "19700101"
    assert row.NumberOfPatientRelatedStudies == 2
    assert row.NumberOfPatientRelatedInstances == 5
    assert row.QueryRetrieveLevel == "PATIENT"
    everyone = await archive.matches(PATIENT_FIND, "PATIENT", PatientID="")
    assert sorted(row.PatientID for row in everyone) == ["P1", *NAMES]


@pytest.mark.parametrize("model", [PATIENT_FIND, PATIENT_STUDY_FIND])
async def test_studies_of_a_patient(archive: Running, model: str) -> None:
    rows = await archive.matches(
        model, "STUDY", PatientID="P1", StudyInstanceUID="", ModalitiesInStudy=""
    )
    assert [row.StudyInstanceUID for row in rows] == ["1.2.30", "1.2.3"]
    assert rows[0].ModalitiesInStudy == "MR"
    assert sorted(rows[1].ModalitiesInStudy) == ["CT", "SR"]


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        ({"PatientName": "DOE*"}, ["1.2.30", "1.2.3"]),
        ({"PatientName": "doe^j?ne"}, ["1.2.30", "1.2.3"]),
        ({"StudyDate": "20240102"}, ["1.2.3"]),
        ({"StudyDate": "20240102-20240301"}, ["1.2.30", "1.2.3"]),
        ({"StudyDate": "20240102-", "ModalitiesInStudy": "SR"}, ["1.2.3"]),
        ({"AccessionNumber": "A5"}, ["1.2.30"]),
        ({"StudyInstanceUID": ["1.2.3", "1.2.10"]}, ["1.2.3", "1.2.10"]),
        ({"StudyDescription": "HEAD", "PatientID": "P1"}, ["1.2.30"]),
        ({"PatientID": "NOBODY"}, []),
    ],
)
async def test_studies(archive: Running, keys: dict[str, str], studies: list[str]) -> None:
    rows = await archive.matches(STUDY_FIND, "STUDY", **{"StudyInstanceUID": "", **keys})
    assert [row.StudyInstanceUID for row in rows] == studies


async def test_series(archive: Running) -> None:
    rows = await archive.matches(
        STUDY_FIND,
        "SERIES",
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="",
        Modality="",
        NumberOfSeriesRelatedInstances="",
    )
    assert [row.SeriesInstanceUID for row in rows] == ["1.2.3.4", "1.2.3.5"]
    assert [row.Modality for row in rows] == ["CT", "SR"]
    assert [row.NumberOfSeriesRelatedInstances for row in rows] == [2, 2]
    assert {row.StudyInstanceUID for row in rows} == {"1.2.3"}


async def test_instances(archive: Running) -> None:
    rows = await archive.matches(
        PATIENT_FIND,
        "IMAGE",
        PatientID="P1",
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.3.5",
        SOPInstanceUID="",
        SOPClassUID="",
        InstanceNumber="",
        Rows=None,
    )
    assert [row.SOPInstanceUID for row in rows] == ["1.2.3.4.3", "1.2.3.4.4"]
    assert [row.InstanceNumber for row in rows] == [3, 4]
    assert [row.Rows for row in rows] == [8, 8]


async def test_an_answer_holds_what_was_asked_for(archive: Running) -> None:
    (row,) = await archive.matches(
        STUDY_FIND,
        "STUDY",
        StudyInstanceUID="1.2.3",
        StudyDescription="",
        InstanceAvailability="",
        SpecificCharacterSet="",
    )
    assert {element.keyword for element in row} == {
        "InstanceAvailability",
        "QueryRetrieveLevel",
        "RetrieveAETitle",
        "StudyDescription",
        "StudyInstanceUID",
    }
    assert row.RetrieveAETitle == "PACS"
    assert row.InstanceAvailability == "ONLINE"
    assert not row.StudyDescription


async def test_unsupported_keys_are_told(archive: Running) -> None:
    keys = {"StudyInstanceUID": "1.2.3", "PatientAge": ""}
    (pending, _), (last, _) = await archive.find(STUDY_FIND, "STUDY", **keys)
    assert (pending, last) == (0xFF00, 0)
    keys["DerivationDescription"] = "cannot be matched"
    (pending, row), (last, _) = await archive.find(STUDY_FIND, "STUDY", **keys)
    assert (pending, last) == (0xFF01, 0)
    assert row is not None
    assert "DerivationDescription" not in row


async def test_a_value_that_does_not_fit_its_vr_hides_no_match(archive: Running) -> None:
    data_set = encoded(instance(77, SeriesInstanceUID="1.2.3.9"))
    faulty = data_set.replace(b"\x20\x00\x13\x00IS\x02\x0077", b"\x20\x00\x13\x00IS\x02\x00AB")
    assert faulty != data_set
    association = await connect(
        Peer("PACS", "127.0.0.1", archive.port), "OURS", [Proposal(CT, (EXPLICIT,))]
    )
    answer = await store(association, Instance(CT, "1.2.3.4.77", EXPLICIT, faulty))
    assert answer.status == 0
    await association.release()
    assert await archive.searchable("1.2.3.4.77")
    keys = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.9"}
    (row,) = await archive.matches(
        STUDY_FIND, "IMAGE", **keys, SOPInstanceUID="", InstanceNumber="", Rows=None
    )
    assert row.SOPInstanceUID == "1.2.3.4.77"
    assert row.Rows == 8
    assert row.InstanceNumber is None


@pytest.mark.parametrize("patient_id", NAMES)
async def test_names_are_found_and_told_right_in_utf_8(archive: Running, patient_id: str) -> None:
    name = NAMES[patient_id][1]
    (row,) = await archive.matches(
        STUDY_FIND, "STUDY", SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID=""
    )
    assert row.PatientID == patient_id
    assert row.SpecificCharacterSet == "ISO_IR 192"
    assert str(row.PatientName) == name


@pytest.mark.parametrize("patient_id", NAMES)
async def test_names_are_told_in_the_askers_character_set(
    archive: Running, patient_id: str
) -> None:
    charset, name = NAMES[patient_id]
    (row,) = await archive.matches(
        STUDY_FIND, "STUDY", SpecificCharacterSet=charset, PatientName=name, PatientID=""
    )
    assert row.PatientID == patient_id
    assert row.SpecificCharacterSet == charset
    assert str(row.PatientName) == name


async def test_a_character_set_too_small_gives_way_to_utf_8(archive: Running) -> None:
    rows = await archive.matches(
        STUDY_FIND, "STUDY", SpecificCharacterSet="ISO_IR 100", PatientName="", PatientID=""
    )
    told = {row.PatientID: (row.get("SpecificCharacterSet"), str(row.PatientName)) for row in rows}
    assert told["P1"] == (None, "DOE^JANE")
    assert told["P2"] == ("ISO_IR 100", NAMES["P2"][1])
    assert {told[one] for one in ("P3", "P4", "P5", "P6", "P7")} == {
        ("ISO_IR 192", NAMES[one][1]) for one in ("P3", "P4", "P5", "P6", "P7")
    }


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        (STUDY_FIND, "PATIENT", {"PatientID": ""}),
        (PATIENT_STUDY_FIND, "SERIES", {"SeriesInstanceUID": ""}),
        (STUDY_FIND, "", {"StudyInstanceUID": ""}),
        (STUDY_FIND, "SERIES", {"SeriesInstanceUID": "1.2.3.4"}),
        (STUDY_FIND, "SERIES", {"StudyInstanceUID": ["1.2.3", "1.2.30"]}),
        (PATIENT_FIND, "STUDY", {"StudyInstanceUID": ""}),
        (PATIENT_FIND, "STUDY", {"PatientID": "P*", "StudyInstanceUID": ""}),
        (STUDY_FIND, "STUDY", {"PatientBirthDate": "1970-01-01-1"}),
    ],
)
async def test_a_wrong_identifier_is_refused(
    archive: Running, model: str, level: str, keys: dict[str, str]
) -> None:
    ((status, nothing),) = await archive.find(model, level, **keys)
    assert (status, nothing) == (0xA900, None)


async def test_relational_queries_need_no_higher_keys(archive: Running) -> None:
    rows = await archive.matches(
        STUDY_FIND, "SERIES", RELATIONAL, Modality="SR", SeriesInstanceUID=""
    )
    assert [row.SeriesInstanceUID for row in rows] == ["1.2.3.5"]
    rows = await archive.matches(PATIENT_FIND, "IMAGE", RELATIONAL, SOPInstanceUID="1.2.3.4.5")
    assert [row.SOPInstanceUID for row in rows] == ["1.2.3.4.5"]


async def test_extended_negotiation_is_answered_byte_by_byte(archive: Running) -> None:
    def talk() -> bytes:
        association = archive.associate(
            [build_context(STUDY_FIND)],
            ext_neg=[extended_item(STUDY_FIND, b"\x01\x01\x01\x01\x01\x01\x01")],
        )
        (item,) = association.acceptor.sop_class_extended.items()
        association.release()
        assert item[0] == STUDY_FIND
        return item[1]

    assert await asyncio.to_thread(talk) == b"\x01\x01\x01\x00\x00\x01\x01"


async def test_fuzzy_matching_is_negotiated(archive: Running) -> None:
    rows = await archive.matches(STUDY_FIND, "STUDY", FUZZY, PatientName="jane do", PatientID="")
    assert {row.PatientID for row in rows} == {"P1"}
    assert not await archive.matches(STUDY_FIND, "STUDY", PatientName="jane do", PatientID="")


@pytest.mark.parametrize(
    ("extended", "keys", "studies"),
    [
        # 10:11:12 on both days: between ten on the first and ten on the last is one of them.
        (b"", {"StudyDate": "20240102-20240301", "StudyTime": "1000-1005"}, set()),
        (COMBINED, {"StudyDate": "20240102-20240301", "StudyTime": "1000-1005"}, {"1.2.3"}),
        (EMPTY, {"PatientID": "P1", "StudyDescription": '""'}, {"1.2.3"}),
        (b"", {"PatientID": "P1", "StudyDescription": '""'}, set()),
        (MULTIPLE, {"ModalitiesInStudy": ["CT", "SR"]}, {"1.2.3"}),
        (MULTIPLE, {"ModalitiesInStudy": ["CT", "MR"], "PatientID": "P1"}, set()),
        (b"", {"ModalitiesInStudy": ["CT", "MR"], "PatientID": "P1"}, {"1.2.3", "1.2.30"}),
    ],
)
async def test_other_matching_is_negotiated(
    archive: Running, extended: bytes, keys: dict[str, Any], studies: set[str]
) -> None:
    rows = await archive.matches(STUDY_FIND, "STUDY", extended, StudyInstanceUID="", **keys)
    assert {row.StudyInstanceUID for row in rows} == studies


async def test_too_broad_a_search_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, search_budget=100) as archive:
        many = [
            instance(n, StudyInstanceUID=f"1.2.{n}", SeriesInstanceUID=f"1.2.{n}.1")
            for n in range(1, 120)
        ]
        await archive.store(*many)
        for one in many:
            assert await archive.searchable(str(one.SOPInstanceUID))
        *_, (status, _) = await archive.find(STUDY_FIND, "STUDY", StudyID="no index")
        assert status == 0xA700


async def test_cancel(archive: Running) -> None:
    many = [instance(n) for n in range(100, 400)]
    assert set(await archive.store(*many)) == {0}
    for one in many:
        assert await archive.searchable(str(one.SOPInstanceUID))

    def talk() -> tuple[int, int]:
        association = archive.associate([build_context(STUDY_FIND)])
        identifier = identifier_of(
            "IMAGE", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", SOPInstanceUID=""
        )
        count, status = 0, -1
        for answer, _ in association.send_c_find(identifier, STUDY_FIND, msg_id=7):
            status = answer.Status
            if status == 0xFF00:
                count += 1
            if count == 1:
                association.send_c_cancel(7, query_model=STUDY_FIND)
        # The association is as good as before.
        again = [answer.Status for answer, _ in association.send_c_find(identifier, STUDY_FIND)]
        association.release()
        assert again.count(0xFF00) == 302
        assert again[-1] == 0
        return count, status

    count, status = await asyncio.to_thread(talk)
    assert status in {0xFE00, 0}
    assert (status == 0) == (count == 302)


async def test_an_undecodable_identifier_is_refused(archive: Running) -> None:
    association = await connect(
        Peer("PACS", "127.0.0.1", archive.port), "OURS", [Proposal(STUDY_FIND, (IMPLICIT,))]
    )
    context = context_to_invoke(association.contexts.values(), STUDY_FIND)
    answer = await association.ask(
        context,
        {
            Element.COMMAND_FIELD: CommandField.C_FIND,
            Element.AFFECTED_SOP_CLASS_UID: STUDY_FIND,
            Element.PRIORITY: 0,
        },
        b"\x08\x00\x52\x00\xff\xff\x00\x00STUDY ",
    )
    assert answer.status == 0xC000
    await association.release()


async def test_dcmtk_finds(archive: Running, dcmtk: Callable[[str], str]) -> None:
    command = [dcmtk("findscu"), "-S", "-aec", "PACS", "127.0.0.1", str(archive.port)]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=DOE*", "-k", "StudyInstanceUID"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, *keys],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    said = done.stdout + done.stderr
    assert "[1.2.3]" in said.replace("\0", "")
    assert "[1.2.30]" in said.replace("\0", "")

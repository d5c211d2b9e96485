"""What amendments show, by every way to read it: the same everywhere, and gone once undone."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from dicomweb_archive import Running, accept_related, found, holding, parts_of
from dimse_archive import (
    CT,
    EXPLICIT,
    IMPLICIT,
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    Got,
    destination,
    get,
    identifier_of,
    move,
    running,
)
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedSRStorage
from pynetdicom import build_context

from amendment_samples import amendment, name_of, show, text_of
from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.correcting import corrector_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.getting import get_study
from pacs_cloud.custody.corrections.orders import Orders
from pacs_cloud.dicom.amendable import given_element
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Destination

STUDY, SERIES = "1.2.3.1", "1.2.3.1.1"
NAME, COMMENT = "Люксембург^Роза", "nur hier"
INSTANCES = tuple(f"{SERIES}.{number}" for number in range(1, 5))
COMMENTED = INSTANCES[1]
FILES = [make_instance(uid, SpecificCharacterSet="ISO_IR 100", KVP=120) for uid in INSTANCES]
AMENDMENTS = (
    amendment(1),
    amendment(
        2,
        {"00204000": text_of(COMMENT, "LT"), "00180060": {"vr": "DS", "Value": [80]}},
        series_instance_uid=SERIES,
        sop_instance_uid=COMMENTED,
    ),
)


def check(dataset: Dataset) -> None:
    """Compare an instance as it is shown with one of FILES."""
    uid = str(dataset.SOPInstanceUID)
    before = dcmread(BytesIO(FILES[INSTANCES.index(uid)]))
    assert (dataset.PatientName, dataset.PatientID) == (NAME, "NEW1")
    first, *more = dataset.OriginalAttributesSequence
    was = first.ModifiedAttributesSequence[0]
    assert (was.PatientName, was.PatientID) == ("Doe^Jane", "P1")
    assert (first.ModifyingSystem, first.SourceOfPreviousValues) == ("RIS", "WARD")
    assert first.ReasonForTheAttributeModification == "CORRECT"
    if uid == COMMENTED:
        assert (dataset.ImageComments, dataset.KVP) == (COMMENT, 80)
        assert more[0].ModifiedAttributesSequence[0].KVP == 120
    else:
        assert "ImageComments" not in dataset
        assert not more
    assert dataset.PixelData == before.PixelData
    changed = {"PatientName", "PatientID", "SpecificCharacterSet", "ImageComments", "KVP"}
    for element in before:
        if element.keyword not in changed:
            assert dataset[element.tag] == element


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with holding(tmp_path, FILES[:2]) as opened:
        # A second pack of the same series.
        assert (await opened.store(*FILES[2:])).status_code == 200
        yield opened


async def amend(archive: Running, *amendments: Any) -> None:
    await show(archive.catalogue, archive.objects, amendments)


async def answer(archive: Running, path: str, **headers: str) -> httpx.Response:
    response = await archive.client.get(path, headers=headers)
    assert response.status_code == 200, response.text
    if "content-length" in response.headers and "content-encoding" not in response.headers:
        assert int(response.headers["content-length"]) == len(response.content)
    return response


async def test_searches_match_and_return_what_is_shown(archive: Running) -> None:
    rows = f"/studies/{STUDY}/instances"
    assert await found(archive, f"{rows}?ImageComments={COMMENT}") == []
    await amend(archive, *AMENDMENTS)
    for path in ("/studies", f"/studies/{STUDY}/series", rows):
        assert await found(archive, f"{path}?PatientID=NEW1&includefield=PatientID"), path
        assert await found(archive, f"{path}?PatientID=P1") == []
    uid = "00080018"
    assert await found(archive, f"{rows}?ImageComments={COMMENT}", uid) == [COMMENTED]
    # Of what only full headers hold, too.
    assert await found(archive, f"{rows}?KVP=80", uid) == [COMMENTED]
    assert len(await found(archive, f"{rows}?KVP=120", uid)) == 3
    response = await archive.client.get(f"{rows}?includefield=all&includefield=PatientName")
    for row in response.json():
        is_commented = row[uid]["Value"] == [COMMENTED]
        assert row["00100010"] == name_of(NAME)
        assert row["00100020"]["Value"] == ["NEW1"]
        assert row["00180060"]["Value"] == [80 if is_commented else 120]
        assert len(row["04000561"]["Value"]) == 1 + is_commented
    # What all agree on is their series'.
    (series,) = (
        await archive.client.get(f"/studies/{STUDY}/series?includefield=KVP,00180088,04000561")
    ).json()
    assert "00180060" not in series
    await amend(archive, AMENDMENTS[0])
    (series,) = (
        await archive.client.get(f"/studies/{STUDY}/series?includefield=KVP,04000561")
    ).json()
    assert series["00180060"]["Value"] == [120]
    assert len(series["04000561"]["Value"]) == 1


async def test_metadata_is_what_is_shown_at_every_level(archive: Running) -> None:
    before = (await answer(archive, f"/studies/{STUDY}/metadata")).json()
    await amend(archive, *AMENDMENTS)
    whole = (await answer(archive, f"/studies/{STUDY}/metadata")).json()
    assert (await answer(archive, f"/studies/{STUDY}/series/{SERIES}/metadata")).json() == whole
    for header in whole:
        uid = header["00080018"]["Value"][0]
        alone = await answer(archive, f"/studies/{STUDY}/series/{SERIES}/instances/{uid}/metadata")
        assert alone.json() == [header]
        assert header["00080005"]["Value"] == ["ISO_IR 192"]
        assert header["00100010"] == name_of(NAME)
        items = header["04000561"]["Value"]
        assert len(items) == (2 if uid == COMMENTED else 1)
        assert items[0]["04000550"]["Value"][0]["00100020"]["Value"] == ["P1"]
        # Bulk data has the address that it had.
        address = header["7FE00010"]["BulkDataURI"]
        assert address == next(
            one["7FE00010"]["BulkDataURI"]
            for one in before
            if one["00080018"] == header["00080018"]
        )
        assert (await archive.client.get(address)).status_code == 200
    xml = await answer(archive, f"/studies/{STUDY}/metadata", accept=XML)
    assert xml.text.count("<FamilyName>Люксембург</FamilyName>") == len(INSTANCES)
    coded = await answer(archive, f"/studies/{STUDY}/metadata", **{"accept-encoding": "gzip"})
    assert coded.json() == whole


XML = 'multipart/related; type="application/dicom+xml"'


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, "*"])
async def test_instances_are_what_is_shown_stored_or_transcoded(
    archive: Running, syntax: str
) -> None:
    await amend(archive, *AMENDMENTS)
    wanted = accept_related("application/dicom", syntax)
    parts = parts_of(await answer(archive, f"/studies/{STUDY}", **wanted))
    assert len(parts) == len(INSTANCES)
    for _, content in parts:
        check(dcmread(BytesIO(content)))
    for uid in INSTANCES:
        path = f"/studies/{STUDY}/series/{SERIES}/instances/{uid}"
        single = await answer(archive, path, accept=f"application/dicom; transfer-syntax={syntax}")
        check(dcmread(BytesIO(single.content)))
        ((_, content),) = parts_of(await answer(archive, path, **wanted))
        assert content == single.content


async def test_one_amended_instance_has_a_length_and_ranges(archive: Running) -> None:
    await amend(archive, *AMENDMENTS)
    path = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCES[0]}"
    accept = "application/dicom; transfer-syntax=*"
    whole = await answer(archive, path, accept=accept)
    assert whole.headers["accept-ranges"] == "bytes"
    cut = await archive.client.get(path, headers={"accept": accept, "range": "bytes=300-900"})
    assert cut.status_code == 206
    assert cut.content == whole.content[300:901]


async def test_zips_and_wado_uri_are_what_is_shown(archive: Running) -> None:
    await amend(archive, *AMENDMENTS)
    for asked in ("", "?dicomdir=true"):
        response = await answer(archive, f"/studies/{STUDY}{asked}", accept="application/zip")
        opened = zipfile.ZipFile(BytesIO(response.content))
        assert opened.testzip() is None
        names = [name for name in opened.namelist() if name != "DICOMDIR"]
        assert len(names) == len(INSTANCES)
        for name in names:
            check(dcmread(BytesIO(opened.read(name))))
        for start, end in ((0, 400), (900, len(response.content) - 200)):
            cut = await archive.client.get(
                f"/studies/{STUDY}{asked}",
                headers={"accept": "application/zip", "range": f"bytes={start}-{end}"},
            )
            assert (cut.status_code, cut.content) == (206, response.content[start : end + 1])
    directory = dcmread(BytesIO(opened.read("DICOMDIR")))
    assert directory.DirectoryRecordSequence[0].PatientName == NAME
    for uid in INSTANCES:
        response = await archive.client.get(
            str(archive.url).replace("/dicom-web", "/wado"),
            params={
                "requestType": "WADO",
                "studyUID": STUDY,
                "seriesUID": SERIES,
                "objectUID": uid,
                "contentType": "application/dicom",
            },
        )
        assert response.status_code == 200, response.text
        check(dcmread(BytesIO(response.content)))


async def test_etags_follow_and_undone_is_as_it_was(archive: Running) -> None:
    paths = {
        f"/studies/{STUDY}/metadata": "application/dicom+json",
        f"/studies/{STUDY}": "application/zip",
        f"/studies/{STUDY}/series/{SERIES}": accept_related("application/dicom", "*")["accept"],
        f"/studies/{STUDY}/rendered": 'multipart/related; type="image/png"',
    }
    states: list[dict[str, tuple[str, bytes]]] = []
    for amendments in ((), AMENDMENTS[:1], AMENDMENTS, ()):
        await amend(archive, *amendments)
        state: dict[str, tuple[str, bytes]] = {}
        for path, accept in paths.items():
            response = await answer(archive, path, accept=accept)
            state[path] = response.headers["etag"], response.content
            again = await archive.client.get(
                path, headers={"accept": accept, "if-none-match": response.headers["etag"]}
            )
            assert again.status_code == 304
        states.append(state)
    first, named, commented, undone = states
    for path in paths:
        etags = {state[path][0] for state in (first, named, commented)}
        assert len(etags) == 3
    assert undone == first


async def test_annotations_and_reports_show_the_new_name(tmp_path: Path) -> None:
    report = dcmread(BytesIO(make_instance("1.2.3.1.9.1", series="1.2.3.1.9")))
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = EnhancedSRStorage
    report.Modality, report.ValueType, report.CompletionFlag = "SR", "CONTAINER", "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    del report.PixelData, report.Rows, report.Columns
    written = BytesIO()
    report.save_as(written, enforce_file_format=True)
    async with holding(tmp_path, [written.getvalue(), FILES[0]]) as archive:
        report_path = f"/studies/{STUDY}/series/1.2.3.1.9/instances/1.2.3.1.9.1/rendered"
        image_path = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCES[0]}/rendered"
        image = {"accept": "image/png"}
        plain = (await answer(archive, image_path, **image)).content
        annotated = (await answer(archive, f"{image_path}?annotation=patient", **image)).content
        await amend(archive, AMENDMENTS[0])
        text = (await answer(archive, report_path, accept="text/html")).text
        assert "Люксембург" in text
        assert "Doe" not in text
        assert (await answer(archive, image_path, **image)).content == plain
        renamed = (await answer(archive, f"{image_path}?annotation=patient", **image)).content
        assert renamed != annotated


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_dimse_finds_and_sends_what_is_shown(tmp_path: Path) -> None:
    got = Got()
    with destination([build_context(CT, [EXPLICIT, IMPLICIT])], got.keep) as port:
        peer = Destination(aet="THEIRS", host="127.0.0.1", port=port)
        async with running(tmp_path, destinations=(peer,)) as archive:
            files = [dcmread(BytesIO(file)) for file in FILES]
            assert await archive.store(*files) == [0] * len(files)
            for uid in INSTANCES:
                assert await archive.searchable(uid)
            await show(archive.catalogue, archive.stores.objects, AMENDMENTS)
            (study,) = await archive.matches(
                STUDY_FIND, "STUDY", PatientID="NEW1", PatientName="", StudyInstanceUID=""
            )
            assert study.PatientName == NAME
            (one,) = await archive.matches(
                STUDY_FIND,
                "IMAGE",
                StudyInstanceUID=STUDY,
                SeriesInstanceUID=SERIES,
                SOPInstanceUID="",
                ImageComments=COMMENT,
            )
            assert one.SOPInstanceUID == COMMENTED
            asked = identifier_of("STUDY", StudyInstanceUID=STUDY)
            for syntax in (EXPLICIT, IMPLICIT):
                context = build_context(CT, syntax)
                fetched = await asyncio.to_thread(get, archive, STUDY_GET, asked, [context])
                assert fetched.status == 0
                assert sorted(fetched.by_uid) == sorted(INSTANCES)
                for dataset in fetched.stored:
                    check(dataset)
            moved = await asyncio.to_thread(move, archive, STUDY_MOVE, asked, "THEIRS")
            assert moved.status == 0
            assert sorted(got.by_uid) == sorted(INSTANCES)
            for dataset in got.stored:
                check(dataset)


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_a_long_instance_and_a_command_line_show_it_too(tmp_path: Path) -> None:
    long = dcmread(BytesIO(make_instance(f"{SERIES}.9", rows=1600)))  # over 4 MiB: streamed
    deflated = dcmread(BytesIO(FILES[0]))
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    async with running(tmp_path / "data") as archive:
        assert await archive.store(long, deflated) == [0, 0]
        for uid in (f"{SERIES}.9", INSTANCES[0]):
            assert await archive.searchable(uid)
        await show(archive.catalogue, archive.stores.objects, AMENDMENTS)
        asked = identifier_of("STUDY", StudyInstanceUID=STUDY)
        contexts = [build_context(CT, one) for one in (EXPLICIT, DeflatedExplicitVRLittleEndian)]
        got = await asyncio.to_thread(get, archive, STUDY_GET, asked, contexts)
        assert got.status == 0
        sent = got.by_uid[f"{SERIES}.9"]
        assert (sent.PatientID, sent.PixelData) == ("NEW1", long.PixelData)
        check(got.by_uid[INSTANCES[0]])
        folder = tmp_path / "got"
        await asyncio.to_thread(get_study, archive.settings, STUDY, folder, as_json=True)
        files = {path.stem: dcmread(path) for path in folder.rglob("*.dcm")}
        assert files[f"{SERIES}.9"] == sent
        check(files[INSTANCES[0]])
        syntax = files[INSTANCES[0]].file_meta.TransferSyntaxUID
        assert syntax == DeflatedExplicitVRLittleEndian


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_a_merge_and_a_correction_are_seen_at_once_and_taken_back(tmp_path: Path) -> None:
    other = dcmread(BytesIO(make_instance("1.2.4.1.1.1", study="1.2.4.1", series="1.2.4.1.1")))
    other.PatientID, other.PatientName = "P2", "Roe^Richard"
    files = [dcmread(BytesIO(file)) for file in FILES]
    asked = identifier_of("STUDY", StudyInstanceUID=STUDY)
    context = build_context(CT, EXPLICIT)
    async with running(tmp_path) as archive:
        stores, tenant = archive.stores, archive.settings.tenant

        def orders() -> Orders:
            places = stores.objects, stores.catalogue, tenant
            return Orders(
                *places,
                caller=system(tenant),
                who="me",
                reason="why",
                system="HERE",
                now_us=now_us(),
            )

        async def fetched() -> Got:
            return await asyncio.to_thread(get, archive, STUDY_GET, asked, [context])

        assert await archive.store(*files, other) == [0] * 5
        for uid in (*INSTANCES, "1.2.4.1.1.1"):
            assert await archive.searchable(uid)
        stored = (await fetched()).encoded
        no_issuer = {"issuer": None, "target_issuer": None}
        merged = (await orders().merge("P1", "P2", **no_issuer)).correction
        await corrector_of(stores).apply(merged)
        elements = dict([given_element("ImageComments", "déjà vu")])
        corrected = (await orders().correct(STUDY, SERIES, COMMENTED, elements)).correction
        await corrector_of(stores).apply(corrected)
        found = await archive.matches(STUDY_FIND, "STUDY", PatientID="P2", StudyInstanceUID="")
        assert sorted(one.StudyInstanceUID for one in found) == [STUDY, "1.2.4.1"]
        assert not await archive.matches(STUDY_FIND, "STUDY", PatientID="P1")
        (row,) = await archive.matches(
            STUDY_FIND,
            "IMAGE",
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=SERIES,
            SOPInstanceUID="",
            ImageComments="déjà*",
        )
        assert row.SOPInstanceUID == COMMENTED
        for uid, dataset in (await fetched()).by_uid.items():
            assert (dataset.PatientID, dataset.PatientName) == ("P2", "Roe^Richard")
            originals = dataset.OriginalAttributesSequence
            assert originals[0].ModifyingSystem == "HERE"
            assert originals[0].ModifiedAttributesSequence[0].PatientID == "P1"
            assert len(originals) == (2 if uid == COMMENTED else 1)
            assert dataset.get("ImageComments") == ("déjà vu" if uid == COMMENTED else None)
        for one in (corrected, merged):
            undoing = corrector_of(stores)
            await undoing.undo(
                *(tenant, one.correction_id), caller=system(tenant), who="me", reason="no"
            )
        assert (await fetched()).encoded == stored
        assert len(await archive.matches(STUDY_FIND, "STUDY", PatientID="P1")) == 1

"""Instances as amendments show them: whole, by parts, measured, transcoded, and as ever without."""

import asyncio
import subprocess
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path
from struct import pack

import orjson
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from retrieve_making import TENANT, Shelved, part10, rle, shelved

from amendment_samples import amendment, name_of, show, text_of
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.dicom.dicomjson import read_elements
from pacs_cloud.dicom.element_values import text
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.errors import Corrupt, NotAcceptable
from pacs_cloud.pack.writer import checksum
from pacs_cloud.retrieve.amended_files import AmendedFiles
from pacs_cloud.retrieve.inflated import DataSets
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.metadata import length_of_headers
from pacs_cloud.retrieve.pieces import Made, Piece, Slice, stream
from pacs_cloud.security.caller import system

STUDY, SERIES = "1.2.3", "1.2.3.4"
ROWS = 300
"""So many make pixel data that is not read for its head to be amended."""
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "fragments": RLELossless,
}


def image(number: int, syntax: UID = ExplicitVRLittleEndian, rows: int = ROWS) -> bytes:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = f"{SERIES}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    dataset.PatientName, dataset.PatientID = "Müller^Jörg", "P1"
    dataset.Modality, dataset.InstanceNumber = "OT", number
    dataset.ImageComments = "Größe"
    dataset.Rows = dataset.Columns = rows
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    pixels = bytes(at * 7 % 251 for at in range(rows * rows))
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW" if syntax == ExplicitVRBigEndian else "OB"
    if syntax == RLELossless:
        dataset.PixelData = encapsulate([rle(pixels)])
        dataset["PixelData"].is_undefined_length = True
    dataset.DataSetTrailingPadding = b"tail"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return part10(dataset)


@pytest.fixture(params=[4, ROWS], ids=["small", "large"])
async def archive(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shelved]:
    files = [
        image(number, syntax, request.param) for number, syntax in enumerate(SYNTAXES.values(), 1)
    ]
    async with shelved(tmp_path, *files) as opened:
        yield opened


async def amend(shelf: Shelved, *amendments: Amendment) -> None:
    await show(shelf.catalogue, shelf.objects, amendments, STUDY, TENANT)


async def located(shelf: Shelved) -> tuple[Located, ...]:
    return await shelf.archive.instances.locate(system(TENANT), STUDY)


async def bytes_of(shelf: Shelved, *pieces: Piece) -> bytes:
    return b"".join([chunk async for chunk in stream(shelf.objects, pieces)])


async def stored_file(shelf: Shelved, one: Located) -> bytes:
    return await bytes_of(shelf, one.file())


async def test_a_file_is_the_same_however_it_is_asked_for(archive: Shelved) -> None:
    await amend(archive, amendment())
    files = archive.archive.files
    for one in await located(archive):
        stored = await stored_file(archive, one)
        before, after = dcmread(BytesIO(stored)), await bytes_of(archive, *await files.file(one))
        shown = dcmread(BytesIO(after))
        assert shown.file_meta == before.file_meta
        assert (shown.PatientName, shown.PatientID) == ("Люксембург^Роза", "NEW1")
        assert shown.SpecificCharacterSet == "ISO_IR 192"
        assert shown.ImageComments == before.ImageComments == "Größe"
        assert shown.PixelData == before.PixelData
        assert shown.DataSetTrailingPadding == b"tail"
        (original,) = shown.OriginalAttributesSequence
        was = original.ModifiedAttributesSequence[0]
        assert (was.PatientName, was.PatientID) == ("Müller^Jörg", "P1")
        assert (original.ModifyingSystem, original.SourceOfPreviousValues) == ("RIS", "WARD")
        assert await bytes_of(archive, files.file_in_turn(one)) == after
        begin = one.instance.dataset_offset
        assert await bytes_of(archive, *await files.data_set(one)) == after[begin:]
        assert bytes(await files.applied(one, memoryview(stored)[begin:])) == after[begin:]
        piece, length, crc32 = await files.measured_file(one, checksum(stored))
        assert (length, crc32) == (len(after), zlib.crc32(after))
        assert await bytes_of(archive, piece) == after


async def test_dcmtk_reads_it(
    archive: Shelved, dcmtk: Callable[[str], str], tmp_path: Path
) -> None:
    await amend(archive, amendment(), amendment(2, {"00100010": name_of("Ω^A=山田=やま")}))
    for one in await located(archive):
        path = tmp_path / "amended.dcm"
        path.write_bytes(await bytes_of(archive, *await archive.archive.files.file(one)))
        command = [dcmtk("dcmdump"), "+U8", "-E", "+P", "PatientName", "+P", "PatientID", path]
        ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        shown = ran.stdout.decode()
        # What is shown, and what was shown before each of both.
        for text_in_it in (
            "[Ω^A=山田=やま]",
            "[Люксембург^Роза]",
            "[Müller^Jörg]",
            "[NEW1]",
            "[P1]",
        ):
            assert text_in_it in shown
        assert not ran.stderr


async def test_without_amendments_everything_is_as_it_is_stored(archive: Shelved) -> None:
    files, every = archive.archive.files, await located(archive)
    tag, keys = state_tag(every), [one.shown_key for one in every]
    whole = [await stored_file(archive, one) for one in every]
    archive.objects.asked.clear()
    for one in every:
        assert await files.file(one) == (one.file(),)
        assert files.file_in_turn(one) == one.file()
        assert await files.data_set(one) == (one.data_set(),)
        assert await files.applied(one, b"any") == b"any"
        assert await files.measured_file(one, 7) == (one.file(), one.instance.length_bytes, 7)
    assert not archive.objects.asked
    await amend(archive, amendment())
    amended = await located(archive)
    assert state_tag(amended) != tag
    assert not {*keys} & {one.shown_key for one in amended}
    await amend(archive)
    undone = await located(archive)
    assert state_tag(undone) == tag
    assert [await bytes_of(archive, *await files.file(one)) for one in undone] == whole


async def test_headers_tables_and_data_sets_say_the_same(archive: Shelved) -> None:
    only = f"{SERIES}.2"
    await amend(
        archive,
        amendment(1),
        amendment(2, {"00204000": text_of("nur dies", "LT")}, sop_instance_uid=only),
    )
    every = await located(archive)
    document = [chunk async for chunk in archive.archive.metadata.array(every, "http://h")]
    headers = orjson.loads(b"".join(document))
    for one, header in zip(every, headers, strict=True):
        attributes = one.index.attributes_of(one.instance)
        assert attributes["00100010"] == header["00100010"] == name_of("Люксембург^Роза")
        comment = "nur dies" if one.instance.sop_instance_uid == only else "Größe"
        assert attributes["00204000"]["Value"] == header["00204000"]["Value"] == [comment]
        originals = 2 if one.instance.sop_instance_uid == only else 1
        assert len(header["04000561"]["Value"]) == originals
        part = b"".join([chunk async for chunk in archive.archive.metadata.array((one,), "h")])
        file = await bytes_of(archive, *await archive.archive.files.file(one))
        syntax = read_file_meta(file).transfer_syntax_uid
        if syntax == DeflatedExplicitVRLittleEndian:
            begin = one.instance.dataset_offset
            file = file[:begin] + zlib.decompress(file[begin:], -zlib.MAX_WBITS)
        read = read_elements(file[one.instance.dataset_offset :], syntax)
        read.pop("7FE00010")
        (alone,) = orjson.loads(part)
        alone.pop("7FE00010")
        assert alone == read


async def test_a_header_that_was_kept_in_memory_is_not_shown_any_more(archive: Shelved) -> None:
    async def patient_id() -> str:
        first = (await located(archive))[0]
        return text(await archive.archive.renditions.header(first), "00100020")

    assert await patient_id() == "P1"
    await amend(archive, amendment())
    assert await patient_id() == "NEW1"
    await amend(archive)
    assert await patient_id() == "P1"


@pytest.mark.parametrize("target", [EXPLICIT_LE, IMPLICIT_LE])
async def test_what_is_transcoded_is_amended_too(archive: Shelved, target: str) -> None:
    stored = {
        one.instance.sop_instance_uid: dcmread(BytesIO(await stored_file(archive, one)))
        for one in await located(archive)
    }
    await amend(archive, amendment())
    for one in await located(archive):
        transcoded = await bytes_of(archive, archive.archive.transcoder.file(one, target))
        shown = dcmread(BytesIO(transcoded))
        assert shown.file_meta.TransferSyntaxUID == target
        assert (shown.PatientName, shown.PatientID) == ("Люксембург^Роза", "NEW1")
        assert shown.ImageComments == "Größe"
        assert len(shown.OriginalAttributesSequence) == 1
        before = stored[one.instance.sop_instance_uid]
        assert (shown.pixel_array == before.pixel_array).all()


async def test_a_zip_has_what_is_shown(archive: Shelved) -> None:
    await amend(archive, amendment())
    every = await located(archive)
    for make in (archive.archive.bundles.plain, archive.archive.bundles.with_dicomdir):
        bundle = await make(every)
        whole = await bytes_of(archive, *bundle.pieces())
        assert len(whole) == bundle.length_bytes
        opened = zipfile.ZipFile(BytesIO(whole))
        assert opened.testzip() is None
        for name in opened.namelist():
            dataset = dcmread(BytesIO(opened.read(name)))
            if name == "DICOMDIR":
                patients = [
                    record
                    for record in dataset.DirectoryRecordSequence
                    if record.DirectoryRecordType == "PATIENT"
                ]
                (patient,) = patients
                assert (patient.PatientName, patient.PatientID) == ("Люксембург^Роза", "NEW1")
            else:
                assert dataset.PatientName == "Люксембург^Роза"


async def test_only_the_head_of_a_large_instance_is_read(tmp_path: Path) -> None:
    async with shelved(tmp_path, image(1)) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        pixels = one.instance.pixels
        assert pixels is not None
        shelf.objects.asked.clear()
        pieces = await shelf.archive.files.file(one)
        head = one.data_set(0, pixels.offset)
        tail = one.data_set(pixels.offset + pixels.length)
        read = [(start, end) for _, start, end in shelf.objects.asked]
        assert read == [(one.instance.offset, head.end), (tail.start, tail.end)]
        # What is at hand lies between what does not change.
        assert [type(piece) for piece in pieces] == [Slice, bytes, Slice, bytes]
        # Once more costs nothing.
        assert await shelf.archive.files.file(one) == pieces
        assert len(shelf.objects.asked) == 2
        # All of it is one read, for whoever takes it.
        shelf.objects.asked.clear()
        await bytes_of(shelf, *pieces)
        assert len(shelf.objects.asked) == 1


async def test_a_long_file_is_made_when_its_turn_comes(tmp_path: Path) -> None:
    long = image(1, rows=3000)
    async with shelved(tmp_path, long) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        piece = shelf.archive.files.file_in_turn(one)
        assert isinstance(piece, Made)
        chunks = [chunk async for chunk in stream(shelf.objects, [piece])]
        assert len(chunks) > 1
        shown = dcmread(BytesIO(b"".join(chunks)))
        assert shown.PatientID == "NEW1"
        assert shown.PixelData == dcmread(BytesIO(long)).PixelData


async def test_what_is_too_large_to_be_amended_in_memory_is_refused(tmp_path: Path) -> None:
    async with shelved(tmp_path, image(1)) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        data_sets = DataSets(shelf.objects)
        with pytest.raises(NotAcceptable):
            await AmendedFiles(shelf.objects, data_sets, max_rest_bytes=100).file(one)
        # Of many it is told before the first is sent.
        with pytest.raises(NotAcceptable):
            AmendedFiles(shelf.objects, data_sets, max_rest_bytes=100).file_in_turn(one)
        assert AmendedFiles(shelf.objects, data_sets, max_rest_bytes=2000).file_in_turn(one)
        assert await AmendedFiles(shelf.objects, data_sets, max_rest_bytes=2000).file(one)


async def test_what_inflates_to_too_much_is_not_inflated(tmp_path: Path) -> None:
    async with shelved(tmp_path, image(1, DeflatedExplicitVRLittleEndian)) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        files = AmendedFiles(shelf.objects, DataSets(shelf.objects), max_rest_bytes=ROWS * ROWS)
        shelf.objects.asked.clear()
        with pytest.raises(NotAcceptable):
            await files.file(one)
        with pytest.raises(NotAcceptable):
            await files.applied(one, b"any")
        assert not shelf.objects.asked


async def test_headers_that_have_grown_come_a_part_at_a_time(tmp_path: Path) -> None:
    async with shelved(tmp_path, *(image(number, rows=2) for number in range(1, 71))) as shelf:
        metadata, every = shelf.archive.metadata, await located(shelf)
        length_bytes = length_of_headers(every)
        assert length_bytes == sum(one.instance.header_length for one in every)
        assert len([chunk async for chunk in metadata.array(every, "http://h")]) == 3
        comment = amendment(2, {"00104000": text_of("x" * 8000, "LT")})
        await amend(shelf, amendment(), comment)
        every = await located(shelf)
        chunks = [chunk async for chunk in metadata.array(every, "http://h")]
        assert len(chunks) == 5
        assert len(orjson.loads(b"".join(chunks))) == 70
        grown_bytes = length_of_headers(every) - length_bytes
        assert 0.9 < grown_bytes / (sum(map(len, chunks)) - length_bytes) < 1.1


async def test_damage_is_told_from_what_nobody_could_read(tmp_path: Path) -> None:
    async with shelved(tmp_path, image(1, rows=4)) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        with pytest.raises(Corrupt):
            await shelf.archive.files.applied(one, b"\x08\x00\x05\x00CS\xff\xff")


async def test_what_an_amendment_does_not_change_is_as_stored(tmp_path: Path) -> None:
    files = [image(number, syntax) for number, syntax in enumerate(SYNTAXES.values(), 1)]
    async with shelved(tmp_path, *files) as shelf:
        await amend(shelf, amendment(1, {"00100020": text_of("P1")}))
        for one in await located(shelf):
            stored = await stored_file(shelf, one)
            for piece in (
                await shelf.archive.files.file(one),
                (shelf.archive.files.file_in_turn(one),),
                ((await shelf.archive.files.measured_file(one, checksum(stored)))[0],),
            ):
                assert await bytes_of(shelf, *piece) == stored
            measured = await shelf.archive.files.measured_file(one, checksum(stored))
            assert measured[1:] == (len(stored), checksum(stored))


async def test_a_document_before_the_new_values_is_measured_too(tmp_path: Path) -> None:
    # It lies between the patient's name and the Original Attributes Sequence.
    dataset = dcmread(BytesIO(image(1, rows=4)))
    dataset.EncapsulatedDocument = pack("<50000L", *range(50_000))
    async with shelved(tmp_path, part10(dataset)) as shelf:
        await amend(shelf, amendment())
        (one,) = await located(shelf)
        after = await bytes_of(shelf, *await shelf.archive.files.file(one))
        piece, length, crc32 = await shelf.archive.files.measured_file(one, 0)
        assert (length, crc32) == (len(after), zlib.crc32(after))
        assert await bytes_of(shelf, piece) == after
        assert dcmread(BytesIO(after)).EncapsulatedDocument == dataset.EncapsulatedDocument

"""C-STORE through the real server: what is stored, what is refused, and how soon it is found."""

import asyncio
import resource
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from dimse_archive import (
    CT,
    EXPLICIT,
    STUDY_GET,
    Got,
    Running,
    contexts_of,
    elements_of,
    encoded,
    get,
    identifier_of,
    instance,
    instances_of_pydicom,
    long_head,
    real_instances,
    running,
)
from pydicom import Dataset
from pynetdicom import build_context

from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dimse.command import Command
from pacs_cloud.dimse.fragments import Source
from pacs_cloud.dimse.negotiation import Proposal
from pacs_cloud.dimse.requestor import Instance, Peer, connect, store
from pacs_cloud.errors import InvalidInstance
from patience import PATIENCE_S

# pydicom warns of what is odd in the samples, which is why they are samples.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydicom"),
]


DICOMDIR = "1.2.840.10008.1.3.10"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        yield one


async def send(
    archive: Running,
    data_set: Source,
    *,
    sop_class: str = CT,
    uid: str = "1.2.3.4.1",
    syntax: str = EXPLICIT,
) -> Command:
    """Send bytes as they are, by our own requestor, and release."""
    association = await connect(
        Peer("PACS", "127.0.0.1", archive.port), "OURS", [Proposal(sop_class, (syntax,))]
    )
    answer = await store(association, Instance(sop_class, uid, syntax, data_set))
    await association.release()
    return answer


async def get_all(archive: Running, datasets: list[Dataset]) -> Got:
    """Retrieve all, once it is there."""
    for one in datasets:
        assert await archive.searchable(str(one.SOPInstanceUID))
    studies = sorted({str(one.StudyInstanceUID) for one in datasets})
    identifier = identifier_of("STUDY", StudyInstanceUID=studies)
    return await asyncio.to_thread(get, archive, STUDY_GET, identifier, contexts_of(datasets))


async def test_real_files_come_back_equal(archive: Running, real_data: Path) -> None:
    datasets = real_instances(real_data)
    assert len(datasets) > 100
    assert set(await archive.store(*datasets)) == {0}
    got = await get_all(archive, datasets)
    assert got.status == 0
    assert len(got.stored) == len(datasets)
    check_equal(datasets, got)


async def test_pydicoms_files_come_back_equal(archive: Running) -> None:
    datasets = instances_of_pydicom()
    assert len(datasets) > 50
    stored: list[Dataset] = []
    for one in datasets:
        try:
            statuses = await archive.store(one)
        except (ValueError, AttributeError):  # pynetdicom cannot encode it again
            continue
        if statuses == [0]:
            stored.append(one)
    assert len(stored) > 50
    got = await get_all(archive, stored)
    assert got.status == 0
    check_equal(stored, got)


def check_equal(datasets: list[Dataset], got: Got) -> None:
    by_uid = got.by_uid
    for one in datasets:
        other = by_uid[str(one.SOPInstanceUID)]
        assert other.file_meta.TransferSyntaxUID == one.file_meta.TransferSyntaxUID
        assert elements_of(other) == elements_of(one), one.filename
        assert other.get("PixelData") == one.get("PixelData")


async def test_data_sets_come_back_byte_for_byte(archive: Running, real_data: Path) -> None:
    sent: dict[str, bytes] = {}
    datasets = real_instances(real_data / "single")
    for one in datasets:
        content = Path(str(one.filename)).read_bytes()
        data_set = content[read_file_meta(content).dataset_offset :]
        uid, syntax = str(one.SOPInstanceUID), str(one.file_meta.TransferSyntaxUID)
        answer = await send(
            archive, data_set, sop_class=str(one.SOPClassUID), uid=uid, syntax=syntax
        )
        assert answer.status == 0
        sent[uid] = data_set
    got = await get_all(archive, datasets)
    assert got.encoded == sent


async def test_dcmtk_stores(archive: Running, real_data: Path, dcmtk: Callable[[str], str]) -> None:
    command = [dcmtk("storescu"), "-aec", "PACS", "-xv", "+sd", "127.0.0.1", str(archive.port)]
    folder = real_data / "series_CT_dcm_qa_ct"
    await asyncio.to_thread(subprocess.run, [*command, str(folder)], check=True, timeout=PATIENCE_S)
    datasets = real_instances(folder)
    assert await archive.searchable(str(datasets[-1].SOPInstanceUID))
    got = await get_all(archive, datasets)
    check_equal(datasets, got)
    assert got.status == 0


async def test_it_is_found_soon_after_the_release(archive: Running) -> None:
    assert await archive.store(instance(1)) == [0]
    assert await archive.searchable("1.2.3.4.1")


async def test_it_is_found_after_an_abort_too(archive: Running) -> None:
    def talk() -> None:
        association = archive.associate(contexts_of([instance(1)]))
        assert association.send_c_store(instance(1)).Status == 0
        association.abort()

    await asyncio.to_thread(talk)
    assert await archive.searchable("1.2.3.4.1")


async def test_an_instance_that_breaks_off_leaves_nothing(archive: Running, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(20 << 20)
        raise InvalidInstance("the sender's own disk")

    with pytest.raises(InvalidInstance):
        await send(archive, broken(), uid="1.2.3.4.9")
    assert await archive.store(instance(1)) == [0]
    assert await archive.searchable("1.2.3.4.1")
    assert not await archive.is_visible("1.2.3.4.9")
    packs = [path for path in (tmp_path / "spool").rglob("*") if path.suffix == ".zip"]
    assert sum(path.stat().st_size for path in packs) < 1 << 20


async def test_malformed_ones_are_refused_and_nothing_is_lost_beside_them(
    archive: Running, real_data: Path
) -> None:
    statuses: dict[str, int] = {}
    accepted: list[str] = []
    for number, path in enumerate(sorted((real_data / "malformed").iterdir())):
        content = path.read_bytes()
        try:
            meta = read_file_meta(content)
        except InvalidInstance:
            # Sent as a confused device would: the file itself in the place of a data set.
            answer = await send(archive, content, uid=f"1.2.9.{number}")
        else:
            if meta.sop_class_uid == DICOMDIR:
                continue  # it is no instance, and no context is accepted for it
            answer = await send(
                archive,
                content[meta.dataset_offset :],
                sop_class=meta.sop_class_uid or CT,
                uid=meta.sop_instance_uid or f"1.2.9.{number}",
                syntax=meta.transfer_syntax_uid,
            )
            if answer.status == 0:
                accepted.append(meta.sop_instance_uid)
        statuses[path.name] = answer.status
    assert statuses["MR_truncated.dcm"] == 0xC000
    assert statuses["rtplan_truncated.dcm"] == 0xC000
    assert set(statuses.values()) <= {0, 0xA900, 0xC000, 0xC001}
    assert await archive.store(instance(1)) == [0]
    assert await archive.searchable("1.2.3.4.1")
    for uid in accepted:
        assert await archive.searchable(uid)


@pytest.mark.parametrize(
    ("change", "named", "status"),
    [
        ({"SOPInstanceUID": "1.2.3.4.2"}, "1.2.3.4.1", 0xA900),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "1.2.3.4.1", 0xA900),
        ({"StudyInstanceUID": None}, "1.2.3.4.1", 0xC001),
        ({"SeriesInstanceUID": "not.a.uid"}, "1.2.3.4.1", 0xC001),
        ({}, "1.2/../3", 0x0117),
    ],
)
async def test_each_fault_has_its_status(
    archive: Running, change: dict[str, str | None], named: str, status: int
) -> None:
    data_set = encoded(instance(1))
    faulty = instance(1)
    for keyword, value in change.items():
        if value is None:
            delattr(faulty, keyword)
        else:
            setattr(faulty, keyword, value)
    association = await connect(
        Peer("PACS", "127.0.0.1", archive.port), "OURS", [Proposal(CT, (EXPLICIT,))]
    )
    answer = await store(association, Instance(CT, named, EXPLICIT, encoded(faulty)))
    assert answer.status == status
    assert 0 < len(str(answer.elements[0x0902])) <= 64
    # The association goes on, and so does the next instance.
    answer = await store(association, Instance(CT, "1.2.3.4.1", EXPLICIT, data_set))
    assert answer.status == 0
    await association.release()


async def test_a_full_disk_answers_out_of_resources(tmp_path: Path) -> None:
    async with running(tmp_path, spool_high_water=1e-9) as archive:
        assert await archive.store(instance(1)) == [0xA700]
        assert await archive.store(instance(2)) == [0xA700]
        assert not await archive.is_visible("1.2.3.4.1")


async def test_the_same_instance_twice_is_stored_once(archive: Running) -> None:
    assert await archive.store(instance(1), instance(1)) == [0, 0]
    assert await archive.store(instance(1)) == [0]
    assert await archive.searchable("1.2.3.4.1")
    await asyncio.sleep(0.5)
    (row,) = await archive.matches(
        "1.2.840.10008.5.1.4.1.2.2.1",
        "STUDY",
        StudyInstanceUID="1.2.3",
        NumberOfStudyRelatedInstances="",
    )
    assert row.NumberOfStudyRelatedInstances == 1


async def test_private_classes_are_a_setting(archive: Running, tmp_path: Path) -> None:
    private = instance(1, SOPClassUID="1.3.12.2.1107.5.9.1")
    context = build_context("1.3.12.2.1107.5.9.1", EXPLICIT)

    def accepted(one: Running) -> bool:
        association = one.associate([context, build_context("1.2.840.10008.1.1")])
        names = [str(other.abstract_syntax) for other in association.accepted_contexts]
        association.release()
        return "1.3.12.2.1107.5.9.1" in names

    assert not await asyncio.to_thread(accepted, archive)
    async with running(tmp_path / "other", private_sop_classes=True) as other:
        assert await other.store(private) == [0]
        assert await other.searchable("1.2.3.4.1")


async def test_a_long_instance_streams_at_bounded_memory(archive: Running) -> None:
    pixels = 300 << 20
    head = long_head(pixels)

    async def data_set() -> AsyncIterator[bytes]:
        yield head
        for _ in range(pixels >> 20):
            yield bytes(1 << 20)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (await send(archive, data_set())).status == 0
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 << 10
    assert await archive.searchable("1.2.3.4.1")

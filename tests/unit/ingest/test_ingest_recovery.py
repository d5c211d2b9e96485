"""What a crash leaves in the spool comes back."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ingest_instances import SCANNER, SERIES, STUDY, ct_dataset, ct_file, scanner, store

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.ingest.directory import abandoned_directories, take_spool_directory
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.provenance import Provenance
from pacs_cloud.pack.writer import PackWriter
from patience import PATIENCE_S

NEVER = IntakeOptions(linger_s=3600, linger_limit_s=3600, age_s=3600, age_limit_s=3600)
PACK_ID = "01900000-0000-7000-8000-000000000000"


def torn_pack(folder: Path, numbers: range, name: str = PACK_ID, **names) -> Path:
    """Write what a crash leaves of an open pack."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.zip"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    writer = PackWriter(fd)
    for number in numbers:
        provenance = Provenance("default", SCANNER, 1_700_000_000_000_000 + number)
        data = ct_file(number, **names)
        writer.append(names.get("sop") or f"{SERIES}.{number}", [data], provenance)
    os.close(fd)
    return path


async def recovered(archive) -> dict[str, bytes]:
    async with archive.intake() as intake:
        await intake.drained()
    return await archive.instances(STUDY)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_long_recovery_keeps_no_sender_waiting(archive) -> None:
    """After an outage a spool may hold more than is read in the time a start may take."""
    torn_pack(archive.spool / "0", range(3))
    begun, going_on = threading.Event(), threading.Event()

    def sync(fd: int) -> None:
        if threading.current_thread().name.startswith("asyncio"):  # where recovery runs
            begun.set()
            going_on.wait(PATIENCE_S)
        os.fdatasync(fd)

    intake = archive.intake(sync_file=sync)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await intake.__aenter__()
        await until(begun.is_set)
        await store(scanner(intake), 7)
    finally:
        going_on.set()
    await intake.drained()
    await intake.__aexit__()
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.{n}" for n in (0, 1, 2, 7)}


async def test_a_stop_ends_recovery_behind_the_file_it_is_at(archive) -> None:
    for number in range(3):
        torn_pack(archive.spool / "0", range(number, number + 1), f"{PACK_ID[:-1]}{number}")
    begun, going_on = threading.Event(), threading.Event()

    def sync(fd: int) -> None:
        begun.set()
        going_on.wait(PATIENCE_S)
        os.fdatasync(fd)

    options = IntakeOptions(commits=0)
    async with archive.intake(options, sync_file=sync, grace_s=0.01) as intake:
        await until(begun.is_set)
        asyncio.get_running_loop().call_later(0.05, going_on.set)
    assert intake.counters.packs_recovered == 1
    assert len(archive.spool_files()) == 3
    assert len(await recovered(archive)) == 3


async def test_a_file_nobody_has_planned_for_stops_no_other(archive, caplog) -> None:
    for number in range(2):
        torn_pack(archive.spool / "0", range(number, number + 1), f"{PACK_ID[:-1]}{number}")
    surprises = [ValueError("a bug")]

    def sync(fd: int) -> None:
        if surprises:
            raise surprises.pop()
        os.fdatasync(fd)

    async with archive.intake(sync_file=sync) as intake:
        await intake.drained()
    assert "recovery_surprise" in caplog.text
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}
    assert len(await recovered(archive)) == 2


async def test_a_torn_pack_is_closed_in_place(archive) -> None:
    path = torn_pack(archive.spool / "0", range(5))
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 3)
    assert await recovered(archive) == {f"{SERIES}.{n}": ct_file(n) for n in range(4)}
    (pack,) = await archive.packs(STUDY)
    assert pack.pack_id == PACK_ID
    index = await archive.index(pack)
    assert index.sources == (SCANNER,)
    assert [one.received_us for one in index.instances] == [
        1_700_000_000_000_000 + n for n in range(4)
    ]
    assert archive.spool_files() == []


async def test_recovery_makes_the_index_that_a_seal_makes(archive, open_archive) -> None:
    async with archive.intake(NEVER, now_us=lambda: 1_700_000_000_000_000) as intake:
        for number in range(3):
            await store(scanner(intake), number, pixels=b"\1\2" * 500)
        (path,) = archive.spool_files()
        torn = archive.spool / "1" / f"{PACK_ID}.zip"
        torn.parent.mkdir()
        shutil.copy(path, torn)
    (sealed,) = await archive.packs(STUDY)
    expected = await archive.index(sealed)
    (archive.root / "catalogue.sqlite").unlink()
    again = open_archive()
    async with again.objects, again.catalogue:
        assert len(await recovered(again)) == 3
        (pack,) = await again.packs(STUDY)
        found = await again.index(pack)
    assert pack.pack_id == PACK_ID
    assert found.instances == expected.instances
    assert (found.common, found.sources) == (expected.common, expected.sources)


async def test_a_finished_pack_is_committed_as_it_is(archive) -> None:
    options = IntakeOptions(commits=0)
    async with archive.intake(options, grace_s=0.01) as intake:
        await store(scanner(intake), 1)
    (path,) = archive.spool_files()
    data = path.read_bytes()
    assert len(await recovered(archive)) == 1
    (placed,) = (archive.root / "objects").rglob("*.zip")
    assert placed.read_bytes() == data


async def test_a_crash_between_commit_and_removal_does_no_harm(archive) -> None:
    options = IntakeOptions(commits=0)
    async with archive.intake(options, grace_s=0.01) as intake:
        await store(scanner(intake), 1)
    (path,) = archive.spool_files()
    copy = path.with_suffix(".copy")
    os.link(path, copy)
    for _ in range(2):
        assert len(await recovered(archive)) == 1
        assert not path.exists()
        os.link(copy, path)
    assert len(await recovered(archive)) == 1
    assert len(await archive.packs(STUDY)) == 1


async def test_a_damaged_instance_costs_only_itself(archive) -> None:
    path = torn_pack(archive.spool / "0", range(3))
    data = bytearray(path.read_bytes())
    at = data.index(ct_dataset(1)) + 20
    data[at] ^= 1
    path.write_bytes(data)
    assert await recovered(archive) == {f"{SERIES}.{n}": ct_file(n) for n in (0, 2)}


async def test_an_unfinished_long_instance_is_removed(archive) -> None:
    folder = archive.spool / "0"
    folder.mkdir(parents=True)
    with (folder / f"{PACK_ID}.zip").open("wb") as file:
        PackWriter(file.fileno()).stream().write(ct_file(1))
    (folder / "01900000-0000-7000-8000-000000000001.zip").write_bytes(b"")
    assert await recovered(archive) == {}
    assert archive.spool_files() == []
    assert archive.quarantined() == []


@pytest.mark.parametrize("kept", [1, 3, 20, 100, 500])
async def test_a_first_append_that_was_cut_is_removed(archive, kept) -> None:
    path = torn_pack(archive.spool / "0", range(1))
    path.write_bytes(path.read_bytes()[:kept])
    assert await recovered(archive) == {}
    assert archive.spool_files() == []
    assert archive.quarantined() == []


async def test_what_a_recovery_left_out_stays_out(archive) -> None:
    """The sealed file holds a damaged instance, which its directory does not list."""
    path = torn_pack(archive.spool / "0", range(3))
    data = bytearray(path.read_bytes())
    data[data.index(ct_dataset(1)) + 20] ^= 1
    path.write_bytes(data)
    async with archive.intake(IntakeOptions(commits=0), grace_s=0.01) as intake:
        await until(lambda: intake.counters.packs_recovered)
    sealed = path.read_bytes()
    os.link(path, archive.root / "linked")
    assert set(await recovered(archive)) == {f"{SERIES}.{n}" for n in (0, 2)}
    assert (archive.root / "linked").read_bytes() == sealed
    assert archive.quarantined() == []


async def test_garbage_is_put_aside(archive, caplog) -> None:
    folder = archive.spool / "0"
    folder.mkdir(parents=True)
    (folder / f"{PACK_ID}.zip").write_bytes(b"garbage" * 100)
    assert await recovered(archive) == {}
    assert archive.quarantined() == [f"{PACK_ID}.zip"]
    assert "spool_file_quarantined" in caplog.text


async def test_an_instance_that_cannot_be_read_is_put_aside(archive) -> None:
    path = torn_pack(archive.spool / "0", range(2))
    fd = os.open(path, os.O_RDWR)
    from pacs_cloud.pack.recover import recover

    found = recover(lambda at, length: os.pread(fd, length, at), path.stat().st_size)
    writer = PackWriter(
        fd, members=[m.member for m in found.members], length_bytes=found.good_bytes
    )
    origin = found.members[0].provenance
    writer.append("1.2.3", [b"not DICOM at all"], origin)
    writer.append(f"{SERIES}.7", [ct_file(7)], origin)
    os.close(fd)
    assert set(await recovered(archive)) == {f"{SERIES}.{n}" for n in (0, 1, 7)}
    assert archive.quarantined() == [f"{PACK_ID}-1.2.3.dcm"]
    quarantined = archive.spool / "quarantine" / f"{PACK_ID}-1.2.3.dcm"
    assert quarantined.read_bytes() == b"not DICOM at all"


async def test_instances_of_two_series_are_no_pack(archive) -> None:
    torn_pack(archive.spool / "0", range(1))
    other = torn_pack(archive.spool / "1", range(1, 2), "x", series=f"{STUDY}.9", sop="1.2.9")
    path = archive.spool / "0" / f"{PACK_ID}.zip"
    path.write_bytes(path.read_bytes() + other.read_bytes())
    other.unlink()
    assert await recovered(archive) == {}
    assert archive.quarantined() == [f"{PACK_ID}.zip"]


async def test_a_file_that_a_store_has_linked_is_never_written(archive) -> None:
    path = torn_pack(archive.spool / "0", range(2))
    os.link(path, archive.root / "elsewhere")
    before = path.read_bytes()
    assert await recovered(archive) == {}
    assert archive.quarantined() == [f"{PACK_ID}.zip"]
    assert (archive.root / "elsewhere").read_bytes() == before


async def test_every_process_has_a_directory_of_its_own(archive) -> None:
    async with archive.intake(NEVER) as one:
        await store(scanner(one), 1)
        async with archive.intake(NEVER) as other:
            await store(scanner(other), 2)
            assert sorted(path.parent.name for path in archive.spool_files()) == ["0", "1"]
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1", f"{SERIES}.2"}


async def test_a_dead_process_is_adopted_by_a_living_one(archive) -> None:
    async with archive.intake(IntakeOptions(adopt_s=0.02)) as intake:
        dead = take_spool_directory(archive.spool)
        torn_pack(dead.path, range(2))
        assert list(abandoned_directories(archive.spool)) == []
        dead.release()
        await until(lambda: intake.counters.packs_committed)
    assert len(await archive.instances(STUDY)) == 2
    assert archive.spool_files() == []


CHILD = Path(__file__).with_name("ingest_crash_child.py")


@pytest.mark.parametrize("acknowledged", [1, 40, 400])
async def test_kill_9_loses_nothing_acknowledged(archive, acknowledged) -> None:
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(archive.root)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    promised = [child.stdout.readline() for _ in range(acknowledged)]
    child.send_signal(signal.SIGKILL)
    promised += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    found = await recovered(archive)
    assert len(promised) >= acknowledged
    for line in promised:
        if not line.endswith("\n"):
            continue
        series, number, size = line.split()
        sop = f"{series}.{number}"
        expected = ct_dataset(
            int(number), series=series, pixels=bytes([int(number) % 251]) * int(size)
        )
        assert found[sop].endswith(expected)
    assert archive.quarantined() == []
    assert archive.spool_files() == []
    packs = await archive.packs(STUDY)
    store = LocalObjectStore(archive.root / "objects")
    listed = [info.key async for info in store.list("packs/")]
    await store.aclose()
    # An object may be without a commit only where the commit had no time; then it was repeated.
    assert len(listed) == len(packs)
    assert time.time_ns() // 1000 > max(pack.committed_us for pack in packs)


async def test_objects_of_a_commit_that_died_do_not_stay_behind_as_orphans(
    archive, open_archive, tmp_path: Path
) -> None:
    # The try that died: its objects are stored, no catalogue knows them, its file waits.
    torn_pack(archive.spool / "0", range(1))
    shutil.copy(archive.spool_files()[0], tmp_path / "waits.zip")
    async with (
        SqliteCatalogue(tmp_path / "lost.sqlite") as lost,
        Intake(archive.spool, archive.objects, lost) as intake,
    ):
        await intake.drained()
    # The sender had no answer, sent again, and that was committed first.
    async with archive.intake() as intake:
        await store(scanner(intake), 0)
    shutil.move(tmp_path / "waits.zip", archive.spool / "0" / f"{PACK_ID}.zip")
    async with archive.intake() as intake:
        await intake.drained()
    stored = {info.key.rpartition("/")[2] async for info in archive.objects.list("packs/")}
    assert {f"{pack.pack_id}.zip" for pack in await archive.packs(STUDY)} == stored
    assert f"{PACK_ID}.zip" in stored
    assert await archive.instances(STUDY) == {f"{SERIES}.0": ct_file(0)}

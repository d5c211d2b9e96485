"""From received bytes to a visible instance, on a real disk."""

import asyncio
import os
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from ingest_instances import (
    CT,
    SCANNER,
    SERIES,
    STUDY,
    UPLOAD,
    ct_dataset,
    ct_file,
    receive,
    scanner,
    store,
    upload,
)

from pacs_cloud.dicom.part10 import encode_file_meta
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Refusal, StorageFull, Unavailable
from pacs_cloud.ingest.admission import FILE_META_DIFFERS, UID_NOT_CONFORMING
from pacs_cloud.ingest.options import Acknowledge, IntakeOptions
from pacs_cloud.ingest.pacing import Pacing
from pacs_cloud.ingest.sealing import SeriesKey
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.caller import system
from patience import PATIENCE_S

NEVER = IntakeOptions(linger_s=3600, linger_limit_s=3600, age_s=3600, age_limit_s=3600)


def part10(number: int, **names) -> bytes:
    """Return what a C-STORE of a slice leaves in the archive."""
    series = names.get("series", SERIES)
    meta = encode_file_meta(
        sop_class_uid=CT,
        sop_instance_uid=names.get("sop") or f"{series}.{number}",
        transfer_syntax_uid=EXPLICIT_LE,
    )
    return meta + ct_dataset(number, **names)


async def test_an_association_becomes_one_pack_per_series(archive) -> None:
    async with archive.intake() as intake:
        session = scanner(intake)
        for number in range(5):
            receipt = await store(session, number)
            assert receipt.sop_instance_uid == f"{SERIES}.{number}"
            assert receipt.length_bytes == len(part10(number))
            assert receipt.digest == blake3(ct_dataset(number)).hexdigest()
        await store(session, 1, series=f"{STUDY}.2")
        await session.flush()
        await intake.drained()
        assert intake.counters.packs_committed == 2
        assert archive.spool_files() == []
        packs = await archive.packs(STUDY)
        assert [pack.instance_count for pack in packs] == [5, 1]
        expected = {f"{SERIES}.{n}": part10(n) for n in range(5)}
        expected[f"{STUDY}.2.1"] = part10(1, series=f"{STUDY}.2")
        assert await archive.instances(STUDY) == expected
        index = await archive.index(packs[0])
        assert index.sources == (SCANNER,)
        assert intake.counters.instances_stored == 6
        assert (intake.counters.backlog_packs, intake.counters.backlog_bytes) == (0, 0)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_acknowledged_instance_is_in_the_spool(archive) -> None:
    async with archive.intake(NEVER) as intake:
        await store(scanner(intake), 1)
        (path,) = archive.spool_files()
        assert part10(1) in path.read_bytes()
        assert await archive.packs(STUDY) == []
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}


async def test_success_waits_for_the_sync(archive) -> None:
    synced: list[int] = []

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        os.fdatasync(fd)

    async with archive.intake(NEVER, sync_file=sync) as intake:
        session = scanner(intake)
        for number in range(3):
            await store(session, number)
            (path,) = archive.spool_files()
            assert synced[-1] == path.stat().st_size
            assert len(synced) == number + 1


async def test_appends_during_a_sync_share_the_next(archive) -> None:
    loop = asyncio.get_running_loop()
    started, go = asyncio.Event(), asyncio.Event()
    syncs = 0

    def sync(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 1:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        os.fdatasync(fd)

    async with archive.intake(NEVER, sync_file=sync) as intake:
        first = asyncio.create_task(store(scanner(intake), 0))
        await started.wait()
        others = [asyncio.create_task(store(scanner(intake), n)) for n in range(1, 9)]
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in (first, *others))
        others.pop().cancel()  # a sender that went away takes nobody with it
        go.set()
        await asyncio.gather(first, *others)
        assert syncs == 2


async def test_an_idle_series_is_committed_by_itself(archive) -> None:
    async with archive.intake() as intake:
        await store(scanner(intake), 1)
        await until(lambda: intake.counters.packs_committed)
        assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}


async def test_an_old_pack_is_closed_though_busy(archive) -> None:
    options = IntakeOptions(linger_s=3600, linger_limit_s=3600, age_s=0.05, age_limit_s=0.05)
    async with archive.intake(options) as intake:
        await store(scanner(intake), 1)
        await until(lambda: intake.counters.packs_committed)


@pytest.mark.parametrize(
    ("options", "packs"),
    [
        ({"pack_instances": 2}, [2, 2, 1]),
        ({"pack_bytes": 4500}, [2, 2, 1]),
    ],
)
async def test_a_full_pack_is_closed(archive, options, packs) -> None:
    limits = IntakeOptions(linger_s=3600, linger_limit_s=3600, **options)
    async with archive.intake(limits) as intake:
        session = scanner(intake)
        for number in range(5):
            await store(session, number, pixels=b"\1" * 800)
        await session.flush()
        await until(lambda: intake.counters.packs_committed == 3)
        counts = [pack.instance_count for pack in await archive.packs(STUDY)]
        assert sorted(counts) == sorted(packs)


def spool_descriptors(archive) -> int:
    held = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            held += link.readlink().match(f"{archive.spool}/*/*.zip")
    return held


async def test_many_series_keep_few_files_open(archive) -> None:
    """Single images, each a series: one import of them took all of a process's descriptors."""
    sealing = threading.Event()

    def sync(fd: int) -> None:
        sealing.wait(PATIENCE_S)
        os.fdatasync(fd)

    series = [f"{STUDY}.9.{number}" for number in range(6)]
    options = replace(NEVER, open_packs=2, commits=0)
    async with archive.intake(options, sync_file=sync, grace_s=0.01) as intake:
        session = intake.session(system("default"), UPLOAD)
        uploads = [asyncio.create_task(upload(session, ct_file(1, series=one))) for one in series]
        await asyncio.wait(uploads[:4])
        await asyncio.sleep(0.02)
        assert [task.done() for task in uploads] == [True] * 4 + [False] * 2
        assert spool_descriptors(archive) == 4
        sealing.set()
        await asyncio.gather(*uploads)
        await until(lambda: intake.counters.packs_closed == 4)
        assert spool_descriptors(archive) == 2
    async with archive.intake() as intake:
        await intake.drained()
    assert set(await archive.instances(STUDY)) == {f"{one}.1" for one in series}


async def test_a_repeated_instance_is_not_appended(archive) -> None:
    async with archive.intake(NEVER) as intake:
        session = scanner(intake)
        assert not (await store(session, 1)).repeated
        (path,) = archive.spool_files()
        before = path.stat().st_size
        assert (await store(scanner(intake), 1)).repeated
        assert path.stat().st_size == before


async def test_other_content_goes_into_a_next_pack(archive) -> None:
    async with archive.intake(NEVER) as intake:
        session = scanner(intake)
        await store(session, 1)
        assert not (await store(session, 1, name="ROE^JOHN")).repeated
        await session.flush()
        await until(
            lambda: intake.counters.backlog_packs == 0 and intake.counters.packs_closed == 2
        )
        packs = await archive.packs(STUDY)
        assert [pack.instance_count for pack in packs] == [1, 1]
        shown = await archive.instances(STUDY)
        assert len(shown) == 1
        assert intake.counters.conflicts == 1


async def test_a_pack_of_known_instances_is_dropped(archive) -> None:
    async with archive.intake() as intake:
        for _ in range(2):
            session = scanner(intake)
            await store(session, 1)
            await session.flush()
            await intake.drained()
            assert archive.spool_files() == []
        assert intake.counters.packs_dropped == 1
        assert len(await archive.packs(STUDY)) == 1


async def test_stow_answers_after_the_commit(archive) -> None:
    async with archive.intake(NEVER) as intake:
        session = intake.session(system("default"), UPLOAD)
        files = {f"{SERIES}.{n}": ct_file(n) for n in range(3)}
        for data in files.values():
            await upload(session, data)
        outcomes = await session.commit()
        assert {uid: one.status for uid, one in outcomes.items()} == dict.fromkeys(files, "stored")
        assert await archive.instances(STUDY) == files
        again = intake.session(system("default"), UPLOAD)
        for data in files.values():
            await upload(again, data)
        assert {one.status for one in (await again.commit()).values()} == {"duplicate"}
        other = intake.session(system("default"), UPLOAD)
        await upload(other, ct_file(1, name="ROE^JOHN"))
        await upload(other, ct_file(9))
        outcomes = await other.commit()
        assert outcomes[f"{SERIES}.1"].status == "kept-first"
        assert outcomes[f"{SERIES}.9"].status == "stored"
        assert await other.commit() == {}


async def test_the_graver_outcome_of_one_uid_is_told(archive) -> None:
    async with archive.intake(NEVER) as intake:
        session = intake.session(system("default"), UPLOAD)
        await upload(session, ct_file(1))
        await upload(session, ct_file(1, name="ROE^JOHN"))
        outcomes = await session.commit()
        assert [one.status for one in outcomes.values()] == ["kept-first"]


async def test_ack_commit_answers_after_the_commit(archive) -> None:
    options = IntakeOptions(acknowledge=Acknowledge.COMMIT, linger_s=3600, linger_limit_s=3600)
    async with archive.intake(options) as intake:
        await store(scanner(intake), 1)
        assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}
        await asyncio.gather(*(store(scanner(intake), n) for n in range(2, 6)))
        assert len(await archive.instances(STUDY)) == 5


async def test_a_long_instance_has_a_pack_of_its_own(archive) -> None:
    options = IntakeOptions(
        linger_s=3600, linger_limit_s=3600, buffer_bytes=64 << 10, pack_bytes=1 << 20
    )
    pixels = os.urandom(3 << 20)
    async with archive.intake(options) as intake:
        session = scanner(intake)
        await store(session, 1)
        receipt = await store(session, 2, pixels=pixels, piece_bytes=16_000)
        data = part10(2, pixels=pixels)
        assert receipt.length_bytes == len(data)
        assert receipt.digest == blake3(ct_dataset(2, pixels=pixels)).hexdigest()
        await until(lambda: intake.counters.packs_committed == 1)
        assert await archive.instances(STUDY) == {f"{SERIES}.2": data}
        (pack,) = await archive.packs(STUDY)
        index = await archive.index(pack)
        assert index.instances[0].pixels.length == len(pixels)
        await store(session, 3, pixels=pixels[:40_000], piece_bytes=100_000)
    assert len(await archive.instances(STUDY)) == 3


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537])
async def test_around_the_buffers_end(archive, size) -> None:
    options = IntakeOptions(buffer_bytes=65_536)
    bare = len(ct_file(1, pixels=b"xx"))
    data = ct_file(1, pixels=bytes(size + 1 - bare))
    async with archive.intake(options) as intake:
        for piece_bytes in (999, 1 << 20):
            session = intake.session(system("default"), UPLOAD)
            await receive(session.begin_file(), data, piece_bytes).finish()
            await session.commit()
    assert list((await archive.instances(STUDY)).values()) == [data]


async def test_a_long_file_is_kept_byte_for_byte(archive) -> None:
    async with archive.intake(IntakeOptions(buffer_bytes=4096)) as intake:
        session = intake.session(system("default"), UPLOAD)
        data = ct_file(1, pixels=os.urandom(100_000), meta_sop="1.2.3")
        reception = session.begin_file()
        for start in range(0, len(data), 7000):
            reception.write(data[start : start + 7000])
            await reception.drain()
        receipt = await reception.finish()
        assert receipt.flags == (FILE_META_DIFFERS,)
        assert [one.status for one in (await session.commit()).values()] == ["stored"]
        assert await archive.instances(STUDY) == {f"{SERIES}.1": data}


REFUSED = {
    "of another instance": (ct_dataset(1, sop="1.2.3"), Refusal.MISMATCH),
    "of another class": (ct_dataset(1, sop_class="1.2.3"), Refusal.MISMATCH),
    "without a study": (ct_dataset(1).replace(b"\x20\x00\x0d\x00", b"\x20\x00\x0f\x00"), None),
    "of an odd study": (ct_dataset(1, study="1..2"), Refusal.BAD_UID),
    "cut short": (ct_dataset(1)[:-3], Refusal.UNREADABLE),
    "empty": (b"", None),
    "noise": (os.urandom(5000), None),
}


@pytest.mark.parametrize("buffer_bytes", [64, 8 << 20])
@pytest.mark.parametrize("name", REFUSED)
async def test_nothing_is_left_of_a_refused_data_set(archive, name, buffer_bytes) -> None:
    data, refusal = REFUSED[name]
    async with archive.intake(IntakeOptions(buffer_bytes=buffer_bytes)) as intake:
        reception = scanner(intake).begin_dataset(
            sop_class_uid=CT, sop_instance_uid=f"{SERIES}.1", transfer_syntax_uid=EXPLICIT_LE
        )
        with pytest.raises(InvalidInstance) as caught:
            await receive(reception, data).finish()
        assert refusal is None or caught.value.refusal is refusal
        assert archive.spool_files() == []
        assert intake.counters.refused == 1
        await store(scanner(intake), 2)  # nothing is lost beside it
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.2"}


@pytest.mark.parametrize("buffer_bytes", [600, 8 << 20])
async def test_what_stow_refuses(archive, buffer_bytes) -> None:
    options = IntakeOptions(buffer_bytes=buffer_bytes)
    async with archive.intake(options, accepts_class=lambda uid: uid == CT) as intake:
        session = intake.session(system("default"), UPLOAD)
        for data, study, refusal in (
            (ct_file(1), "1.2.3", Refusal.WRONG_STUDY),
            (ct_file(1, sop_class="1.2.3"), None, Refusal.UNSUPPORTED_CLASS),
            (b"PK" * 1000, None, Refusal.UNREADABLE),
        ):
            with pytest.raises(InvalidInstance) as caught:
                await upload(session, data, study)
            assert caught.value.refusal is refusal
        assert archive.spool_files() == []
        await upload(session, ct_file(1), STUDY)
        assert len(await session.commit()) == 1


async def test_odd_uids_are_flagged(archive) -> None:
    async with archive.intake() as intake:
        session = scanner(intake)
        receipt = await store(session, 1, sop="1.02.3")
        assert receipt.flags == (UID_NOT_CONFORMING,)
        await session.flush()
    (pack,) = await archive.packs(STUDY)
    assert (await archive.index(pack)).instances[0].flags == (UID_NOT_CONFORMING,)


@pytest.mark.parametrize("buffer_bytes", [64, 8 << 20])
async def test_nothing_is_left_of_an_aborted_instance(archive, buffer_bytes) -> None:
    async with archive.intake(IntakeOptions(buffer_bytes=buffer_bytes)) as intake:
        reception = receive(scanner(intake).begin_file(), ct_file(1)[:-9])
        reception.abort()
        reception.abort()
        assert archive.spool_files() == []
        with pytest.raises(InvalidRequest):
            await reception.finish()


async def test_a_full_disk_refuses(archive) -> None:
    async with archive.intake(IntakeOptions(high_water=0.0)) as intake:
        with pytest.raises(StorageFull):
            await store(scanner(intake), 1)
        with pytest.raises(StorageFull):
            await upload(
                intake.session(system("default"), UPLOAD), ct_file(1, pixels=bytes(9 << 20))
            )
        assert archive.spool_files() == []
        assert intake.counters.unavailable == 2


async def test_tenants_do_not_share_packs(archive) -> None:
    async with archive.intake() as intake:
        for tenant in ("north", "south"):
            session = intake.session(system(tenant), SCANNER)
            await store(session, 1)
            await session.flush()
    for tenant in ("north", "south"):
        assert len(await archive.packs(STUDY, tenant)) == 1


async def test_packs_are_zip_files(archive) -> None:
    async with archive.intake() as intake:
        session = scanner(intake)
        for number in range(3):
            await store(session, number)
        await session.flush()
    (path,) = (archive.root / "objects").rglob("*.zip")
    with zipfile.ZipFile(path) as pack:
        assert pack.testzip() is None
        assert pack.read(f"{SERIES}.2.dcm") == part10(2)


async def test_long_names_are_shortened(archive) -> None:
    async with archive.intake() as intake:
        session = intake.session(system("default"), Source(Door.STOW, "", "x" * 500, ""))
        await upload(session, ct_file(1))
        await session.commit()
    (pack,) = await archive.packs(STUDY)
    assert (await archive.index(pack)).sources[0].calling == "x" * 64


async def test_a_long_backlog_makes_senders_wait(archive) -> None:
    options = IntakeOptions(
        backlog_bytes=0, backlog_wait_s=0.05, backlog_limit_bytes=1 << 30, commits=0
    )
    async with archive.intake(options, grace_s=0.01) as intake:
        session = scanner(intake)
        await store(session, 1)
        await session.flush()
        await until(lambda: intake.counters.backlog_packs == 1)
        await store(session, 2)  # after a while it is taken all the same
    assert len(archive.spool_files()) == 2
    limit = IntakeOptions(backlog_bytes=0, backlog_limit_bytes=1, commits=0)
    async with archive.intake(limit, grace_s=0.01) as intake:
        await until(lambda: intake.counters.backlog_packs == 2)  # recovered, nobody commits
        with pytest.raises(Unavailable):
            await store(scanner(intake), 3)


@pytest.mark.parametrize(("flush_on_release", "closed"), [(True, 1), (False, 0)])
async def test_a_release_flushes_where_it_should(archive, flush_on_release, closed) -> None:
    async with archive.intake(replace(NEVER, flush_on_release=flush_on_release)) as intake:
        session = scanner(intake)
        await store(session, 1)
        await session.release()
        await intake.drained()
        assert intake.counters.packs_committed == closed


def test_a_slow_series_packs_stay_open_ever_longer() -> None:
    options = IntakeOptions(linger_s=1, linger_limit_s=60, age_s=10, age_limit_s=60)
    pacing = Pacing(options)
    one, other = SeriesKey("t", STUDY, "1"), SeriesKey("t", STUDY, "2")
    assert [pacing.opened(one, 10.0 * n)[0] for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pacing.opened(one, 100)[1] == 60
    assert pacing.opened(other, 100) == (1, 10)
    assert pacing.opened(one, 5000) == (1, 10), "a series is forgotten after a while"
    embedded = Pacing(IntakeOptions())
    assert {embedded.opened(one, n) for n in range(5)} == {(0.25, 10)}


def test_a_4_gib_instance_would_not_be_in_memory(tmp_path) -> None:
    """A process that stores 400 MiB in one piece stays small."""
    child = Path(__file__).with_name("ingest_long_child.py")
    done = subprocess.run(
        [sys.executable, str(child), str(tmp_path), "400"],
        capture_output=True,
        text=True,
        check=True,
    )
    before_mib, after_mib, committed = map(int, done.stdout.split())
    assert committed == 2
    assert after_mib - before_mib < 60


async def test_of_two_contents_of_one_uid_the_first_to_come_is_kept(archive) -> None:
    """Their packs would otherwise be committed side by side, in any order."""
    async with archive.intake() as intake:
        for number in range(8):
            session = intake.session(system("default"), UPLOAD)
            first = ct_file(number, name="FIRST^COME")
            # A longer pack takes longer to be stored than the one behind it.
            await upload(session, first)
            for other in range(40):
                await upload(session, ct_file(1000 * (number + 1) + other))
            await upload(session, ct_file(number, name="SECOND^COME"))
            outcomes = await session.commit_each()
            assert (outcomes[0].status, outcomes[-1].status) == ("stored", "kept-first")
            assert (await archive.instances(STUDY))[f"{SERIES}.{number}"] == first

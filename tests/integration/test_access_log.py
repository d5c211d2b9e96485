"""The access log of a running archive: every read of a study is in it, and no search."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dimse_archive import (
    STUDY_FIND,
    STUDY_GET,
    STUDY_MOVE,
    Got,
    contexts_of,
    destination,
    get,
    identifier_of,
    instance,
    move,
    running,
)
from http_wire import wire
from test_dicomweb_processes import ask, store
from test_recall_archive import FILES, HEADERS, INSTANCE, PIXELS, STUDY, house

from catalogue_samples import TENANT
from crash.archive import running as up
from dicomweb_samples import make_instance
from objectstore_samples import config_at
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.settings import Destination, Settings
from pacs_cloud.tiering.access.folding import fold_access
from pacs_cloud.tiering.access.log import last_reads, reads_by_day
from pacs_cloud.tiering.access.sheet import Access
from patience import PATIENCE_S
from servers.fixtures import Place
from unit.tiering.tiering_access import at, keys, log_of, write

SEARCHES, METADATA = HEADERS[:3], HEADERS[3:]
READERS = 30


async def accesses(objects: ObjectStore) -> Mapping[str, Access]:
    """Return how often each study was read, on whatever day."""
    total: dict[str, Access] = {}
    async for day in reads_by_day(objects, TENANT):
        for study, one in day.accesses.items():
            total[study] = one + total[study] if study in total else one
    return total


async def test_two_processes_that_serve_frames_leave_a_log_of_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_WEB_PROCESSES", "2")
    began = datetime.now(UTC)
    studies = ("1.2.3.1", "1.2.3.2")
    with up(tmp_path / "data", log=tmp_path / "log") as archive:
        async with AsyncExitStack() as stack:
            connections = [
                await stack.enter_async_context(wire(archive.http)) for _ in range(READERS)
            ]
            for study in studies:
                file = make_instance(f"{study}.1.1", study=study, series=f"{study}.1", rows=32)
                assert (await store(connections[0], file)).status == 200
            length_bytes = 0
            for connection in connections:
                for study in studies:
                    frame = await ask(
                        connection,
                        f"/dicom-web/studies/{study}/series/{study}.1/instances/{study}.1.1/frames/1",
                        "accept: application/octet-stream",
                    )
                    assert frame.status == 200
                    length_bytes += len(frame.body)
    async with LocalObjectStore(tmp_path / "data" / "objects") as objects:
        found = await accesses(objects)
        assert {
            study: (one.requests, one.pack_reads) for study, one in found.items()
        } == dict.fromkeys(studies, (READERS, READERS))
        assert sum(one.length_bytes for one in found.values()) == length_bytes
        known = await last_reads(objects, TENANT)
        ended_us = datetime.now(UTC).timestamp() * 1e6
        assert all(began.timestamp() * 1e6 <= known[study] <= ended_us for study in studies)
        # Each process wrote once, and nothing while it had nothing to tell.
        assert len(await keys(objects)) in {2, 3, 4}


@pytest.mark.parametrize(("path", "headers"), PIXELS)
async def test_each_way_to_read_over_http_is_counted(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    async with house(tmp_path, 0) as archive:
        async with archive.web() as client:
            assert (await client.get(path, headers=headers)).status_code == 200
        (one,) = (await accesses(archive.objects)).values()
        assert one.requests >= 1
        assert one.pack_reads >= 1
        assert 0 < one.length_bytes <= 2 * sum(map(len, FILES))


async def test_a_file_counts_its_own_bytes(tmp_path: Path) -> None:
    async with house(tmp_path, 0) as archive:
        async with archive.web() as client:
            for _ in range(3):
                await client.get(INSTANCE, headers={"accept": "application/dicom"})
        one = (await accesses(archive.objects))[STUDY]
        assert (one.requests, one.pack_reads, one.length_bytes) == (3, 3, 3 * len(FILES[0]))


async def test_metadata_is_read_without_bytes_and_a_search_is_no_read(tmp_path: Path) -> None:
    async with house(tmp_path, 0) as archive:
        async with archive.web() as client:
            for path in SEARCHES:
                assert (await client.get(path)).status_code == 200
            assert (await client.get("/studies/1.9.9/metadata")).status_code == 404
        assert await keys(archive.objects) == []
        async with archive.web() as client:
            for path in METADATA:
                assert (await client.get(path)).status_code == 200
        one = (await accesses(archive.objects))[STUDY]
        assert (one.requests, one.pack_reads, one.length_bytes) == (len(METADATA), 0, 0)


async def test_what_is_cold_is_not_read_by_being_asked_for(tmp_path: Path) -> None:
    async with house(tmp_path, 10_000) as archive:
        await archive.freeze()
        async with archive.web() as client:
            answer = await client.get(INSTANCE, headers={"accept": "application/dicom"})
            assert answer.status_code == 503
        assert await keys(archive.objects) == []


async def test_dimse_retrieves_are_counted_and_its_searches_are_not(tmp_path: Path) -> None:
    datasets = [instance(number) for number in (1, 2)]
    got = Got()
    with destination(contexts_of(datasets), got.keep) as port:
        there = Destination(aet="THERE", host="127.0.0.1", port=port)
        async with running(tmp_path, destinations=[there]) as archive:
            assert await archive.store(*datasets) == [0, 0]
            assert await archive.searchable("1.2.3.4.2")
            assert len(await archive.matches(STUDY_FIND, "STUDY", StudyInstanceUID="1.2.3")) == 1
            wanted = identifier_of("STUDY", StudyInstanceUID="1.2.3")
            brought = await asyncio.to_thread(
                get, archive, STUDY_GET, wanted, contexts_of(datasets)
            )
            assert len(brought.stored) == 2
            moved = await asyncio.to_thread(move, archive, STUDY_MOVE, wanted, "THERE")
            assert (moved.status, len(got.stored)) == (0, 2)
    async with LocalObjectStore(tmp_path / "objects") as objects:
        one = (await accesses(objects))["1.2.3"]
        assert one.requests == 2
        assert one.length_bytes > 2 * sum(len(each.PixelData) for each in datasets)


async def test_the_log_is_folded_in_a_bucket(best_bucket: Place) -> None:
    async with S3ObjectStore(config_at(best_bucket)) as objects:
        for day in ("2026-01-30", "2026-01-31"):
            for second in range(3):
                await write(objects, day, "1.2.3", seconds=second)
        before = await log_of(objects)
        over_us = at("2026-02-01", 7200)
        found = await asyncio.gather(*(fold_access(objects, now_us=over_us) for _ in range(4)))
        assert max(one.sums for one in found) >= 1
        assert await log_of(objects) == before
        await fold_access(objects, now_us=at("2026-03-01"))
        assert len(await keys(objects)) == 1
        assert await log_of(objects) == before


async def test_the_worker_folds_what_is_past(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data": tmp_path, "stop_grace_s": 2})
    async with open_stores(settings, create=True) as stores:
        for days in (70, 71):
            day = (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
            for _ in range(2):
                await write(stores.objects, day, "1.2.3")
        before = await log_of(stores.objects)
        months = {day[:7] for day in before}
        async with serve_worker(settings, stores), asyncio.timeout(PATIENCE_S):
            while len(await keys(stores.objects)) > len(months):
                await asyncio.sleep(0.05)
        assert await log_of(stores.objects) == before

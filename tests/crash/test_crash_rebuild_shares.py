"""A rebuild in several processes makes the same catalogue, and none of them outlives it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pacs_cloud.bootstrap import rebuild_shares
from pacs_cloud.bootstrap.rebuild_shares import ShareTask, processes_for, rebuild_in_shares
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.custody.share import Share
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.objectstore.keys import ledger_prefix
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.settings import Settings, StoreUrl, load_settings
from patience import PATIENCE_S
from unit.custody.custody_packs import NOW_US, Clock, Made, Sample, commit, fill, make_pack, put

PROCESSES = 3


@pytest.fixture
async def made(tmp_path: Path) -> list[Made]:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        clock = Clock()
        made = await fill(objects, catalogue, clock=clock)
        for n in range(8):
            made.append(make_pack(clock, "default", f"1.{n}", f"1.{n}.1", [Sample("1.2.3.1.1")]))
            await put(objects, made[-1])
            await commit(objects, catalogue, made[-1], clock)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"data": tmp_path})


@pytest.fixture
def task(tmp_path: Path) -> ShareTask:
    url = StoreUrl(scheme="sqlite", name=str(tmp_path / "again.sqlite"))
    return ShareTask(url, NOW_US, at_once=4)


async def test_together_they_make_what_one_would(
    made: list[Made], settings: Settings, task: ShareTask, tmp_path: Path
) -> None:
    told: list[Rebuilt] = []
    done = await rebuild_in_shares(settings, task, PROCESSES, told.append)
    assert (done.packs, done.seen, done.problems) == (len(made), len(made), ())
    assert told[-1] == done
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as before,
        SqliteCatalogue(tmp_path / "again.sqlite") as after,
    ):
        assert await digest(after) == await digest(before)
        # One UID in nine studies: whoever is committed later sees the others.
        assert len(await after.conflicts("default")) >= 8
    again = await rebuild_in_shares(settings, task, 2, lambda _: None)
    assert (again.packs, again.kept) == (0, len(made))


async def test_problems_are_told(made: list[Made], settings: Settings, task: ShareTask) -> None:
    async with LocalObjectStore(settings.data / "objects") as objects:
        await objects.delete(made[0].key.pack)
        torn = f"{ledger_prefix('default', '1.5')}1-x.json"
        await objects.put_new(torn, b"")
    done = await rebuild_in_shares(settings, task, PROCESSES, lambda _: None)
    told = {(one.kind, one.pack_id, one.study_instance_uid) for one in done.problems}
    first = made[0].key
    assert told == {
        (FindingKind.INDEX_ORPHAN, first.pack_id, first.study_instance_uid),
        (FindingKind.LEDGER, "", "1.5"),
    }
    assert any(torn in one.detail for one in done.problems)
    assert done.seen == len(made) - 1


async def test_one_that_fails_ends_all(
    made: list[Made], settings: Settings, task: ShareTask
) -> None:
    assert made
    Path(task.catalogue.name).write_bytes(b"no catalogue" * 1000)
    with pytest.raises(Unavailable):
        await rebuild_in_shares(settings, task, PROCESSES, lambda _: None)


def test_a_child_ends_with_its_parent(tmp_path: Path, task: ShareTask) -> None:
    """However that died: its end of the pipe is closed. The store here never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"s3://bucket?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        settings = load_settings({"data": tmp_path, "objects": url})
        with subprocess.Popen(
            [sys.executable, "-m", rebuild_shares.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        ) as child:
            assert child.stdin is not None
            child.stdin.write(settings.child_json().encode() + b"\n")
            child.stdin.write(rebuild_shares.encode(task, Share()) + b"\n")
            child.stdin.flush()
            connection, _ = silent.accept()
            assert child.poll() is None
            child.stdin.close()
            assert child.wait(PATIENCE_S) == 1
            connection.close()


async def test_a_share_wipes_nothing(tmp_path: Path) -> None:
    async with (
        LocalObjectStore(tmp_path / "objects") as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        with pytest.raises(InvalidRequest):
            await rebuild(
                objects,
                catalogue,
                policy=ConflictPolicy.KEEP_FIRST,
                now_us=NOW_US,
                share=Share(1, 2),
            )


def test_a_small_archive_takes_one_process() -> None:
    assert processes_for(0) == processes_for(3999) == 1
    assert 1 <= processes_for(1_000_000) <= rebuild_shares.MOST_PROCESSES

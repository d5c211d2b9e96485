"""The local store's tiers beyond the contract: where they lie, recalls, crashes, other processes."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pacs_cloud.errors import InvalidRequest, NotFound, Offline, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass
from patience import PATIENCE_S

BODY = bytes(range(256)) * 2000
DAY_US = 86_400_000_000
IR, GLACIER, STANDARD = StorageClass.GLACIER_IR, StorageClass.GLACIER, StorageClass.STANDARD


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
async def store(root: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(root) as store:
        yield store


@pytest.fixture
async def other(root: Path, store: LocalObjectStore) -> AsyncIterator[LocalObjectStore]:
    """A second store on the same files, as another process has one."""
    async with LocalObjectStore(root) as other:
        yield other


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    nas = tmp_path / "nas"
    nas.mkdir()
    return nas


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    place = memory / f"pacs-test-{os.getpid()}"
    place.mkdir()
    yield place
    subprocess.run(["rm", "-r", place], check=True)


def files(root: Path) -> list[str]:
    """Return every object's file and link, without what the store keeps beside."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if not path.is_dir() and ".partial" not in path.parts and path.name not in {"lock", ".tier"}
    )


async def keys(store: LocalObjectStore) -> list[str]:
    return [info.key async for info in store.list("")]


async def test_a_tier_is_a_directory(store: LocalObjectStore, root: Path) -> None:
    await store.put_new("a/b/k", BODY)
    await store.move("a/b/k", IR)
    assert files(root) == [".tier/GLACIER_IR/a/b/k", "a/b/k"]
    assert os.readlink(root / "a/b/k") == "../../.tier/GLACIER_IR/a/b/k"
    # Any tool reads it, also from a copy of the whole tree.
    assert (root / "a/b/k").read_bytes() == BODY
    await store.move("a/b/k", STANDARD)
    assert files(root) == ["a/b/k"]
    assert not (root / "a/b/k").is_symlink()
    assert list((root / ".tier" / "GLACIER_IR").glob("[!.]*")) == []


async def test_a_move_keeps_the_file_and_its_time(store: LocalObjectStore, root: Path) -> None:
    put = await store.put_new("k", BODY)
    before = (root / "k").stat()
    moved = await store.move("k", IR)
    assert os.path.samestat(before, (root / "k").stat())
    assert moved.modified_us == put.modified_us
    with pytest.raises(OSError, match=r"Invalid argument"):
        os.readlink(root / ".tier" / "GLACIER_IR" / "k")


async def test_what_is_asked_for_twice_touches_nothing(store: LocalObjectStore, root: Path) -> None:
    await store.put_new("k", BODY)
    await store.move("k", IR)
    before = os.lstat(root / "k")
    await store.move("k", IR)
    assert os.lstat(root / "k") == before


async def test_a_tier_on_another_file_system(root: Path, memory: Path) -> None:
    async with LocalObjectStore(root, {GLACIER: memory}) as store:
        put = await store.put_new("a/k", BODY)
        await store.move("a/k", GLACIER)
        assert (memory / "a/k").read_bytes() == BODY
        assert files(root) == ["a/k"]
        assert (await store.head("a/k")).modified_us == put.modified_us
        await store.recall("a/k", 1, RecallSpeed.STANDARD)
        assert await store.get("a/k") == BODY
        await store.move("a/k", STANDARD)
        assert await store.get("a/k") == BODY
        assert files(memory) == []
        assert (await store.head("a/k")).modified_us == put.modified_us


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
async def test_tiers_without_links(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_link(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_link)
    await store.put_new("a/k", BODY)
    for to in (IR, StorageClass.STANDARD_IA, STANDARD):
        await store.move("a/k", to)
        assert await store.get("a/k") == BODY
    assert files(root) == ["a/k"]


async def test_a_tier_elsewhere_is_remembered(root: Path, nas: Path) -> None:
    async with LocalObjectStore(root, {IR: nas}) as store:
        await store.put_new("a/k", BODY)
        await store.move("a/k", IR)
    assert (nas / "a/k").read_bytes() == BODY
    async with LocalObjectStore(root) as store:
        assert await store.get("a/k") == BODY


async def test_a_tier_that_is_not_mounted_has_lost_nothing(root: Path, nas: Path) -> None:
    async with LocalObjectStore(root, {IR: nas}) as store:
        await store.put_new("hot", BODY)
        await store.put_new("k", BODY)
        await store.move("k", IR)
    nas.rename(nas.with_name("away"))
    for mount_point in (False, True):
        if mount_point:
            nas.mkdir()
        # The archive starts, and what lies elsewhere goes on.
        async with LocalObjectStore(root, {IR: nas}) as store:
            for attempt in (
                store.get("k"),
                store.head("k"),
                store.delete("k"),
                store.move("hot", IR),
                keys(store),
            ):
                with pytest.raises(Unavailable):
                    await attempt
            assert await store.get("hot") == BODY
            await store.put_new(f"new-{mount_point}", BODY)
            await store.delete(f"new-{mount_point}")
    assert list(nas.iterdir()) == []
    nas.rmdir()
    nas.with_name("away").rename(nas)
    async with LocalObjectStore(root, {IR: nas}) as store:
        assert await store.get("k") == BODY


async def test_a_tier_can_be_mounted_elsewhere(root: Path, nas: Path) -> None:
    async with LocalObjectStore(root, {IR: nas}) as store:
        await store.put_new("k", BODY)
        await store.move("k", IR)
    moved = nas.rename(nas.with_name("nas2"))
    async with LocalObjectStore(root, {IR: moved}) as store:
        assert await store.get("k") == BODY


async def test_a_directory_is_for_one_tier(root: Path, nas: Path, tmp_path: Path) -> None:
    async with LocalObjectStore(root, {IR: nas}):
        pass
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong in (
        {GLACIER: nas},
        {IR: empty},
        {GLACIER: root / "inside"},
        {GLACIER: Path("relative")},
    ):
        with pytest.raises(InvalidRequest):
            LocalObjectStore(root, wrong)
    with pytest.raises(Unavailable):
        LocalObjectStore(root, {GLACIER: tmp_path / "nothing"})


async def test_a_tier_with_objects_does_not_go_elsewhere(
    store: LocalObjectStore, root: Path, nas: Path
) -> None:
    await store.put_new("k", BODY)
    await store.move("k", IR)
    with pytest.raises(InvalidRequest):
        LocalObjectStore(root, {IR: nas})


async def test_a_recall_takes_its_time_runs_out_and_survives_restarts(root: Path) -> None:
    now_us = 1_800_000_000_000_000

    def opened() -> LocalObjectStore:
        return LocalObjectStore(root, recall_delay_s=3600, now_us=lambda: now_us)

    async with opened() as store:
        await store.put_new("k", BODY)
        await store.move("k", GLACIER)
        assert (await store.head("k")).availability is Availability.OFFLINE
        recalled = await store.recall("k", 3, RecallSpeed.BULK)
        assert recalled.availability is Availability.RESTORING
        with pytest.raises(Offline):
            await store.get("k")
        now_us += 1_800_000_000
        # Asking again does not begin again.
        await store.recall("k", 30, RecallSpeed.BULK)
    now_us += 1_800_000_000
    until_us = now_us + 3 * DAY_US
    async with opened() as store, opened() as other:
        for one in (store, other):
            info = await one.head("k")
            assert (info.availability, info.available_until_us) == (Availability.ONLINE, until_us)
            assert await one.get("k") == BODY
        now_us = until_us - 1
        assert await other.get("k", 0, 2) == BODY[:2]
        now_us = until_us
        for one in (store, other):
            assert (await one.head("k")).availability is Availability.OFFLINE
            for attempt in (one.get("k", 0, 2), one.get_suffix("k", 2), one.move("k", IR)):
                with pytest.raises(Offline):
                    await attempt
        assert (await other.recall("k", 1, RecallSpeed.BULK)).availability is (
            Availability.RESTORING
        )


async def test_a_recall_ends_with_the_stay_it_was_for(store: LocalObjectStore, root: Path) -> None:
    await store.put_new("k", BODY)
    await store.move("k", GLACIER)
    await store.recall("k", 5, RecallSpeed.STANDARD)
    await store.move("k", STANDARD)
    await store.move("k", GLACIER)
    assert (await store.head("k")).availability is Availability.OFFLINE
    await store.recall("k", 5, RecallSpeed.STANDARD)
    await store.delete("k")
    assert files(root) == []


async def test_a_recall_that_cannot_be_read_is_none(store: LocalObjectStore, root: Path) -> None:
    await store.put_new("k", BODY)
    await store.move("k", GLACIER)
    await store.recall("k", 5, RecallSpeed.STANDARD)
    (root / ".tier" / "recalled" / "k").write_bytes(b"\0\xff")
    assert [info.availability async for info in store.list("")] == [Availability.OFFLINE]
    await store.recall("k", 5, RecallSpeed.STANDARD)
    assert await store.get("k") == BODY


async def test_another_process_s_move_is_noticed(
    store: LocalObjectStore, other: LocalObjectStore
) -> None:
    await store.put_new("k", BODY)
    assert await store.get("k", 0, 9) == BODY[:9]
    await other.move("k", IR)
    assert await store.get("k", 0, 9) == BODY[:9]
    await other.move("k", GLACIER)
    # The file is the same, and was held open.
    with pytest.raises(Offline):
        await store.get("k", 0, 9)
    await other.recall("k", 1, RecallSpeed.STANDARD)
    assert await store.get("k", 0, 9) == BODY[:9]
    await other.move("k", IR)
    assert await store.get("k", 0, 9) == BODY[:9]
    await other.move("k", STANDARD)
    assert await store.get("k", 0, 9) == BODY[:9]


async def test_what_is_cold_goes_colder_without_a_recall(store: LocalObjectStore) -> None:
    await store.put_new("k", BODY)
    await store.move("k", GLACIER)
    moved = await store.move("k", StorageClass.DEEP_ARCHIVE)
    assert (moved.storage_class, moved.availability) == ("DEEP_ARCHIVE", Availability.OFFLINE)
    with pytest.raises(Offline):
        await store.move("k", GLACIER)
    await store.recall("k", 1, RecallSpeed.BULK)
    assert await store.get("k") == BODY


async def test_a_folder_that_another_process_removed_and_made_again(
    store: LocalObjectStore, other: LocalObjectStore
) -> None:
    await store.put_new("a/b/k", BODY)
    await other.delete("a/b/k")
    await other.put_new("a/b/k2", BODY)
    for to in (IR, STANDARD):
        assert (await store.move("a/b/k2", to)).storage_class == to
        assert await other.get("a/b/k2") == BODY


async def test_links_of_others_lead_nowhere(store: LocalObjectStore, root: Path) -> None:
    await store.put_new("a/k", BODY)
    await store.put_new("b", BODY)
    await store.move("a/k", IR)
    for name, text in (
        ("a/one", "../.tier/GLACIER_IR/a/k"),  # another key's
        ("a/two", ".tier/GLACIER_IR/a/two"),
        ("three", "b"),
        ("four", ".tier/ELSEWHERE/four"),
        ("five", ".tier/GLACIER_IR/five"),  # whose file is not there
        ("six", ".tier/STANDARD/six"),
    ):
        (root / name).symlink_to(text)
        for attempt in (store.get(name), store.head(name), store.move(name, STANDARD)):
            with pytest.raises(NotFound):
                await attempt
    assert await keys(store) == ["a/k", "b"]


async def test_deletes_and_moves_race(store: LocalObjectStore, other: LocalObjectStore) -> None:
    async def churn(number: int) -> None:
        key = f"a/{number % 3}/{number}"
        await store.put_new(key, b"%d" % number)
        results = await asyncio.gather(
            store.move(key, IR),
            other.delete(key),
            other.move(key, GLACIER),
            return_exceptions=True,
        )
        failed = {type(one) for one in results if isinstance(one, BaseException)}
        assert failed <= {NotFound, Offline}
        await store.delete(key)

    await asyncio.gather(*(churn(number) for number in range(60)))
    assert files(store._tree.root) == []


async def test_a_failed_sync_leaves_the_object_readable(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(number: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for call in ("fsync", "fdatasync"):
        for to in (IR, STANDARD):
            key = f"a/{call}-{to}"
            await store.put_new(key, BODY)
            if to is STANDARD:
                await store.move(key, IR)
            with monkeypatch.context() as patch:
                patch.setattr(os, call, broken)
                with pytest.raises(Unavailable):
                    await store.move(key, to)
                assert await store.get(key) == BODY
            assert (await store.move(key, to)).storage_class == to
            assert await store.get(key) == BODY
            await store.delete(key)
    assert files(root) == []


async def test_a_file_is_safe_in_its_new_tier_before_its_name_changes(
    store: LocalObjectStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two syncs a power cut keeps any of the changes, so their order is all."""
    calls: list[str] = []

    def recorded(name: str) -> None:
        real = getattr(os, name)

        def call(*words: object, **options: int) -> object:
            done = real(*words, **options)
            folder = options.get("dst_dir_fd", options.get("dir_fd"))
            first = words[0]
            if isinstance(first, int):
                text = os.readlink(f"/proc/self/fd/{first}")
            elif folder is not None:
                text = os.readlink(f"/proc/self/fd/{folder}") + f"/{words[-1]}"
            else:
                text = str(first)
            calls.append(f"{name} {text.removeprefix(str(root))}")
            return done

        monkeypatch.setattr(os, name, call)

    await store.put_new("a/k", BODY)
    await store.delete("a/other")  # makes the folder of tiers, for its lock
    for name in ("fsync", "fdatasync", "link", "rename", "unlink"):
        recorded(name)
    tier = "/.tier/GLACIER_IR"
    calls.clear()
    await store.move("a/k", IR)
    order = ["fdatasync /a/k", f"link {tier}/a/k", f"fsync {tier}/a", "rename /a/k", "fsync /a"]
    assert [call for call in calls if call in order] == order
    # The tier's own name is safe too, and that of the folder of tiers.
    assert {"fsync ", "fsync /.tier"} <= set(calls[: calls.index("rename /a/k")])
    calls.clear()
    await store.move("a/k", STANDARD)
    order = [f"fdatasync {tier}/a/k", "rename /a/k", "fsync /a", f"unlink {tier}/a/k"]
    assert [call for call in calls if call in order] == order


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass

left, to = int(sys.argv[3]), sys.argv[4]

def dying(real):
    def call(*words, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*words, **options)
    return call

async def main():
    tiers = {StorageClass.GLACIER_IR: Path(sys.argv[2])} if sys.argv[2] else {}
    async with LocalObjectStore(Path(sys.argv[1]), tiers) as store:
        for name in ("fsync", "fdatasync", "link", "rename", "unlink", "mkdir", "rmdir", "symlink"):
            setattr(os, name, dying(getattr(os, name)))
        if to == "delete":
            await store.delete("a/k")
        else:
            await store.move("a/k", StorageClass(to))
    print("done")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("start", "to"),
    [("STANDARD", "GLACIER_IR"), ("GLACIER_IR", "STANDARD_IA"), ("GLACIER_IR", "STANDARD")],
)
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_killed_mover_leaves_a_whole_object(
    root: Path, request: pytest.FixtureRequest, start: str, to: str, elsewhere: bool
) -> None:
    memory: Path | None = request.getfixturevalue("memory") if elsewhere else None
    tiers = {} if memory is None else {IR: memory}
    for step in range(100):
        async with LocalObjectStore(root, tiers) as store:
            await store.put_new("a/k", BODY)
            await store.move("a/k", StorageClass(start))
        words = [sys.executable, "-c", KILLED, str(root), str(memory or ""), str(step), to]
        ended = subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE_S)
        async with LocalObjectStore(root, tiers) as store:
            assert await keys(store) == ["a/k"]
            assert await store.get("a/k") == BODY
            assert (await store.head("a/k")).storage_class in {start, to}
            assert (await store.move("a/k", StorageClass(to))).storage_class == to
            assert await store.get("a/k") == BODY
            await store.delete("a/k")
            assert files(root) == []
            assert memory is None or files(memory) == []
        if ended.stdout:
            assert step > 5
            return
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    raise AssertionError("it never came to its end")


async def test_a_killed_delete_is_finished_by_the_next(root: Path) -> None:
    for step in range(100):
        async with LocalObjectStore(root) as store:
            await store.put_new("a/k", BODY)
            await store.move("a/k", IR)
        words = [sys.executable, "-c", KILLED, str(root), "", str(step), "delete"]
        ended = subprocess.run(words, capture_output=True, check=False, timeout=PATIENCE_S)
        async with LocalObjectStore(root) as store:
            await store.delete("a/k")
            assert files(root) == []
            assert await keys(store) == []
        if ended.stdout:
            return
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    raise AssertionError("it never came to its end")

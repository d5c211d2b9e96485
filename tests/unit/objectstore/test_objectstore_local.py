"""The local store beyond the contract: power cuts, other processes, odd file systems."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.errors import Conflict, Corrupt, NotFound, StorageFull, Unavailable
from pacs_cloud.objectstore import reading, tree
from pacs_cloud.objectstore.descriptors import Descriptor
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.same_file import equal_or_gone
from patience import PATIENCE_S


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store


@pytest.fixture
async def other(tmp_path: Path, store: LocalObjectStore) -> AsyncIterator[LocalObjectStore]:
    """A second store on the same files, as another process has one."""
    async with LocalObjectStore(tmp_path / "objects") as other:
        yield other


async def keys(store: LocalObjectStore) -> list[str]:
    return [info.key async for info in store.list("")]


def partial_files(root: Path) -> list[Path]:
    return [p for p in (root / ".partial").rglob("*") if p.is_file() and p.name != "lock"]


@contextmanager
def recorded_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record, in order, which paths were synced and named; the calls are really made."""
    calls: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync", "link", "mkdir")}

    def path_of(number: int) -> str:
        return os.readlink(f"/proc/self/fd/{number}")

    def sync(name: str, number: int) -> None:
        real[name](number)
        calls.append(f"{name} {path_of(number)}")

    def link(source: str, name: str, **kwargs: int) -> None:
        real["link"](source, name, **kwargs)
        calls.append(f"link {source} {path_of(kwargs['dst_dir_fd'])}/{name}")

    def mkdir(name: str, mode: int, *, dir_fd: int | None = None) -> None:
        real["mkdir"](name, mode, dir_fd=dir_fd)
        calls.append(f"mkdir {path_of(dir_fd)}/{name}" if dir_fd is not None else "mkdir")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: sync("fsync", number))
        patch.setattr(os, "fdatasync", lambda number: sync("fdatasync", number))
        patch.setattr(os, "link", link)
        patch.setattr(os, "mkdir", mkdir)
        yield calls


async def test_bytes_are_synced_before_their_name_and_the_name_before_the_answer(
    store: LocalObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(tmp_path / "objects")
    await store.put_new("warm/up", b"")
    with recorded_calls(monkeypatch) as calls:
        await store.put_new("a/b/k", b"1")
    (named,) = [call for call in calls if call.startswith("link")]
    partial = named.split()[1]
    assert calls.index(f"fdatasync {partial}") < calls.index(named)
    assert calls[-1] == f"fsync {root}/a/b"
    # Every new directory's own name is synced too, before the object is named.
    for above, new in ((root, "a"), (f"{root}/a", "b")):
        made = calls.index(f"mkdir {above}/{new}")
        assert made < calls.index(f"fsync {above}", made) < calls.index(named)
    with recorded_calls(monkeypatch) as calls:
        await store.put_new("a/b/k2", b"1")
    assert [call.split()[0] for call in calls] == ["fdatasync", "link", "fsync"]


async def test_an_earlier_try_is_synced_again(
    store: LocalObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the earlier process had been killed between naming and syncing.
    folder = tmp_path / "objects" / "a"
    folder.mkdir()
    (folder / "k").write_bytes(b"1")
    with recorded_calls(monkeypatch) as calls:
        await store.put_new("a/k", b"1")
    assert f"fdatasync {folder}/k" in calls
    assert calls[-1] == f"fsync {folder}"


async def test_a_placed_file_is_synced_first(
    store: LocalObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"1")
    with recorded_calls(monkeypatch) as calls:
        await store.put_file("k", spooled)
    assert calls[0] == f"fdatasync {spooled}"
    assert calls[-1] == f"fsync {tmp_path}/objects"
    assert (tmp_path / "objects" / "k").samefile(spooled)


async def test_a_put_that_fails_in_the_middle_leaves_nothing(
    store: LocalObjectStore, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unavailable):
            await store.put_new("a/k", b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await keys(store) == []
    assert partial_files(tmp_path / "objects") == []
    await store.put_new("a/k", b"x" * 200_000)


async def test_a_failed_sync_leaves_no_name(
    store: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_new("a/1", b"")

    def broken(number: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for call in ("fsync", "fdatasync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, broken)
            with pytest.raises(Unavailable):
                await store.put_new("a/2", b"2")
        assert await keys(store) == ["a/1"]
    await store.put_new("a/2", b"2")


async def test_a_full_disk_is_told_apart(
    store: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull):
        await store.put_new("k", b"1")


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from typing import Any
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.same_file import equal_or_gone

def killed(number):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with LocalObjectStore(Path(sys.argv[1])) as store:
        await store.put_new("a/before", b"1")
        os.fdatasync = killed
        await store.put_new("a/k", b"x" * 100_000)

asyncio.run(main())
"""


async def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    root = tmp_path / "objects"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root)], check=False, timeout=PATIENCE_S
    )
    assert done.returncode == -signal.SIGKILL
    assert [path.stat().st_size for path in partial_files(root)] == [100_000]
    async with LocalObjectStore(root) as store:
        assert await keys(store) == ["a/before"]
        await store.put_new("a/k", b"2")
        assert partial_files(root) == []


async def test_a_living_process_is_not_swept(
    store: LocalObjectStore, other: LocalObjectStore, tmp_path: Path
) -> None:
    with store._tree._partials.new() as (path, _):
        await other.put_new("k", b"1")
        assert Path(path).exists()
    await store.put_new("k2", b"1")


async def test_a_directory_removed_by_another_process_is_made_again(
    store: LocalObjectStore, other: LocalObjectStore
) -> None:
    await store.put_new("a/b/c/1", b"1")
    await other.delete("a/b/c/1")
    await store.put_new("a/b/c/2", b"2")
    await other.put_new("a/b/d", b"3")
    assert await keys(other) == ["a/b/c/2", "a/b/d"]


async def test_puts_and_deletes_race_for_one_directory(
    store: LocalObjectStore, other: LocalObjectStore
) -> None:
    async def churn(mine: LocalObjectStore, name: str) -> None:
        for n in range(150):
            key = f"a/b/c/{name}-{n}"
            await mine.put_new(key, key.encode())
            assert await mine.get(key) == key.encode()
            await mine.delete(key)
        await mine.put_new(f"a/b/c/{name}", b"")

    await asyncio.gather(churn(store, "x"), churn(other, "y"), churn(other, "z"))
    assert await keys(store) == ["a/b/c/x", "a/b/c/y", "a/b/c/z"]


async def test_empty_directories_go_with_their_last_object(
    store: LocalObjectStore, tmp_path: Path
) -> None:
    await store.put_new("a/b/c/1", b"1")
    await store.put_new("a/2", b"1")
    await store.delete("a/b/c/1")
    assert sorted(path.name for path in (tmp_path / "objects" / "a").iterdir()) == ["2"]


async def test_another_process_s_delete_is_noticed(
    store: LocalObjectStore, other: LocalObjectStore, tmp_path: Path
) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"123")
    await store.put_file("a/k", spooled)
    assert await store.get("a/k") == b"123"
    await other.delete("a/k")
    for attempt in (store.get("a/k"), store.get_suffix("a/k", 1), store.head("a/k")):
        with pytest.raises(NotFound):
            await attempt


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EMLINK])
async def test_a_file_system_without_links(
    store: LocalObjectStore,
    other: LocalObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    def no_link(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_link)
    results = await asyncio.gather(
        *((store, other)[n % 2].put_new("a/k", bytes([n]) * 50_000) for n in range(8)),
        return_exceptions=True,
    )
    assert [type(result) for result in results].count(Conflict) == 7
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"123")
    await store.put_file("a/f", spooled)
    await store.put_file("a/f", spooled)
    assert await store.get("a/f") == b"123"
    assert spooled.exists()
    assert partial_files(tmp_path / "objects") == []


async def test_a_file_from_another_file_system_is_copied(
    store: LocalObjectStore, tmp_path: Path
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    spooled = memory / f"pacs-test-{os.getpid()}"
    spooled.write_bytes(bytes(range(256)) * 10_000)
    try:
        await store.put_file("k", spooled)
        await store.put_file("k", spooled)
        assert await store.get("k") == spooled.read_bytes()
    finally:
        spooled.unlink()


async def test_a_symbolic_link_s_file_is_placed(store: LocalObjectStore, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"123")
    (tmp_path / "link").symlink_to("real")
    await store.put_file("k", tmp_path / "link")
    assert await store.get("k") == b"123"


async def test_a_buffer_that_changes_after_a_cancelled_put(
    store: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    write = os.write

    def slow(number: int, data: memoryview) -> int:
        loop.call_soon_threadsafe(writing.set)
        go_on.wait(PATIENCE_S)
        return write(number, data)

    monkeypatch.setattr(os, "write", slow)
    buffer = bytearray(b"old")
    put = asyncio.create_task(store.put_new("k", memoryview(buffer)))
    await writing.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    buffer[:] = b"new"
    go_on.set()
    monkeypatch.undo()
    while not await keys(store):
        await asyncio.sleep(0.01)
    assert await store.get("k") == b"old"


async def test_an_object_is_no_folder(store: LocalObjectStore) -> None:
    await store.put_new("a/b", b"1")
    with pytest.raises(Conflict):
        await store.put_new("a/b/c", b"1")
    with pytest.raises(Conflict):
        await store.put_new("a", b"1")
    await store.delete("a")
    await store.delete("a/b/c")
    assert await keys(store) == ["a/b"]


async def test_links_that_others_made_are_no_objects(
    store: LocalObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "objects" / "link").symlink_to(tmp_path / "secret")
    assert await keys(store) == []
    with pytest.raises((NotFound, Unavailable)):
        await store.get("link")
    with pytest.raises(NotFound):
        await store.head("link")


async def test_a_file_that_was_cut_is_corrupt(store: LocalObjectStore, tmp_path: Path) -> None:
    await store.put_new("k", b"x" * 5_000_000)
    await store.get("k", 0, 10)
    os.truncate(tmp_path / "objects" / "k", 4_500_000)
    for end in (4_600_000, 5_000_000):
        with pytest.raises(Corrupt):
            await store.get("k", 4_400_000, end)
    with pytest.raises(Corrupt):
        [chunk async for chunk in store.stream("k")]


async def test_what_is_not_in_memory_is_read_from_the_disk(
    store: LocalObjectStore, tmp_path: Path
) -> None:
    body = os.urandom(3_000_000)
    await store.put_new("k", body)
    assert await store.get("k", 5, 10) == body[5:10]
    file = Descriptor(os.open(tmp_path / "objects" / "k", os.O_RDONLY))
    for start, end in ((0, 900_000), (1, 2_999_999), (2_000_000, 3_000_000)):
        os.posix_fadvise(file.number, 0, 0, os.POSIX_FADV_DONTNEED)
        assert await store.get("k", start, end) == body[start:end]


async def test_open_files_are_bounded(store: LocalObjectStore) -> None:
    for n in range(reading.OPEN_FILES + 100):
        await store.put_new(f"{n}/k", b"%d" % n)
        await store.get(f"{n}/k")
    assert len(os.listdir("/proc/self/fd")) < 2 * reading.OPEN_FILES + 100
    assert await store.get("0/k") == b"0"


async def test_closing_lets_go_of_everything(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = LocalObjectStore(tmp_path / "objects")
    await store.put_new("a/k", b"1")
    await store.get("a/k")
    await store.aclose()
    del store
    assert len(os.listdir("/proc/self/fd")) == before
    assert sorted(p.name for p in (tmp_path / "objects" / ".partial").iterdir()) == ["lock"]


async def test_a_root_that_is_gone_is_not_ready(store: LocalObjectStore, tmp_path: Path) -> None:
    await store.ready()
    (tmp_path / "objects").rename(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await store.ready()


async def test_what_another_removes_as_soon_as_it_is_named_was_written(
    store: LocalObjectStore, other: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def linked(source: str, name: str, **more: Any) -> None:
        link(source, name, **more)
        other._tree.remove("states/1")

    monkeypatch.setattr(os, "link", linked)
    assert (await store.put_new("states/1", b"abc")).length_bytes == 3
    assert await keys(store) == []


async def test_what_another_removes_while_it_is_compared_is_written_again(
    store: LocalObjectStore, other: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_new("states/1", b"abc")

    def compared(*names: Any) -> bool:
        found = equal_or_gone(*names)
        other._tree.remove("states/1")
        return found

    monkeypatch.setattr(tree, "equal_or_gone", compared)
    assert (await store.put_new("states/1", b"abc")).length_bytes == 3
    assert await keys(store) == ["states/1"]


async def test_a_file_in_whose_place_a_link_comes_gets_its_name_all_the_same(
    store: LocalObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "pack"
    source.write_bytes(b"abc")
    link = os.link

    def linked(path: str, name: str, **more: Any) -> None:
        if not source.is_symlink():
            source.rename(tmp_path / "moved")
            source.symlink_to("nowhere")
        link(path, name, **more)

    monkeypatch.setattr(os, "link", linked)
    await store.put_file("packs/1", source)
    assert (tmp_path / "objects" / "packs" / "1").is_symlink() is False
    assert await store.get("packs/1") == b"abc"

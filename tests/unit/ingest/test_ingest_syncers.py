"""Both syncers, on real files."""

import array
import asyncio
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pacs_cloud.ingest import sync_server
from pacs_cloud.ingest.sync_process import SyncProcess
from pacs_cloud.ingest.syncer import Syncer, ThreadSyncer
from patience import PATIENCE_S


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[tuple[int, int]]:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.write(file, b"x" * 100_000)
    yield file, directory
    os.close(file)
    os.close(directory)


@pytest.fixture(params=[ThreadSyncer, SyncProcess])
async def syncer(request: pytest.FixtureRequest) -> AsyncIterator[Syncer]:
    chosen = request.param()
    yield chosen
    await asyncio.wait_for(chosen.aclose(), 10)


@pytest.fixture
async def process() -> AsyncIterator[SyncProcess]:
    async with SyncProcess() as syncer:
        yield syncer


def begin(
    syncer: Syncer, fd: int, directory_fd: int | None = None
) -> asyncio.Future[OSError | None]:
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    syncer.begin(fd, directory_fd, done.set_result)
    assert not done.done()
    return done


async def test_many_syncs_at_a_time_all_end(syncer: Syncer, fds: tuple[int, int]) -> None:
    file, directory = fds
    begun = [begin(syncer, file, directory if n % 2 else None) for n in range(600)]
    assert await asyncio.wait_for(asyncio.gather(*begun), 30) == [None] * 600


async def test_what_the_kernel_says_of_file_and_directory_is_told(
    syncer: Syncer, fds: tuple[int, int]
) -> None:
    read_end, write_end = os.pipe()
    try:
        for file, directory in ((write_end, fds[1]), (fds[0], write_end)):
            error = await begin(syncer, file, directory)
            assert error is not None
            assert error.errno == errno.EINVAL
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_any_exception_of_a_sync_is_told(fds: tuple[int, int]) -> None:
    def sync(fd: int) -> None:
        raise ValueError(fd)

    syncer = ThreadSyncer(sync)
    assert isinstance(await begin(syncer, fds[0]), OSError)
    await syncer.aclose()


async def test_closing_waits_for_what_runs(fds: tuple[int, int]) -> None:
    for syncer in (ThreadSyncer(), SyncProcess()):
        begun = [begin(syncer, fds[0]) for _ in range(20)]
        await syncer.aclose()
        assert await asyncio.wait_for(asyncio.gather(*begun), PATIENCE_S) == [None] * 20


async def halt(pid: int) -> None:
    """Stop a process, and return when it has stopped: a signal may take its time."""
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(PATIENCE_S):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "T":
            await asyncio.sleep(0.001)


async def test_a_sync_that_its_process_dies_with_has_failed_and_the_next_one_works(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    assert await begin(process, fds[0]) is None
    await halt(process.pid)
    begun = [begin(process, fds[0]) for _ in range(3)]
    os.kill(process.pid, signal.SIGKILL)
    errors = await asyncio.wait_for(asyncio.gather(*begun), 10)
    assert [error and error.errno for error in errors] == [errno.EIO] * 3
    assert await begin(process, fds[0], fds[1]) is None


async def test_the_process_outlives_a_ctrl_c_and_goes_with_us(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    assert await begin(process, fds[0]) is None
    for stop in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, stop)
    assert await begin(process, fds[0]) is None
    await process.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_a_process_that_hangs_and_owes_nothing_holds_nobody_up(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    assert await begin(process, fds[0]) is None
    os.kill(process.pid, signal.SIGSTOP)
    await asyncio.wait_for(process.aclose(), 10)


@pytest.fixture
def served() -> Iterator[socket.socket]:
    """A peer of `sync_server.serve`, which runs on a thread of this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=sync_server.serve, args=(theirs,))
    thread.start()
    yield ours
    ours.close()
    thread.join(PATIENCE_S)
    theirs.close()


@pytest.mark.parametrize("numbers_left", [0, 1])
def test_a_directory_whose_descriptor_does_not_come_through_is_not_taken_for_synced(
    served: socket.socket, fds: tuple[int, int], numbers_left: int
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(numbers_left):
            os.close(taken.pop())
        descriptors = array.array("i", fds)
        served.sendmsg([b"abcd"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        answer = served.recv(8)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answer == b"abcd" + sync_server.ERROR.pack(errno.EMFILE)


def test_a_surprise_ends_the_server_so_that_its_peer_is_told(fds: tuple[int, int]) -> None:
    program = (
        "import runpy, sys, os\n"
        "def close(fd): raise RuntimeError\n"
        "os.close = close\n"
        "runpy.run_path(sys.argv[2], run_name='__main__')\n"
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", program, "2", sync_server.__file__],
            stdin=theirs.fileno(),
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        ours.sendmsg([b"abcd"], rights)
        ours.settimeout(PATIENCE_S)
        assert ours.recv(8) == b""
        assert child.wait(PATIENCE_S) == 1


async def test_descriptors_do_not_pile_up_in_the_process(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    for _ in range(50):
        await begin(process, *fds)
    assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 10

"""Both syncers, on real files."""

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pacs_cloud.ingest.sync_process import SyncProcess
from pacs_cloud.ingest.syncer import Syncer, ThreadSyncer


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[tuple[int, int]]:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    os.write(file, b"x" * 100_000)
    yield file, directory
    os.close(file)
    os.close(directory)


@pytest.fixture(params=["threads", "process"])
async def syncer(request: pytest.FixtureRequest) -> AsyncIterator[Syncer]:
    chosen: Syncer = ThreadSyncer(2) if request.param == "threads" else SyncProcess(2)
    yield chosen
    await asyncio.wait_for(chosen.aclose(), 10)


@pytest.fixture
async def process() -> AsyncIterator[SyncProcess]:
    syncer = SyncProcess(2)
    yield syncer
    await asyncio.wait_for(syncer.aclose(), 10)


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


async def test_what_the_kernel_says_is_told(syncer: Syncer) -> None:
    read_end, write_end = os.pipe()
    try:
        error = await begin(syncer, write_end)
        assert error is not None
        assert error.errno == errno.EINVAL
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_any_exception_of_a_sync_is_told(fds: tuple[int, int]) -> None:
    def sync(fd: int) -> None:
        raise ValueError(fd)

    syncer = ThreadSyncer(1, sync)
    assert isinstance(await begin(syncer, fds[0]), OSError)
    await syncer.aclose()


async def test_closing_waits_for_what_runs(fds: tuple[int, int]) -> None:
    for syncer in (ThreadSyncer(1), SyncProcess(1)):
        begun = [begin(syncer, fds[0]) for _ in range(20)]
        await syncer.aclose()
        assert await asyncio.wait_for(asyncio.gather(*begun), 5) == [None] * 20


async def test_a_sync_that_its_process_dies_with_has_failed_and_the_next_one_works(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    assert await begin(process, fds[0]) is None
    os.kill(process.pid, signal.SIGSTOP)
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
    with suppress(ProcessLookupError):
        os.kill(process.pid, 0)
        pytest.fail("it is still there")


async def test_descriptors_do_not_pile_up_in_the_process(
    process: SyncProcess, fds: tuple[int, int]
) -> None:
    for _ in range(50):
        await begin(process, *fds)
    assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 10

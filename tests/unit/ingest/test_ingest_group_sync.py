import asyncio
from collections.abc import AsyncIterator

import pytest

from pacs_cloud.errors import StorageFull, Unavailable
from pacs_cloud.ingest.group_sync import GroupSync
from pacs_cloud.ingest.syncer import SyncDone

FD, DIRECTORY_FD = 11, 12


class Disk:
    """A syncer whose syncs end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int | None]] = []
        self._done: SyncDone | None = None

    def begin(self, fd: int, directory_fd: int | None, done: SyncDone, /) -> None:
        assert self._done is None, "two syncs of one file at a time"
        self.begun.append((fd, directory_fd))
        self._done = done

    def end(self, error: OSError | None = None) -> None:
        assert self._done is not None
        done, self._done = self._done, None
        done(error)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def group(disk: Disk) -> GroupSync:
    return GroupSync(disk, FD, DIRECTORY_FD, lambda error: StorageFull(str(error)))


@pytest.fixture
async def waiting(group: GroupSync) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks that wait for the first, second and third append, begun in this order."""
    tasks = [asyncio.create_task(group.wait(appended)) for appended in (1, 2, 3)]
    await asyncio.sleep(0)
    yield tasks
    for task in tasks:
        task.cancel()


async def test_who_comes_during_a_sync_shares_the_next(
    disk: Disk, group: GroupSync, waiting: list[asyncio.Task[None]]
) -> None:
    assert len(disk.begun) == 1
    disk.end()
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, False, False]
    assert group.durable == 1
    disk.end()
    await asyncio.gather(*waiting)
    assert group.durable == 3
    assert len(disk.begun) == 2
    await group.wait(3)
    assert len(disk.begun) == 2


async def test_a_new_file_is_named_by_its_first_sync(
    disk: Disk, group: GroupSync, waiting: list[asyncio.Task[None]]
) -> None:
    disk.end()
    disk.end()
    await asyncio.gather(*waiting)
    assert disk.begun == [(FD, DIRECTORY_FD), (FD, None)]


async def test_a_sync_that_was_begun_ahead_serves_who_waits_then(
    disk: Disk, group: GroupSync
) -> None:
    group.begin(2)
    waiter = asyncio.create_task(group.wait(2))
    await asyncio.sleep(0)
    disk.end()
    await waiter
    assert len(disk.begun) == 1


async def test_a_failed_sync_is_told_to_all_and_never_tried_again(
    disk: Disk, group: GroupSync, waiting: list[asyncio.Task[None]]
) -> None:
    disk.end(OSError(28, "No space left on device"))
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told] == [StorageFull] * 3
    with pytest.raises(Unavailable):
        await group.wait(4)
    group.begin(4)
    assert len(disk.begun) == 1
    assert group.failed
    await group.idle()


async def test_idle_waits_for_the_syncs_that_are_wanted(
    disk: Disk, group: GroupSync, waiting: list[asyncio.Task[None]]
) -> None:
    idle = asyncio.create_task(group.idle())
    await asyncio.sleep(0)
    disk.end()
    await asyncio.sleep(0)
    assert not idle.done()
    disk.end()
    await idle
    await asyncio.gather(*waiting)


async def test_one_who_is_cancelled_takes_nobody_with_it(
    disk: Disk, group: GroupSync, waiting: list[asyncio.Task[None]]
) -> None:
    waiting[1].cancel()
    disk.end()
    disk.end()
    await asyncio.gather(waiting[0], waiting[2])

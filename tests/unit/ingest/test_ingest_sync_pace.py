import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pacs_cloud.errors import StorageFull, Unavailable
from pacs_cloud.ingest.group_sync import GroupSync
from pacs_cloud.ingest.sync_pace import QUICK_S, SMALL_BYTES, SyncPace


def test_a_quick_disk_is_waited_for_on_the_loop_until_it_is_slow_and_again_when_it_is_quick() -> (
    None
):
    pace = SyncPace()
    assert pace.is_inline(SMALL_BYTES)
    assert not pace.is_inline(SMALL_BYTES + 1)
    for _ in range(20):
        pace.took(10 * QUICK_S, SMALL_BYTES)
    assert not pace.is_inline(1)
    for _ in range(50):
        pace.took(QUICK_S / 10, 1)
    assert pace.is_inline(1)


def test_what_large_syncs_take_says_nothing() -> None:
    pace = SyncPace()
    for _ in range(20):
        pace.took(1.0, SMALL_BYTES + 1)
    assert pace.is_inline(1)


class File:
    """A growing file whose syncs are watched."""

    def __init__(self) -> None:
        self.length = 0
        self.threads: list[str] = []
        self.covered: list[int] = []
        self.error: Exception | None = None

    def sync(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.covered.append(self.length)
        if self.error is not None:
            raise self.error


@pytest.fixture
def file() -> File:
    return File()


@pytest.fixture
def group(file: File):
    with ThreadPoolExecutor(1, "elsewhere") as executor:
        yield GroupSync(
            file.sync,
            lambda: file.length,
            executor,
            SyncPace(),
            lambda error: StorageFull(str(error)),
        )


async def test_small_appends_of_one_turn_share_one_sync_on_the_loop(
    file: File, group: GroupSync
) -> None:
    async def append(number: int) -> None:
        file.length += 100
        group.begin(number)
        await group.wait(number)

    await append(1)  # a file's first sync has its directory's behind it, and is no small one
    await asyncio.gather(*(append(number) for number in range(2, 7)))
    assert file.covered == [100, 600]
    assert file.threads == ["elsewhere_0", "MainThread"]
    assert group.durable == 6


async def test_whatever_ends_a_sync_is_told_to_those_who_wait(group: GroupSync, file: File) -> None:
    file.length = 1
    await group.wait(1)
    file.error = ValueError("no disk ever said that")
    with pytest.raises(Unavailable):
        await group.wait(2)
    await group.idle()


async def test_many_bytes_are_synced_on_a_thread(file: File, group: GroupSync) -> None:
    file.length = SMALL_BYTES + 1
    await group.wait(1)
    assert file.threads[0].startswith("elsewhere")


@pytest.mark.parametrize("length", [100, SMALL_BYTES + 1])
async def test_a_failed_sync_is_told_to_all_and_never_tried_again(
    file: File, group: GroupSync, length: int
) -> None:
    file.length = length
    file.error = OSError(28, "No space left on device")
    told = await asyncio.gather(group.wait(1), group.wait(1), return_exceptions=True)
    assert [type(one) for one in told] == [StorageFull, StorageFull]
    file.error = None
    with pytest.raises(Unavailable):
        await group.wait(2)
    assert len(file.covered) == 1
    assert group.failed
    await group.idle()

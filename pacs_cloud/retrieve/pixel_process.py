"""One pixel worker, as who gives it work sees it: a process, a socket, and a file in memory.

Starting a process takes milliseconds, and ending one with a large memory tens of them: both
are done in threads, and so are large copies.
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.retrieve import pixel_worker
from pacs_cloud.retrieve.pixel_answers import AnswerUnpickler
from pacs_cloud.retrieve.pixel_worker import LENGTH, Surprise, Terms

T = TypeVar("T")

_PROGRAM: Final = f"from {pixel_worker.__name__} import main; main()"
"""Not `-m`: then pickle would not know the module by its name."""
_LARGE_BYTES: Final = 2 << 20
"""What is copied beside the event loop, which it would hold up."""
_REAP_S: Final = 5


class PixelProcess:
    """One process: not started, idle, at one work, or ended."""

    def __init__(self, terms: Terms) -> None:
        """Make what it is spoken to through; raises Unavailable where that cannot be had."""
        with contextlib.ExitStack() as opened:
            try:
                self._exchange = os.memfd_create("pixels")
                opened.callback(os.close, self._exchange)
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError as error:
                raise Unavailable("There can be no further file.") from error
            opened.callback(theirs.close)
            opened.callback(ours.close)
            self._close_files = opened.pop_all().close
        ours.setblocking(False)
        self._socket, self._theirs = ours, theirs
        self._terms = terms
        self._child: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    @property
    def pid(self) -> int | None:
        """Its process id, None before it is started."""
        return self._child.pid if self._child else None

    def is_alive(self) -> bool:
        """Tell whether it runs."""
        return self._child is not None and self._child.poll() is None

    async def start(self) -> None:
        """Start it where it has not been started; raises Unavailable."""
        if self._child is not None:
            return
        try:
            await _to_its_end(self._start)
        except OSError as error:
            raise Unavailable("There can be no further process.") from error

    async def begin(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Hand over a work.

        Raises:
            BrokenPipeError: the process ended while it was idle.
            EOFError: it ended before it was ready.
            Unavailable: there is no room for the work.
            PicklingError, AttributeError, TypeError: pickle cannot write the work.
        """
        if not self._is_ready:
            length = await self._written(0, self._terms)
            try:
                self._send(length)
            except BrokenPipeError as error:
                raise EOFError from error
            await self._received()
            self._is_ready = True
        size = sum(len(arg) for arg in args if isinstance(arg, (bytes, bytearray, memoryview)))
        self._send(await self._written(size, (work, args)))

    async def answer(self) -> tuple[Any] | PacsError | Surprise:
        """Return what the work came to; raises EOFError where the process ended."""
        (length,) = LENGTH.unpack(await self._received())
        return await _beside(length, pixel_worker.read, self._exchange, AnswerUnpickler)

    def kill(self) -> None:
        """Have the process end; a work that runs there raises EOFError."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> int | None:
        """End the process, wait for that, and return its exit code: None where that does not come.

        Of a process that has ended by itself it is its own.
        """
        self.kill()
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_REAP_S)
        self._close_files()
        return self._child.returncode if self._child else None

    async def aclose(self) -> int | None:
        """Do what `close` does, in a thread."""
        return await _to_its_end(self.close)

    def _start(self) -> None:
        with self._theirs:
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", _PROGRAM, str(self._exchange)],
                stdin=self._theirs.fileno(),
                stdout=subprocess.DEVNULL,
                pass_fds=(self._exchange,),
            )

    async def _written(self, size: int, value: object) -> int:
        try:
            return await _beside(size, pixel_worker.write, self._exchange, value)
        except OSError as error:
            raise Unavailable("There is no room to hand over pixels.") from error

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
    return await _to_its_end(step, *args) if size > _LARGE_BYTES else step(*args)


async def _to_its_end(step: Callable[..., T], *args: Any) -> T:
    """Return `step(*args)`, from a thread.

    Who is cancelled meanwhile is so when the step has ended: it has left nothing half done,
    and uses no file any more that is going to be closed.
    """
    done = asyncio.get_running_loop().run_in_executor(None, step, *args)
    is_cancelled = False
    while not done.done():
        try:
            await asyncio.wait((done,))
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        done.exception()  # nobody is there to be told
        raise asyncio.CancelledError
    return done.result()

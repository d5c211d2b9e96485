"""Files are synced by a process of its own, so that no thread waits for our interpreter's lock.

A thread that comes back from a sync must wait until the event loop lets go of the
interpreter, and the loop for the thread to take it: that costs a small instance as much
as all else that is done to it. Another process costs two short messages.
"""

import array
import asyncio
import errno
import itertools
import logging
import os
import socket
import subprocess
import sys
from typing import Self

from pacs_cloud.ingest import sync_server
from pacs_cloud.ingest.syncer import SYNC_THREADS, SyncDone, ThreadSyncer

log = logging.getLogger(__name__)

_TAGS = 1 << 32
_ANSWER_BYTES = sync_server.TAG_BYTES + sync_server.ERROR.size


class SyncProcess:
    """Syncs in a child process; on threads what that cannot take, and all once it has died.

    Used as an async context: leaving it finishes what runs, and ends the child.
    A sync under way when it dies counts as failed: the kernel reports a failed write-back
    once, and the child may have been the one that was told.
    """

    def __init__(self) -> None:
        """Start the child.

        Raises:
            OSError: there can be no further process.
        """
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadSyncer()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                # Isolated and without site-packages: it is there in a few ms, and small.
                self._child = subprocess.Popen(  # noqa: S603  our own program
                    [sys.executable, "-I", "-S", sync_server.__file__, str(SYNC_THREADS)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        self._socket: socket.socket | None = ours
        self._under_way: dict[bytes, SyncDone] = {}
        self._tags = itertools.count()
        self._idle = asyncio.Event()
        self._reaped: asyncio.Future[int] | None = None
        self._loop.add_reader(ours, self._answered)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def begin(self, fd: int, directory_fd: int | None, done: SyncDone, /) -> None:
        """Send the descriptors to the child; see `Syncer`."""
        if self._socket is None:
            self._threads.begin(fd, directory_fd, done)
            return
        tag = (next(self._tags) % _TAGS).to_bytes(sync_server.TAG_BYTES, sys.byteorder)
        descriptors = array.array("i", (fd,) if directory_fd is None else (fd, directory_fd))
        try:
            self._socket.sendmsg([tag], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        except OSError:  # its socket is full, too many descriptors are under way, or it is gone
            self._threads.begin(fd, directory_fd, done)
        else:
            self._under_way[tag] = done

    async def aclose(self) -> None:
        """Finish what runs, and end the child."""
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()
        self._end()
        assert self._reaped is not None
        await self._reaped
        await self._threads.aclose()

    def _answered(self) -> None:
        assert self._socket is not None
        try:
            answer = self._socket.recv(_ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            answer = b""
        if not answer:
            self._died()
            return
        done = self._under_way.pop(answer[: sync_server.TAG_BYTES])
        (number,) = sync_server.ERROR.unpack_from(answer, sync_server.TAG_BYTES)
        done(OSError(number, os.strerror(number)) if number else None)
        if not self._under_way:
            self._idle.set()

    def _died(self) -> None:
        log.error("sync_process_died", extra={"under_way": len(self._under_way)})
        self._end()
        under_way, self._under_way = self._under_way, {}
        for done in under_way.values():
            done(OSError(errno.EIO, "the process that syncs has ended"))
        self._idle.set()

    def _end(self) -> None:
        """Let go of the child, which owes nothing any more. Again: nothing happens."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._child.kill()
            self._reaped = self._loop.run_in_executor(None, self._child.wait)

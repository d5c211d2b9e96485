"""The process that keeps one server: `python -m servers.keeper KIND DIRECTORY`.

It starts the server, writes `KIND.json` into the directory once it answers,
and stops it on SIGTERM, when the server ends, or, with `--while-locked FILE`,
as soon as nobody holds FILE's lock. The kernel frees the lock of a process
that dies, so a test run that is killed leaves no server behind.
"""

import argparse
import asyncio
import fcntl
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from servers import ceph, dynamodb_local, ministack, moto_server, seaweedfs
from servers.endpoint import Endpoint, Kind, write_record


class Server(Protocol):
    """What each server's module offers."""

    def unavailable(self) -> str | None:
        """Return why this server cannot run here, or None."""
        ...

    def serve(self, directory: Path, port: int) -> AbstractAsyncContextManager[Endpoint]:
        """Serve until the block ends."""
        ...


SERVERS: dict[Kind, Server] = {
    "moto": moto_server,
    "seaweedfs": seaweedfs,
    "ceph": ceph,
    "dynamodb-local": dynamodb_local,
    "ministack": ministack,
}


def record(directory: Path, kind: Kind) -> Path:
    """Return where the keeper of `kind` writes its endpoint once it answers."""
    return directory / f"{kind}.json"


def running_lock(directory: Path, kind: Kind) -> Path:
    """Return the file, holding its process id, that a keeper locks while it lives."""
    return directory / f"{kind}.running"


def _await_lock(path: Path, freed: Callable[[], None]) -> None:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        freed()


async def keep(kind: Kind, directory: Path, port: int, while_locked: Path | None) -> None:
    """Serve `kind` until told to stop.

    Raises:
        ServerFailed: it ended, or never answered.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with SERVERS[kind].serve(directory, port) as endpoint:
        if while_locked is not None:
            # A blocked flock cannot be called off: a daemon thread may wait for ever.
            threading.Thread(
                target=_await_lock,
                args=(while_locked, lambda: loop.call_soon_threadsafe(stop.set)),
                daemon=True,
            ).start()
        write_record(record(directory, kind), endpoint)
        await stop.wait()
        record(directory, kind).unlink(missing_ok=True)
    if while_locked is not None:
        # The run may have been killed before it could clear up.
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Read the command line and keep one server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(SERVERS))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--while-locked", type=Path)
    given = parser.parse_args()
    with running_lock(given.directory, given.kind).open("a+", encoding="ascii") as alive:
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"{given.kind} is already kept in {given.directory}")
        alive.truncate(0)
        alive.write(str(os.getpid()))
        alive.flush()
        asyncio.run(keep(given.kind, given.directory, given.port, given.while_locked))


if __name__ == "__main__":
    main()

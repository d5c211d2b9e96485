"""A server that is a program of its own and never outlives its keeper."""

import asyncio
import ctypes
import os
import signal
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)

# Loaded here because a child between fork and exec must not load a library.
_LIBC = ctypes.CDLL(None, use_errno=True)


class ServerFailed(Exception):
    """A server that ended, or never answered; says which log to read."""


def free_ports(count: int) -> list[int]:
    """Return `count` TCP ports of 127.0.0.1 that nothing listens on now.

    SeaweedFS derives a gRPC port from each of its ports unless told one, and
    takes no port 0: so ports are chosen here. They lie under the kernel's
    ephemeral range, where an outgoing connection could take one meanwhile.
    """
    ports: list[int] = []
    held: list[socket.socket] = []
    try:
        candidate = 20_000 + (os.getpid() * 37) % 8_000
        while len(ports) < count:
            candidate = 20_000 if candidate >= 32_000 else candidate + 1
            probe = socket.socket()
            held.append(probe)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            ports.append(candidate)
    finally:
        for probe in held:
            probe.close()
    return ports


def _end_with_parent() -> None:
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@asynccontextmanager
async def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Run `command` until the block ends; the kernel ends it if this process dies."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            preexec_fn=_end_with_parent,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            # Nothing it holds is kept, and SeaweedFS says goodbye for 10 s.
            process.kill()
            await process.wait()


async def until_ready(
    process: asyncio.subprocess.Process,
    ready: Callable[[], Awaitable[bool]],
    *,
    seconds: float,
    log: Path,
) -> None:
    """Return once `ready` says so.

    Raises:
        ServerFailed: `process` ended, or `seconds` passed.
    """
    deadline = time.monotonic() + seconds
    while not await ready():
        if process.returncode is not None:
            raise ServerFailed(f"ended with status {process.returncode}: {log}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"did not answer within {seconds:.0f} s: {log}")
        await asyncio.sleep(0.1)

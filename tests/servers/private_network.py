"""A network namespace of our own, with one door on the machine's loopback.

DynamoDB Local listens on every interface and has no option against it. So it
runs in a namespace that has no interface but its own loopback; a listener
opened before the namespace was left behind stays on the machine's 127.0.0.1
(a socket belongs to the namespace it was made in) and passes bytes through.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from patience import PATIENCE_S

CLONE_NEWUSER, CLONE_NEWNET = 0x1000_0000, 0x4000_0000  # sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914  # netdevice(7)
IFF_UP = 0x1
CHUNK_BYTES = 256 * 1024

_LIBC = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _LIBC.unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def enter() -> None:
    """Move this process into a new network namespace with its loopback up.

    Sockets that are open already stay where they were. Call it before any
    thread is started: a user namespace takes a process of one thread only.

    Raises:
        OSError: the kernel refuses both to root and to a user namespace.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _unshare(CLONE_NEWNET)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _raise_loopback()


def refusal() -> str | None:
    """Return why this machine gives no network namespace, or None."""
    probe = subprocess.run(
        [sys.executable, "-c", "from servers import private_network as n; n.enter()"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=PATIENCE_S,
        check=False,
    )
    if probe.returncode == 0:
        return None
    return f"no private network namespace here: {probe.stderr.strip().splitlines()[-1]}"


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()


async def open_door(listener: socket.socket, inner_port: int) -> asyncio.Server:
    """Return a server that passes `listener`'s connections to 127.0.0.1:`inner_port` inside."""

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A side that hangs up ends the visit of both.
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner_port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pass(reader, inner_writer))
                    group.create_task(_pass(inner_reader, writer))
            except* OSError:
                pass
            finally:
                inner_writer.close()
        writer.close()

    return await asyncio.start_server(visit, sock=listener)

"""The process that works on pixels for another one; `pixel_process` starts it as a program.

Requests and answers lie, pickled, in a file in memory that both have open; a Unix socket,
the standard input, says whose turn it is. It ends when its peer has gone.
"""

import contextlib
import importlib
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, Final

from pacs_cloud.errors import InvalidInstance, PacsError, Refusal, Unavailable

LENGTH: Final = Struct("=Q")
"""Of the pickle in the file; one is sent to say that it is there."""
KEPT_BYTES: Final = 16 << 20
"""What the file keeps of its memory from one work to the next."""
_CHOSEN_FIRST: Final = "500"
"""Under the kernel's want of memory this process goes, not the one that serves."""

Work = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker is told first.

    Attributes:
        paths: where modules are, as its peer knows it.
        preload: modules that are loaded before there is work.
        limit_s: how long one work may take: then the kernel ends the process.
        memory_bytes: of private memory that it may have.
    """

    paths: tuple[str, ...]
    preload: tuple[str, ...]
    limit_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Surprise:
    """What no work should raise: a fault of ours, or bytes that nobody thought of.

    Attributes:
        error: its type.
        at: where in the code; what it says might hold patient data.
    """

    error: str
    at: str


def write(exchange: int, value: object) -> int:
    """Write `value` from the start of the file `exchange`; return its length."""
    with open(exchange, "wb", buffering=0, closefd=False) as file:
        file.seek(0)
        pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
        return file.tell()


def read(exchange: int, unpickler: type[pickle.Unpickler] = pickle.Unpickler) -> Any:
    """Return what was written last; lets go of the memory of what was large.

    Args:
        exchange: the file.
        unpickler: reads it; a worker trusts its peer, which does not trust it.
    """
    with open(exchange, "r+b", closefd=False) as file:
        file.seek(0)
        value = unpickler(file).load()
        if file.tell() > KEPT_BYTES:
            file.truncate(0)
        return value


def main() -> None:
    """Work for the peer on standard input, through the file whose number is the argument."""
    # Whoever stops the archive stops the peer, and with it this process.
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    exchange = int(sys.argv[1])
    peer = socket.socket(fileno=0)
    if peer.recv(LENGTH.size):
        terms: Terms = read(exchange)
        restrict(terms.memory_bytes)
        signal.setitimer(signal.ITIMER_REAL, terms.limit_s)
        sys.path[:] = terms.paths
        for name in terms.preload:
            importlib.import_module(name)
        peer.send(LENGTH.pack(0))
        _serve(peer, exchange, terms.limit_s)


def restrict(memory_bytes: int) -> None:
    """Take no more private memory than that, leave no core file, and be the first to go."""
    # No core files: they would hold patients' pixels.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_CHOSEN_FIRST, encoding="ascii")


def _serve(peer: socket.socket, exchange: int, limit_s: float) -> None:
    while peer.recv(LENGTH.size):
        # Nobody handles SIGALRM: it ends the process within whatever code that hangs.
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        length = _answer(exchange)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            peer.send(LENGTH.pack(length))
        except (BrokenPipeError, ConnectionResetError):
            return


def _answer(exchange: int) -> int:
    try:
        work, args = read(exchange)
        return write(exchange, _done(work, args))
    except MemoryError:
        return write(
            exchange,
            InvalidInstance("Its pixels need more memory than there is.", Refusal.TOO_LARGE),
        )
    except OSError:  # the file cannot grow by so much; a few bytes may fit
        return write(exchange, Unavailable("There is no room for what was made of the pixels."))


def _done(work: Work, args: Iterable[Any]) -> object:
    """Return the value in a tuple of its own, or what went wrong instead."""
    try:
        return (work(*args),)
    except PacsError as error:
        return error
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the outermost edge of a work: the peer is told
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{at.tb_frame.f_code.co_name}:{at.tb_lineno}" if at else ""
        return Surprise(type(error).__name__, place)

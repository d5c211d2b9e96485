"""Works for worker processes, which can import this module and not a test's own functions."""

import ctypes
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np

from pacs_cloud.errors import InvalidInstance, Refusal


def doubled(data: bytes) -> bytes:
    return data + data


def pid() -> int:
    return os.getpid()


def waited_for(path: str, value: bytes) -> bytes:
    """Return `value` once there is a file `path`; makes `path.pid` before."""
    partial = Path(f"{path}.writing")
    partial.write_text(str(os.getpid()), encoding="ascii")
    partial.rename(f"{path}.pid")
    while not Path(path).exists():
        time.sleep(0.005)
    return value


def refused() -> None:
    raise InvalidInstance("Not with me.", Refusal.TOO_LARGE)


def wrong(secret: str) -> None:
    raise LookupError(f"{secret} is patient data")


class Malicious:
    """What makes a folder where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def taken_over(path: str) -> Malicious:
    return Malicious(path)


def crashed() -> None:
    ctypes.string_at(0)


def slept_through_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)


def hung() -> None:
    time.sleep(3600)


def filled(length_bytes: int) -> int:
    return int(np.ones(length_bytes, np.uint8)[-1])


def larger_than_a_file_may_be(length_bytes: int) -> bytes:
    """Return what the file that answers go through has no room for."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes // 2, hard))
    return bytes(length_bytes)

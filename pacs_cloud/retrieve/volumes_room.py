"""The volumes of all processes of one archive on this machine, and the memory they share.

Each is a process with a socket in one folder, named by what it holds: who can connect there
need not load it again. A lock on the folder is held while room is made for another.
"""

import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pacs_cloud.errors import Unavailable
from pacs_cloud.retrieve import volumes_process
from pacs_cloud.retrieve.volumes_process import LOADING, Terms
from pacs_cloud.retrieve.volumes_wire import receive, send

log = logging.getLogger(__name__)

_PROGRAM: Final = f"from {volumes_process.__name__} import main; main()"
_LOCK: Final = "lock"
_GIVEN: Final = ".bytes"
"""After a volume's name: the file that says how much memory it was given."""
_ANSWER_S: Final = 10.0
_LEAVE_S, _REAP_S = 0.5, 5.0
_SPARED_S: Final = 20.0
"""What somebody has looked at within so long is not taken from them."""
_BESIDE_BYTES: Final = 512 << 20
"""What a process needs beside its volume's values, and half as much again for views of it."""
_PROCESS_BYTES: Final = 64 << 20
"""What one takes whatever it holds: of small volumes there are no more at once than this allows."""
_FEWEST: Final = 16
"""Processes that there may be in any case."""


class VolumesFull(Unavailable):
    """Others use all the memory there is for volumes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A process of ours that holds a volume.

    Attributes:
        child: it.
        peer: its standard input.
    """

    child: "subprocess.Popen[bytes]"
    peer: socket.socket

    def end(self) -> bool:
        """End it, where it has not ended itself; tells whether it had died."""
        self.peer.close()
        try:
            code = self.child.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(_REAP_S)
            return False
        if code:
            log.error("volume_process_died", extra={"code": code})
        return code != 0


@dataclass(frozen=True, slots=True)
class _Usage:
    name: str
    bytes: int
    idle_s: float
    is_loading: bool


class VolumesRoom:
    """The folder of their sockets. All of it blocks: use it in threads."""

    def __init__(self, folder: Path, max_bytes: int, idle_s: float) -> None:
        """Use a folder, which is made when it is needed.

        Args:
            folder: of this archive on this machine.
            max_bytes: of all volumes together.
            idle_s: after so long without a request one ends.
        """
        self.max_bytes = max_bytes
        self._folder = folder
        self._idle_s = idle_s
        self._directory: int | None = None
        self._opening = threading.Lock()

    def address(self, name: str) -> str:
        """Return the path of a volume's socket, short enough for one whatever the folder's.

        The folder is made where it is not there, or no longer.
        """
        with self._opening:
            if self._directory is None or not self._is_there(self._directory):
                self.close()
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            return f"/proc/self/fd/{self._directory}/{name}"

    def _is_there(self, directory: int) -> bool:
        """Tell whether the folder is still the one that was opened."""
        try:
            return os.path.samestat(os.fstat(directory), self._folder.stat())
        except FileNotFoundError:
            return False

    def claim(self, name: str, volume_bytes: int) -> Held | None:
        """Return a new process for a volume; None where another process holds it already.

        Raises:
            VolumesFull: others use the memory.
            Unavailable: there can be no further process.
        """
        try:
            with self._locked():
                if self._usage(name) is not None:
                    return None
                self._make_room(volume_bytes)
                return self._started(name, volume_bytes)
        except OSError as error:
            raise Unavailable("There can be no further process for a volume.") from error

    def close(self) -> None:
        """Use the folder no longer."""
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None

    @contextmanager
    def _locked(self) -> Generator[None]:
        lock = os.open(self.address(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _make_room(self, volume_bytes: int) -> None:
        names = [one.name for one in self._folder.iterdir() if one.is_socket()]
        found = [usage for name in names if (usage := self._usage(name)) is not None]
        found.sort(key=lambda usage: -usage.idle_s)
        used = sum(usage.bytes for usage in found)
        count = len(found)
        most = max(_FEWEST, self.max_bytes // _PROCESS_BYTES)
        for usage in found:
            if used + volume_bytes <= self.max_bytes and count < most:
                return
            if not usage.is_loading and usage.idle_s >= _SPARED_S:
                self._asked(usage.name, "end")
                used -= usage.bytes
                count -= 1
        if used + volume_bytes > self.max_bytes or count >= most:
            raise VolumesFull("Others use all the memory that there is for volumes.")

    def _usage(self, name: str) -> _Usage | None:
        try:
            said = self._asked(name, "usage")
        except TimeoutError:  # it hangs, and keeps what it has
            given = int(self._given(name).read_text(encoding="ascii"))
            return _Usage(name, given, 0.0, is_loading=True)
        if said is None:
            self._forget(name)
            return None
        return _Usage(name, said["bytes"], said["idle_s"], said["state"] == LOADING)

    def _given(self, name: str) -> Path:
        return self._folder / f"{name}{_GIVEN}"

    def _forget(self, name: str) -> None:
        for one in (self._folder / name, self._given(name)):
            one.unlink(missing_ok=True)

    def _asked(self, name: str, do: str) -> dict[str, Any] | None:
        """Return what a volume's process answers; None where there is none any more."""
        with closing(socket.socket(socket.AF_UNIX)) as peer:
            peer.settimeout(_ANSWER_S)
            try:
                peer.connect(self.address(name))
                send(peer, {"do": do})
                return receive(peer)[0]
            except (ConnectionRefusedError, FileNotFoundError, EOFError):
                return None

    def _started(self, name: str, volume_bytes: int) -> Held:
        memory_bytes = volume_bytes * 2 + _BESIDE_BYTES
        terms = Terms(volume_bytes, memory_bytes, self._idle_s, str(self._folder / name))
        self._given(name).write_text(str(volume_bytes), encoding="ascii")
        with closing(socket.socket(socket.AF_UNIX)) as door:
            door.bind(self.address(name))
            door.listen()
            ours, theirs = socket.socketpair(socket.AF_UNIX)
            with theirs:
                try:
                    child = subprocess.Popen(  # noqa: S603 - our own program
                        [
                            *(sys.executable, "-c", _PROGRAM),
                            *(str(door.fileno()), json.dumps(asdict(terms))),
                        ],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        pass_fds=(door.fileno(),),
                    )
                except OSError:
                    ours.close()
                    self._forget(name)
                    raise
        return Held(child, ours)

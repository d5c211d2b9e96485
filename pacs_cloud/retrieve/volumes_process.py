"""The process that holds one volume, and makes pictures of it; `volumes_room` starts it.

Whoever loads it speaks on its standard input, and with them it ends. Whoever wants pictures,
also from other processes of this archive, connects to its socket; where that is no longer in its
folder nobody can, and it ends. Planes take milliseconds, and are cut side by side; views, and
planes that lie askew, are made in turn, and the kernel ends the process where one hangs.
"""

import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pacs_cloud.dicom.volume.casting import Angle
from pacs_cloud.dicom.volume.filling import Filling
from pacs_cloud.dicom.volume.grid import Grid
from pacs_cloud.dicom.volume.pictures import Pictures, PlanePicture, ViewPicture
from pacs_cloud.dicom.volume.planes import Cut, Mode
from pacs_cloud.dicom.volume.stacks import Stack
from pacs_cloud.dicom.volume.volume import volume_of
from pacs_cloud.dicom.volume.voxels import needs_measuring, scale_of, value_range
from pacs_cloud.errors import InvalidInstance, InvalidRequest, PacsError, Unavailable
from pacs_cloud.retrieve.pixel_worker import restrict
from pacs_cloud.retrieve.volumes_wire import error_of, receive, send

LOADING, READY, IMPOSSIBLE = "loading", "ready", "impossible"
TURN_S: Final = 20.0
"""Somebody waits for others whose pictures take long; then they are told so."""
LIMIT_S: Final = 30.0
"""Of one such picture."""
_LOOK_S: Final = 1.0
_MOST_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """What the process is told at its start.

    Attributes:
        bytes: what its volume will take.
        memory_bytes: of private memory that it may have.
        idle_s: after so long without a request it ends.
        address: of its socket.
    """

    bytes: int
    memory_bytes: int
    idle_s: float
    address: str


class Holder:
    """One volume, from its first slice to its end."""

    def __init__(self, terms: Terms) -> None:
        """Hold none yet."""
        self._terms = terms
        self._used = time.monotonic()
        self._turn = threading.Lock()
        self._state, self._reason = LOADING, ""
        self._progress = 0.0
        self._stack: Stack | None = None
        self._grid: Grid | None = None
        self._notes: tuple[str, ...] = ()
        self._filling: Filling | None = None
        self._pictures: Pictures | None = None
        self._about: dict[str, Any] = {}
        self._range: tuple[float, float] | None = None
        self._measured = 0

    @property
    def is_idle(self) -> bool:
        """Whether nobody has asked for long."""
        return time.monotonic() - self._used > self._terms.idle_s

    def serve(self, peer: socket.socket, *, is_owner: bool) -> None:
        """Answer until the peer has gone."""
        with peer:
            while True:
                try:
                    said, data = receive(peer)
                    send(peer, *self._answer(said, data, is_owner=is_owner))
                except EOFError:
                    return

    def _answer(
        self, said: dict[str, Any], data: bytes, *, is_owner: bool
    ) -> tuple[dict[str, Any], bytes]:
        do = said.pop("do")
        if do == "end":
            os._exit(0)
        if do == "usage":
            return self._usage(), b""
        self._used = time.monotonic()
        if do == "about":
            return self._told(), b""
        try:
            if is_owner:
                return self._loaded(do, said, data)
            return self._made(do, said)
        except PacsError as error:
            return error_of(error), b""
        except (ArithmeticError, LookupError, ValueError):  # of values that nobody thought of
            return error_of(InvalidInstance("Its values cannot be reckoned with.")), b""
        except MemoryError:
            # It is never loaded with no more; of a picture there may be more later.
            kind = InvalidInstance if is_owner else Unavailable
            return error_of(kind("There is not enough memory for it.")), b""
        finally:
            self._used = time.monotonic()

    def _usage(self) -> dict[str, Any]:
        # Whoever has a picture made uses it, however long that takes.
        idle_s = 0.0 if self._turn.locked() else time.monotonic() - self._used
        held = 0 if self._state == IMPOSSIBLE else self._terms.bytes
        return {"bytes": held, "idle_s": idle_s, "state": self._state}

    def _told(self) -> dict[str, Any]:
        return {
            "state": self._state,
            "progress": self._progress,
            "reason": self._reason,
            "notes": self._notes,
            **self._about,
        }

    def _made(self, do: str, said: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        pictures = self._pictures
        if pictures is None:
            return {"state": self._state}, b""
        match do:
            case "plane":
                cut = _cut(said.pop("cut"))
                with self._in_turn() if cut.is_askew else nullcontext():
                    return {}, pictures.plane(PlanePicture(cut, **said))
            case "view":
                wanted = ViewPicture(Angle(**said.pop("angle")), **said)
                with self._in_turn():
                    return {}, pictures.view(wanted)
            case "point":
                return pictures.point(_cut(said["cut"]), said["x"], said["y"]), b""
            case _:
                raise InvalidRequest("Only who loads a volume may do that.")

    @contextmanager
    def _in_turn(self) -> Generator[None]:
        """Let one after the other do what takes long; raises Unavailable where that is too long."""
        if not self._turn.acquire(timeout=TURN_S):
            raise Unavailable("Others look at this volume.")
        try:
            # Nobody handles SIGALRM: it ends the process within whatever hangs.
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._turn.release()

    def _loaded(self, do: str, said: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        match do:
            case "begin":
                # Of whoever started us.
                self._stack, self._grid, self._notes = pickle.loads(data)  # noqa: S301  # nosec B301
            case "measure":
                self._measure(data)
            case "add":
                self._add(data)
            case _:
                self._state, self._reason = IMPOSSIBLE, str(said["reason"])
                self._filling = None
        return {}, b""

    def _measure(self, data: bytes) -> None:
        assert self._stack is not None
        low, high = value_range(data, self._stack.slices[self._measured])
        if self._range is not None:
            low, high = min(low, self._range[0]), max(high, self._range[1])
        self._range = low, high
        self._measured += 1
        self._progress = self._measured / len(self._stack.slices) / 2

    def _add(self, data: bytes) -> None:
        stack, grid = self._stack, self._grid
        assert stack is not None
        assert grid is not None
        if self._filling is None:
            self._filling = Filling(stack, grid, scale_of(stack, self._range))
        filling = self._filling
        filling.add(data)
        share = filling.taken / len(stack.slices)
        self._progress = (1 + share) / 2 if needs_measuring(stack) else share
        if filling.taken == len(stack.slices):
            self._pictures = Pictures(volume_of(filling.voxels, stack, grid, filling.scale))
            self._about = self._pictures.about()
            self._filling = self._stack = None
            self._state = READY


def main() -> None:
    """Hold a volume for the peer on standard input, and show it at the socket that is passed."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)
    terms = Terms(**json.loads(sys.argv[2]))
    restrict(terms.memory_bytes)
    holder = Holder(terms)
    door = socket.socket(fileno=int(sys.argv[1]))
    own = _inode(terms.address)
    owner = socket.socket(fileno=os.dup(0))

    def load() -> None:
        holder.serve(owner, is_owner=True)
        os._exit(0)

    threading.Thread(target=load, daemon=True).start()
    room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
    door.settimeout(_LOOK_S)
    while not holder.is_idle:
        try:
            peer, _ = door.accept()
        except TimeoutError:
            if own is None or _inode(terms.address) != own:
                break
            continue
        peer.setblocking(True)
        room.acquire()

        def show(peer: socket.socket = peer) -> None:
            try:
                holder.serve(peer, is_owner=False)
            finally:
                room.release()

        threading.Thread(target=show, daemon=True).start()
    os._exit(0)


def _inode(address: str) -> int | None:
    try:
        return Path(address).stat().st_ino
    except OSError:
        return None


def _cut(said: dict[str, Any]) -> Cut:
    mode = Mode(said.pop("mode"))
    return Cut(mode=mode, **said)

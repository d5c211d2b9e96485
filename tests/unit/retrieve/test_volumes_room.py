"""Processes that hold volumes: found by others, in the way of others, and gone again."""

import asyncio
import os
import pickle
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pacs_cloud.dicom.volume.casting import Angle
from pacs_cloud.dicom.volume.grid import grid_of
from pacs_cloud.dicom.volume.pictures import Pictures, PlanePicture, ViewPicture
from pacs_cloud.dicom.volume.planes import Cut, Mode
from pacs_cloud.dicom.volume.stacks import stack_of
from pacs_cloud.retrieve import volumes_process, volumes_room
from pacs_cloud.retrieve.volumes import SeriesVolume, Volumes
from pacs_cloud.retrieve.volumes_process import Holder, Terms
from pacs_cloud.retrieve.volumes_room import Held, VolumesFull, VolumesRoom
from pacs_cloud.retrieve.volumes_wire import HEAD, receive, send
from patience import PATIENCE_S
from volume_samples import frames_of, series_of, slices_of

MIB = 1 << 20
NOTES = ("2 images that lie otherwise: left out.",)


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[tuple[VolumesRoom, VolumesRoom]]:
    """Give what two processes of one archive have."""
    # A socket's path may have 108 bytes: no folder is too deep for one.
    folder = tmp_path / ("deep" * 30) / "volumes"
    one, other = (VolumesRoom(folder, 10 * MIB, idle_s=60) for _ in range(2))
    yield one, other
    one.close()
    other.close()


def _say(held: Held, do: str, data: bytes = b"") -> dict[str, object]:
    held.peer.setblocking(True)
    return _told(held.peer, do, data)


def _told(peer: socket.socket, do: str, data: bytes) -> dict[str, object]:
    send(peer, {"do": do}, data)
    return receive(peer)[0]


def _load(held: Held) -> None:
    held.peer.setblocking(True)
    _fill(held.peer)


def _fill(peer: socket.socket) -> None:
    series = series_of()
    stack = stack_of(slices_of(series))
    assert _told(peer, "begin", pickle.dumps((stack, grid_of(stack, MIB), NOTES))) == {}
    frames = frames_of(series)
    for n in stack.members:
        assert _told(peer, "add", frames[n]) == {}


def _asked(room: VolumesRoom, name: str, **said: object) -> tuple[dict[str, object], bytes]:
    with closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.connect(room.address(name))
        send(peer, said)
        return receive(peer)


def _has_gone(held: Held, within_s: float = PATIENCE_S) -> bool:
    end = time.monotonic() + within_s
    while held.child.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return held.child.returncode is not None


def _claimed(room: VolumesRoom, name: str, volume_bytes: int = MIB) -> Held:
    held = room.claim(name, volume_bytes)
    assert held is not None
    return held


def test_what_one_process_loads_another_shows(rooms: tuple[VolumesRoom, VolumesRoom]) -> None:
    one, other = rooms
    held = _claimed(one, "a")
    assert other.claim("a", MIB) is None
    assert _asked(other, "a", do="about")[0]["state"] == "loading"
    cut = asdict(PlanePicture(Cut("axial", 3)))
    assert _asked(other, "a", do="plane", **cut) == ({"state": "loading"}, b"")
    _load(held)
    about, _ = _asked(other, "a", do="about")
    # Whoever asks need not find out once more what was left out.
    assert (about["state"], about["notes"]) == ("ready", list(NOTES))
    said, picture = _asked(other, "a", do="plane", **cut)
    assert (said, picture[:2]) == ({}, b"\xff\xd8")
    held.end()
    assert held.child.returncode == 0  # with whoever loaded it
    with pytest.raises(ConnectionRefusedError):
        _asked(other, "a", do="about")


def test_nobody_but_who_loads_it_may_add_to_it(rooms: tuple[VolumesRoom, VolumesRoom]) -> None:
    held = _claimed(rooms[0], "a")
    _load(held)
    shape = _asked(rooms[1], "a", do="about")[0]["shape"]
    assert _asked(rooms[1], "a", do="begin")[0]["error"] == "InvalidRequest"
    assert _asked(rooms[1], "a", do="add")[0]["error"] == "InvalidRequest"
    assert _asked(rooms[1], "a", do="about")[0]["shape"] == shape
    held.end()


def test_a_volume_that_is_looked_at_is_not_taken_away(
    rooms: tuple[VolumesRoom, VolumesRoom],
) -> None:
    one, other = rooms
    first, second = _claimed(one, "a", 6 * MIB), _claimed(one, "b", 3 * MIB)
    _load(first)
    with pytest.raises(VolumesFull):
        other.claim("c", 2 * MIB)
    held = _claimed(other, "c", MIB)
    for it in (first, second, held):
        it.end()


def test_the_longest_unused_goes_first_and_no_more_than_must(
    rooms: tuple[VolumesRoom, VolumesRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes_room, "_SPARED_S", 0.0)
    one, other = rooms
    kept = {name: _claimed(one, name, 4 * MIB) for name in ("a", "b")}
    for name in ("b", "a"):
        _load(kept[name])
        time.sleep(0.02)
    _asked(other, "b", do="about")
    third = _claimed(other, "c", 4 * MIB)
    assert _has_gone(kept["a"])
    assert kept["b"].child.poll() is None
    with pytest.raises(VolumesFull):  # the third is being loaded: nobody takes it away
        one.claim("d", 8 * MIB)
    for it in (*kept.values(), third):
        it.end()


def test_one_that_died_is_in_nobodys_way(rooms: tuple[VolumesRoom, VolumesRoom]) -> None:
    one, other = rooms
    held = _claimed(one, "a", 9 * MIB)
    os.kill(held.child.pid, signal.SIGKILL)
    assert _has_gone(held)
    again = _claimed(other, "a", 9 * MIB)
    again.end()
    held.end()


def test_one_that_hangs_has_the_memory_it_was_given(
    rooms: tuple[VolumesRoom, VolumesRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes_room, "_ANSWER_S", 0.2)
    one, other = rooms
    held = _claimed(one, "a", 6 * MIB)
    os.kill(held.child.pid, signal.SIGSTOP)
    with pytest.raises(VolumesFull):
        other.claim("b", 6 * MIB)
    held.end()
    again = _claimed(other, "b", 6 * MIB)
    again.end()


def test_one_that_nobody_uses_ends(tmp_path: Path) -> None:
    room = VolumesRoom(tmp_path, MIB, idle_s=0.6)
    held = _claimed(room, "a")
    _load(held)
    assert _has_gone(held)
    assert held.child.returncode == 0
    held.end()
    room.close()


def test_a_volume_that_failed_says_so_and_holds_no_memory(
    rooms: tuple[VolumesRoom, VolumesRoom],
) -> None:
    held = _claimed(rooms[0], "a")
    held.peer.setblocking(True)
    send(held.peer, {"do": "fail", "reason": "It is broken."})
    receive(held.peer)
    about, _ = _asked(rooms[1], "a", do="about")
    assert (about["state"], about["reason"]) == ("impossible", "It is broken.")
    assert _asked(rooms[1], "a", do="usage")[0]["bytes"] == 0
    held.end()


def test_what_is_no_message_ends_a_connection_alone(
    rooms: tuple[VolumesRoom, VolumesRoom],
) -> None:
    held = _claimed(rooms[0], "a")
    with closing(socket.socket(socket.AF_UNIX)) as peer:
        peer.connect(rooms[0].address("a"))
        peer.sendall(HEAD.pack(1 << 31, 1 << 60))
        assert peer.recv(1) == b""
    assert _asked(rooms[1], "a", do="usage")[0]["bytes"] == MIB
    held.end()


def test_the_folder_is_for_nobody_else(tmp_path: Path) -> None:
    room = VolumesRoom(tmp_path / "volumes", MIB, idle_s=60)
    held = _claimed(room, "a")
    assert (tmp_path / "volumes").stat().st_mode & 0o77 == 0
    held.end()
    room.close()


def test_small_volumes_are_not_held_by_more_processes_than_memory_allows(
    rooms: tuple[VolumesRoom, VolumesRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes_room, "_FEWEST", 2)
    one, other = rooms
    first, second = _claimed(one, "a", 100), _claimed(other, "b", 100)
    for held in (first, second):
        _load(held)
    with pytest.raises(VolumesFull):
        other.claim("c", 100)
    monkeypatch.setattr(volumes_room, "_SPARED_S", 0.0)
    _asked(other, "b", do="about")
    third = _claimed(other, "c", 100)
    assert _has_gone(first)
    assert second.child.poll() is None
    for held in (first, second, third):
        held.end()


def test_what_nobody_can_reckon_with_is_told_and_does_not_end_the_process(
    rooms: tuple[VolumesRoom, VolumesRoom],
) -> None:
    held = _claimed(rooms[0], "a")
    series = series_of()
    stack = stack_of(slices_of(series))
    grid = replace(grid_of(stack, MIB), shape=(-1, 1, 1))  # memory of no size
    assert _say(held, "begin", pickle.dumps((stack, grid, NOTES))) == {}
    said = _say(held, "add", frames_of(series)[0])
    assert said["error"] == "InvalidInstance"
    assert _asked(rooms[1], "a", do="about")[0]["state"] == "loading"
    held.end()


def test_a_folder_that_was_deleted_is_made_again(rooms: tuple[VolumesRoom, VolumesRoom]) -> None:
    one, other = rooms
    held = _claimed(one, "a")
    _load(held)
    shutil.rmtree(Path(os.readlink(one.address("")[:-1])))
    assert _has_gone(held)  # nobody could ask it any more: it does not keep its memory
    again = _claimed(other, "a")
    _load(again)
    assert _asked(one, "a", do="about")[0]["state"] == "ready"
    for it in (held, again):
        it.end()


def test_what_does_not_fit_into_memory_is_not_tried_for_ever(
    rooms: tuple[VolumesRoom, VolumesRoom],
) -> None:
    held = _claimed(rooms[0], "a")
    series = series_of()
    stack = stack_of(slices_of(series))
    grid = replace(grid_of(stack, MIB), shape=(1024, 1024, 1024))
    assert _say(held, "begin", pickle.dumps((stack, grid, NOTES))) == {}
    said = _say(held, "add", frames_of(series)[0])
    assert said == {"error": "InvalidInstance", "words": "There is not enough memory for it."}
    held.end()


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the limits that are set to what takes long, in seconds; here none of them ends it."""
    found: list[float] = []
    monkeypatch.setattr(volumes_process.signal, "setitimer", lambda _, s: found.append(s))
    return found


@pytest.fixture
def line(limits: list[float]) -> Iterator[Callable[[bool], socket.socket]]:
    """Give what opens a line to a volume that threads of this process hold."""
    del limits
    holder = Holder(Terms(MIB, 1 << 30, 60, ""))
    with ExitStack() as stack:

        def open_line(is_owner: bool) -> socket.socket:
            ours, theirs = socket.socketpair()
            serving = threading.Thread(
                target=holder.serve, args=(theirs,), kwargs={"is_owner": is_owner}
            )
            serving.start()
            stack.callback(serving.join)
            return stack.enter_context(ours)

        yield open_line


def test_what_takes_long_has_an_end(
    line: Callable[[bool], socket.socket], limits: list[float]
) -> None:
    _fill(line(True))
    peer = line(False)
    for said, is_limited in (
        ({"do": "plane", **asdict(PlanePicture(Cut("axial", 3, Mode.MIP)))}, False),
        ({"do": "plane", **asdict(PlanePicture(Cut("axial", 3, yaw=10)))}, True),
        ({"do": "plane", **asdict(PlanePicture(Cut("axial", 3, pitch=10)))}, True),
        ({"do": "view", **asdict(ViewPicture(Angle(), size=16))}, True),
    ):
        send(peer, said)
        assert receive(peer)[1][:2] == b"\xff\xd8"
        assert limits == ([volumes_process.LIMIT_S, 0] if is_limited else [])
        limits.clear()


def test_who_waits_long_for_a_turn_is_told_so(
    line: Callable[[bool], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes_process, "TURN_S", 0.05)
    go_on, view = threading.Event(), Pictures.view

    def slow(self: Pictures, wanted: ViewPicture) -> bytes:
        go_on.wait()
        return view(self, wanted)

    monkeypatch.setattr(Pictures, "view", slow)
    _fill(line(True))
    first, second = line(False), line(False)
    said = {"do": "view", **asdict(ViewPicture(Angle(), size=16))}
    send(first, said)
    send(second, said)
    ready, _, _ = select.select((first, second), (), (), PATIENCE_S)
    go_on.set()
    (turned_away,) = ready
    assert receive(turned_away)[0]["error"] == "Unavailable"
    assert receive(second if turned_away is first else first)[1][:2] == b"\xff\xd8"


def test_a_volume_is_in_use_as_long_as_a_view_of_it_is_made(
    line: Callable[[bool], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, view = threading.Event(), threading.Event(), Pictures.view

    def slow(self: Pictures, wanted: ViewPicture) -> bytes:
        begun.set()
        go_on.wait()
        return view(self, wanted)

    monkeypatch.setattr(Pictures, "view", slow)
    _fill(line(True))
    viewer, other = line(False), line(False)
    send(viewer, {"do": "view", **asdict(ViewPicture(Angle(), size=16))})
    begun.wait()
    time.sleep(0.01)
    try:
        assert _told(other, "usage", b"")["idle_s"] == 0
    finally:
        go_on.set()
    assert receive(viewer)[1][:2] == b"\xff\xd8"


async def test_nobody_waits_for_room_in_an_archive_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, full = threading.Event(), threading.Event()

    def claim(*_: object) -> None:
        asked.set()
        full.wait()
        raise VolumesFull("Others use the memory.")

    async def plan(*_: object) -> SimpleNamespace:
        return SimpleNamespace(grid=SimpleNamespace(bytes=MIB), notes=())

    monkeypatch.setattr(VolumesRoom, "claim", claim)
    monkeypatch.setattr(Volumes, "_plan", plan)
    volumes = Volumes(SimpleNamespace(readable=None), tmp_path)  # type: ignore[arg-type]
    waiting = asyncio.create_task(SeriesVolume(volumes, (), "a").told())
    await asyncio.to_thread(asked.wait)
    closing = asyncio.create_task(volumes.aclose())
    await asyncio.sleep(0.05)
    full.set()
    await closing
    await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()


async def test_a_defect_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def plan(*_: object) -> SimpleNamespace:
        return SimpleNamespace(grid=SimpleNamespace(bytes=MIB), notes=())

    monkeypatch.setattr(VolumesRoom, "claim", claim)
    monkeypatch.setattr(Volumes, "_plan", plan)
    volumes = Volumes(SimpleNamespace(readable=None), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="thread"):
        await asyncio.wait_for(SeriesVolume(volumes, (), "a").told(), PATIENCE_S)
    await volumes.aclose()

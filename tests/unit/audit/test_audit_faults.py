"""A process that dies at any step loses nothing that was answered, and leaves a clean trail."""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pacs_cloud.audit import chain_note, directory, journal, leftover
from pacs_cloud.audit.journal import Journal
from pacs_cloud.audit.trail import Trail
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import Kind
from unit.audit.audit_house import House, die
from unit.custody.custody_faults import Died, Fuse, Mortal

STEPS = ("open", "write", "fsync", "fdatasync", "ftruncate", "close")


class Dying:
    """The system's calls, of which one is the last that the process makes."""

    def __init__(self, at: int, how: str) -> None:
        self.fuse = Fuse(at, answers=how == "after")
        self._is_torn = how == "torn"

    def step(self, real: Any, *args: Any, **more: Any) -> Any:
        try:
            dies = self.fuse.before()
        except Died:
            if self._is_torn and real is os.write:
                self._is_torn = False
                os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
            raise
        answer = real(*args, **more)
        if dies:
            raise Died
        return answer

    def patch(self, patcher: pytest.MonkeyPatch) -> None:
        own = SimpleNamespace(
            **{name: getattr(os, name) for name in dir(os) if not name.startswith("__")}
        )
        for name in STEPS:
            if name != "close":  # the kernel closes what a dead process had open
                setattr(own, name, self._of(getattr(os, name)))
        for module in (chain_note, directory, journal, leftover):
            patcher.setattr(module, "os", own)
        for name in ("rename", "unlink", "mkdir"):
            patcher.setattr(Path, name, self._method(getattr(Path, name)))

    def _of(self, real: Any) -> Any:
        return lambda *args, **more: self.step(real, *args, **more)

    def _method(self, real: Any) -> Any:
        return lambda path, *args, **more: self.step(real, path, *args, **more)


async def live(house: House, trail: Trail, answered: list[str]) -> None:
    """Answer, seal, answer, for as long as this process lives."""
    for part in range(2):
        for number in range(2):
            study = f"1.{part}.{number}"
            await trail.record(house.event(Kind.CHANGE, study))
            answered.append(study)
            house.clock.tick()
        await trail._recorder.seal()
    await trail.record(house.event(Kind.CHANGE, "1.9"))
    answered.append("1.9")


async def check(house: House, answered: list[str]) -> None:
    """See that the next process finds all that was answered, once, and a clean trail."""
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE, "2.1"))
        assert await house.findings() == []
        await trail.tend(house.root)
        await trail._recorder.seal()
    assert await house.findings() == []
    assert [*house.root.glob("*/*/*.jsonl")] == []
    found = [event.studies[0] for event in await house.events()]
    assert len(found) == len(set(found))
    assert {*answered, "2.1"} <= set(found)
    assert len(found) <= len(answered) + 2  # one was written, and its answer never given


@pytest.mark.parametrize("how", ["before", "after", "torn"])
async def test_a_process_dies_at_any_call_of_the_system(tmp_path: Path, how: str) -> None:
    for at in count():
        async with LocalObjectStore(tmp_path / str(at) / "objects") as objects:
            house = House(objects, tmp_path / str(at) / "audit")
            answered: list[str] = []
            dying = Dying(at, how)
            trail: Trail | None = None
            with pytest.MonkeyPatch.context() as patcher:
                dying.patch(patcher)
                try:
                    trail = house.open(sync_file=partial(dying.step, os.fdatasync))
                    await live(house, trail, answered)
                except (Died, PacsError):
                    pass
            if trail is not None:
                die(trail)
            await check(house, answered)
        if not dying.fuse.is_burnt:
            assert at > 30
            return


@pytest.mark.parametrize("answers", [False, True])
async def test_a_process_dies_at_any_call_of_the_store(tmp_path: Path, answers: bool) -> None:
    for at in count():
        async with LocalObjectStore(tmp_path / str(at) / "objects") as objects:
            house = House(objects, tmp_path / str(at) / "audit")
            answered: list[str] = []
            fuse = Fuse(at, answers=answers)
            trail = house.open(Mortal(objects, fuse))
            with suppress(Died):
                await live(house, trail, answered)
            die(trail)
            await check(house, answered)
        if not fuse.is_burnt:
            assert at > 3
            return


async def test_the_one_that_takes_over_dies_at_any_call(tmp_path: Path) -> None:
    for at in count():
        async with LocalObjectStore(tmp_path / str(at) / "objects") as objects:
            house = House(objects, tmp_path / str(at) / "audit")
            answered: list[str] = []
            first, second = house.open(), house.open()
            await live(house, second, answered)
            die(first)
            die(second)
            (torn,) = house.root.glob("1/*/*.jsonl")
            with torn.open("ab") as file:
                file.write(b'{"seq":9,"at":')
            dying = Dying(at, "before")
            with pytest.MonkeyPatch.context() as patcher:
                dying.patch(patcher)
                try:
                    trail = house.open()
                    await trail.tend(house.root)
                    die(trail)
                except (Died, PacsError):
                    pass
            _unlock_all()
            await check(house, answered)
        if not dying.fuse.is_burnt:
            assert at > 10
            return


def _unlock_all() -> None:
    """Let go of locks as the kernel does when a process ends."""
    import gc

    for one in gc.get_objects():
        if isinstance(one, directory.JournalDirectory):
            one.release()


async def test_a_torn_end_is_cut_and_said(house: House) -> None:
    trail = house.open()
    await trail.record(house.event(Kind.CHANGE))
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"seq":2,"at":1')
    await house.seal()
    assert await house.findings() == []
    assert len(await house.events()) == 1
    (key,) = await house.keys()
    assert b'"recovered":true,"cut_bytes":15' in await house.objects.get(key)


async def test_blocks_that_never_reached_the_disk_are_cut(house: House) -> None:
    trail = house.open()
    await trail.record(house.event(Kind.CHANGE))
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    with path.open("ab") as file:
        file.write(bytes(5000) + b'"}\n')
    await house.seal()
    assert await house.findings() == []


async def test_records_behind_a_block_that_reads_as_zeros_are_not_cut(house: House) -> None:
    trail = house.open()
    for number in range(3):
        await trail.record(house.event(Kind.CHANGE, f"1.{number}"))
        house.clock.tick()
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + bytes(200) + lines[2][240:]
    path.write_bytes(b"".join(lines) + bytes(300))
    await house.seal()
    assert [event.studies for event in await house.events()] == [("1.0",), ("1.2",)]
    found = [(finding.line, finding.what) for finding in await house.findings()]
    assert found == [(3, "its hash is another one")]
    (key,) = await house.keys()
    assert b'"recovered":true,"cut_bytes":300' in await house.objects.get(key)


def _another_digit(byte: int) -> int:
    return ord("0") if byte != ord("0") else ord("1")


def _no_digit(_: int) -> int:
    return ord("g")


def _flipped(byte: int) -> int:
    return byte ^ 1


@pytest.mark.parametrize(
    ("place", "other", "line", "what"),
    [
        (10, _flipped, 1, "its hash is another one"),
        (-30, _another_digit, 4, "its hash is another one"),
        (-30, _no_digit, 4, "does not end in a hash"),
    ],
)
async def test_what_was_changed_while_nobody_ran_is_sealed_as_it_stands(
    house: House, place: int, other: Callable[[int], int], line: int, what: str
) -> None:
    trail = house.open()
    for _ in range(3):
        await trail.record(house.event(Kind.CHANGE))
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    data = bytearray(path.read_bytes())
    data[place] = other(data[place])
    path.write_bytes(data)
    await house.seal()
    # That line alone: the chain goes on behind it, as it did before.
    assert [(one.line, one.what) for one in await house.findings()] == [(line, what)]
    (key,) = await house.keys()
    assert bytes(data) in await house.objects.get(key)
    async with house.trail() as again:
        await again.record(house.event(Kind.CHANGE))
    assert len(await house.findings()) == 1


async def test_a_record_put_back_as_it_was_leaves_a_clean_trail(house: House) -> None:
    trail = house.open()
    await trail.record(house.event(Kind.CHANGE))
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"user:anna", b"user:eve "))
    await house.seal()
    assert len(await house.findings()) == 1
    (key,) = await house.keys()
    sealed = house.root.parent / "objects" / key
    sealed.write_bytes(sealed.read_bytes().replace(b"user:eve ", b"user:anna"))
    assert await house.findings() == []


async def test_a_part_of_which_nothing_was_written_goes(house: House) -> None:
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE))
        await trail._recorder.seal()
    (folder,) = house.root.glob("*/default")
    (folder / f"20260921-{'0' * 16}-00000001-{'1' * 16}.jsonl").write_bytes(b"")
    await house.seal()
    assert [*folder.glob("*.jsonl")] == []
    assert await house.findings() == []


async def test_a_lost_note_of_the_chain_begins_a_new_one(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE))
        await trail._recorder.seal()
    (state,) = house.root.glob("*/default/chain.json")
    state.write_bytes(b"x")
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE))
        await trail._recorder.seal()
    assert "audit_chain_lost" in caplog.text
    assert await house.findings() == []
    assert len({key.split("/")[3] for key in await house.keys()}) == 2


async def test_directories_of_the_dead_are_taken_over(house: House) -> None:
    trails = [house.open() for _ in range(3)]
    for number, trail in enumerate(trails):
        await trail.record(house.event(Kind.CHANGE, f"1.{number}"))
    for trail in trails[1:]:
        die(trail)
    await trails[0].tend(house.root)
    assert len(await house.keys()) == 2
    assert await house.findings() == []
    await trails[0].aclose()
    await house.seal()
    assert len(await house.events()) == 3
    assert await house.findings() == []


async def test_a_directory_that_is_in_use_is_left_alone(house: House) -> None:
    async with house.trail() as first, house.trail() as second:
        await first.record(house.event(Kind.CHANGE))
        await second.tend(house.root)
        assert await house.keys() == []
        assert first.directory.path != second.directory.path


def test_a_journal_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Journal(tmp_path / "none", "default").append([{}], 1)

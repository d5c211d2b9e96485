"""Whatever is changed in a trail is found, wherever it lies."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pacs_cloud.audit.chain_note import STATE
from pacs_cloud.audit.names import part_of_key
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import Kind
from unit.audit.audit_house import House, die

DAY_US = 86_400_000_000


async def fill(house: House, parts: int = 3, lines: int = 2) -> list[str]:
    """Let one process fill parts of one chain; return their keys, in order."""
    async with house.trail() as trail:
        for _ in range(parts):
            for _ in range(lines):
                await trail.record(house.event(Kind.CHANGE))
                house.clock.tick()
            await trail._recorder.seal()
    return await house.keys()


def file_of(house: House, key: str) -> Path:
    return house.root.parent / "objects" / key


async def places(house: House) -> set[str]:
    return {finding.place for finding in await house.findings()}


@pytest.mark.parametrize("flip", [0x01, 0x80])
async def test_every_byte_of_every_object_counts(house: House, flip: int) -> None:
    for key in await fill(house, parts=2, lines=1):
        path = file_of(house, key)
        data = path.read_bytes()
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= flip
            path.write_bytes(changed)
            assert key in await places(house), (key, place)
        path.write_bytes(data)
    assert await house.findings() == []


async def test_every_byte_of_a_living_journal_counts(house: House) -> None:
    async with house.trail() as trail:
        for _ in range(3):
            await trail.record(house.event(Kind.CHANGE))
        (path,) = house.root.glob("*/default/*.jsonl")
        data = path.read_bytes()
        # The last byte is the end of a line that may just be being written.
        for place in range(len(data) - 1):
            changed = bytearray(data)
            changed[place] ^= 0x01
            path.write_bytes(changed)
            assert path.name in await places(house), place
        path.write_bytes(data)
        assert await house.findings() == []


async def test_every_byte_of_what_a_writer_keeps_of_its_chain_counts(house: House) -> None:
    await fill(house)
    (path,) = house.root.glob(f"*/default/{STATE}")
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x01
        path.write_bytes(changed)
        assert await places(house), place
    path.write_bytes(data)
    assert await house.findings() == []


Damage = Callable[[list[bytes]], list[bytes]]
DAMAGES: dict[str, Damage] = {
    "a line is missing": lambda lines: [lines[0], *lines[2:]],
    "the first line is missing": lambda lines: lines[1:],
    "the last line is missing": lambda lines: lines[:-1],
    "a line is doubled": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "the last line is doubled": lambda lines: [*lines, lines[-1]],
    "two lines are swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "all is missing": lambda lines: [],
    "the end of a line is missing": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "other line ends": lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
    "it goes on": lambda lines: [*lines, b"x"],
    "a blank line": lambda lines: [*lines, b"\n"],
    "keys in another order": lambda lines: [
        line.replace(b'{"seq":1,"at"', b'{"at":1,"seq"') for line in lines
    ],
}


@pytest.mark.parametrize("what", DAMAGES)
async def test_what_is_changed_in_any_object_is_found(house: House, what: str) -> None:
    keys = await fill(house)
    for key in keys if "order" not in what else keys[:1]:
        path = file_of(house, key)
        data = path.read_bytes()
        path.write_bytes(b"".join(DAMAGES[what](data.splitlines(keepends=True))))
        assert key in await places(house)
        path.write_bytes(data)
    assert await house.findings() == []


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_an_object_that_is_gone_is_missed(house: House, number: int) -> None:
    keys = await fill(house)
    file_of(house, keys[number]).unlink()
    said = [finding.what for finding in await house.findings()]
    assert len(said) == 1
    assert "missing" in said[0]


async def test_the_last_object_is_missed_by_other_chains_too(house: House) -> None:
    first, second = house.open(), house.open()
    await first.record(house.event(Kind.CHANGE))
    await second.record(house.event(Kind.CHANGE))
    await first._recorder.seal()
    (key,) = await house.keys()
    await second._recorder.seal()
    await first.aclose()
    await second.aclose()
    assert await house.findings() == []
    shutil.rmtree(house.root)  # another machine, which has no journals of theirs
    assert await house.findings() == []
    file_of(house, key).unlink()
    (finding,) = await house.findings()
    assert "is missing" in finding.what
    assert finding.place in key


async def test_a_chain_forged_whole_is_not_what_another_one_has_seen(house: House) -> None:
    first, second = house.open(), house.open()
    await first.record(house.event(Kind.CHANGE))
    await second.record(house.event(Kind.CHANGE))
    await first._recorder.seal()
    (key,) = await house.keys()
    await second._recorder.seal()
    await first.aclose()
    await second.aclose()
    shutil.rmtree(house.root)
    # A forger who knows the format writes all of the first chain anew.
    async with LocalObjectStore(house.root.parent / "forged") as store:
        forger = House(store, house.root.parent / "forgery")
        async with forger.trail() as trail:
            await trail.record(replace(forger.event(Kind.CHANGE), subject="user:other"))
            await trail._recorder.seal()
        (made,) = await forger.keys()
        data = await store.get(made)
    part, forged = part_of_key(key), part_of_key(made)
    assert part is not None
    assert forged is not None
    assert part.number == forged.number == 0
    file_of(house, key).write_bytes(_rewritten(data, forged.writer, part.writer, part.tag))
    assert [finding.what for finding in await house.findings()] != []


def _rewritten(data: bytes, old: str, new: str, tag: str) -> bytes:
    from pacs_cloud.security.audit_line import Position, encode_line, read_line

    after, lines = Position(), list[bytes]()
    for raw in data.splitlines(keepends=True):
        line = read_line(raw)
        body = dict(line.body)
        if "writer" in body:
            body |= {"writer": new, "tag": tag}
        written, after = encode_line(after, line.what, body, line.position.at_us)
        lines.append(written)
    assert old.encode() not in b"".join(lines)
    return b"".join(lines)


async def test_a_renamed_or_copied_object_is_found(house: House) -> None:
    keys = await fill(house)
    await house.objects.put_new(keys[0][:-8] + "00.jsonl", await house.objects.get(keys[0]))
    await house.objects.put_new(f"{keys[0]}.copy", b"")
    await house.objects.put_new(
        keys[0].replace("/default/", "/other/"), await house.objects.get(keys[0])
    )
    what = {finding.what for finding in await house.findings()}
    assert {"is a second part 0 of its chain", "is no part of an audit trail"} <= what
    assert {finding.what for finding in await house.findings("other")} == {
        "does not begin its part"
    }


async def test_two_objects_that_changed_names_are_found(house: House) -> None:
    keys = await fill(house)
    first, second = (file_of(house, key) for key in keys[:2])
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert {keys[0], keys[1]} <= await places(house)


async def test_chains_go_on_from_day_to_day_and_process_to_process(house: House) -> None:
    for _ in range(4):
        async with house.trail() as trail:
            await trail.record(house.event(Kind.CHANGE))
            await trail._recorder.seal()
        house.clock.tick(DAY_US)
    keys = await house.keys()
    assert len({key.split("/")[2] for key in keys}) == 4
    assert len({key.split("/")[3] for key in keys}) == 1
    assert await house.findings() == []
    file_of(house, keys[1]).unlink()
    (finding,) = await house.findings()
    assert finding.what == "comes behind parts that are missing: 1 to 1"


async def test_what_was_removed_by_age_is_not_missed_since_then(house: House) -> None:
    for _ in range(3):
        await fill(house, parts=1)
        house.clock.tick(DAY_US)
    keys = await house.keys()
    file_of(house, keys[0]).unlink()
    (finding,) = await house.findings()
    assert "those before it are missing" in finding.what
    assert await house.findings(since_day=keys[1].split("/")[2]) == []


async def test_a_clock_that_goes_back_breaks_no_chain(house: House) -> None:
    await fill(house, parts=1)
    house.clock.tick(-2 * DAY_US)
    await fill(house, parts=2)
    assert await house.findings() == []
    assert len(await house.events()) == 6


async def test_what_is_found_is_said_with_its_place(house: House) -> None:
    keys = await fill(house)
    path = file_of(house, keys[1])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"user:anna", b"user:bert")
    path.write_bytes(b"".join(lines))
    (finding,) = await house.findings()
    assert (finding.place, finding.line) == (keys[1], 2)
    assert finding.what == "its hash is another one"


async def test_a_disk_put_back_to_an_older_state_shows(house: House) -> None:
    await fill(house, parts=1)
    shutil.copytree(house.root, house.root.parent / "older")
    await fill(house, parts=1)
    shutil.rmtree(house.root)
    shutil.move(house.root.parent / "older", house.root)
    await fill(house, parts=1)
    assert any("second part 1" in finding.what for finding in await house.findings())


async def test_an_object_in_the_place_of_a_journal_is_found(house: House) -> None:
    trail = house.open()
    await trail.record(house.event(Kind.CHANGE))
    die(trail)
    (path,) = house.root.glob("*/default/*.jsonl")
    day, writer, number, tag = path.stem.split("-")
    await house.objects.put_new(f"audit/default/{day}/{writer}/{number}-{tag}.jsonl", b"other")
    await house.seal()
    what = {finding.what for finding in await house.findings()}
    assert {"does not end in a hash", "is not what is sealed"} <= what
    assert len([*house.root.glob("*/default/*.differs")]) == 1

"""The access log: what a process counts is written once, kept where it cannot be, and read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from catalogue_samples import TENANT
from pacs_cloud.errors import Conflict, Corrupt, Unavailable
from pacs_cloud.objectstore.keys import AccessKey, access_prefix, check_key, parse_access_key
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.tiering.access.counter import AccessCounter, counting
from pacs_cloud.tiering.access.log import last_reads
from pacs_cloud.tiering.access.sheet import (
    Access,
    Sheet,
    decode_day,
    decode_sheet,
    encode_day,
    encode_sheet,
)
from patience import PATIENCE_S
from recall_samples import Clock
from unit.tiering.tiering_access import DAY_S, at, key_of, keys, log_of, write

DAY = "2026-01-31"


class Failing(LocalObjectStore):
    """A store that can be out of reach, before a write or once it is made."""

    is_out = False
    loses_answers = False

    async def put_new(self, key: str, data: bytes | memoryview, **more: Any) -> ObjectInfo:
        if self.is_out:
            raise Unavailable("out of reach")
        info = await super().put_new(key, data, **more)
        if self.loses_answers:
            raise Unavailable("no answer")
        return info


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Failing]:
    async with Failing(tmp_path / "objects") as objects:
        yield objects


@pytest.mark.parametrize(
    ("named", "key"),
    [
        (AccessKey("t-1", "202601", "31", "019b-a"), "access/t-1/20260131/019b-a.zst"),
        (AccessKey("t-1", "202601", number=0), "access/t-1/202601_000000.zst"),
        (AccessKey("t-1", "202601", number=1234567), "access/t-1/202601_1234567.zst"),
    ],
)
def test_keys_are_read_back(named: AccessKey, key: str) -> None:
    assert check_key(named.key) == key
    assert parse_access_key(key) == named
    assert key.startswith(access_prefix("t-1", "202601"))


@pytest.mark.parametrize("key", ["access/t/2026/a.zst", "packs/t/20260131/a.zst", "access/t/x"])
def test_other_keys_are_passed_by(key: str) -> None:
    assert parse_access_key(key) is None


def test_a_sheet_is_read_back() -> None:
    accesses = {"1.2": Access(3, 2, 1 << 40, 5), "1.10": Access(1, 0, 0, 9)}
    days = {"20260131": encode_day(accesses), "20260130": encode_day({"1.2": Access(1, 1, 1, 1)})}
    sheet = Sheet(days, frozenset({"20260131/a.zst"}), "k")
    assert decode_sheet("k", encode_sheet(sheet)) == sheet
    assert decode_day(days["20260131"]) == accesses
    assert encode_day(dict(reversed(accesses.items()))) == days["20260131"]


@pytest.mark.parametrize("cut", [slice(0, 5), slice(0, -1), slice(0, 0)])
def test_a_damaged_sheet_is_told(cut: slice) -> None:
    blob = encode_sheet(Sheet({"20260131": encode_day({"1.2": Access(1, 1, 1, 1)})}))
    with pytest.raises(Corrupt, match="access/a cannot be read"):
        decode_sheet("access/a", blob[cut])


def test_something_else_is_no_day_and_says_where() -> None:
    with pytest.raises(Corrupt, match="access/a"):
        Sheet({"20260131": encode_sheet(Sheet({}))}, key="access/a").day("20260131")


async def test_what_is_counted_is_written_once(objects: Failing) -> None:
    clock = Clock(at(DAY))
    counter = AccessCounter(objects, clock)
    counter.opened(TENANT, "1.2")
    counter.read(key_of("1.2"), 100)
    clock.advance(1)
    counter.read(key_of("1.2"), 20)
    counter.opened(TENANT, "1.3")
    counter.opened("other", "1.2")
    assert await keys(objects) == []
    assert await counter.write()
    assert await counter.write()
    assert len(await keys(objects)) == 2
    assert await log_of(objects) == {
        DAY: {"1.2": Access(1, 2, 120, at(DAY, 1)), "1.3": Access(1, 0, 0, at(DAY, 1))}
    }
    assert await log_of(objects, "other") == {DAY: {"1.2": Access(1, 0, 0, at(DAY, 1))}}


async def test_each_day_has_its_own_object(objects: Failing) -> None:
    clock = Clock(at(DAY, DAY_S - 1))
    counter = AccessCounter(objects, clock)
    counter.opened(TENANT, "1.2")
    clock.advance(1)
    counter.opened(TENANT, "1.2")
    assert await counter.write()
    assert {key.split("/")[2] for key in await keys(objects)} == {"20260131", "20260201"}
    assert await last_reads(objects, TENANT) == {"1.2": at("2026-02-01")}


async def test_what_cannot_be_written_is_kept(
    objects: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(at(DAY))
    counter = AccessCounter(objects, clock)
    objects.is_out = True
    for _ in range(3):
        counter.opened(TENANT, "1.2")
        assert not await counter.write()
        clock.advance(600)
    assert "access_not_written" in caplog.text
    objects.is_out = False
    assert await counter.write()
    assert await log_of(objects) == {DAY: {"1.2": Access(3, 0, 0, at(DAY, 1200))}}


async def test_a_write_whose_answer_is_lost_counts_once(objects: Failing) -> None:
    counter = AccessCounter(objects, Clock(at(DAY)))
    objects.loses_answers = True
    for _ in range(3):
        counter.opened(TENANT, "1.2")
        assert not await counter.write()
    objects.loses_answers = False
    assert await counter.write()
    assert await log_of(objects) == {DAY: {"1.2": Access(3, 0, 0, at(DAY))}}


async def test_what_is_kept_is_bounded_and_what_is_lost_is_told(
    objects: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    counter = AccessCounter(objects, Clock(at(DAY)), most=2)
    for study in ("1.1", "1.2", "1.3", "1.1"):
        counter.opened(TENANT, study)
    assert await counter.write()
    assert await log_of(objects) == {
        DAY: {"1.1": Access(2, 0, 0, at(DAY)), "1.2": Access(1, 0, 0, at(DAY))}
    }
    (told,) = [one for one in caplog.records if one.message == "access_lost"]
    assert told.__dict__["studies"] == 1


async def test_a_day_that_was_over_for_a_day_is_given_up(
    objects: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(at(DAY))
    counter = AccessCounter(objects, clock)
    objects.is_out = True
    counter.opened(TENANT, "1.2")
    assert not await counter.write()
    clock.advance(2 * DAY_S - 1)
    assert not await counter.write()
    counter.opened(TENANT, "1.3")
    clock.advance(1)
    objects.is_out = False
    assert await counter.write()
    assert "access_lost" in caplog.text
    assert await log_of(objects) == {"2026-02-01": {"1.3": Access(1, 0, 0, at(DAY, 2 * DAY_S - 1))}}


async def test_the_rest_is_written_at_the_end(objects: Failing) -> None:
    async with counting(AccessCounter(objects, Clock(at(DAY)))) as counter:
        counter.opened(TENANT, "1.2")
        assert await keys(objects) == []
    assert list(await last_reads(objects, TENANT)) == ["1.2"]


async def test_an_end_out_of_reach_of_the_store_is_an_end(
    objects: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    objects.is_out = True
    async with counting(AccessCounter(objects, Clock(at(DAY)))) as counter:
        counter.opened(TENANT, "1.2")
    assert "access_not_written" in caplog.text


async def test_many_studies_are_written_at_once(objects: Failing) -> None:
    async with counting(AccessCounter(objects, Clock(at(DAY)), soon=3)) as counter:
        for study in ("1.1", "1.2", "1.3"):
            counter.opened(TENANT, study)
        async with asyncio.timeout(PATIENCE_S):
            while not await keys(objects):
                await asyncio.sleep(0.01)


async def test_a_defect_is_told_at_once_and_the_rest_is_written_at_the_end(
    objects: Failing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = AccessCounter(objects, Clock(at(DAY)))
    counter.opened(TENANT, "1.2")

    async def broken(*_: object, **__: object) -> ObjectInfo:
        raise RuntimeError("a defect")

    monkeypatch.setattr(objects, "put_new", broken)
    async with counting(counter, every_s=0.01):
        async with asyncio.timeout(PATIENCE_S):
            while "access_writer_failed" not in caplog.text:
                await asyncio.sleep(0.01)
        counter.opened(TENANT, "1.2")
        monkeypatch.undo()
    assert await log_of(objects) == {DAY: {"1.2": Access(2, 0, 0, at(DAY))}}


async def test_earlier_days_than_wanted_are_not_read(objects: Failing) -> None:
    await write(objects, "2025-12-31", "1.1")
    await write(objects, "2026-01-30", "1.2")
    await write(objects, DAY, "1.3", "1.2")
    assert sorted(await last_reads(objects, TENANT)) == ["1.1", "1.2", "1.3"]
    since = await last_reads(objects, TENANT, since=date(2026, 1, 31))
    assert since == {"1.2": at(DAY), "1.3": at(DAY)}
    assert await last_reads(objects, "nobody") == {}


async def test_what_lies_beside_the_log_is_passed_by(objects: Failing) -> None:
    await objects.put_new(f"access/{TENANT}/20260131/note.txt", b"?")
    await write(objects, DAY, "1.2")
    assert list(await log_of(objects)) == [DAY]


async def test_a_key_that_is_taken_is_kept_for_another_time(objects: Failing) -> None:
    """Nothing but a defect could do so; it must not end the process either."""
    counter = AccessCounter(objects, Clock(at(DAY)))
    counter.opened(TENANT, "1.2")
    objects.loses_answers = True
    assert not await counter.write()
    (key,) = await keys(objects)
    await objects.delete(key)
    objects.loses_answers = False
    await objects.put_new(key, b"something else")
    assert not await counter.write()
    with pytest.raises(Conflict):
        await objects.put_new(key, b"else")


async def test_what_is_read_while_counts_are_written_waits_for_the_next_time(
    objects: Failing, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = AccessCounter(objects, Clock(at(DAY)))
    counter.opened(TENANT, "1.2")
    put_new = objects.put_new

    async def busy(key: str, data: bytes | memoryview) -> ObjectInfo:
        counter.opened(TENANT, "1.2")
        return await put_new(key, data)

    monkeypatch.setattr(objects, "put_new", busy)
    async with asyncio.timeout(PATIENCE_S):
        for written in (1, 2):
            assert await counter.write()
            assert len(await keys(objects)) == written

"""What became of sendings, as pages list them."""

import asyncio
from pathlib import Path

import pytest

from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.routing import sends
from pacs_cloud.routing.sends import (
    SendEntry,
    SendState,
    What,
    enter,
    purge_ended,
    sendings_lately,
    sendings_of,
)
from recall_samples import CountingStore

DAY_US = 86_400_000_000


async def test_what_was_sent_lately_takes_one_listing(tmp_path: Path) -> None:
    store = CountingStore(tmp_path)
    for number in range(1, 6):
        at_us = number * DAY_US
        asked = SendEntry("default", f"1.2.{number}", f"s{number}", What.ASKED, "PEER", 2)
        await enter(store, asked, now_us=at_us)
        sent = SendEntry("default", f"1.2.{number}", f"s{number}", What.SENT, "PEER", 2)
        await enter(store, sent, now_us=at_us + 1)
    store.asked.clear()
    found = await sendings_lately(store, "default", since_us=2 * DAY_US, most=3, now_us=6 * DAY_US)
    assert [study for study, _ in found] == ["1.2.5", "1.2.4", "1.2.3"]
    assert {one.state for _, one in found} == {SendState.SENT}
    assert store.count("list") == 1


async def told(
    store: LocalObjectStore, send_id: str, what: What, day: int, *, study: str = "1.2.1"
) -> str:
    entry = SendEntry("default", study, send_id, what, "PEER", 1)
    return (await enter(store, entry, now_us=day * DAY_US)).key


async def test_what_ended_a_month_ago_is_removed(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path)
    old = await told(store, "sent", What.ASKED, 1), await told(store, "sent", What.SENT, 10)
    await told(store, "late", What.ASKED, 11)
    await told(store, "late", What.SENT, 12)
    await told(store, "never", What.ASKED, 5, study="1.2.2")  # it is given up on day 13
    await told(store, "new", What.ASKED, 40, study="1.2.3")
    assert await purge_ended(store, "default", now_us=40 * DAY_US) == 0
    assert await purge_ended(store, "default", now_us=41 * DAY_US) == 2
    assert not set(old) & {one.key async for one in store.list("sends/")}
    (left,) = await sendings_of(store, "default", "1.2.1", now_us=41 * DAY_US)
    assert (left.send_id, left.state) == ("late", SendState.SENT)
    assert await purge_ended(store, "default", now_us=44 * DAY_US) == 3
    assert [one.key.split("/")[3] async for one in store.list("sends/")] == ["1.2.3"]


async def test_a_run_removes_so_much_and_the_next_goes_on(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path)
    for number in range(4):
        await told(store, "one", What.ASKED, 1, study=f"1.2.{number}")
        await told(store, "one", What.SENT, 2, study=f"1.2.{number}")
    removed = [await purge_ended(store, "default", now_us=50 * DAY_US, most=3) for _ in range(3)]
    assert removed == [4, 4, 0]


async def test_what_cannot_be_read_keeps_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalObjectStore(tmp_path)
    broken = await told(store, "one", What.ASKED, 1)
    await store.delete(broken)
    await store.put_new(broken, b"nonsense")
    await told(store, "one", What.ASKED, 1, study="1.2.9")
    assert await purge_ended(store, "default", now_us=50 * DAY_US) == 1
    assert [one.key async for one in store.list("sends/")] == [broken]
    assert "sending_unreadable" in caplog.messages


async def test_an_entry_that_goes_after_it_was_listed_is_none(tmp_path: Path) -> None:
    class Emptied(LocalObjectStore):
        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            if key == gone:
                await self.delete(key)
            return await super().get(key, start, end)

    store = Emptied(tmp_path)
    gone = await told(store, "old", What.ASKED, 1)
    await told(store, "new", What.ASKED, 2)
    found = await sendings_lately(store, "default", since_us=0, most=9, now_us=2 * DAY_US)
    assert [one.send_id for _, one in found] == ["new"]


async def test_however_often_parts_fail_it_is_told_who_asked_for_what(tmp_path: Path) -> None:
    store = LocalObjectStore(tmp_path)
    asked = SendEntry("default", "1.2.1", "s", What.ASKED, "PEER", 17_000, who="user:rita")
    await enter(store, asked, now_us=1)
    for part in range(1, 9):
        for _ in range(13):
            failed = SendEntry("default", "1.2.1", "s", What.FAILED, "PEER", part=part)
            await enter(store, failed, now_us=2)
    sent = SendEntry("default", "1.2.1", "s", What.SENT, "PEER", 2000)
    await enter(store, sent, now_us=3)
    ((_, lately),) = await sendings_lately(store, "default", since_us=0, most=9, now_us=4)
    (one,) = await sendings_of(store, "default", "1.2.1", now_us=4)
    assert lately == one
    assert (one.who, one.asked_us) == ("user:rita", 1)
    assert (one.state, one.sent, one.instances) == (SendState.FAILED, 2000, 17_000)
    assert one.tries == 104


async def test_some_failures_too_many_hide_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sends, "_FAILURES", 3)
    store = CountingStore(tmp_path)
    await told(store, "s", What.ASKED, 1)
    for _ in range(5):
        await told(store, "s", What.FAILED, 2)
    await told(store, "s", What.SENT, 3)
    for _ in range(5):
        await told(store, "t", What.FAILED, 4)
    found = await sendings_of(store, "default", "1.2.1", now_us=5 * DAY_US)
    assert [(one.send_id, one.state) for one in found] == [
        ("t", SendState.FAILED),
        ("s", SendState.SENT),
    ]
    assert store.count("get") == 5


async def test_some_entries_are_read_at_once_and_never_more(tmp_path: Path) -> None:
    class Watched(LocalObjectStore):
        under_way, most = 0, 0

        async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                await asyncio.sleep(0)
                return await super().get(key, start, end)
            finally:
                self.under_way -= 1

    store = Watched(tmp_path)
    for study in range(3):
        for number in range(12):
            await told(store, f"s{number}", What.ASKED, 1, study=f"1.2.{study}")
    assert len(await sendings_of(store, "default", "1.2.1", now_us=DAY_US)) == 12
    assert store.most == 12
    assert len(await sendings_lately(store, "default", since_us=0, most=9, now_us=DAY_US)) == 36
    assert store.most == 16

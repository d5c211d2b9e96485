"""The trail read backwards, page by page: what events, in which order, and how much is read."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.audit.asked import Asked
from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.backwards import Found, Recorded, Span, newest
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.security.audit_event import Kind
from unit.audit.audit_house import MINUTE_US, START_US, House

DAY_US = 86_400_000_000
HOUR_US = 60 * MINUTE_US
ALL = Wanted()


def span(house: House, **more: Any) -> Span:
    return Span(**{"since_us": 0, "until_us": house.clock.now + DAY_US, **more})


async def found(house: House, wanted: Wanted = ALL, **more: Any) -> Found:
    most = {name: more.pop(name) for name in ("limit", "most_lines") if name in more}
    return await newest(
        *(house.objects, house.root, "default", wanted, span(house, **more)),
        **{"limit": 1000, **most},
    )


def said(events: list[Recorded]) -> list[str]:
    return [one.event.action for one in events]


async def filled(house: House, count: int, step_us: int, **options: Any) -> list[str]:
    """Two processes that write in turns; return what they wrote, the newest first."""
    written: list[str] = []
    async with house.trail(**options) as one, house.trail(**options) as two:
        for number in range(count):
            house.clock.tick(step_us)
            event = house.event(Kind.CHANGE, action=f"deed {number}")
            await (one if number % 3 else two).record(event)
            written.append(event.action)
            if number % 5 == 4:
                await one.tend(house.root)
                await two.tend(house.root)
    return written[::-1]


async def test_the_newest_come_first_from_disk_and_from_objects(house: House) -> None:
    written = await filled(house, 40, MINUTE_US, part_age_us=5 * MINUTE_US)
    assert len(await house.keys()) > 1
    assert said((await found(house)).events) == written


async def test_pages_follow_each_other_without_a_gap_or_a_repeat(house: House) -> None:
    written = await filled(house, 60, 40 * MINUTE_US, part_age_us=90 * MINUTE_US)
    met: list[str] = []
    before_us: int | None = None
    while True:
        page = await found(house, before_us=before_us, limit=7)
        assert len(page.events) == 7 or page.before_us is None
        met += said(page.events)
        before_us = page.before_us
        if before_us is None:
            break
    assert met == written


async def test_a_part_that_reaches_over_midnight_keeps_its_place(house: House) -> None:
    midnight_us = (START_US // DAY_US + 1) * DAY_US
    async with house.trail(part_age_us=DAY_US) as trail:
        house.clock.now = midnight_us - MINUTE_US
        await trail.record(house.event(Kind.CHANGE, action="before"))
        house.clock.now = midnight_us + MINUTE_US
        await trail.record(house.event(Kind.CHANGE, action="after"))
    async with house.trail() as other:
        house.clock.tick(MINUTE_US // 2)
        await other.record(house.event(Kind.CHANGE, action="next day's"))
    page = await found(house, limit=1)
    assert said(page.events) == ["next day's"]
    page = await found(house, limit=1, before_us=page.before_us)
    assert said(page.events) == ["after"]
    page = await found(house, limit=1, before_us=page.before_us)
    assert said(page.events) == ["before"]


async def test_what_was_written_in_one_moment_comes_together(house: House) -> None:
    async with house.trail() as one, house.trail() as two:
        for trail in (one, two):
            await trail.record(house.event(Kind.CHANGE, action="same moment"))
    page = await found(house, limit=1)
    assert len(page.events) == 2
    assert page.before_us is None or not (await found(house, before_us=page.before_us)).events


async def test_only_what_is_wanted_and_when(house: House) -> None:
    await filled(house, 10, MINUTE_US)
    until_us = START_US + 6 * MINUTE_US
    page = await found(house, since_us=START_US + 3 * MINUTE_US, until_us=until_us)
    assert said(page.events) == ["deed 4", "deed 3", "deed 2"]
    assert not (await found(house, Wanted(who="user:eve"))).events
    assert len((await found(house, Wanted(who="anna"))).events) == 10


async def test_a_page_reads_no_more_than_it_may(house: House) -> None:
    await filled(house, 30, MINUTE_US)
    nobody = Wanted(who="user:eve")
    page = await found(house, nobody, most_lines=10)
    assert page.before_us == page.reached_us == START_US + 21 * MINUTE_US
    again = await found(house, nobody, before_us=page.before_us)
    assert again.before_us is None


async def test_years_without_a_record_are_passed_in_steps(house: House) -> None:
    await filled(house, 1, MINUTE_US)
    house.clock.tick(250 * DAY_US)
    steps, page = 0, await found(house)
    while page.before_us is not None:
        steps += 1
        page = await found(house, before_us=page.before_us)
    assert steps == 2
    assert said(page.events) == ["deed 0"]


class Counting:
    """An object store that counts what is read of it."""

    def __init__(self, objects: LocalObjectStore) -> None:
        self._objects = objects
        self.read: list[str] = []
        self.listed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    async def stream(self, key: str, **more: Any) -> AsyncIterator[bytes]:
        self.read.append(key)
        async for chunk in self._objects.stream(key, **more):
            yield chunk

    async def list(self, prefix: str, **more: Any) -> AsyncIterator[ObjectInfo]:
        self.listed.append(prefix)
        async for info in self._objects.list(prefix, **more):
            yield info


async def test_nothing_is_listed_or_read_twice(house: House, objects: LocalObjectStore) -> None:
    written = await filled(house, 40, 4 * HOUR_US, part_age_us=9 * HOUR_US)
    await house.seal()
    counting = Counting(objects)
    watched: Any = counting
    house.objects = watched
    assert said((await found(house)).events) == written
    assert sorted(counting.read) == sorted([info.key async for info in objects.list("audit/")])
    assert len(counting.listed) == len(set(counting.listed)) > 7


async def test_a_page_reads_the_last_parts_alone(house: House, objects: LocalObjectStore) -> None:
    await filled(house, 60, MINUTE_US, part_age_us=5 * MINUTE_US)
    await house.seal()
    counting = Counting(objects)
    watched: Any = counting
    house.objects = watched
    assert len((await found(house, limit=5)).events) == 5
    assert 0 < len(counting.read) <= 4 < len(await house.keys())


async def test_what_cannot_be_read_is_counted(house: House, objects: LocalObjectStore) -> None:
    await filled(house, 3, MINUTE_US)
    await house.seal()
    key = (await house.keys())[0]
    data = await objects.get(key)
    await objects.delete(key)
    await objects.put_new(key, data.replace(b"deed", b"dead", 1))
    page = await found(house)
    assert page.unreadable == 1
    assert len(page.events) == 2


async def test_what_reaches_over_midnight_and_cannot_be_read_is_counted_once(
    house: House, objects: LocalObjectStore
) -> None:
    midnight_us = (START_US // DAY_US + 1) * DAY_US
    async with house.trail(part_age_us=DAY_US) as trail:
        for house.clock.now in (midnight_us - MINUTE_US, midnight_us + MINUTE_US):
            await trail.record(house.event(Kind.CHANGE, action="deed"))
    await house.seal()
    (key,) = await house.keys()
    data = await objects.get(key)
    await objects.delete(key)
    await objects.put_new(key, data.replace(b"deed", b"dead"))
    for since_us in (0, midnight_us):
        page = await found(house, since_us=since_us)
        assert (page.events, page.unreadable) == ([], 2)


async def test_a_time_before_all_time_is_a_beginning(house: House) -> None:
    written = await filled(house, 3, MINUTE_US)
    since_us, _ = Asked(since="0300-01-01").span()
    assert said((await found(house, since_us=since_us)).events) == written


async def test_an_empty_trail_is_no_error(house: House, tmp_path: Path) -> None:
    page = await newest(house.objects, tmp_path / "nowhere", "default", ALL, span(house), limit=10)
    assert (page.events, page.before_us) == ([], None)
    with pytest.raises(NotFound):
        await house.objects.get("audit/x")

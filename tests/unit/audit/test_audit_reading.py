"""The trail read forwards: what is met, what is told of, and that others are served meanwhile."""

import asyncio

import pytest

from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.backwards import Span, newest
from pacs_cloud.audit.reading import events
from pacs_cloud.security.audit_event import Kind
from unit.audit.audit_house import MINUTE_US, START_US, House

DAY_US = 86_400_000_000
MIDNIGHT_US = (START_US // DAY_US + 1) * DAY_US


async def test_others_are_served_while_a_long_trail_is_read(house: House) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with house.trail() as trail:
        made = [house.event(Kind.CHANGE, action=f"{number}") for number in range(1001)]
        await asyncio.gather(*(trail.record(event) for event in made))
        task = asyncio.create_task(other())
        seen = [turns async for _ in events(house.objects, house.root, "default")]
        # What is passed over takes as long as what is met.
        before, last = turns, made[-1].when_us + 1
        met = [one async for one in events(house.objects, house.root, "default", since_us=last)]
        task.cancel()
    assert len(seen) == 1001
    assert seen[-1] - seen[0] >= 5
    assert met == []
    assert turns - before >= 5


async def test_a_number_that_is_written_on_the_next_day_is_met(house: House) -> None:
    async with house.trail() as trail:
        house.clock.now = MIDNIGHT_US - MINUTE_US // 2
        for _ in range(3):
            await trail.record(house.event())
        await trail._recorder.seal()
        house.clock.tick(MINUTE_US)
        await trail.tend(house.root)
    await house.seal()
    assert len({key.split("/")[2] for key in await house.keys()}) == 2
    found = await house.events(until_us=MIDNIGHT_US - 1)
    assert [event.count for event in found] == [1, 2]


async def test_what_is_done_behind_a_clock_that_was_put_back_is_met(house: House) -> None:
    async with house.trail() as trail:
        house.clock.now = START_US + 400 * DAY_US
        await trail.record(house.event(Kind.CHANGE, action="ahead"))
        house.clock.now = START_US
        await trail.tend(house.root)
        await trail.record(house.event(Kind.CHANGE, action="right"))
    house.clock.tick(MINUTE_US)
    async with house.trail() as trail:
        await trail.record(house.event(Kind.CHANGE, action="right again"))
        right = ["right", "right again"]
        until_us = house.clock.now + MINUTE_US
        met = await house.events(until_us=until_us)
        assert [event.action for event in met] == right
        page = await newest(
            *(house.objects, house.root, "default", Wanted()), Span(0, until_us), limit=9
        )
        assert [one.event.action for one in page.events] == right[::-1]
    assert [event.action for event in await house.events()] == [*right, "ahead"]
    await house.seal()
    assert await house.findings() == []


async def test_a_clock_that_is_set_a_little_breaks_off_no_chain(house: House) -> None:
    for by_us in (-MINUTE_US, -MINUTE_US, 2 * MINUTE_US):
        async with house.trail() as trail:
            await trail.record(house.event(Kind.CHANGE))
        house.clock.tick(by_us)
    await house.seal()
    assert len({key.split("/")[3] for key in await house.keys()}) == 1


@pytest.mark.parametrize("ahead_us", [10 * MINUTE_US, 400 * DAY_US])
async def test_the_end_of_a_chain_that_a_clock_has_left_is_missed(
    house: House, ahead_us: int
) -> None:
    async with house.trail() as trail:
        house.clock.now = START_US + ahead_us
        for _ in range(2):
            await trail.record(house.event(Kind.CHANGE))
            await trail._recorder.seal()
        ahead = {key.split("/")[3]: key for key in await house.keys()}
        house.clock.now = START_US
        for _ in range(3):
            await trail.record(house.event(Kind.CHANGE))
            await trail._recorder.seal()
    assert await house.findings() == []
    (last,) = ahead.values()
    await house.objects.delete(last)
    assert len(await house.findings()) == 1


async def test_of_chains_that_wait_the_one_that_is_not_ahead_goes_on(house: House) -> None:
    house.clock.now = START_US + 400 * DAY_US
    for _ in range(2):
        async with house.trail(seals_at_end=False) as trail:
            await trail.record(house.event(Kind.CHANGE))
    house.clock.now = START_US
    for _ in range(4):
        async with house.trail(seals_at_end=False) as trail:
            await trail.record(house.event(Kind.CHANGE))
    await house.seal()
    assert len({key.split("/")[3] for key in await house.keys()}) == 2
    assert await house.findings() == []

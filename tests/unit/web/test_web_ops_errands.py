"""What takes long is done one at a time, and its outcome is remembered."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.web.ops.errands import Errands, Stage, Steps

NOW_US = 1_800_000_000_000_000


class Work:
    """Something that goes on until it may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()

    async def __call__(self, steps: Steps) -> int:
        self.begun += 1
        steps.step()
        await self.may_end.wait()
        return self.begun


class Clock:
    us = NOW_US

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def errands(clock: Clock) -> AsyncIterator[Errands]:
    made = Errands(clock)
    yield made
    await made.aclose()


async def test_one_errand_is_done_at_a_time(errands: Errands) -> None:
    first, second = Work(), Work()
    one, two = errands.ask("a", first), errands.ask("b", second)
    assert errands.ask("a", first) is one
    await asyncio.sleep(0)
    assert (one.stage, two.stage) == (Stage.RUNNING, Stage.WAITING)
    assert (one.steps.done, second.begun) == (1, 0)
    first.may_end.set()
    await one.over.wait()
    second.may_end.set()
    await two.over.wait()
    assert (one.outcome, two.outcome, first.begun) == (1, 1, 1)


async def test_an_outcome_is_kept_and_stands_until_there_is_a_new_one(
    errands: Errands, clock: Clock
) -> None:
    work = Work()
    work.may_end.set()
    first = errands.ask("a", work, keep_s=100)
    await first.over.wait()
    clock.us += 99_000_000
    assert errands.ask("a", work, keep_s=100) is first
    clock.us += 2_000_000
    work.may_end.clear()
    second = errands.ask("a", work, keep_s=100)
    assert (second.stage, second.outcome, second.ended_us) == (Stage.WAITING, 1, NOW_US)
    work.may_end.set()
    assert (await second.soon()).outcome == 2


async def test_a_failure_is_told_and_not_tried_again_by_itself(
    errands: Errands, clock: Clock
) -> None:
    async def fails(_steps: Steps) -> None:
        raise InvalidRequest("it cannot be")

    failed = errands.ask("a", fails, keep_s=1000)
    await failed.over.wait()
    assert (failed.stage, failed.failure) == (Stage.FAILED, "it cannot be")
    clock.us += 61_000_000
    assert errands.ask("a", fails, keep_s=1000, again=False) is failed
    assert errands.ask("a", fails, keep_s=1000) is not failed


async def test_where_nobody_asks_an_outcome_stands_for_a_day(
    errands: Errands, clock: Clock
) -> None:
    work = Work()
    work.may_end.set()
    first = errands.ask("a", work, keep_s=100)
    await first.over.wait()
    clock.us += 86_000_000_000
    assert errands.ask("a", work, keep_s=100, again=False) is first
    clock.us += 1_000_000_000
    assert errands.ask("a", work, keep_s=100, again=False) is not first


async def test_what_takes_too_long_is_broken_off(clock: Clock) -> None:
    errands = Errands(clock, limit_s=0.01)
    errand = errands.ask("a", Work())
    await errand.over.wait()
    assert errand.stage is Stage.FAILED
    assert "longer than" in errand.failure


async def test_a_page_waits_only_a_moment(errands: Errands) -> None:
    errand = await errands.ask("a", Work()).soon()
    assert errand.stage is Stage.RUNNING


async def test_there_are_no_more_than_so_many(errands: Errands) -> None:
    work = Work()
    for name in "abcde":
        errands.ask(name, work)
    refused = errands.ask("f", work)
    assert (refused.stage, refused.is_over) == (Stage.FAILED, True)
    assert "Too much else" in refused.failure
    assert await refused.soon() is refused
    # It is not remembered: whoever asks later is not told the same.
    work.may_end.set()
    async with asyncio.timeout(10):
        while errands.ask("f", work, keep_s=60).stage is not Stage.DONE:
            await asyncio.sleep(0)


async def test_old_outcomes_are_forgotten(errands: Errands) -> None:
    work = Work()
    work.may_end.set()
    for number in range(40):
        await errands.ask(number, work).over.wait()
    assert 39 in errands._errands
    assert 0 not in errands._errands


async def test_a_defect_is_logged_and_ends_that_errand_alone(
    errands: Errands, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_steps: Steps) -> None:
        raise ZeroDivisionError

    errand = errands.ask("a", broken)
    await errand.over.wait()
    await asyncio.sleep(0)
    assert (errand.stage, errand.failure) == (Stage.FAILED, "it was broken off: look at the log")
    assert "errand_failed" in caplog.messages
    work = Work()
    work.may_end.set()
    assert (await errands.ask("b", work).soon()).outcome == 1

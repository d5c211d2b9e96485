"""Several things at once, answered in order, in bounded memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


async def in_order(
    work: Callable[[Given], Awaitable[Made]], given: AsyncIterator[Given], at_once: int
) -> AsyncGenerator[Made, None]:
    """Yield `work` of each of `given`, in their order, `at_once` of them under way at most.

    The first error ends it, and what is under way is cancelled; so does closing it.
    """
    under_way: deque[asyncio.Task[Made]] = deque()

    async def run(one: Given) -> Made:
        return await work(one)

    try:
        async for one in given:
            under_way.append(asyncio.create_task(run(one)))
            if len(under_way) >= at_once:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        for task in under_way:
            with suppress(asyncio.CancelledError, Exception):
                await task

"""States that several processes change, and none of them loses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pacs_cloud.errors import Corrupt
from pacs_cloud.identity.states import States
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo
from unit.identity.accounts_house import House


@dataclass(frozen=True, slots=True)
class Sum:
    total: int = 0
    words: frozenset[str] = frozenset()


def states(house: House, keep_s: float = 0) -> States[Sum]:
    return States(house.objects, "sums/t/", Sum, house.clock, keep_s=keep_s)


def more(sum_: Sum | None) -> Sum:
    sum_ = sum_ or Sum()
    return replace(sum_, total=sum_.total + 1)


async def test_no_change_is_lost(house: House) -> None:
    await asyncio.gather(*(states(house).change("a", more) for _ in range(6)))
    assert await states(house).read("a") == Sum(6)
    assert len(await house.written("sums/")) == 1


async def test_of_two_that_decide_the_same_one_is_told_that_it_did(house: House) -> None:
    def first(sum_: Sum | None) -> Sum | None:
        return Sum(1) if sum_ is None else None

    for name in map(str, range(20)):
        done = await asyncio.gather(*(states(house).change(name, first) for _ in range(4)))
        assert sorted(one is not None for one in done) == [False, False, False, True]


async def test_what_is_raised_on_the_way_changes_nothing(house: House) -> None:
    def never(sum_: Sum | None) -> Sum:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await states(house).change("a", never)
    assert await house.written() == {}


async def test_all_of_them(house: House) -> None:
    mine = states(house)
    await mine.change("b", lambda _: Sum(2, frozenset({"x", "y"})))
    await mine.change("a", more)
    await mine.change("a", more)
    expected = {"a": Sum(2), "b": Sum(2, frozenset({"x", "y"}))}
    assert await mine.all() == await states(house).all() == expected
    assert list(await mine.numbers()) == ["a", "b"]


async def test_a_state_left_behind_by_a_crash_counts_no_more(house: House) -> None:
    mine = states(house)
    await mine.change("a", more)
    ((key, data),) = (await house.written()).items()
    await mine.change("a", more)
    await house.objects.put_new(key, data)
    assert await states(house).read("a") == Sum(2)
    assert await states(house).all() == {"a": Sum(2)}
    await states(house).change("a", more)
    assert len(await house.written()) == 1


@pytest.mark.parametrize("key", ["sums/t/a", "sums/t/a/x.json", "sums/t/a/b/1.json"])
async def test_what_is_no_state(house: House, key: str) -> None:
    await house.objects.put_new(key, b"{}")
    with pytest.raises(Corrupt):
        await states(house).all()


class Blinking(LocalObjectStore):
    """Lists nothing the first time, as a folder may while its one file is being replaced."""

    is_blind = True

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        if self.is_blind:
            self.is_blind = False
            return
        async for info in super().list(prefix, after=after):
            yield info


async def test_what_is_being_replaced_is_there(house: House, tmp_path: Path) -> None:
    await states(house).change("a", more)
    async with Blinking(tmp_path / "objects") as store:
        mine = States(store, "sums/t/", Sum, house.clock)
        assert await mine.read("a") == Sum(1)
        store.is_blind = True
        assert await mine.all() == {"a": Sum(1)}


async def test_what_is_believed(house: House) -> None:
    mine = states(house, keep_s=2)
    assert await mine.kept("a") is None
    await states(house).change("a", more)
    assert await mine.kept("a") is None
    assert await mine.read("a") == Sum(1)
    house.clock.go(2)
    assert await mine.kept("a") == Sum(1)
    await states(house).change("a", more)
    house.clock.go(-10)
    assert await mine.kept("a") == Sum(2), "no clock that goes back makes it last"
    await mine.change("a", more)
    assert mine.remembered("a") == await mine.kept("a") == Sum(3)
    house.clock.go(2)
    assert mine.remembered("a") is None

"""Folds the access log: a past day's objects into one, then a past month's.

A sum names what it is the sum of, and is written before that is removed: whoever reads
in between passes by what a sum names, and the next round removes what a crash has left.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.errors import Conflict, Corrupt
from pacs_cloud.objectstore.keys import AccessKey
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.tiering.access.counter import GIVE_UP_US
from pacs_cloud.tiering.access.month import Month, month_names, months, read_month
from pacs_cloud.tiering.access.sheet import (
    DAY_US,
    Sheet,
    day_name,
    encode_day,
    encode_sheet,
    joined,
)

DAY_IS_OVER_US: Final = DAY_US + DAY_US // 24
"""Behind a day's beginning: what a process has counted of it is mostly written by then."""
MONTH_IS_OVER_US: Final = DAY_US + GIVE_UP_US + DAY_US
"""Behind its last day's beginning: no process tries to write of it any more, since a day."""
MOST_BYTES: Final = 8 << 20
"""More is not put together: a sum is made in memory."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one round did.

    Attributes:
        sums: written.
        removed: objects that these hold, or earlier ones.
    """

    sums: int = 0
    removed: int = 0

    def __add__(self, other: "Folded") -> "Folded":
        """Return both together."""
        return Folded(self.sums + other.sums, self.removed + other.removed)


async def fold_access(
    objects: ObjectStore,
    *,
    now_us: int,
    most_bytes: int = MOST_BYTES,
    tenant: str | None = None,
) -> Folded:
    """Fold what is past; any number of processes may do so at once.

    Args:
        objects: where the log lies.
        now_us: microseconds since 1970 UTC.
        most_bytes: of what is put together into one sum, compressed.
        tenant: whose; None: everybody's.

    Raises:
        Corrupt: an object of the log cannot be read; its month stays as it is.
        Unavailable, Denied: as the store.
    """
    total = Folded()
    damage: Corrupt | None = None
    async for listed in months(objects, tenant):
        groups = _due(listed, now_us, most_bytes)
        try:
            total += await _fold(objects, groups) if groups else Folded()
        except Corrupt as error:
            damage = error
    if damage is not None:
        raise damage
    return total


def _due(
    listed: Sequence[tuple[AccessKey, ObjectInfo]], now_us: int, most_bytes: int
) -> list[list[AccessKey]]:
    """Return what of a month is to be put together: two objects or more each."""
    # A month is over with its last day: where the day behind it is of another month.
    if listed[0][0].month < day_name((now_us - MONTH_IS_OVER_US) // DAY_US + 1)[:6]:
        return _grouped(listed, most_bytes)
    over = day_name((now_us - DAY_IS_OVER_US) // DAY_US)
    days: dict[str, list[tuple[AccessKey, ObjectInfo]]] = {}
    for named, info in listed:
        if named.day and named.month + named.day <= over:
            days.setdefault(named.day, []).append((named, info))
    return [group for parts in days.values() for group in _grouped(parts, most_bytes)]


def _grouped(
    listed: Iterable[tuple[AccessKey, ObjectInfo]], most_bytes: int
) -> list[list[AccessKey]]:
    groups: list[list[AccessKey]] = []
    room = 0
    for named, info in listed:
        if not groups or info.length_bytes > room:
            groups.append([])
            room = most_bytes
        groups[-1].append(named)
        room -= info.length_bytes
    return [group for group in groups if len(group) > 1]


async def _fold(objects: ObjectStore, groups: Sequence[Sequence[AccessKey]]) -> Folded:
    """Fold groups of objects of one month, as far as no other process does so, too."""
    tenant, name = groups[0][0].tenant, groups[0][0].month
    wanted = {one for group in groups for one in group}
    month = await read_month(objects, tenant, name, wanted.__contains__)
    # These first: what spent sums name is not looked at any more.
    total = await _remove(objects, sorted(month.spent, key=lambda one: one.number))
    highest = month.highest
    for group in groups:
        counting = [one for one in group if one in month.sheets]
        if len(counting) < 2:
            continue
        highest += 1
        summed = await asyncio.to_thread(_sum, month, counting)
        try:
            await objects.put_new(AccessKey(tenant, name, number=highest).key, summed)
        except Conflict:
            return total  # another process was first: the next round sees what it did
        if any(one.number > highest for one in await month_names(objects, tenant, name)):
            return total  # it was so long ago that the sum is spent already
        total += Folded(sums=1) + await _remove(objects, counting)
    return total


def _sum(month: Month, names: Sequence[AccessKey]) -> bytes:
    sheets = [month.sheets[one] for one in names]
    days = {day: _day(day, sheets) for sheet in sheets for day in sheet.days}
    return encode_sheet(Sheet(days, frozenset(one.name for one in names)))


def _day(day: str, sheets: Sequence[Sheet]) -> bytes:
    frames = [sheet.days[day] for sheet in sheets if day in sheet.days]
    return frames[0] if len(frames) == 1 else encode_day(joined(sheets, day))


async def _remove(objects: ObjectStore, names: Iterable[AccessKey]) -> Folded:
    removed = 0
    for one in names:
        await objects.delete(one.key)
        removed += 1
    return Folded(removed=removed)

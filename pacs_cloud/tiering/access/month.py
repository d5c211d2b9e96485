"""A month of the access log as it is at one moment, while others write and fold it.

Parts are written by the processes that serve; sums, by workers (`folding`). The
sums of a month are numbered, and each names what it is the sum of. Who has seen all sums
of a month, and writes the next number, has therefore counted nothing twice: of two that do
so at once, the second finds its key taken. The highest number is never deleted, so that
no number comes twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pacs_cloud.errors import Corrupt, NotFound, Unavailable
from pacs_cloud.objectstore.keys import AccessKey, access_prefix, parse_access_key
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.tiering.access.sheet import Sheet, decode_sheet

Damaged: TypeAlias = Callable[[Corrupt], None]
"""Told what cannot be read, and is passed over."""

_ATTEMPTS: Final = 8
_READS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Month:
    """What a month holds.

    Attributes:
        sheets: what counts, by its name.
        spent: names of what a sum holds already: it can go.
        highest: the highest number of a sum, -1 where there is none.
    """

    sheets: Mapping[AccessKey, Sheet]
    spent: frozenset[AccessKey]
    highest: int


async def months(
    objects: ObjectStore, tenant: str | None = None
) -> AsyncIterator[list[tuple[AccessKey, ObjectInfo]]]:
    """Yield what a listing tells of each month of a tenant, or of each tenant."""
    found: list[tuple[AccessKey, ObjectInfo]] = []
    async for info in objects.list(access_prefix(tenant)):
        named = parse_access_key(info.key)
        if named is None:
            continue
        if found and (named.tenant, named.month) != (found[0][0].tenant, found[0][0].month):
            yield found
            found = []
        found.append((named, info))
    if found:
        yield found


async def settled_months(objects: ObjectStore, tenant: str, *, since: str = "") -> list[str]:
    """Return the months of a tenant, `yyyymm`, that have something, oldest first.

    Raises:
        Unavailable: a store does not answer, or the log changes all the time.
    """
    for _ in range(_ATTEMPTS):
        names = await month_names(objects, tenant, since=since)
        if await _is_settled(objects, tenant, names, since=since):
            return sorted({one.month for one in names})
    raise Unavailable("the access log changes all the time")


async def read_month(
    objects: ObjectStore,
    tenant: str,
    month: str,
    wanted: Callable[[AccessKey], bool] = lambda _: True,
    damaged: Damaged | None = None,
) -> Month:
    """Return all sums of a month, and the parts that are wanted.

    Args:
        objects: where the log lies.
        tenant: whose.
        month: six digits, `yyyymm`.
        wanted: tells which parts are.
        damaged: told of each object that cannot be read, which then is left out.

    Raises:
        Corrupt: an object cannot be read, and nobody is to be told.
        Unavailable: a store does not answer, or the month changes all the time.
    """
    for _ in range(_ATTEMPTS):
        names = await month_names(objects, tenant, month)
        try:
            some = [one for one in names if one.number >= 0 or wanted(one)]
            sheets, unreadable = await _read(objects, some)
        except NotFound:
            continue  # somebody has just folded it
        if await _is_settled(objects, tenant, names, month):
            for error in unreadable:
                if damaged is None:
                    raise error
                damaged(error)
            return _settled(names, sheets)
    raise Unavailable(f"the access log of {month} changes all the time")


async def month_names(
    objects: ObjectStore, tenant: str, month: str = "", *, since: str = ""
) -> list[AccessKey]:
    """Return the names of all objects of a month, or of all months since one."""
    prefix = access_prefix(tenant, month)
    after = access_prefix(tenant, since) if since else ""
    named = [parse_access_key(info.key) async for info in objects.list(prefix, after=after)]
    return [one for one in named if one is not None]


async def _is_settled(
    objects: ObjectStore,
    tenant: str,
    names: list[AccessKey],
    month: str = "",
    *,
    since: str = "",
) -> bool:
    """Tell whether a listing has all sums that there are by now.

    It may have missed one that was written behind its back, and then the parts that
    were removed: a second one tells.
    """
    again = await month_names(objects, tenant, month, since=since)
    return _sums(again) <= _sums(names)


def _sums(names: list[AccessKey]) -> frozenset[AccessKey]:
    return frozenset(one for one in names if one.number >= 0)


async def _read(
    objects: ObjectStore, names: list[AccessKey]
) -> tuple[dict[AccessKey, Sheet], list[Corrupt]]:
    """Return what can be read, and why the rest cannot."""
    found: dict[AccessKey, Sheet] = {}
    unreadable: list[Corrupt] = []
    for first in range(0, len(names), _READS_AT_ONCE):
        some = names[first : first + _READS_AT_ONCE]
        blobs = await asyncio.gather(*(objects.get(one.key) for one in some))
        for one, blob in zip(some, blobs, strict=True):
            try:
                found[one] = decode_sheet(one.key, blob)
            except Corrupt as error:
                unreadable.append(error)
    return found, unreadable


def _settled(names: list[AccessKey], sheets: Mapping[AccessKey, Sheet]) -> Month:
    summed: set[str] = set()
    # A sum that is spent says nothing any more, and what has spent it has a higher number.
    for one in sorted(sheets, key=lambda name: name.number, reverse=True):
        if one.name not in summed:
            summed |= sheets[one].summed
    return Month(
        {one: sheet for one, sheet in sheets.items() if one.name not in summed},
        frozenset(one for one in names if one.name in summed),
        max((one.number for one in names), default=-1),
    )

"""What the access log tells: which study was read on which day, and when last.

Tier policies ask when a study was read last (`policy.Clock.UNREAD`); the simulation of
costs replays the days. It is not an audit trail: it knows nobody who read.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date

from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.tiering.access.month import Damaged, Month, read_month, settled_months
from pacs_cloud.tiering.access.sheet import Accesses, joined


@dataclass(frozen=True, slots=True)
class DayOfReads:
    """What was read on one day.

    Attributes:
        day: in UTC.
        accesses: by Study Instance UID.
    """

    day: date
    accesses: Accesses


async def last_reads(
    objects: ObjectStore,
    tenant: str,
    *,
    since: date = date.min,
    damaged: Damaged | None = None,
) -> Mapping[str, int]:
    """Return when each study was read last, microseconds since 1970 UTC.

    In memory is one entry for each study that was read, and one month, compressed.

    Args:
        objects: where the log lies.
        tenant: whose.
        since: earlier days are not looked at: for a policy that counts `unread_days`, it
            is enough to look as far back as the most of them.
        damaged: told of what cannot be read, which then is passed over: what was read
            less long ago than it seems may move too soon, and nothing else is harmed.

    Raises:
        Corrupt: an object of the log cannot be read, and nobody is to be told.
        Unavailable, Denied: as the store.
    """
    known: dict[str, int] = {}
    first_day = _name_of(since)
    async for month in _months(objects, tenant, since, damaged):
        for sheet in month.sheets.values():
            for day in sheet.days:
                if day < first_day:
                    continue
                try:
                    accesses = sheet.day(day)
                except Corrupt as error:
                    if damaged is None:
                        raise
                    damaged(error)
                    continue
                for study, one in accesses.items():
                    known[study] = max(known.get(study, 0), one.last_us)
    return known


async def reads_by_day(
    objects: ObjectStore, tenant: str, *, since: date = date.min
) -> AsyncIterator[DayOfReads]:
    """Yield each day on which something was read, oldest first.

    In memory is one month, compressed, and one day. Raises as `last_reads`.
    """
    first_day = _name_of(since)
    async for month in _months(objects, tenant, since):
        days = {day for sheet in month.sheets.values() for day in sheet.days}
        for day in sorted(day for day in days if day >= first_day):
            yield DayOfReads(date.fromisoformat(day), joined(month.sheets.values(), day))


async def _months(
    objects: ObjectStore, tenant: str, since: date, damaged: Damaged | None = None
) -> AsyncIterator[Month]:
    for month in await settled_months(objects, tenant, since=_name_of(since)[:6]):
        yield await read_month(objects, tenant, month, damaged=damaged)


def _name_of(day: date) -> str:
    return day.isoformat().replace("-", "")

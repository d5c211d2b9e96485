"""One page of the study list: found as its filters say, and told in words where there is more."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from pacs_cloud.dicom.moments import is_offset, zone_of
from pacs_cloud.errors import InvalidRequest, TooBroad
from pacs_cloud.query.request import SearchResult
from pacs_cloud.query.service import Search
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.refusals import sentence
from pacs_cloud.web.studies.filters import Filters
from pacs_cloud.web.studies.rows import RETURNS, StudyRow, row_of

PAGE: Final = 40
"""Studies that are listed at a time."""
MOST_ROWS: Final = 300
"""Of one answer: whoever comes back finds as many as they had scrolled through."""
_FURTHEST: Final = 100_000
_SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list.

    Attributes:
        start: how many studies are passed over.
        rows: how many are listed.
        look: which of the filters' searches goes on; None: whichever finds something.
    """

    start: int = 0
    rows: int = PAGE
    look: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the list.

    Attributes:
        rows: the studies, the newest first.
        place: where they are.
        told: how many there are, in words.
        note: why there are no more, where that is not since there are none.
        more: the URL of what follows, "" at the end.
        newer: the URL of the page before, "" at the beginning.
    """

    rows: tuple[StudyRow, ...]
    place: Place
    told: str
    note: str = ""
    more: str = ""
    newer: str = ""


def place_of(start: str, rows: str, look: str) -> Place:
    """Return where a URL's query is; raises InvalidRequest."""
    first = min(_number(start or "0"), _FURTHEST)
    many = min(max(_number(rows or str(PAGE)), 1), MOST_ROWS)
    return Place(first, PAGE if first else many, _number(look) if look else None)


def day_at(now_us: int, zone: str = "") -> date:
    """Return which day it is.

    Args:
        now_us: microseconds since 1970 UTC.
        zone: where, by its offset from UTC, `+0900`; where that is none: where this process is.
    """
    there = zone_of(zone) if is_offset(zone) else None
    return datetime.fromtimestamp(now_us / _SECOND_US, UTC).astimezone(there).date()


async def found_by(
    search: Search, caller: Caller, filters: Filters, place: Place, today: date
) -> Found:
    """Return a page of what a caller sees.

    Args:
        search: finds it.
        caller: who looks.
        filters: what for.
        place: where in the list.
        today: for whoever looks.
    """
    asked = filters.searches(RETURNS, today, limit=place.rows, offset=place.start)
    looks = range(len(asked)) if place.look is None else (min(place.look, len(asked) - 1),)
    result, look, note = SearchResult([], None, more_is_exact=True), 0, ""
    for look in looks:
        try:
            result = await search.find(caller, asked[look])
        except (TooBroad, InvalidRequest) as error:
            note = sentence(error)
        if result.rows:
            note = ""
            break
    rows = tuple(map(row_of, result.rows, result.labels))
    after = place.start + len(rows)
    following = {"from": after, "look": look} if look else {"from": after}
    before = {"from": max(place.start - PAGE, 0)} if place.start > PAGE else {}
    return Found(
        rows,
        place,
        _told(len(rows), place, result),
        note,
        filters.url(**following) if rows and result.more is not None else "",
        filters.url(**before) if place.start else "",
    )


def _told(count: int, place: Place, result: SearchResult) -> str:
    if not count:
        return "No study" if not place.start else "No further study"
    if place.start:
        return f"Studies {place.start + 1} to {place.start + count}"
    if result.more is None:
        return f"{count} studies" if count > 1 else "1 study"
    if result.more and result.more_is_exact:
        return f"{count + result.more} studies"
    return f"More than {count} studies, the newest first"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9):
        raise InvalidRequest("A place in the list is a number.")
    return int(text)

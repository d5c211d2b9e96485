"""QIDO-RS, asked (PS3.18 10.6): rows of studies, series or instances, page by page."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.dicom import attributes
from pacs_cloud.dicom.dicomjson import vr_of
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, InvalidUid, NotFound, Unavailable
from pacs_cloud.query import computed
from pacs_cloud.query.request import Level, SearchKey
from pacs_cloud.remote.connection import Connection
from pacs_cloud.remote.rows import first_text, read_rows
from pacs_cloud.remote.words import one_line

PAGE: Final = 500
"""Rows of one answer: a few kilobytes each."""
MOST_INSTANCES: Final = 1_000_000
"""Of one study; whoever names more is not believed."""

_FINE: Final = frozenset({200, 204})
_UIDS: Final = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.IMAGE: "00080018"}
_NAMES: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_OF_STUDY: Final = frozenset(attributes.STUDY_TAGS) | computed.STUDY_COMPUTED
_OF_SERIES: Final = frozenset(attributes.SERIES_TAGS) | computed.SERIES_COMPUTED
_OF_INSTANCE: Final = {*attributes.INSTANCE_TAGS, computed.AVAILABLE_TRANSFER_SYNTAX}
_CHARSET: Final = "00080005"
_RETURNED: Final = {
    # A row's text is in UTF-8, whatever the data sets are in.
    level: (tags | {computed.INSTANCE_AVAILABILITY}) - {_CHARSET}
    for level, tags in (
        (Level.STUDY, _OF_STUDY),
        (Level.SERIES, _OF_STUDY | _OF_SERIES),
        (Level.IMAGE, _OF_STUDY | _OF_SERIES | _OF_INSTANCE),
    )
}
"""What the same search returns here."""

# `299 host: text` as PS3.18 8.3.4.4 writes it, or `299 host "text"` as RFC 7234 5.5 does.
_WARNING: Final = re.compile(r"299 \S{1,300}?:? \"?([^\"\n]{1,1000})")
_MORE: Final = re.compile(r"There are (\d{1,12}) additional results that can be requested")
_PERHAPS: Final = "additional results"


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a search, and what is said of those that were not returned.

    Attributes:
        rows: attributes by tag, those alone that have a value.
        more: None when nobody says that there are further ones; else how many, 0: some.
        is_exact: whether `more` is all of them.
        warnings: what else the archive says, a line each.
    """

    rows: list[Elements]
    more: int | None
    is_exact: bool
    warnings: tuple[str, ...]


class Place(NamedTuple):
    """Where an instance is in its study; UIDs that are safe in paths."""

    series_instance_uid: str
    sop_instance_uid: str


class _Page(NamedTuple):
    rows: list[Elements]
    warnings: list[str]


async def search(
    connection: Connection, level: Level, keys: Sequence[SearchKey], limit: int
) -> Found:
    """Return up to `limit` rows in the order that the archive gives them in.

    Raises:
        InvalidRequest: of patients, which DICOMweb does not list.
        Denied, Unavailable, …: as `Connection.ask`.
    """
    if level not in _NAMES:
        raise InvalidRequest("DICOMweb lists no patients: --level study, series or instance")
    query = [(".".join(key.path), _text_of(key)) for key in keys]
    query += [("includefield", tag) for tag in sorted(_RETURNED[level])]
    rows: list[Elements] = []
    warnings: list[str] = []
    async with aclosing(_pages(connection, f"/{_NAMES[level]}", query, limit)) as pages:
        async for page in pages:
            rows += page.rows
            warnings = page.warnings
    wanted = _RETURNED[level] | {key.path[0] for key in keys}
    return _found([{tag: row[tag] for tag in row if tag in wanted} for row in rows], warnings)


async def places(
    connection: Connection, study: str, series: str = "", instance: str = ""
) -> list[Place]:
    """Return where a study's instances are, or those of a series, or one alone.

    Raises:
        NotFound: there are none.
        Unavailable: what the archive answers names no instance of this study.
        Denied, …: as `Connection.ask`.
    """
    above = f"/studies/{study}" + (f"/series/{series}" if series else "")
    query = [("SOPInstanceUID", instance)] if instance else []
    found: dict[Place, None] = {}
    pages = _pages(connection, f"{above}/instances", query, MOST_INSTANCES + 1)
    async with aclosing(pages):
        async for page in pages:
            found |= {_place(connection, row, series): None for row in page.rows}
            if len(found) > MOST_INSTANCES:
                raise Unavailable(f"{connection.name} names more instances than a study has")
    wanted = [one for one in found if instance in {"", one.sop_instance_uid}]
    if not wanted:
        raise NotFound("There is nothing of this, or not for this key.")
    return wanted


async def _pages(
    connection: Connection, path: str, query: Sequence[tuple[str, str]], limit: int
) -> AsyncGenerator[_Page]:
    """Yield pages until `limit` rows came, or the archive has no further ones.

    A row that came before is left out: what is stored meanwhile moves the others on.
    """
    seen: set[tuple[str, ...]] = set()
    offset = 0
    while offset < limit:
        asked = min(PAGE, limit - offset)
        pager = [*query, ("limit", str(asked)), ("offset", str(offset))]
        async with connection.ask(
            "GET", path, query=pager, headers={"accept": "application/dicom+json"}, fine=_FINE
        ) as reply:
            if reply.status == 204:
                return
            page = _Page(read_rows(await reply.json()), _warnings(reply.headers.get("warning", "")))
        new = {_uids_of(row): row for row in page.rows[: limit - offset]}
        fresh = [row for uids, row in new.items() if uids not in seen]
        if not fresh:
            return
        yield _Page(fresh, page.warnings)
        seen.update(new)
        offset += len(page.rows)
        # Fewer than were asked for are the last, unless it says that it cut them off (8.3.4.4).
        if len(page.rows) < asked and not any(_PERHAPS in one for one in page.warnings):
            return


def _uids_of(row: Elements) -> tuple[str, ...]:
    return tuple(first_text(row, tag) for tag in _UIDS.values())


def _text_of(key: SearchKey) -> str:
    # UIDs are listed with commas (8.3.4.1).
    return key.text.replace("\\", ",") if vr_of(key.path[-1]) == "UI" else key.text


def _place(connection: Connection, row: Elements, series: str) -> Place:
    try:
        return Place(
            series or parse_uid(first_text(row, _UIDS[Level.SERIES])),
            parse_uid(first_text(row, _UIDS[Level.IMAGE])),
        )
    except InvalidUid:
        raise Unavailable(f"{connection.name} names an instance by what is no UID") from None


def _warnings(text: str) -> list[str]:
    return [one_line(one) for one in _WARNING.findall(text[:8192])]


def _found(rows: list[Elements], warnings: Sequence[str]) -> Found:
    more, is_exact = None, True
    others: list[str] = []
    for one in warnings:
        if counted := _MORE.search(one):
            more, is_exact = int(counted[1]), "perhaps" not in one
        elif _PERHAPS in one:
            more, is_exact = 0, False
        else:
            others.append(one)
    return Found(rows, more, is_exact, tuple(others))

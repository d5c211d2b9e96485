"""What only full headers hold: read where UIDs bound a search, one pack's at a time."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.dicom.amended_header import amended_header
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.query.request import HeaderPlace, SearchKey

RECORD_BYTES: Final = 16 << 10
"""So much of a header costs a search as much as one record."""

_LARGE_BYTES: Final = 256 << 10
"""A longer header is parsed beside the event loop."""

_AT_ONCE: Final = 64
"""After so many headers others get their turn."""

_PRIVATE_FROM: Final = 0x1000
"""PS3.5 7.8.1: elements below it reserve blocks, (gggg,00bb), those above lie in them."""


class HeaderTables(Protocol):
    """Where headers come from (`retrieve.tables.PackTables`)."""

    async def headers(self, tenant: str, ref: UidRef) -> bytes:
        """Return the headers of a committed pack; instances find theirs by offset."""
        ...


@dataclass(frozen=True, slots=True)
class PrivateBlocks:
    """Which private creator a request means by each of its blocks (PS3.5 7.8.1).

    Attributes:
        creators: by the tag of the block's reservation, `00090010`.
    """

    creators: Mapping[str, str]

    @classmethod
    def of(cls, keys: Iterable[SearchKey]) -> "PrivateBlocks":
        """Return what the keys of a request say."""
        return cls(
            {
                key.path[0]: key.text.strip()
                for key in keys
                if len(key.path) == 1 and _is_creator(key.path[0]) and key.text.strip("* ")
            }
        )

    def renumbered(self, header: Elements) -> Elements:
        """Return a header with its private blocks where the request has them."""
        moved = header
        for wanted, creator in self.creators.items():
            if _says(header.get(wanted), creator):
                continue
            group = wanted[:4]
            block = next(
                (
                    tag[6:]
                    for tag in header
                    if tag[:4] == group and _is_creator(tag) and _says(header[tag], creator)
                ),
                None,
            )
            if moved is header:
                moved = dict(header)
            for tag in [tag for tag in moved if _is_within(tag, group, wanted[6:])]:
                del moved[tag]  # another creator's
            if block is None:
                continue
            moved[wanted] = header[f"{group}00{block}"]
            for tag in header:
                if tag[:4] == group and tag[4:6] == block:
                    moved[f"{group}{wanted[6:]}{tag[6:]}"] = header[tag]
        return moved


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be returned of headers.

    Attributes:
        tags: of attributes.
        everything: all of it, but for bulk data.
        blocks: how private attributes are numbered.
    """

    tags: frozenset[str]
    everything: bool
    blocks: PrivateBlocks

    @property
    def is_empty(self) -> bool:
        """Whether nothing is."""
        return not self.tags and not self.everything

    def picked(self, header: Elements) -> Elements:
        """Return what is wished of a header, private attributes with their creators."""
        header = self.blocks.renumbered(header)
        tags = self.tags | {creator_of(tag) for tag in self.tags if creator_of(tag)}
        found = {tag: header[tag] for tag in tags if tag in header}
        if self.everything:
            rest = ((tag, _without_bulk(header[tag])) for tag in header if tag not in found)
            found |= {tag: element for tag, element in rest if element is not None}
        return found


class Headers:
    """Reads full headers."""

    def __init__(self, tables: HeaderTables) -> None:
        self._tables = tables

    async def read(self, tenant: str, places: Sequence[HeaderPlace]) -> AsyncGenerator[Elements]:
        """Yield the headers at `places`, in their order, as amendments show them."""
        ref: UidRef | None = None
        lines = b""
        for number, place in enumerate(places, 1):
            if place.ref != ref:
                lines = await self._tables.headers(tenant, place.ref)
                ref = place.ref
            line = memoryview(lines)[place.offset : place.offset + place.length_bytes]
            if place.length_bytes > _LARGE_BYTES:
                yield await asyncio.to_thread(_shown, line, place)
            else:
                yield _shown(line, place)
            if place.amendments or number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def common(self, tenant: str, places: Sequence[HeaderPlace], wish: Wish) -> Elements:
        """Return what is wished and the same in all headers at `places`.

        What differs between the instances of a series is no attribute of the series.
        """
        shared: Elements | None = None
        async with aclosing(self.read(tenant, places)) as headers:
            async for header in headers:
                found = wish.picked(header)
                if shared is not None:
                    found = {tag: shared[tag] for tag in shared if found.get(tag) == shared[tag]}
                shared = found
                if not shared:
                    break
        return shared or {}


def _shown(line: memoryview, place: HeaderPlace) -> Elements:
    return amended_header(orjson.loads(line), place.amendments, place.sop_instance_uid)


def cost_of(places: Iterable[HeaderPlace]) -> int:
    """Return how many records reading `places` counts for."""
    return -(-sum(place.length_bytes for place in places) // RECORD_BYTES)


def creator_of(tag: str) -> str:
    """Return the tag of the reservation of a private attribute's block, "" for another one."""
    if int(tag[3], 16) % 2 and int(tag[4:], 16) >= _PRIVATE_FROM:
        return f"{tag[:4]}00{tag[4:6]}"
    return ""


def _is_creator(tag: str) -> bool:
    return bool(int(tag[3], 16) % 2) and tag[4:6] == "00" and tag[6:] >= "10"


def _is_within(tag: str, group: str, block: str) -> bool:
    return tag[:4] == group and (tag[4:6] == block or tag[4:] == f"00{block}")


def _says(element: Element | None, text: str) -> bool:
    values: list[Any] = [] if element is None else element.get("Value", [])
    return [str(value).strip() for value in values] == [text]


def _without_bulk(element: Element) -> Element | None:
    """Return an element without the bulk data in it, None for one that is such."""
    if "BulkDataURI" in element:
        return None
    if element["vr"] != "SQ":
        return element
    items: list[Elements] = []
    for item in element.get("Value", ()):
        inner = ((tag, _without_bulk(one)) for tag, one in (item or {}).items())
        items.append({tag: one for tag, one in inner if one is not None})
    return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

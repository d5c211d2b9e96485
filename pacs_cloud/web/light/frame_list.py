"""The images of a series in the order in which they are looked through, as a viewer needs them."""

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from blake3 import blake3

from pacs_cloud.dicom.element_values import number, text, values
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.functional_groups import PER_FRAME
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.tables import header_in
from pacs_cloud.security.caller import Caller
from pacs_cloud.web.light.frame_looks import look_of, place_of, rate_of, windows_of
from pacs_cloud.web.light.frame_order import along, in_order

_REVISION: Final = "2"
"""Raised when the same series is listed otherwise."""
_KEPT_BYTES: Final = 32 << 20
_ROW_BYTES: Final = 200
_BESIDE_BYTES: Final = 1 << 18
"""Headers of so many bytes together are read beside the event loop."""
_KINDS: Final[Mapping[Kind, str]] = {
    Kind.VIDEO: "video",
    Kind.REPORT: "report",
    Kind.DOCUMENT: "document",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One instance of a list.

    Attributes:
        uid: its SOP Instance UID.
        frames: how many it has.
    """

    uid: str
    frames: int


@dataclass(frozen=True, slots=True)
class FrameList:
    """A series as a viewer goes through it.

    Attributes:
        images: its images, in order.
        others: what else is in it: its SOP Instance UID, what it is, and its title.
        etag: changes with all of it.
        text: the same as JSON.
        packed: that as gzip has it.
    """

    images: tuple[Row, ...]
    others: tuple[tuple[str, str, str], ...]
    etag: str
    text: bytes
    packed: bytes

    @property
    def count(self) -> int:
        """How many frames all images have together."""
        return sum(row.frames for row in self.images)

    def at(self, number_of: int) -> tuple[str, int]:
        """Return the instance and the frame that come as number `number_of`, 1 the first."""
        left = max(1, min(number_of, self.count))
        for row in self.images:
            if left <= row.frames:
                return row.uid, left
            left -= row.frames
        raise IndexError(number_of)


class FrameLists:
    """Lists series, and keeps the latest lists: packs never change."""

    def __init__(self, archive: Archive) -> None:
        """Read by `archive`."""
        self._archive = archive
        self._kept: BoundedCache[FrameList] = BoundedCache(_KEPT_BYTES, "frame-lists")

    async def of(self, caller: Caller, study: str, series: str) -> FrameList:
        """Return the list of a series.

        Raises:
            Denied, NotFound: as `Instances.locate`.
        """
        located = await self._archive.instances.locate(caller, study, series)
        state = state_tag(located)

        async def load() -> tuple[FrameList, int]:
            found = await self._listed(located, state)
            size = len(found.text) + len(found.packed) + _ROW_BYTES * len(located)
            return found, size

        return await self._kept.get((study, series, state), load)

    async def _listed(self, located: Sequence[Located], state: str) -> FrameList:
        tables = self._archive.tables
        packs = {one.pack.pack_id: one for one in located}
        lines = {
            pack_id: await tables.headers(one.pack.tenant, one.ref)
            for pack_id, one in packs.items()
        }
        if sum(one.instance.header_length for one in located) >= _BESIDE_BYTES:
            return await asyncio.to_thread(self._made, located, lines, state)
        return self._made(located, lines, state)

    def _made(
        self, located: Sequence[Located], lines: Mapping[str, bytes], state: str
    ) -> FrameList:
        images: list[_Image] = []
        others: list[tuple[str, str, str]] = []
        rate: float | None = None
        modality = ""
        for one in located:
            header = header_in(lines[one.pack.pack_id], one.pack, one.instance)
            kind = kind_of(one)
            modality = modality or text(header, "00080060")
            if kind is Kind.IMAGE:
                images.append(_Image(one, header, self._frames(one)))
                rate = rate or rate_of(header)
            elif kind in _KINDS:
                others.append((one.instance.sop_instance_uid, _KINDS[kind], _title(header)))
        ordered = [images[at] for at in in_order([image.place for image in images])]
        body = _body(ordered, others, rate, modality)
        packed = gzip.compress(body, 6, mtime=0)
        mark = blake3(f"{_REVISION}\n{state}".encode()).hexdigest(length=16)
        return FrameList(
            tuple(Row(image.place.uid, image.frames) for image in ordered),
            tuple(others),
            mark,
            body,
            packed,
        )

    def _frames(self, located: Located) -> int:
        pixels = located.instance.pixels
        if pixels is None or pixels.frame_count <= 1:
            return 1
        try:
            return self._archive.renderer.shown.frame_count(located)
        except NotAcceptable:
            return 1  # what it shows then says why there is nothing to see


class _Image:
    """What of an image goes into the list; its header does not stay in memory.

    Attributes:
        place: where its first frame belongs.
        frames: how many it has.
        looks: of each of them, or of all; JSON.
        windows: likewise.
        depths: likewise, where it cuts its own normal, in mm.
    """

    __slots__ = ("depths", "frames", "looks", "place", "windows")

    def __init__(self, located: Located, header: Elements, frames: int) -> None:
        uid = located.instance.sop_instance_uid
        numbers = range(1, max(1, min(frames, len(values(header, PER_FRAME)))) + 1)
        places = [place_of(uid, header, frame) for frame in numbers]
        self.place = places[0]
        self.frames = frames
        self.looks = [orjson.dumps(look_of(header, frame)) for frame in numbers]
        self.windows = [orjson.dumps(windows_of(header, frame)) for frame in numbers]
        self.depths = [None if (at := along(one)) is None else round(at, 2) for one in places]


def _body(
    images: Sequence[_Image],
    others: Sequence[tuple[str, str, str]],
    rate: float | None,
    modality: str,
) -> bytes:
    """Return the list as JSON; looks and windows that are the same stand once."""
    looks: dict[bytes, int] = {}
    windows: dict[bytes, int] = {}
    rows = [
        [
            image.place.uid,
            image.frames,
            _each([looks.setdefault(one, len(looks)) for one in image.looks]),
            _each([windows.setdefault(one, len(windows)) for one in image.windows]),
            int(image.place.number),
            _each(image.depths),
        ]
        for image in images
    ]
    return orjson.dumps(
        {
            "modality": modality,
            "rate": rate,
            "count": sum(image.frames for image in images),
            "looks": [orjson.Fragment(one) for one in looks],
            "windows": [orjson.Fragment(one) for one in windows],
            "images": rows,
            "others": [{"uid": uid, "kind": kind, "title": title} for uid, kind, title in others],
        }
    )


def _each(found: list[Any]) -> Any:
    """Return what all frames have, once; else what each has."""
    return found[0] if found.count(found[0]) == len(found) else found


def _title(header: Elements) -> str:
    """Return what a report, a document or a video calls itself."""
    for tag in ("00420010", "0008103E", "00081030"):
        if named := text(header, tag):
            return named
    at = number(header, "00200013")
    return "" if at is None else f"{at:g}"

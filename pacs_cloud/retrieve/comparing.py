"""Two instances side by side: their headers, bulk values and pixels.

What came in is compared, whatever corrections show instead: they would show the same in both.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import orjson
from blake3 import blake3

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.dicom import uid
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.differences import difference_shades, differing_pixels, tag_differences
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.render.picture import PNG, encode
from pacs_cloud.dicom.render.showable import check_showable
from pacs_cloud.errors import InvalidInstance, NotAcceptable, NotFound, Offline
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.frames import frame_table
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream

_PIXELS: Final = "7FE0"


async def locate(
    archive: Archive, catalogue: Catalogue, tenant: str, ref: UidRef, sop_instance_uid: str
) -> Located:
    """Return one instance of a pack, shown or hidden; raises NotFound."""
    packs = await catalogue.packs(tenant, ref.study_instance_uid, ref.series_instance_uid)
    for pack in packs:
        if pack.pack_id == ref.pack_id:
            table = await archive.tables.lookup(tenant, ref)
            if (instance := table.by_uid.get(sop_instance_uid)) is not None:
                return Located(pack, table.index, instance)
    raise NotFound("The instance is not there any more.")


async def compared_tags(archive: Archive, newcomer: Located, other: Located) -> list[Any]:
    """Return the elements that differ; bulk values by their bytes, pixel data left out."""
    headers = [await header_of(archive, one) for one in (newcomer, other)]
    rows = [
        {"path": one.path, "tag": one.tag, "newcomer": one.newcomer, "other": one.other}
        for one in tag_differences(*headers)
        if not one.tag.startswith(_PIXELS)
    ]
    paths = [{value.path for value in one.instance.bulk} for one in (newcomer, other)]
    for path in sorted(paths[0] & paths[1]):
        tag = path.rpartition("/")[2]
        if tag.startswith(_PIXELS):
            continue
        first, second = [await _bulk(archive, one, path) for one in (newcomer, other)]
        if first != second:
            name = ".".join(map(_name, path.split("/")))
            rows.append({"path": name, "tag": tag, "newcomer": first, "other": second})
    return rows


def _name(part: str) -> str:
    return keyword_of(part) if len(part) == 8 else f"[{part}]"


async def header_of(archive: Archive, located: Located) -> Elements:
    """Return the header of an instance, shown or hidden, as it came in."""
    lines = await archive.tables.headers(located.pack.tenant, located.ref)
    start = located.instance.header_offset
    header: Elements = orjson.loads(lines[start : start + located.instance.header_length])
    return header


async def _bulk(archive: Archive, located: Located, path: str) -> str:
    """Return how long a bulk value is, and its BLAKE3."""
    hasher, length_bytes = blake3(), 0
    async for chunk in stream(archive.objects, archive.bulk.pieces(located, path)):
        hasher.update(chunk)
        length_bytes += len(chunk)
    return f"{length_bytes} bytes, BLAKE3 {hasher.hexdigest()[:16]}"


async def compared_pixels(
    archive: Archive, newcomer: Located, other: Located, *, most: int | None = None
) -> dict[str, Any]:
    """Return, frame by frame, how many pixels differ, and by how much; decoded, never rendered.

    A frame that only one has, or that cannot be laid upon the other, has null; the note
    says why where nothing can be compared. Of many frames the first `most` are; None: all.
    """
    if newcomer.instance.pixels is None and other.instance.pixels is None:
        return {"frames": [], "note": "neither has pixels"}
    try:
        counts = [len(frame_table(one)) for one in (newcomer, other)]
        frames = [
            {"frame": number, **await _differing(archive, newcomer, other, number)}
            for number in range(1, min(*counts, most or max(counts)) + 1)
        ]
    except (NotFound, InvalidInstance) as error:
        return {"frames": [], "note": f"they cannot be compared: {error}"}
    except Offline:
        return {"frames": [], "note": "they are in a cold tier: recall the study first"}
    last = max(counts) if most is None else min(most, max(counts))
    alone: Iterable[int] = range(min(counts) + 1, last + 1)
    frames += [{"frame": number, "differing": None, "largest": None} for number in alone]
    one, two = newcomer.instance.pixels, other.instance.pixels
    note = "" if one is None or two is None else _sizes(asdict(one), asdict(two))
    return {"frames": frames, "note": note}


async def difference_picture(
    archive: Archive, newcomer: Located, other: Located, number: int
) -> bytes:
    """Return a PNG of where a frame of two instances differs, the brighter the more.

    Raises:
        NotFound: there is no such frame in both.
        NotAcceptable: it cannot be decoded, shown, or laid upon the other.
        Offline: one of both lies in a cold class.
    """
    if not 1 <= number <= min(len(frame_table(one)) for one in (newcomer, other)):
        raise NotFound("there is no such frame in both")
    try:
        one = await archive.transcoder.made(newcomer, number, uid.EXPLICIT_LE)
        two = await archive.transcoder.made(other, number, uid.EXPLICIT_LE)
        check_showable(one[1])
    except InvalidInstance as error:
        raise NotAcceptable(f"The frame cannot be compared. {error}") from error
    picture = await asyncio.to_thread(_picture, one, two)
    if picture is None:
        raise NotAcceptable("The frames cannot be laid upon each other.")
    return picture


def _picture(newcomer: tuple[bytes, PixelFormat], other: tuple[bytes, PixelFormat]) -> bytes | None:
    shades = difference_shades(*newcomer, *other)
    return None if shades is None else encode(shades, PNG)


def _sizes(one: dict[str, Any], two: dict[str, Any]) -> str:
    names = ("rows", "columns", "samples_per_pixel", "bits_allocated", "frame_count")
    differing = [name for name in names if one[name] != two[name]]
    return f"they differ in {', '.join(differing)}" if differing else ""


async def _differing(
    archive: Archive, newcomer: Located, other: Located, number: int
) -> dict[str, int | None]:
    one = await archive.transcoder.made(newcomer, number, uid.EXPLICIT_LE)
    two = await archive.transcoder.made(other, number, uid.EXPLICIT_LE)
    found = await asyncio.to_thread(differing_pixels, *one, *two)
    if found is None:
        return {"differing": None, "largest": None}
    return {"differing": found.pixels, "largest": found.largest}

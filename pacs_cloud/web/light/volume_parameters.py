"""What somebody asks of a volume: the query of its addresses, read; each fault by its name."""

import math
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request

from pacs_cloud.dicom.render.picture import JPEG, PNG
from pacs_cloud.dicom.volume.casting import Angle
from pacs_cloud.dicom.volume.grid import AXES
from pacs_cloud.dicom.volume.pictures import MAX_SIZE, PlanePicture, ViewPicture
from pacs_cloud.dicom.volume.planes import Cut, Mode
from pacs_cloud.errors import InvalidRequest

_PLANE: Final = frozenset({"plane", "at", "mode", "slab", "yaw", "pitch"})
_LOOK: Final = frozenset({"window", "size", "quality", "id"})
_VIEW: Final = frozenset({"yaw", "pitch", "zoom", "preset", "size", "quality", "id"})
_SMALLEST: Final = 16
_QUALITY: Final = 85
_FARTHEST: Final = 1e6


def plane_picture(request: Request) -> PlanePicture:
    """Return which picture of a plane is wanted; raises InvalidRequest."""
    query = request.query_params
    _only(query, _PLANE | _LOOK)
    return PlanePicture(
        cut=_cut(query),
        window=_window(query),
        size=_whole(query, "size", _SMALLEST, MAX_SIZE) if "size" in query else None,
        quality=_whole(query, "quality", 1, 100, _QUALITY),
        media_type=_media_type(request),
    )


def view_picture(request: Request) -> ViewPicture:
    """Return which picture of all of a volume is wanted; raises InvalidRequest."""
    query = request.query_params
    _only(query, _VIEW)
    preset = query.get("preset", "")
    if len(preset) > 32:
        raise InvalidRequest("preset: there is none of that name.")
    angle = Angle(
        _number(query, "yaw", -360, 360, 0),
        _number(query, "pitch", -90, 90, 0),
        _number(query, "zoom", 0.25, 8, 1),
    )
    return ViewPicture(
        angle=angle,
        preset=preset,
        size=_whole(query, "size", _SMALLEST, MAX_SIZE, 512),
        quality=_whole(query, "quality", 1, 100, _QUALITY),
        media_type=_media_type(request),
    )


def point(request: Request) -> tuple[Cut, float, float]:
    """Return which point of which plane is asked about; raises InvalidRequest."""
    query = request.query_params
    _only(query, _PLANE | {"x", "y", "id"})
    x, y = (_number(query, name, -_FARTHEST, _FARTHEST) for name in ("x", "y"))
    return _cut(query), x, y


def _cut(query: QueryParams) -> Cut:
    slab = _number(query, "slab", 0.01, 10_000) if "slab" in query else None
    return Cut(
        plane=_one_of(query, "plane", AXES),
        at=_whole(query, "at", 0, 1 << 20),
        mode=Mode(_one_of(query, "mode", tuple(Mode), Mode.MPR)),
        slab_mm=slab,
        yaw=_number(query, "yaw", -180, 180, 0),
        pitch=_number(query, "pitch", -180, 180, 0),
    )


def _only(query: QueryParams, known: frozenset[str]) -> None:
    for name in query:
        if name not in known:
            raise InvalidRequest(f"There is no such parameter: it is one of {_list(known)}.")
        if len(query.getlist(name)) > 1:
            raise InvalidRequest(f"{name}: is given more than once.")


def _number(
    query: QueryParams, name: str, least: float, most: float, default: float | None = None
) -> float:
    text = query.get(name)
    if text is None:
        if default is None:
            raise InvalidRequest(f"{name}: is missing.")
        return default
    return _within(name, text, least, most)


def _within(name: str, text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:  # nor is it where it is no number
        raise InvalidRequest(f"{name}: is a number from {least:g} to {most:g}.")
    return value


def _whole(query: QueryParams, name: str, least: int, most: int, default: int | None = None) -> int:
    value = _number(query, name, least, most, default)
    if value != int(value):
        raise InvalidRequest(f"{name}: is a whole number.")
    return int(value)


def _one_of(query: QueryParams, name: str, known: Sequence[str], default: str = "") -> str:
    value = query.get(name, default)
    if value not in known:
        raise InvalidRequest(f"{name}: is one of {_list(known)}.")
    return value


def _window(query: QueryParams) -> tuple[float, float] | None:
    text = query.get("window")
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 2:
        raise InvalidRequest("window: is a centre and a width, with a comma between.")
    center = _within("window", parts[0], -_FARTHEST, _FARTHEST)
    width = _within("window", parts[1], 1e-6, 2 * _FARTHEST)
    return center, width


def _media_type(request: Request) -> str:
    """Return PNG where nothing but that is accepted: it is larger, and loses nothing."""
    accepted = ",".join(request.headers.getlist("accept")).lower()
    takes_jpeg = not accepted or any(one in accepted for one in (JPEG, "image/*", "*/*"))
    return PNG if PNG in accepted and not takes_jpeg else JPEG


def _list(known: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(known) if isinstance(known, frozenset) else known)

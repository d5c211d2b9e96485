"""The query parameters of rendered resources and thumbnails (PS3.18 8.3.5)."""

import math
import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import QueryParams

from pacs_cloud.dicom.render.grey_shades import VoiFunction, Window
from pacs_cloud.dicom.render.picture import DEFAULT_QUALITY
from pacs_cloud.dicom.render.viewport import MAX_SIDE, Viewport
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.retrieve.rendered import PATIENT, TECHNIQUE

ANNOTATIONS: Final = frozenset({PATIENT, TECHNIQUE})
PROFILES: Final = frozenset({"no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"})
_FUNCTIONS: Final = {
    "linear": VoiFunction.LINEAR,
    "linear-exact": VoiFunction.LINEAR_EXACT,
    "sigmoid": VoiFunction.SIGMOID,
}
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,31}")
_DECIMAL: Final = re.compile(
    r"[+\-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+\-]?[0-9]{1,2})?"
)
_SIZE: Final = re.compile(r"[0-9]{1,9}")
_MAX_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class RenderingParameters:
    """What a request says of the picture it wants.

    Attributes:
        annotation: what is written into it.
        unsupported: keywords of `annotation` that mean nothing here.
        quality: 1 to 100.
        viewport: what is shown and how large; None: the whole image, pixel by pixel.
        has_region: whether `viewport` names more than its width and height.
        window: in place of the image's own.
        wants_profile: whether an ICC profile is asked for.
    """

    annotation: frozenset[str] = frozenset()
    unsupported: tuple[str, ...] = ()
    quality: int = DEFAULT_QUALITY
    viewport: Viewport | None = None
    has_region: bool = False
    window: Window | None = None
    wants_profile: bool = False


def rendering_parameters(query: QueryParams) -> RenderingParameters:
    """Return what a request for a rendered resource says.

    Raises:
        InvalidRequest: a parameter that the standard does not allow.
    """
    annotation, unsupported = _annotation(_one(query, "annotation"))
    viewport = _one(query, "viewport")
    profile = _one(query, "iccprofile")
    if profile is not None and profile not in PROFILES:
        raise InvalidRequest(f"iccprofile is one of {', '.join(sorted(PROFILES))}.")
    return RenderingParameters(
        annotation,
        unsupported,
        parse_quality(_one(query, "quality")),
        None if viewport is None else parse_viewport(viewport),
        viewport is not None and viewport.count(",") > 1,
        _window(_one(query, "window")),
        profile not in {None, "no"},
    )


def thumbnail_viewport(query: QueryParams) -> Viewport | None:
    """Return the viewport of a thumbnail, whose other parameters mean nothing (8.3.5.2).

    Raises:
        InvalidRequest: not a width and a height.
    """
    text = _one(query, "viewport")
    if text is None:
        return None
    if text.count(",") != 1:
        raise InvalidRequest("A thumbnail's viewport is a width and a height.")
    return parse_viewport(text)


def parse_quality(text: str | None) -> int:
    """Return `text`, 1 to 100, as a JPEG's quality; raises InvalidRequest."""
    if text is None:
        return DEFAULT_QUALITY
    quality = int(text) if _SIZE.fullmatch(text) else 0
    if not 1 <= quality <= 100:
        raise InvalidRequest("quality is a whole number from 1 to 100.")
    return quality


def parse_viewport(text: str) -> Viewport:
    """Return `vw,vh[,[sx],[sy],[sw],[sh]]` as a viewport; raises InvalidRequest."""
    parts = [part.strip() for part in text.split(",")]
    if not 2 <= len(parts) <= 6:
        raise InvalidRequest("viewport is vw,vh or vw,vh,sx,sy,sw,sh.")
    width, height = (int(part) if _SIZE.fullmatch(part) else 0 for part in parts[:2])
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise InvalidRequest(f"A viewport's width and height are from 1 to {MAX_SIDE} pixels.")
    left, top, wide, high = (
        _number(part, "viewport") if part else None for part in [*parts[2:], *[""] * 4][:4]
    )
    if 0 in {wide, high}:
        raise InvalidRequest("A viewport's region is not empty.")
    return Viewport(
        width,
        height,
        abs(left or 0.0),
        abs(top or 0.0),
        None if wide is None else abs(wide),
        None if high is None else abs(high),
        wide is not None and wide < 0,
        high is not None and high < 0,
    )


def parse_window(center: str, width: str, function: str = "linear") -> Window:
    """Return a window; raises InvalidRequest.

    Args:
        center: a decimal number, in modality units.
        width: likewise; at least 1 for `linear`, more than 0 for the others.
        function: `linear`, `linear-exact` or `sigmoid`.
    """
    shape = _FUNCTIONS.get(function.strip())
    if shape is None:
        raise InvalidRequest(f"A window's function is one of {', '.join(_FUNCTIONS)}.")
    window = Window(_number(center, "window"), _number(width, "window"), shape)
    if window.width <= 0 or (shape is VoiFunction.LINEAR and window.width < 1):
        raise InvalidRequest("A window's width is at least 1, or over 0 where it is not linear.")
    return window


def _window(text: str | None) -> Window | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 3:
        raise InvalidRequest("window is center,width,function.")
    return parse_window(*parts)


def _annotation(text: str | None) -> tuple[frozenset[str], tuple[str, ...]]:
    if text is None:
        return frozenset(), ()
    words = [word.strip() for word in text.split(",")]
    if not all(map(_KEYWORD.fullmatch, words)):
        raise InvalidRequest("annotation is a list of patient and technique.")
    known = frozenset(words) & ANNOTATIONS
    return known, tuple(dict.fromkeys(word for word in words if word not in known))


def _number(text: str, name: str) -> float:
    text = text.strip()
    if _DECIMAL.fullmatch(text) is None:
        raise InvalidRequest(f"{name} has something that is no decimal number.")
    number = float(text)
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} has a number out of range.")
    return number


def _one(query: QueryParams, name: str) -> str | None:
    given = query.getlist(name)
    if len(given) > 1:
        raise InvalidRequest(f"{name} can be given once.")
    if given and len(given[0]) > _MAX_CHARACTERS:
        raise InvalidRequest(f"{name} is too long.")
    return given[0].strip() if given else None

"""What a WADO-URI query says, in the words of the RESTful services (PS3.18 9.4.1.2, 9.5.1.2)."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request

from pacs_cloud.dicom.render.viewport import MAX_SIDE
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dicomweb.media import ANYTHING, MediaType, parse_accept
from pacs_cloud.dicomweb.rendering_parameters import RenderingParameters, rendering_parameters
from pacs_cloud.errors import InvalidRequest, NotAcceptable

RENDERING: Final = (
    "annotation",
    "rows",
    "columns",
    "region",
    "windowCenter",
    "windowWidth",
    "frameNumber",
    "imageQuality",
    "presentationSeriesUID",
    "presentationUID",
)
_CHARSETS: Final = frozenset({"utf-8", "utf8", "*", "iso_ir 192", "us-ascii", "iso-8859-1"})
"""What a client may name: text is UTF-8, images hold none."""
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}")
_SHARE: Final = re.compile(r"(?:[01](?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE]-[0-9]{1,2})?")


def one_of(request: Request, name: str) -> str | None:
    """Return a parameter's value, None where it is not given; raises InvalidRequest."""
    given = request.query_params.getlist(name)
    if len(given) > 1:
        raise InvalidRequest(f"{name} can be given once.")
    return given[0].strip() if given else None


def uid_in(request: Request, name: str) -> str:
    """Return the UID that a required parameter gives; raises InvalidRequest, InvalidUid."""
    text = one_of(request, name)
    if not text:
        raise InvalidRequest(f"{name} is missing.")
    return parse_uid(text)


def accepted_types(request: Request) -> tuple[MediaType, ...]:
    """Return what the client accepts: contentType counts before the Accept header (9.1.2.2)."""
    given = one_of(request, "contentType")
    header = ",".join(request.headers.getlist("accept"))
    return parse_accept(header, [given] if given else ()) if given or header else (ANYTHING,)


def check_charset(request: Request) -> None:
    """Return where the client takes UTF-8; raises NotAcceptable, InvalidRequest."""
    charset = one_of(request, "charset")
    if charset and not {part.strip().lower() for part in charset.split(",")} & _CHARSETS:
        raise NotAcceptable("Text is given in UTF-8.")


def frame_number(request: Request) -> int | None:
    """Return the frame that is asked for, None for none; raises InvalidRequest."""
    return _count(request, "frameNumber")


def rendering_of(request: Request, rows: int, columns: int) -> RenderingParameters:
    """Return how a picture is wanted.

    Args:
        request: its `region` is in shares of the image, from 0 to 1.
        rows: of the image.
        columns: of the image.

    Raises:
        InvalidRequest: a parameter that the standard does not allow.
    """
    said: list[tuple[str, str]] = []
    for name, own in (("annotation", "annotation"), ("imageQuality", "quality")):
        if (text := one_of(request, name)) is not None:
            said.append((own, text))
    center, width = one_of(request, "windowCenter"), one_of(request, "windowWidth")
    if (center is None) != (width is None):
        raise InvalidRequest("windowCenter and windowWidth are given together.")
    if center is not None:
        said.append(("window", f"{center},{width},linear"))
    high, wide = _count(request, "rows"), _count(request, "columns")
    region = _region(one_of(request, "region"))
    if region is not None:
        left, top, right, bottom = region
        source = (left * columns, top * rows, (right - left) * columns, (bottom - top) * rows)
        high, wide = (
            (high, wide) if high or wide else (round(source[3]) or 1, round(source[2]) or 1)
        )
        shown = ",".join(f"{number:.6f}" for number in source)
        # With one side only, the other is as long as the image makes it.
        said.append(("viewport", f"{wide or MAX_SIDE},{high or MAX_SIDE},{shown}"))
    elif high or wide:
        said.append(("viewport", f"{wide or MAX_SIDE},{high or MAX_SIDE}"))
    return rendering_parameters(QueryParams(said))


def _count(request: Request, name: str) -> int | None:
    text = one_of(request, name)
    if text is None:
        return None
    if _COUNT.fullmatch(text) is None:
        raise InvalidRequest(f"{name} is a whole number from 1 on.")
    return int(text)


def _region(text: str | None) -> Sequence[float] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(map(_SHARE.fullmatch, parts)):
        raise InvalidRequest("region is left,top,right,bottom, each from 0 to 1.")
    left, top, right, bottom = region = [float(part) for part in parts]
    if not (left < right <= 1 and top < bottom <= 1):
        raise InvalidRequest("region begins at its top left and ends at its bottom right corner.")
    return region

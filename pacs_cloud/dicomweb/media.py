"""What a client accepts: media ranges with their DICOM parameters (PS3.18 8.7, RFC 9110 12.5.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.dicom import uid
from pacs_cloud.errors import InvalidRequest

MULTIPART: Final = "multipart/related"
DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
JSON: Final = "application/json"
XML: Final = "application/xml"
OCTETS: Final = "application/octet-stream"

ANY_SYNTAX: Final = "*"

_MAX_HEADER_CHARACTERS: Final = 8192
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Java's own clients send "*; q=.2" for anything.
_TYPE = re.compile(rf"{_NAME}/{_NAME}|\*(?=[ \t;,]|$)")
# In a query a plus sign stands for a space: "application/dicom+json" arrives so.
_LOST_PLUS = re.compile(r"(?<=[0-9A-Za-z]) (?=(?:json|xml)\b)", re.IGNORECASE)
# A value is a token or a quoted string; tokens with a "/" are what clients send
# for type=application/dicom without its quotes.
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*(?:({_NAME})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+)))?'
)
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|\.[0-9]{1,3}|1(?:\.0{0,3})?)")


class UnsupportedMedia(InvalidRequest):
    """The body's media type is not one this resource takes: 415."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """One media type or range with its parameters, names and type in lower case.

    Attributes:
        name: "multipart/related", "image/*", "*/*", …
        parameters: by lower-case name, unquoted.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def quality(self) -> float:
        """From 0 (not acceptable) to 1."""
        return float(self.parameters.get("q", "1"))

    @property
    def is_multipart(self) -> bool:
        """Whether it asks for a multipart body."""
        return self.name in {MULTIPART, "multipart/*"}

    @property
    def content(self) -> str:
        """The media type of a part, or of the single body: `type` of a multipart range."""
        return self.parameters.get("type", "*/*").lower() if self.is_multipart else self.name

    @property
    def transfer_syntax(self) -> str | None:
        """The `transfer-syntax` parameter: a UID, `*`, or None when not given."""
        return self.parameters.get("transfer-syntax")

    def covers(self, content: str) -> bool:
        """Tell whether `content`, a full media type, is within this range."""
        wanted = self.content
        return wanted in {content, "*/*"} or (
            wanted.endswith("/*") and content.startswith(wanted[:-1])
        )


ANYTHING: Final = MediaType("*/*")


def parse_media_type(text: str) -> MediaType:
    """Return a Content-Type.

    Raises:
        InvalidRequest: `text` is not one media type with parameters.
    """
    media_type, end = _parse_one(text, 0)
    if text[end:].strip():
        raise InvalidRequest("The media type has something unexpected behind its parameters.")
    return media_type


def parse_accept(header: str | None, query: Iterable[str] = ()) -> tuple[MediaType, ...]:
    """Return what a client accepts, best first; equal ones in the order they were given.

    Args:
        header: the Accept header's value; None or blank accepts anything.
        query: values of the `accept` query parameter, which outranks the header
            (PS3.18 8.3.3.1, 8.7.5).

    Raises:
        InvalidRequest: malformed, or over 8,192 characters.
    """
    asked = _LOST_PLUS.sub("+", ",".join(query))
    text = asked if asked.strip() else (header or "")
    if len(text) > _MAX_HEADER_CHARACTERS:
        raise InvalidRequest("The Accept header is too long.")
    ranges: list[MediaType] = []
    position = 0
    while position < len(text):
        if text[position] in ", \t":
            position += 1
            continue
        media_type, position = _parse_one(text, position)
        if position < len(text) and text[position] != ",":
            raise InvalidRequest("The Accept header is malformed.")
        if media_type.quality > 0:
            ranges.append(media_type)
    if not ranges and not text.strip(", \t"):
        return (ANYTHING,)
    return tuple(sorted(ranges, key=lambda media_type: -media_type.quality))


def _parse_one(text: str, start: int) -> tuple[MediaType, int]:
    matched = _TYPE.match(text, start)
    if matched is None:
        raise InvalidRequest("A media type must be written type/subtype.")
    position = matched.end()
    parameters: dict[str, str] = {}
    while (parameter := _PARAMETER.match(text, position)) is not None:
        position = parameter.end()
        name, quoted, token = parameter.groups()
        if name is not None:
            value = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), value)
    while position < len(text) and text[position] in " \t":
        position += 1
    if _QUALITY.fullmatch(parameters.get("q", "1")) is None:
        raise InvalidRequest("A media type's q must be a number from 0 to 1.")
    syntax = parameters.get("transfer-syntax")
    if syntax is not None and syntax != ANY_SYNTAX:
        parameters["transfer-syntax"] = uid.parse_uid(syntax)
    name = matched.group().lower()
    return MediaType("*/*" if name == "*" else name, parameters), position


_OTHER_VIDEO: Final[Mapping[str, str]] = {
    uid.MPEG2_MAIN: "video/mpeg",
    uid.MPEG2_HIGH: "video/mpeg",
    "1.2.840.10008.1.2.4.107": "video/h265",
    "1.2.840.10008.1.2.4.108": "video/h265",
}
_FRAME_MEDIA: Final[Mapping[str, str]] = {
    uid.EXPLICIT_LE: OCTETS,
    uid.IMPLICIT_LE: OCTETS,
    uid.EXPLICIT_BE: OCTETS,
    uid.DEFLATED_LE: OCTETS,
    uid.JPEG_BASELINE: "image/jpeg",
    uid.JPEG_EXTENDED: "image/jpeg",
    uid.JPEG_LOSSLESS: "image/jpeg",
    uid.JPEG_LOSSLESS_SV1: "image/jpeg",
    uid.JPEG_LS_LOSSLESS: "image/jls",
    uid.JPEG_LS_NEAR_LOSSLESS: "image/jls",
    uid.JPEG_2000_LOSSLESS: "image/jp2",
    uid.JPEG_2000: "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    uid.HTJ2K_LOSSLESS: "image/jphc",
    uid.HTJ2K_LOSSLESS_RPCL: "image/jphc",
    uid.HTJ2K: "image/jphc",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    uid.RLE_LOSSLESS: "image/dicom-rle",
    **dict.fromkeys(uid.VIDEO, "video/mp4"),
    **{
        f"{one}{fragmented}": media
        for one, media in _OTHER_VIDEO.items()
        for fragmented in ("", ".1")
    },
}

FRAME_DEFAULTS: Final[Mapping[str, str]] = {
    "image/jpeg": uid.JPEG_LOSSLESS_SV1,
    "image/jls": uid.JPEG_LS_LOSSLESS,
    "image/jp2": uid.JPEG_2000_LOSSLESS,
    "image/jphc": uid.HTJ2K_LOSSLESS,
    "image/dicom-rle": uid.RLE_LOSSLESS,
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jxl": "1.2.840.10008.1.2.4.110",
}
"""What an image media type without a transfer syntax means (PS3.18 Table 8.7.3-5, "D")."""

_OLD_NAMES: Final[Mapping[str, str]] = {
    "image/x-jls": "image/jls",
    "image/x-dicom-rle": "image/dicom-rle",
    "image/x-jpeg-ls": "image/jls",
    "image/jpeg-ls": "image/jls",
    "image/j2c": "image/jp2",
    "image/jph": "image/jphc",
    "image/dicom+jpeg": "image/jpeg",
    "image/dicom+jpeg-ls": "image/jls",
    "image/dicom+jp2": "image/jp2",
    "image/dicom+jpx": "image/jpx",
    "image/dicom+rle": "image/dicom-rle",
    "video/mpeg2": "video/mpeg",
}
"""The last ones are those of PS3.18 before 2015."""


def frame_media(transfer_syntax_uid: str) -> str:
    """Return the media type of a frame in that transfer syntax (PS3.18 Tables 8.7.3-4, -5)."""
    return _FRAME_MEDIA.get(transfer_syntax_uid, OCTETS)


def modern_name(content: str) -> str:
    """Return the standard's present name for a media type that some clients call otherwise."""
    return _OLD_NAMES.get(content, content)

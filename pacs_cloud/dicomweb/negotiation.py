"""Which representation of an instance, a frame or a bulk value a client gets (PS3.18 8.7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom import uid
from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.media import MediaType

_LOSSY: Final = frozenset(
    {
        uid.JPEG_BASELINE,
        uid.JPEG_EXTENDED,
        uid.JPEG_LS_NEAR_LOSSLESS,
        uid.JPEG_2000,
        uid.HTJ2K,
        *(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109)),
    }
)
"""What may be kept in these is lost or video already: PS3.18 8.7.3.4 lets them go out as stored."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How one part of a response is written.

    Attributes:
        content: its media type.
        transfer_syntax_uid: its transfer syntax, "" where it has none.
        is_multipart: whether the response is multipart/related.
        is_stored: whether the bytes go out as they are stored.
    """

    content: str
    transfer_syntax_uid: str
    is_multipart: bool
    is_stored: bool

    @property
    def content_type(self) -> str:
        """The part's Content-Type."""
        if not self.transfer_syntax_uid:
            return self.content
        return f"{self.content}; transfer-syntax={self.transfer_syntax_uid}"


def choose_instance(
    ranges: Sequence[MediaType],
    stored: str,
    *,
    is_single: bool,
    can_decode: bool,
) -> Choice | None:
    """Return how an instance is written as a Part 10 file; None when nothing fits.

    Args:
        ranges: what the client accepts, best first.
        stored: the transfer syntax it is stored in.
        is_single: whether it is the only one, so that `application/dicom` alone will do.
        can_decode: whether it can be turned into Explicit VR Little Endian.
    """
    for accepted in ranges:
        is_multipart = accepted.is_multipart or accepted.name == "*/*"
        if not accepted.covers(media.DICOM) or not (is_multipart or is_single):
            continue
        wanted = accepted.transfer_syntax
        if wanted in {stored, media.ANY_SYNTAX} or (wanted is None and stored == uid.EXPLICIT_LE):
            return Choice(media.DICOM, stored, is_multipart, is_stored=True)
        if wanted in {None, uid.EXPLICIT_LE} and can_decode:
            return Choice(media.DICOM, uid.EXPLICIT_LE, is_multipart, is_stored=False)
        if wanted is None and (stored in _LOSSY or accepted.name == "*/*"):
            return Choice(media.DICOM, stored, is_multipart, is_stored=True)
    return None


def choose_frame(
    ranges: Sequence[MediaType],
    stored: str,
    *,
    is_encapsulated: bool,
    is_single: bool,
    can_decode: bool,
) -> Choice | None:
    """Return how frames are written; None when nothing fits.

    Native frames are always little endian, whatever the data set's byte order.

    Args:
        ranges: what the client accepts, best first.
        stored: the transfer syntax of the instance.
        is_encapsulated: whether its frames are encapsulated.
        is_single: whether one frame is asked for, so that a single part will do.
        can_decode: whether its frames can be decompressed.
    """
    for accepted in ranges:
        is_multipart = accepted.is_multipart or accepted.name == "*/*"
        if not (is_multipart or is_single):
            continue
        wanted = accepted.transfer_syntax
        if not is_encapsulated:
            native = {None, media.ANY_SYNTAX, uid.EXPLICIT_LE, stored}
            if accepted.covers(media.OCTETS) and wanted in native:
                return Choice(media.OCTETS, uid.EXPLICIT_LE, is_multipart, is_stored=True)
            continue
        own = media.frame_media(stored)
        is_own = accepted.content != "*/*" and _covers_own(accepted, own) and own != media.OCTETS
        if wanted in {stored, media.ANY_SYNTAX} and (
            _covers_own(accepted, own) or accepted.covers(media.OCTETS)
        ):
            content = own if _covers_own(accepted, own) else media.OCTETS
            return Choice(content, stored, is_multipart, is_stored=True)
        if wanted is None and is_own:
            return Choice(own, stored, is_multipart, is_stored=True)
        if not accepted.covers(media.OCTETS):
            continue
        if wanted in {None, uid.EXPLICIT_LE} and can_decode:
            return Choice(media.OCTETS, uid.EXPLICIT_LE, is_multipart, is_stored=False)
        if wanted is None and (stored in _LOSSY or accepted.content == "*/*"):
            content = own if accepted.content == "*/*" else media.OCTETS
            return Choice(content, stored, is_multipart, is_stored=True)
    return None


def choose_bulk(ranges: Sequence[MediaType], own: str) -> Choice | None:
    """Return how a bulk value that is not pixel data is written; None when nothing fits.

    Args:
        ranges: what the client accepts, best first.
        own: the media type the instance gives for it (an encapsulated document), else "".
    """
    for accepted in ranges:
        is_multipart = accepted.is_multipart or accepted.name == "*/*"
        if own and accepted.content != "*/*" and accepted.covers(own):
            return Choice(own, "", is_multipart, is_stored=True)
        if accepted.covers(media.OCTETS) and accepted.transfer_syntax in {
            None,
            media.ANY_SYNTAX,
            uid.EXPLICIT_LE,
        }:
            content = own if own and accepted.content == "*/*" else media.OCTETS
            return Choice(content, "", is_multipart, is_stored=True)
    return None


def choose_document(ranges: Sequence[MediaType], *, is_array: bool) -> str | None:
    """Return the media type of a data set or an array of them; None when nothing fits.

    Args:
        ranges: what the client accepts, best first.
        is_array: whether it is an array: as XML that is a multipart response, as JSON
            one body (PS3.18 8.7.3.2).

    Returns:
        `application/dicom+json`, `application/json` or `application/dicom+xml`.
    """
    for accepted in ranges:
        if not accepted.is_multipart:
            for content in (media.DICOM_JSON, media.JSON):
                if accepted.covers(content):
                    return content
        if accepted.is_multipart == is_array and accepted.covers(media.DICOM_XML):
            return media.DICOM_XML
    return None


def _covers_own(accepted: MediaType, own: str) -> bool:
    return accepted.covers(own) or media.modern_name(accepted.content) == own

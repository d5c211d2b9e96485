"""Which representation of an instance, a frame or a bulk value a client gets (PS3.18 8.7)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from pacs_cloud.dicom import uid
from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.media import MediaType

Makes: TypeAlias = Callable[[str], bool]
"""Tells whether something can be made in a transfer syntax."""

_LOSSY: Final = frozenset(
    {
        uid.JPEG_BASELINE,
        uid.JPEG_EXTENDED,
        uid.JPEG_LS_NEAR_LOSSLESS,
        uid.JPEG_2000,
        uid.HTJ2K,
        *uid.VIDEO,
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
    ranges: Sequence[MediaType], stored: str, *, is_single: bool, makes: Makes
) -> Choice | None:
    """Return how an instance is written as a Part 10 file; None when nothing fits.

    Args:
        ranges: what the client accepts, best first.
        stored: the transfer syntax it is stored in.
        is_single: whether it is the only one, so that `application/dicom` alone will do.
        makes: in which transfer syntaxes it can be made.
    """
    for accepted in ranges:
        is_multipart = accepted.is_multipart or accepted.name == "*/*"
        if not accepted.covers(media.DICOM) or not (is_multipart or is_single):
            continue
        wanted = accepted.transfer_syntax
        if wanted in {stored, media.ANY_SYNTAX} or (wanted is None and stored == uid.EXPLICIT_LE):
            return Choice(media.DICOM, stored, is_multipart, is_stored=True)
        target = wanted or uid.EXPLICIT_LE
        if makes(target):
            return Choice(media.DICOM, target, is_multipart, is_stored=False)
        if wanted is None and (stored in _LOSSY or accepted.name == "*/*"):
            return Choice(media.DICOM, stored, is_multipart, is_stored=True)
    return None


def choose_frame(
    ranges: Sequence[MediaType],
    stored: str,
    *,
    is_encapsulated: bool,
    is_single: bool,
    makes: Makes,
) -> Choice | None:
    """Return how frames are written; None when nothing fits.

    Native frames are always little endian, whatever the data set's byte order. A lossy
    transfer syntax is made only where it is named.

    Args:
        ranges: what the client accepts, best first; of equally good ones that is taken which
            names how the frames are stored.
        stored: the transfer syntax of the instance.
        is_encapsulated: whether its frames are encapsulated.
        is_single: whether one frame is asked for, so that a single part will do.
        makes: in which transfer syntaxes its frames can be made.
    """
    own = Representation(media.frame_media(stored), stored)
    if not is_encapsulated:
        own = Representation(media.OCTETS, uid.EXPLICIT_LE)
    # Of equally good ranges first what is stored: nobody has to decode it for that.
    kept = {own.transfer_syntax_uid, stored}
    for accepted in sorted(ranges, key=lambda one: (-one.quality, one.transfer_syntax not in kept)):
        is_multipart = accepted.is_multipart or accepted.name == "*/*"
        if not (is_multipart or is_single):
            continue
        wanted = accepted.transfer_syntax
        if wanted is None:
            found = _by_content(accepted, own, makes)
        elif wanted == media.ANY_SYNTAX:
            found = _of_syntax(accepted, own.transfer_syntax_uid) or _by_content(
                accepted, own, makes
            )
        elif wanted in {own.transfer_syntax_uid, stored}:
            found = _of_syntax(accepted, own.transfer_syntax_uid)
        else:
            found = _of_syntax(accepted, wanted) if makes(wanted) else None
        if found is not None:
            return Choice(*found, is_multipart, is_stored=found[1] == own.transfer_syntax_uid)
    return None


class Representation(NamedTuple):
    """A media type and a transfer syntax that frames can be in."""

    content: str
    transfer_syntax_uid: str


def _of_syntax(accepted: MediaType, transfer_syntax_uid: str) -> Representation | None:
    """Return frames in a transfer syntax under the media type that `accepted` has for them."""
    for content in (media.frame_media(transfer_syntax_uid), media.OCTETS):
        if _covers(accepted, content):
            return Representation(content, transfer_syntax_uid)
    return None


def _by_content(accepted: MediaType, own: Representation, makes: Makes) -> Representation | None:
    """Return what a range without a transfer syntax means (PS3.18 8.7.3, Tables 8.7.3-4, -5)."""
    if accepted.covers(media.OCTETS):
        native = Representation(media.OCTETS, uid.EXPLICIT_LE)
        if own == native or makes(uid.EXPLICIT_LE):
            return native
        if accepted.content == "*/*":
            return own
        return own._replace(content=media.OCTETS) if own.transfer_syntax_uid in _LOSSY else None
    is_own = _covers(accepted, own.content)
    if is_own and (accepted.content.endswith("/*") or own.transfer_syntax_uid in _LOSSY):
        return own
    for content, default in media.FRAME_DEFAULTS.items():
        if _covers(accepted, content) and (default == own.transfer_syntax_uid or makes(default)):
            return Representation(content, default)
    return own if is_own else None


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


def _covers(accepted: MediaType, content: str) -> bool:
    return accepted.covers(content) or media.modern_name(accepted.content) == content

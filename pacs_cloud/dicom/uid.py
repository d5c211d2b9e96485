"""Unique identifiers: the ones we accept, and the transfer syntaxes among them.

Real devices send UIDs that PS3.5 9.1 forbids (leading zeros above all). What
matters to an archive is that a UID can stand in a key and a path: digits and
dots, 1 to 64 characters, no empty component. Those are accepted; whether a UID
conforms as well is a separate question.
"""

import re
import uuid
from typing import Final

from pacs_cloud.errors import InvalidUid

_PATH_SAFE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_CONFORMING = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_MAX_LENGTH: Final = 64

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
DEFLATED_LE: Final = "1.2.840.10008.1.2.1.99"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_SPECTRAL_SELECTION: Final = "1.2.840.10008.1.2.4.53"
JPEG_FULL_PROGRESSION: Final = "1.2.840.10008.1.2.4.55"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
MPEG2_MAIN: Final = "1.2.840.10008.1.2.4.100"
MPEG2_HIGH: Final = "1.2.840.10008.1.2.4.101"
MPEG4_AVC_HIGH: Final = "1.2.840.10008.1.2.4.102"
JPIP_REFERENCED: Final = "1.2.840.10008.1.2.4.94"
JPIP_REFERENCED_DEFLATE: Final = "1.2.840.10008.1.2.4.95"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
JPIP_HTJ2K_REFERENCED: Final = "1.2.840.10008.1.2.4.204"
JPIP_HTJ2K_REFERENCED_DEFLATE: Final = "1.2.840.10008.1.2.4.205"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME: Final = "1.2.840.10008.1.2.8.1"
PAPYRUS_IMPLICIT_LE: Final = "1.2.840.10008.1.20"
GE_PRIVATE_IMPLICIT_LE: Final = "1.2.840.113619.5.2"

VIDEO: Final = frozenset(
    f"1.2.840.10008.1.2.4.{number}{suffix}" for number in range(100, 109) for suffix in ("", ".1")
)
"""MPEG-2, H.264 and H.265, whole and in fragments (PS3.5 A.4.6 to A.4.8)."""
_IMPLICIT: Final = frozenset({IMPLICIT_LE, PAPYRUS_IMPLICIT_LE, GE_PRIVATE_IMPLICIT_LE})
_DEFLATED: Final = frozenset({DEFLATED_LE, JPIP_REFERENCED_DEFLATE, JPIP_HTJ2K_REFERENCED_DEFLATE})
_NATIVE: Final = (
    _IMPLICIT | _DEFLATED | {EXPLICIT_LE, EXPLICIT_BE, JPIP_REFERENCED, JPIP_HTJ2K_REFERENCED}
)


def new_uid() -> str:
    """Return a UID that nobody else has, made of a random UUID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def parse_uid(text: str | bytes) -> str:
    """Return `text` as a UID, without its trailing NUL or space padding.

    Args:
        text: 1 to 64 digits and dots, no empty component (PS3.5 9.1; leading
            zeros, which real devices send, are allowed: see `is_conforming`).

    Raises:
        InvalidUid: `text` is empty, too long or malformed.
    """
    uid = (text.decode("latin-1") if isinstance(text, bytes) else text).rstrip("\0 ")
    if len(uid) > _MAX_LENGTH or _PATH_SAFE.fullmatch(uid) is None:
        shown = repr(uid[:_MAX_LENGTH]) + ("…" if len(uid) > _MAX_LENGTH else "")
        raise InvalidUid(f"{shown} is not a UID: 1 to 64 digits and dots, no empty component.")
    return uid


def is_conforming(uid: str) -> bool:
    """Tell whether `uid` obeys PS3.5 9.1 to the letter (two components, no leading zero)."""
    return len(uid) <= _MAX_LENGTH and _CONFORMING.fullmatch(uid) is not None


def is_implicit(transfer_syntax_uid: str) -> bool:
    """Tell whether elements carry no VR (PS3.5 A.1, Papyrus 3, and GE's private syntax)."""
    return transfer_syntax_uid in _IMPLICIT


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Tell whether the whole data set is deflated (PS3.5 A.5, A.7, A.9)."""
    return transfer_syntax_uid in _DEFLATED


def is_encapsulated(transfer_syntax_uid: str) -> bool:
    """Tell whether Pixel Data is a sequence of fragments (PS3.5 A.4).

    A private or unknown transfer syntax is taken for an encapsulated one: every
    syntax since 1998 is Explicit VR Little Endian with encapsulated pixels.
    """
    return transfer_syntax_uid not in _NATIVE

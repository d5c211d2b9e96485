"""Which transfer syntax a video has, that a client sends by its media type alone."""

from typing import Final

_MPEG2_MAIN: Final = "1.2.840.10008.1.2.4.100"
_MPEG2_HIGH: Final = "1.2.840.10008.1.2.4.101"
_MPEG4_AVC: Final = "1.2.840.10008.1.2.4.102"


def video_syntax(media: str, head: bytes) -> str | None:
    """Return the transfer syntax of a video, None for one that has none here.

    Args:
        media: `video/mpeg`, `video/mpeg2` or `video/mp4`.
        head: its first bytes.
    """
    if media == "video/mp4":
        return _MPEG4_AVC if head[4:8] == b"ftyp" else None
    start = head.find(b"\x00\x00\x01\xb3")
    if start < 0 or len(head) < start + 8:
        return None
    size = int.from_bytes(head[start + 4 : start + 7], "big")
    is_main_level = (size >> 12) <= 720 and (size & 0xFFF) <= 576
    return _MPEG2_MAIN if is_main_level else _MPEG2_HIGH

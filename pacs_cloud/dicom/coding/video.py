"""Which transfer syntax a video has, that a client sends by its media type alone."""

from pacs_cloud.dicom.uid import MPEG2_HIGH, MPEG2_MAIN, MPEG4_AVC_HIGH


def video_syntax(media: str, head: bytes) -> str | None:
    """Return the transfer syntax of a video, None for one that has none here.

    Args:
        media: `video/mpeg`, `video/mpeg2` or `video/mp4`.
        head: its first bytes.
    """
    if media == "video/mp4":
        return MPEG4_AVC_HIGH if head[4:8] == b"ftyp" else None
    start = head.find(b"\x00\x00\x01\xb3")
    if start < 0 or len(head) < start + 8:
        return None
    size = int.from_bytes(head[start + 4 : start + 7], "big")
    is_main_level = (size >> 12) <= 720 and (size & 0xFFF) <= 576
    return MPEG2_MAIN if is_main_level else MPEG2_HIGH

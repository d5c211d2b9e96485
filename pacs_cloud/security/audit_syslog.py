"""Audit messages as syslog messages (PS3.15 A.6, RFC 5424), framed for TLS (RFC 5425)."""

import re
from datetime import UTC, datetime
from typing import Final

_FACILITY, _SEVERITY = 10, 5
"""Security and authorization; normal but significant."""
_PRI: Final = _FACILITY * 8 + _SEVERITY
MSG_ID: Final = "DICOM+RFC3881"
_APP_NAME: Final = "pacs-cloud"
_BOM: Final = b"\xef\xbb\xbf"
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")
_HOST_LIMIT: Final = 255


def syslog_frame(message: bytes, *, time_us: int, host: str, process: str = "-") -> bytes:
    """Return one frame: its length in octets, a blank, and the syslog message.

    Args:
        message: XML in UTF-8.
        time_us: when it happened, microseconds since 1970 UTC.
        host: who we are: a name or an address; "-" where that is not known.
        process: which process, or which chain of the trail.
    """
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{time_us % 1_000_000:06d}Z"
    host = _UNPRINTABLE.sub("", host)[:_HOST_LIMIT] or "-"
    head = f"<{_PRI}>1 {stamp} {host} {_APP_NAME} {process} {MSG_ID} - "
    said = head.encode("ascii") + _BOM + message
    return b"%d %b" % (len(said), said)

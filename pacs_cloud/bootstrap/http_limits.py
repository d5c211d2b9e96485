"""What an HTTP client may take of a web process, and whether that process is to end."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one client, and all together, may take.

    Attributes:
        max_header_bytes: of a request line and header fields, or a trailer, still incomplete.
        max_header_fields: of one request.
        header_s: for a header to come, from the connection or its first byte on.
        stalled_s: between two looks at whether a slow reader still takes
        slowest_bytes_per_s: on average.
        max_connections: at once; later ones are answered 503, a quarter more are closed.
        max_pipelined: requests that wait behind one that is being answered.
    """

    max_header_bytes: int = 64 << 10
    max_header_fields: int = 200
    header_s: float = 10.0
    stalled_s: float = 60.0
    slowest_bytes_per_s: int = 16 << 10
    max_connections: int = 1000
    max_pipelined: int = 16


class Drain:
    """Whether the process is to end: each answer is then the last of its connection."""

    has_begun: bool = False

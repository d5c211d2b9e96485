"""An association as an operator sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeenAssociation:
    """One that is open, or was.

    Attributes:
        calling: the calling AE title, as the peer gives it.
        called: ours, by which it calls.
        address: where the peer is.
        tenant: whose data it may work with; "" for one that was not let in.
        since_us: when it connected, microseconds since 1970 UTC.
        ended_us: when it was over; 0: it is open.
        instances: that came in by it.
        length_bytes: of these.
        state: "asking", "busy" or "idle" while it is open; then "released", "rejected",
            "aborted by peer", "aborted by us" or "connection lost".
        reason: why it was rejected or broken off, in words; "".
    """

    calling: str
    called: str
    address: str
    tenant: str
    since_us: int
    ended_us: int
    instances: int
    length_bytes: int
    state: str
    reason: str = ""

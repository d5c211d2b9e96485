"""How an intake behaves: sizes, times and bounds."""

from dataclasses import dataclass
from enum import StrEnum

_MIB = 1 << 20
_GIB = 1 << 30


class Acknowledge(StrEnum):
    """When a sender is answered Success."""

    SPOOL = "spool"
    """After the instance is synced to this machine's disk."""
    COMMIT = "commit"
    """After it is committed: for receivers whose disk does not outlive them."""


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """The defaults are the embedded ones.

    Attributes:
        acknowledge: when a C-STORE is answered.
        pack_bytes: a pack that would become longer is closed.
        pack_instances: a pack of so many instances is closed.
        linger_s: a series' first pack is closed when idle for so long; each later one
            waits twice as long, up to `linger_limit_s` (cloud: 1 to 60).
        linger_limit_s: see `linger_s`.
        age_s: a pack this old is closed, idle or not; doubles like `linger_s`.
        age_limit_s: see `age_s`.
        flush_on_release: whether a session's packs are closed when its sender goes away
            (`Session.release`): embedded, so that what was sent is found at once; not in
            the cloud, where a modality may open an association per slice.
        open_packs: how many packs are open at a time: for one more, the one that was idle
            longest is closed. As many again may be on their way to be sealed.
        buffer_bytes: what one reception holds in memory; a longer instance goes into a
            file, and a pack, of its own.
        high_water: the part of the spool's disk in use above which nothing is taken.
        backlog_bytes: closed packs that wait for their commit, above which receptions
            wait, as long as commits succeed at all: during an outage the spool takes
            what fits on the disk.
        backlog_wait_s: how long one reception waits at most.
        backlog_limit_bytes: above this nothing is taken.
        commits: how many packs are committed at a time.
        retry_s: the first wait after a failed commit; doubles up to `retry_limit_s`.
        retry_limit_s: see `retry_s`.
        adopt_s: how often the spools of processes that died are looked for.
    """

    acknowledge: Acknowledge = Acknowledge.SPOOL
    pack_bytes: int = 64 * _MIB
    pack_instances: int = 1000
    linger_s: float = 0.25
    linger_limit_s: float = 0.25
    age_s: float = 10.0
    age_limit_s: float = 10.0
    flush_on_release: bool = True
    open_packs: int = 256
    buffer_bytes: int = 8 * _MIB
    high_water: float = 0.95
    backlog_bytes: int = 1 * _GIB
    backlog_wait_s: float = 10.0
    backlog_limit_bytes: int = 256 * _GIB
    commits: int = 4
    retry_s: float = 0.2
    retry_limit_s: float = 30.0
    adopt_s: float = 60.0

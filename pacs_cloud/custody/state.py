"""What an operator asks an archive first, as plain figures: what waits, and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """A chore that could not be done, or can be again.

    Attributes:
        chore: which.
        since_us: when that was so first, microseconds since 1970 UTC; 0: it can be done.
        tried_us: when it was tried last.
        reason: why, without patient data.
    """

    chore: str
    since_us: int = 0
    tried_us: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """How an archive is, without what takes a walk through all of it.

    Attributes:
        objects: "yes" where the object store answers, else "no: " and why.
        catalogue: the same of the catalogue.
        unmounted_tiers: storage classes of a file store whose directory is not there, and where.
        spool_packs: packs on this machine's disk that are not in the catalogue yet.
        spool_bytes: of these.
        spool_oldest_us: when the oldest of them was written to last; 0: there is none.
        quarantined_files: put aside because they could not be committed.
        jobs_ready: wait to be done; of jobs, too, "?: " and why where that cannot be told.
        jobs_leased: are being done.
        jobs_dead: failed for good.
        counts: how much of what waits or is wrong, by its name; "?: " and why where that cannot
            be told.
        tier_policies: "yes" where they are carried out, "no: " and why, None where there are
            none.
        stalled: the chores that could not be done, or why that cannot be told.
        unsealed_us: when the part of the audit trail on this machine that waits longest to be
            sealed was written to last; 0: none waits.
        seal_s: how old a part is when it is sealed.
        disk_used: the part of the spool's disk that is in use, 0 to 1.
        disk_limit: the part above which nothing is taken in.
    """

    objects: str
    catalogue: str
    unmounted_tiers: tuple[str, ...]
    spool_packs: int
    spool_bytes: int
    spool_oldest_us: int
    quarantined_files: int
    jobs_ready: int | str
    jobs_leased: int | str
    jobs_dead: int | str
    counts: Mapping[str, int | str]
    tier_policies: str | None
    stalled: tuple[Stall, ...] | str
    unsealed_us: int
    seal_s: float
    disk_used: float
    disk_limit: float

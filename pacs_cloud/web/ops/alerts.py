"""What somebody should see to, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from pacs_cloud.custody.state import ArchiveState, Stall
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.words import ago_text, counted, span_text

_LATE_SEALS: Final = 3
"""A part of the trail is late when it is so many times as old as one that is sealed."""
_NEAR: Final = 0.05
"""So near the high-water mark a disk is nearly full."""
_SLOW_US: Final = 120_000_000
"""A pack that waits longer for its commit was not just written."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to see to.

    Attributes:
        title: what is wrong.
        text: more of it, in a sentence; "".
        do: what to do, in a sentence.
        command: that does it, or tells more; "".
        href: of a page that does; "".
        is_bad: whether something is lost or stands still; else it can wait a day.
    """

    title: str
    text: str = ""
    do: str = ""
    command: str = ""
    href: str = ""
    is_bad: bool = True


def alerts_of(state: ArchiveState, now_us: int, *, sees_host: bool) -> list[Alert]:
    """Return what to see to, what is bad first.

    Args:
        state: how the archive is.
        now_us: microseconds since 1970 UTC.
        sees_host: whether it is told to whoever looks after the host; to others what is its own.
    """
    of_host = _tiers(state), _disk(state, now_us), _chores(state, now_us), _trail(state, now_us)
    found = [*_stores(state), *chain(*of_host if sees_host else ()), *_counts(state)]
    return sorted(found, key=lambda one: not one.is_bad)


def _stores(state: ArchiveState) -> Iterator[Alert]:
    for name, said in (("object store", state.objects), ("catalogue", state.catalogue)):
        if said != "yes":
            yield Alert(
                f"The {name} does not answer",
                said.removeprefix("no: "),
                "What comes in waits in the spool meanwhile. See to the service, or the network.",
                "pacs-cloud status",
            )


def _tiers(state: ArchiveState) -> Iterator[Alert]:
    for words in state.unmounted_tiers:
        yield Alert(
            "A tier is not mounted", words, "What lies there cannot be read. Mount its directory."
        )
    if state.tier_policies is not None and state.tier_policies != "yes":
        yield Alert(
            "Tier policies are not carried out",
            state.tier_policies.removeprefix("no: "),
            "Nothing moves until that is mended.",
            "pacs-cloud tier validate FILE",
            f"{OPS}/tiers",
            is_bad=False,
        )


def _disk(state: ArchiveState, now_us: int) -> Iterator[Alert]:
    used, limit = state.disk_used, state.disk_limit
    if used > limit:
        yield Alert(
            "The disk of the spool is full: stores are refused",
            f"{used:.0%} is in use; above {limit:.0%} nothing is taken in.",
            "Make room, or let the backlog be committed. Modalities send again by themselves.",
            href=f"{OPS}/ingest",
        )
    elif used > limit - _NEAR:
        yield Alert(
            "The disk of the spool is nearly full",
            f"{used:.0%} is in use; above {limit:.0%} nothing is taken in.",
            "Make room on it.",
            href=f"{OPS}/ingest",
            is_bad=False,
        )
    if state.spool_oldest_us and now_us - state.spool_oldest_us > _SLOW_US:
        waits = span_text((now_us - state.spool_oldest_us) / 1e6)
        yield Alert(
            f"A pack has waited {waits} for its commit",
            f"{counted(state.spool_packs, 'pack')} in the spool. Nothing is lost: it is tried"
            " again until it is done.",
            "See whether the object store and the catalogue answer, and read the log.",
            href=f"{OPS}/ingest",
        )
    if state.quarantined_files:
        yield Alert(
            f"{counted(state.quarantined_files, 'file')} put aside",
            "They could not be committed, and are kept in the spool's quarantine.",
            "Read the log for why; moved back into a spool directory they are tried again.",
            href=f"{OPS}/ingest?show=quarantine",
        )


def _chores(state: ArchiveState, now_us: int) -> Iterator[Alert]:
    if isinstance(state.stalled, str):
        yield Alert(
            "Whether chores stand still cannot be told",
            state.stalled.removeprefix("?: "),
            "See whether the object store answers.",
            "pacs-cloud status",
        )
    for stall in () if isinstance(state.stalled, str) else state.stalled:
        yield Alert(
            f"A chore stands still: {stall.chore}",
            _stalled(stall, now_us),
            "It is tried again by itself. Where the reason does not say what to do, the log does.",
            "pacs-cloud status",
        )
    if isinstance(state.jobs_dead, str):
        yield Alert(
            "The queue does not answer",
            state.jobs_dead.removeprefix("?: "),
            "What was asked for waits meanwhile. See to the service, or the network.",
            "pacs-cloud status",
        )
    elif state.jobs_dead:
        yield Alert(
            f"{counted(state.jobs_dead, 'job')} failed for good",
            "Each was tried several times.",
            "See what they are, mend the cause, and send them round again.",
            href=f"{OPS}/queue#dead",
        )


def _trail(state: ArchiveState, now_us: int) -> Iterator[Alert]:
    late_us = round(_LATE_SEALS * state.seal_s * 1e6) + _SLOW_US
    if state.unsealed_us and now_us - state.unsealed_us > late_us:
        yield Alert(
            "The audit trail is not sealed",
            f"What was written {ago_text(state.unsealed_us, now_us)} lies on this machine's disk"
            " alone.",
            "It is sealed once the object store takes it: see whether that answers, and read the"
            " log for audit_not_sealed.",
            "pacs-cloud audit verify",
        )


def _stalled(stall: Stall, now_us: int) -> str:
    since, tried = ago_text(stall.since_us, now_us), ago_text(stall.tried_us, now_us)
    return f"Since {since}, tried last {tried}: {stall.reason}"


_COUNTED: Final = {
    "fixity_findings": (
        "pack with damage",
        "packs with damage",
        "What is stored is read again, and differs from what was received.",
        "See what it is, and repair it from what is left.",
        "pacs-cloud fsck --repair",
        f"{OPS}/integrity",
        True,
    ),
    "conflicts": (
        "conflict to be decided",
        "conflicts to be decided",
        "One SOP Instance UID has come with two contents: both are kept.",
        "Choose which one is shown.",
        "pacs-cloud conflicts list",
        f"{OPS}/conflicts",
        False,
    ),
    "corrections_unfinished": (
        "correction not finished",
        "corrections not finished",
        "",
        "A worker finishes them by itself; if this stays, read its log.",
        "pacs-cloud corrections list",
        "",
        False,
    ),
    "erasures_unfinished": (
        "erasure not proven yet",
        "erasures not proven yet",
        "",
        "A worker goes on with them; see what holds them up.",
        "pacs-cloud erase list",
        "",
        False,
    ),
}


def _counts(state: ArchiveState) -> Iterator[Alert]:
    for name, number in state.counts.items():
        if isinstance(number, str):
            yield Alert(
                f"How many there are cannot be told: {name.replace('_', ' ')}",
                number.removeprefix("?: "),
                "See whether the stores answer.",
                "pacs-cloud status",
                is_bad=False,
            )
        elif number and name in _COUNTED:
            one, many, text, do, command, href, is_bad = _COUNTED[name]
            yield Alert(counted(number, one, many), text, do, command, href, is_bad=is_bad)

"""Which packs are due to move where: policies applied to what the catalogue holds."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import GONE, PackRecord, StudyRecord, StudyState
from pacs_cloud.dicom.moments import moment_of
from pacs_cloud.objectstore.storage_classes import (
    SMALL_BYTES,
    StorageClass,
    class_named,
    is_colder,
)
from pacs_cloud.tiering.policy import Clock, Facts, Policy, policy_for

_STUDY_DATE: Final = "00080020"
_INSTITUTION_NAME: Final = "00080080"
_STUDY_DESCRIPTION: Final = "00081030"
_DAY_US: Final = 86_400_000_000

LastRead: TypeAlias = Callable[[StudyRecord], int | None]
"""When somebody read of a study last, microseconds since 1970 UTC; None: not known to be read."""


@dataclass(frozen=True, slots=True)
class Move:
    """A pack that is due in a colder class.

    Attributes:
        pack: which, and where it lies.
        to: the class it is due in.
        policy: the name of the policy that says so.
        is_pinned: whether it stays all the same, as its study is pinned.
        in_days: from when on it is due, whole days from now; 0: now.
    """

    pack: PackRecord
    to: StorageClass
    policy: str
    is_pinned: bool = False
    in_days: int = 0


async def moves(
    catalogue: Catalogue,
    policies: Sequence[Policy],
    *,
    now_us: int,
    last_read_us: LastRead,
    tenant: str | None = None,
    least_bytes: int = SMALL_BYTES,
    pinned: Collection[tuple[str, str]] = (),
    within_days: int = 0,
    matched: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Move]:
    """Yield the moves that are due in the whole catalogue, study by study (`moves_of`).

    Args:
        catalogue: what there is.
        policies: those that can be carried out, in their order.
        now_us: microseconds since 1970 UTC.
        last_read_us: when a study was read last.
        tenant: whose; None: everybody's.
        least_bytes: smaller packs stay where they are.
        pinned: studies, each by its tenant and its UID, that stay where they are.
        within_days: also those that become due in so many days from now.
        matched: is told of the policy of each study, "" where it has none.
    """
    async for state in catalogue.export(tenant):
        if not state.study.instance_count:
            continue
        # Whatever the time: no policy matches by an age.
        policy = policy_for(policies, facts_of(state.study, now_us, None))
        matched("" if policy is None else policy.name)
        if policy is None:
            continue
        is_pinned = (state.study.tenant, state.study.study_instance_uid) in pinned
        lies_in: dict[str, str] = {}
        for days in _days_of_change(state.study, policy, now_us, last_read_us, within_days):
            then_us = now_us + days * _DAY_US
            for move in moves_of(
                state, (policy,), now_us=then_us, last_read_us=last_read_us, least_bytes=least_bytes
            ):
                pack = move.pack
                where = lies_in.get(pack.pack_id, pack.storage_class)
                if where == move.to:
                    continue
                lies_in[pack.pack_id] = move.to.value
                yield replace(
                    move,
                    pack=replace(pack, storage_class=where),
                    is_pinned=is_pinned,
                    in_days=days,
                )


def moves_of(
    state: StudyState,
    policies: Sequence[Policy],
    *,
    now_us: int,
    last_read_us: LastRead,
    least_bytes: int = SMALL_BYTES,
) -> tuple[Move, ...]:
    """Return the moves that are due of one study: only to colder classes, a pack each.

    Nothing moves of a study whose retention is over, or that nobody can see, nor a pack
    of which all is deleted: what will be removed soon would be billed for long.

    Args:
        state: the study.
        policies: those that can be carried out (`infeasible`), in their order.
        now_us: microseconds since 1970 UTC; a later moment tells what will be due.
        last_read_us: when a study was read last.
        least_bytes: smaller packs stay; 0 for a store without a floor.
    """
    if not state.study.instance_count:
        return ()
    facts = facts_of(state.study, now_us, last_read_us(state.study))
    policy = policy_for(policies, facts)
    if policy is None or policy.is_over(facts.ages):
        return ()
    due = policy.due(facts.ages)
    return tuple(
        Move(pack, due, policy.name)
        for pack in state.packs
        if pack.length_bytes >= least_bytes and _is_warmer(pack, due) and not _is_deleted(pack)
    )


def _days_of_change(
    study: StudyRecord, policy: Policy, now_us: int, last_read_us: LastRead, within_days: int
) -> list[int]:
    """Return in how many days from now steps are reached; today first."""
    ages = _ages(study, now_us, last_read_us(study))
    left = {step.after_days - ages[step.clock] for step in policy.steps}
    return [0, *sorted(days for days in left if 0 < days <= within_days)]


def expired_by(study: StudyRecord, policies: Sequence[Policy], *, now_us: int) -> Policy | None:
    """Return the policy by which a study need not be kept any longer; None: it is to be kept."""
    if not study.instance_count:
        return None
    facts = facts_of(study, now_us, None)  # retention does not ask who read it
    policy = policy_for(policies, facts)
    return policy if policy is not None and policy.is_over(facts.ages) else None


def facts_of(study: StudyRecord, now_us: int, last_read_us: int | None) -> Facts:
    """Return what policies look at of a study that has visible instances.

    Args:
        study: which.
        now_us: microseconds since 1970 UTC.
        last_read_us: when it was read last; None: not known.
    """
    return Facts(
        tenant=study.tenant,
        modalities=study.modalities,
        description=first_text(study.attributes, _STUDY_DESCRIPTION),
        institution=first_text(study.attributes, _INSTITUTION_NAME),
        length_bytes=study.length_bytes,
        ages=_ages(study, now_us, last_read_us),
    )


def _ages(study: StudyRecord, now_us: int, last_read_us: int | None) -> Mapping[Clock, int]:
    stored = _days_between(study.last_received_us, now_us)
    today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
    made = _day(first_text(study.attributes, _STUDY_DATE))
    # A date to come is a device's wrong clock, or another time zone's today.
    return {
        Clock.STUDY: stored if made is None or made > today else (today - made).days,
        Clock.STORED: stored,
        Clock.UNREAD: _days_between(max(study.last_received_us, last_read_us or 0), now_us),
    }


def _days_between(then_us: int, now_us: int) -> int:
    return max(0, now_us - then_us) // _DAY_US


def _day(text: str) -> date | None:
    moment = moment_of("DA", text)
    try:
        return moment and date.fromisoformat(moment.first)
    except ValueError:  # such as 30 February
        return None


def _is_warmer(pack: PackRecord, due: StorageClass) -> bool:
    lies_in = class_named(pack.storage_class)
    return lies_in is not None and is_colder(due, lies_in)


def _is_deleted(pack: PackRecord) -> bool:
    gone = sum(why in GONE for why in pack.hidden.values())
    return gone == pack.instance_count

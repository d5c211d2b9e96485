"""What recalls priors before they are asked for: when a study comes in, or is on a worklist."""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pacs_cloud.bootstrap.dimse_doors import CallingContexts
from pacs_cloud.bootstrap.dimse_role import limits_of
from pacs_cloud.bootstrap.services import Stores, now_us, reads_cold, recalls_of, wish_of
from pacs_cloud.catalogue.records import Patient
from pacs_cloud.dimse.worklist_scu import ScheduledStep, scheduled_steps
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.turns import Turn
from pacs_cloud.settings import Destination, Settings
from pacs_cloud.tiering.policy_file import read_prefetch
from pacs_cloud.tiering.recall.causes import Cause, Why
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule, rule_for
from pacs_cloud.tiering.recall.prefetching import DailyBound, Prefetcher, Prior
from pacs_cloud.tiering.recall.priors import Newcomer, PriorsWanted
from pacs_cloud.workers.handlers import Handler
from pacs_cloud.workers.prefetch_priors import PrefetchPriors

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A patient who is on a worklist, for one kind of procedure.

    Attributes:
        why: the cause of the recalls; "" where no rule is for the procedure.
        priors: what became of those that are wanted, newest first.
    """

    why: str
    priors: tuple[Prior, ...]


class RulesFile:
    """The rules of a file that somebody may be editing: read again where it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._alone = threading.Lock()
        self._read_at: tuple[int, int] | None = None
        self._rules: Sequence[PrefetchRule] = ()

    async def __call__(self) -> Sequence[PrefetchRule]:
        """Return them as they are, or as they were while the file cannot be understood."""
        return await asyncio.to_thread(self._now)

    def _now(self) -> Sequence[PrefetchRule]:
        with self._alone:  # nobody is told of those of before while others read them
            found = self._changed()
            if found != self._read_at:
                # Once for each change: a fault is told once, not with every pack.
                self._read_at = found
                try:
                    self._rules = read_prefetch(self._path)
                except (OSError, InvalidRequest) as error:
                    log.warning("prefetch_rules_unreadable", extra={"error": type(error).__name__})
            return self._rules

    def _changed(self) -> tuple[int, int]:
        """Return what tells that the file has changed; where it is not there, too."""
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_size


def prefetcher_of(settings: Settings, stores: Stores) -> Prefetcher:
    """Return what recalls priors, within the bound of the settings."""
    bound = DailyBound(stores.objects, settings.prefetch_daily_bytes, now_us)
    recalls = recalls_of(settings, stores)
    return Prefetcher(stores.objects, stores.catalogue, recalls, bound, now_us)


def prefetch_on_arrival(settings: Settings, stores: Stores) -> Sequence[Handler]:
    """Return what looks at each study that comes in; nothing where there are no rules."""
    file = settings.tier_policies
    if file is None or reads_cold(settings):
        return ()
    prefetcher, wish = prefetcher_of(settings, stores), wish_of(settings)
    return (PrefetchPriors(stores.catalogue, prefetcher, RulesFile(file), wish, now_us),)


async def prefetch_by_worklist(
    settings: Settings, stores: Stores, ris: Destination, *, newest: int = 0
) -> AsyncGenerator[Scheduled]:
    """Ask a worklist, and yield what became of the priors of each patient on it.

    Args:
        settings: of the archive; `aet` is who asks, for the appointments of `worklist_days`.
        stores: its stores.
        ris: who is asked.
        newest: how many of each patient's priors, whatever they are; 0: by the rules.

    Raises:
        InvalidRequest: there are no rules, and no number; or the peer has no worklist.
        Unavailable: the peer or a store cannot be reached.
    """
    rules = await _rules_for_worklist(settings, newest)
    today = datetime.now().astimezone().date()  # the hospital's day: appointments have no zone
    last = today + timedelta(settings.worklist_days - 1)
    peer, limits = CallingContexts(settings).peer(ris), limits_of(settings)
    steps = await scheduled_steps(peer, settings.aet, today, last, limits=limits)
    prefetcher, wish = prefetcher_of(settings, stores), wish_of(settings)
    for newcomer in dict.fromkeys(_newcomer(settings.tenant, one) for one in steps):
        rule = rule_for(rules, newcomer) if newcomer.patients else None
        if rule is None:
            yield Scheduled("", ())
            continue
        cause = Cause(Why.WORKLIST, "" if newest else rule.name)
        by_rule = replace(wish, speed=rule.speed or wish.speed)
        done = await prefetcher.prefetch(newcomer, rule.priors, by_rule, cause)
        yield Scheduled(str(cause), tuple(done))


async def ask_worklist(settings: Settings, stores: Stores, ris: Destination, _turn: Turn) -> None:
    """Recall the priors of scheduled patients."""
    fates: Counter[str] = Counter()
    async for one in prefetch_by_worklist(settings, stores, ris):
        fates["patients"] += 1
        fates.update(prior.fate.name.lower() for prior in one.priors)
    log.info("worklist_asked", extra=dict(fates))


async def _rules_for_worklist(settings: Settings, newest: int) -> Sequence[PrefetchRule]:
    if newest:
        return (PrefetchRule("newest", PriorsWanted(newest)),)
    file = settings.tier_policies
    rules = () if file is None else await asyncio.to_thread(read_prefetch, file)
    if not rules:
        raise InvalidRequest(
            "nothing says which priors: there is no [[prefetch]] in the file of tier_policies"
        )
    return rules


def _newcomer(tenant: str, step: ScheduledStep) -> Newcomer:
    patient = Patient(step.issuer, step.patient_id)
    return Newcomer(
        tenant,
        frozenset({patient} if step.patient_id else ()),
        frozenset({step.modality} if step.modality else ()),
        description=step.description,
        study_instance_uid=step.study_instance_uid,
    )

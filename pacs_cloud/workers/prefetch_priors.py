"""The job "pack-stored" once more: a new study's priors are recalled before it is read."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import NotFound
from pacs_cloud.telemetry import hashed
from pacs_cloud.tiering.planning import facts_of
from pacs_cloud.tiering.policy import Clock
from pacs_cloud.tiering.recall.causes import Cause, Why
from pacs_cloud.tiering.recall.demand import RecallWish
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule, rule_for
from pacs_cloud.tiering.recall.prefetching import Prefetcher
from pacs_cloud.tiering.recall.priors import Newcomer, newcomer_of
from pacs_cloud.workers.pack_stored import pack_of
from pacs_cloud.workqueue.jobs import Job

log = logging.getLogger(__name__)

_NEW_US: Final = 86_400_000_000
"""What comes in later is more of a study that was read already."""
_NEW_DAYS: Final = 7
"""By Study Date: what is older is imported or migrated, and nobody waits for it."""
_KNOWN: Final = 1000

Rules: TypeAlias = Callable[[], Awaitable[Sequence[PrefetchRule]]]
"""Returns the rules as they are now."""


class PrefetchPriors:
    """Looks at a study when a pack of it comes in, once for each thing that is new of it."""

    def __init__(
        self,
        catalogue: Catalogue,
        prefetcher: Prefetcher,
        rules: Rules,
        wish: RecallWish,
        now_us: Callable[[], int],
    ) -> None:
        """Prefetch by `rules`, as `wish` says where a rule does not."""
        self._catalogue = catalogue
        self._prefetcher = prefetcher
        self._rules = rules
        self._wish = wish
        self._now_us = now_us
        self._seen: OrderedDict[str, Newcomer] = OrderedDict()

    async def __call__(self, job: Job) -> None:
        """Recall the priors of the study that `job` names.

        Raises:
            InvalidRequest: the job names no pack.
            Unavailable, Denied: they could not be asked for.
        """
        study_instance_uid = pack_of(job).study_instance_uid
        rules = await self._rules()
        if not rules:
            return
        (study,) = await self._catalogue.studies_by_uid(job.tenant, [study_instance_uid]) or (None,)
        if study is None or not self._is_new(study):
            return
        try:
            newcomer = await newcomer_of(self._catalogue, job.tenant, study_instance_uid)
        except NotFound:
            return  # of nobody who could be named, or gone
        if self._seen.get(study_instance_uid) == newcomer:
            return
        rule = rule_for(rules, newcomer)
        if rule is not None:
            wish = replace(self._wish, speed=rule.speed or self._wish.speed)
            cause = Cause(Why.RULE, rule.name)
            done = await self._prefetcher.prefetch(newcomer, rule.priors, wish, cause)
            if done:
                fates = Counter(one.fate.name.lower() for one in done)
                fields = {"study": hashed(study_instance_uid), **fates}
                log.info("priors_prefetched", extra=fields)
        self._seen[study_instance_uid] = newcomer
        if len(self._seen) > _KNOWN:
            self._seen.popitem(last=False)

    def _is_new(self, study: StudyRecord) -> bool:
        if not study.instance_count:
            return False
        now_us = self._now_us()
        made_days = facts_of(study, now_us, None).ages[Clock.STUDY]
        return now_us - study.first_received_us < _NEW_US and made_days <= _NEW_DAYS

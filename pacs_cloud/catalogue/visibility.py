"""Who sees which studies: `security.access`, asked with what the catalogue knows."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pacs_cloud.catalogue.elements import first_text, name_groups
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import NotFound
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.rules import StudyFacts
from pacs_cloud.security.witness import NOBODY, Witness, refuse, require

_INSTITUTION: Final = "00080080"
_REFERRING: Final = "00080090"
_KEPT: Final = 4096
_KEPT_S: Final = 2.0
"""A viewer asks for a study's frames one by one; a correction counts after so long."""


def facts_of(study: StudyRecord, sensitive: frozenset[str]) -> StudyFacts:
    """Return what rules go by; `sensitive` are the archive's sensitive labels."""
    physicians = name_groups(study.attributes, _REFERRING)
    return StudyFacts(
        study.study_instance_uid,
        first_text(study.attributes, _INSTITUTION),
        physicians[0] if physicians else "",
        study.modalities,
        study.labels,
        study.labels & sensitive,
    )


def sees(caller: Caller, action: Action, study: StudyRecord, sensitive: frozenset[str]) -> bool:
    """Return whether somebody may do something with a study; `sensitive` as `facts_of`."""
    if study.tenant != caller.tenant:
        return False
    if not access.is_bounded(caller, action, study.labels & sensitive):
        return True
    return access.may_with(caller, action, facts_of(study, sensitive))


def seen_series(
    caller: Caller, action: Action, study: StudyRecord, sensitive: frozenset[str]
) -> frozenset[str] | None:
    """Return with which series of a study that `sees` lets at; None: with all."""
    if not access.is_bounded(caller, action, study.labels & sensitive):
        return None
    return access.series_with(caller, action, facts_of(study, sensitive))


class Admission:
    """Lets callers at studies by their UIDs."""

    def __init__(
        self,
        catalogue: Catalogue,
        witness: Witness = NOBODY,
        now_s: Callable[[], float] = time.monotonic,
        *,
        sensitive: frozenset[str] = SENSITIVE,
    ) -> None:
        """Look studies up in `catalogue`, and believe that for two seconds of the clock.

        `witness` puts on record who was refused; `sensitive` are the archive's sensitive labels.
        """
        self._catalogue = catalogue
        self._sensitive = sensitive
        self._witness = witness
        self._now_s = now_s
        self._known: OrderedDict[tuple[str, str], tuple[float, StudyFacts | None]] = OrderedDict()

    async def admit(
        self, caller: Caller, action: Action, study_instance_uid: str
    ) -> frozenset[str] | None:
        """Return with which series of a study of their tenant somebody may do something.

        Returns:
            None: with all of them.

        Raises:
            Denied: they may not do that at all.
            NotFound: not with this one, or there is none: they are not told which.
        """
        await require(self._witness, caller, action)
        if not access.is_bounded(caller, action, self._sensitive):
            return None
        facts = await self._facts(caller.tenant, study_instance_uid)
        # Who sees all but what is sensitive finds out that there is none.
        if not access.is_bounded(caller, action, facts.is_sensitive_by if facts else frozenset()):
            return None
        if facts is None or not access.may_with(caller, action, facts):
            await refuse(self._witness, caller, action, (study_instance_uid,))
            raise NotFound("there is no such study")
        return access.series_with(caller, action, facts)

    async def allows(self, caller: Caller, action: Action, study_instance_uid: str) -> bool:
        """Return whether `admit` would let somebody in, be it with some series of a study only.

        For pages that offer what may be done: nothing is refused, and nothing goes on record.
        """
        if not access.may(caller, action):
            return False
        if not access.is_bounded(caller, action, self._sensitive):
            return True
        facts = await self._facts(caller.tenant, study_instance_uid)
        return facts is not None and access.may_with(caller, action, facts)

    async def _facts(self, tenant: str, study_instance_uid: str) -> StudyFacts | None:
        key, now_s = (tenant, study_instance_uid), self._now_s()
        known = self._known.get(key)
        if known is None or known[0] < now_s:
            found = await self._catalogue.studies_by_uid(tenant, [study_instance_uid])
            known = now_s + _KEPT_S, facts_of(found[0], self._sensitive) if found else None
            self._known[key] = known
            self._known.move_to_end(key)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known[1]

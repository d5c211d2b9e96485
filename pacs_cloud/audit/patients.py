"""Whose studies events are about, as the catalogue shows them."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from pacs_cloud.catalogue.elements import name_groups
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.security.audit_event import AuditPatient

_NAME: Final = "00100010"
_KEPT: Final = 4096
_KEPT_US: Final = 60_000_000


class PatientsOf:
    """Looks patients of studies up, and believes that for a minute."""

    def __init__(self, catalogue: Catalogue, now_us: Callable[[], int]) -> None:
        """Ask `catalogue`."""
        self._catalogue = catalogue
        self._now_us = now_us
        self._known: OrderedDict[tuple[str, str], tuple[int, tuple[AuditPatient, ...]]] = (
            OrderedDict()
        )

    async def __call__(self, tenant: str, studies: Sequence[str]) -> tuple[AuditPatient, ...]:
        """Return the patients of some studies, each once; none of a study that is not known.

        Raises:
            Unavailable, Denied: as the catalogue.
        """
        now_us = self._now_us()
        asked = [study for study in studies if self._kept(tenant, study, now_us) is None]
        if asked:
            for record in await self._catalogue.studies_by_uid(tenant, asked):
                self._keep(tenant, record, now_us)
        found: dict[AuditPatient, None] = {}
        for study in studies:
            found |= dict.fromkeys(self._kept(tenant, study, now_us) or ())
        return tuple(found)

    def _kept(self, tenant: str, study: str, now_us: int) -> tuple[AuditPatient, ...] | None:
        known = self._known.get((tenant, study))
        return known[1] if known is not None and known[0] > now_us else None

    def _keep(self, tenant: str, record: StudyRecord, now_us: int) -> None:
        key = tenant, record.study_instance_uid
        self._known[key] = now_us + _KEPT_US, patients_of(record)
        self._known.move_to_end(key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)


def patients_of(record: StudyRecord) -> tuple[AuditPatient, ...]:
    """Return a study's patients; the study's own name stands with the only one."""
    named = sorted(record.patients, key=lambda one: (one.patient_id, one.issuer))
    groups = name_groups(record.attributes, _NAME)
    name = groups[0] if groups and len(named) == 1 else ""
    if not named and groups:
        return (AuditPatient("", name=groups[0]),)
    return tuple(AuditPatient(one.patient_id, one.issuer, name) for one in named)

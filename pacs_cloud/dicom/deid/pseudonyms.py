"""What stands for one patient's UIDs, IDs and days, and what it stands for."""

from dataclasses import dataclass, field

from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.project import Project
from pacs_cloud.dicom.deid.uids import is_uid


@dataclass(slots=True)
class Replaced:
    """What stands for what, of one instance: kept in escrow where a project asks for it.

    Attributes:
        uids: the new one, and the one that it stands for.
        subjects: pseudonyms, and the Patient IDs that they stand for.
    """

    uids: dict[str, str] = field(default_factory=dict[str, str])
    subjects: dict[str, str] = field(default_factory=dict[str, str])


class Pseudonyms:
    """Those of one patient in one project."""

    def __init__(self, project: Project, options: frozenset[Option], patient: str) -> None:
        """Prepare; `patient` is who it is, as `Project` takes it."""
        self.replaced = Replaced()
        self.days = project.shift_days(patient)
        self._project = project
        self._keeps_uids = Option.UIDS in options
        self._patient = patient

    def uid(self, original: str) -> str:
        """Return what stands for a UID that is replaced, itself where UIDs are kept."""
        if self._keeps_uids and is_uid(original):
            return original
        new = self._project.uid(original)
        self.replaced.uids[new] = original
        return new

    def subject(self, shown: str) -> str:
        """Return the patient's pseudonym; `shown` is their Patient ID, or ""."""
        return self._noted(self._project.subject(self._patient), shown)

    def other(self, shown: str) -> str:
        """Return what stands for a Patient ID that is not the patient's own one."""
        return self._noted(self._project.subject(shown), shown)

    def _noted(self, new: str, shown: str) -> str:
        if shown:
            self.replaced.subjects[new] = shown
        return new

"""The jobs "pack-stored" and "patient-shown": a study of who was merged away follows them."""

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.corrections.merges import StandingMerges
from pacs_cloud.workers.pack_stored import pack_of
from pacs_cloud.workqueue.jobs import Job


class FollowMerges:
    """Applies the patient merges that stand to what comes later under the patient's old ID.

    Nothing is read where there are no merges but, every ten seconds, that there are none.
    A study that names two patients is left as it is: that is a conflict, for an admin.
    """

    def __init__(self, catalogue: Catalogue, merges: StandingMerges, corrector: Corrector) -> None:
        self._catalogue = catalogue
        self._merges = merges
        self._corrector = corrector

    async def __call__(self, job: Job) -> None:
        """Look at the study of the pack that `job` names.

        Raises:
            InvalidRequest: the job names no pack.
            Unavailable: a store cannot be reached, or the study keeps changing.
        """
        names = job.tenant, pack_of(job).study_instance_uid
        merges = await self._merges.of(job.tenant)
        while merges:  # who was merged may be merged further
            study = await self._study(*names)
            merge = next((one for one in merges if _is_due(one, study)), None)
            if merge is None:
                return
            await self._corrector.apply_late(merge, names[1])
            merges = [one for one in merges if one is not merge]  # it may be undone by now

    async def _study(self, tenant: str, study_instance_uid: str) -> StudyRecord | None:
        found = await self._catalogue.studies_by_uid(tenant, [study_instance_uid])
        return found[0] if found else None


def _is_due(merge: Correction, study: StudyRecord | None) -> bool:
    """Return whether `study` names who was merged away, and the merge does not stand over it."""
    return (
        study is not None
        and merge.is_about(study)
        and all(one.correction_id != merge.correction_id for one in study.amendments)
    )

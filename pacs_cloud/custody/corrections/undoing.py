"""What the undoing of a correction would change."""

from dataclasses import dataclass

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.corrections.listing import (
    CorrectionState,
    correction_state,
    studies_showing,
)
from pacs_cloud.custody.corrections.preview import StudyPreview, preview
from pacs_cloud.errors import Conflict
from pacs_cloud.objectstore.port import ObjectStore


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What becomes of the studies of a correction that is taken back.

    Attributes:
        state: the correction as it stands.
        studies: those that show it.
    """

    state: CorrectionState
    studies: tuple[str, ...]

    async def preview(
        self, objects: ObjectStore, catalogue: Catalogue
    ) -> tuple[list[StudyPreview], list[str]]:
        """Return what changes in each study, and what to know first; raises as `preview`."""
        found = await preview(objects, catalogue, self.state.correction, self.studies)
        covering = sorted({name for one in found for name in one.covered_by})
        if not covering:
            return found, []
        return found, [f"Later corrections stay over it, and are shown: {', '.join(covering)}."]


async def undo_plan(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, correction_id: str
) -> UndoPlan:
    """Return what the undoing of a correction is about.

    Raises:
        NotFound: there is none of this name.
        Conflict: it was undone before.
    """
    state = await correction_state(objects, tenant, correction_id)
    if state.undone is not None:
        raise Conflict("This correction is undone already.")
    showing = await studies_showing(catalogue, state)
    return UndoPlan(state, tuple(uid for uid in state.studies if showing.get(uid)))

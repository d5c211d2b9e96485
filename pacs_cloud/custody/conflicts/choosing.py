"""The other of two contents shown, or that taken back, with all that follows from it."""

from functools import partial

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.conflicts.choice import promote
from pacs_cloud.custody.conflicts.choice import undo as take_back
from pacs_cloud.custody.conflicts.listing import Disagreement
from pacs_cloud.custody.rejections.settling import settle_with
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.objectstore.port import ObjectStore


async def choose(
    objects: ObjectStore,
    catalogue: Catalogue,
    one: Disagreement,
    *,
    who: str,
    now_us: int,
    undo: bool,
) -> Disagreement:
    """Return what has become of a disagreement of which the hidden content is shown now.

    Args:
        objects: the store.
        catalogue: the catalogue.
        one: which.
        who: who chooses.
        now_us: microseconds since 1970 UTC.
        undo: take the last choice back instead.

    Raises:
        NotFound: it is over, or there is nothing to take back.
        Conflict: both are shown.
    """
    load = partial(load_table, objects, catalogue)
    now = await (take_back if undo else promote)(
        objects, catalogue, one.tenant, one.conflict_id, load_table=load, who=who, now_us=now_us
    )
    # What is shown now may be a rejection note.
    await settle_with(
        *(objects, catalogue, one.tenant, now.newcomer.study_instance_uid),
        load_table=load,
        now_us=now_us,
    )
    return now

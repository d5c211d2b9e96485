"""What a committed pack means to rejections: the notes in it, and what is rejected of it."""

from pacs_cloud.catalogue.judging import LoadTable
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.custody.rejections.reading import notes_in
from pacs_cloud.custody.rejections.registry import is_touched, register
from pacs_cloud.custody.rejections.settling import settle_with
from pacs_cloud.dicom.key_selection import KEY_OBJECT_SELECTION
from pacs_cloud.objectstore.port import ObjectStore


async def follow_pack(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    ref: UidRef,
    *,
    load_table: LoadTable,
    now_us: int,
) -> int:
    """Do what notes in a pack say, and what others say of it; return how many instances changed.

    May be done any number of times, in any order of packs. A pack without Key Object
    Selections, in a study that no note touches, costs a look at its series' record and one
    HEAD.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose.
        ref: a pack that was committed; where it was merged, or purged, the others of its
            series are read.
        load_table: returns the table of a committed pack.
        now_us: microseconds since 1970 UTC.

    Raises:
        Corrupt, NotFound, Offline: a note, a decision or an index cannot be read.
        Unavailable: a store cannot be reached, or a study keeps changing.
    """
    study = ref.study_instance_uid
    series = {one.series_instance_uid: one for one in await catalogue.series(tenant, study)}
    record = series.get(ref.series_instance_uid)
    # Of a series of which nothing is shown the record does not tell what is in it.
    if record is None or KEY_OBJECT_SELECTION in record.sop_classes:
        packs = await catalogue.packs(tenant, study, ref.series_instance_uid)
        # One that is gone was merged into another of the series, or purged.
        for pack in [pack for pack in packs if pack.pack_id == ref.pack_id] or packs:
            for note in await notes_in(objects, catalogue, pack, load_table):
                await register(objects, note)
    if not await is_touched(objects, tenant, study):
        return 0
    return await settle_with(
        objects, catalogue, tenant, study, load_table=load_table, now_us=now_us
    )

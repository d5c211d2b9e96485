"""What a rejection note of our own would name."""

from dataclasses import dataclass

import orjson

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.rejections.reading import headers_of
from pacs_cloud.custody.rejections.registry import notes_about
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.key_selection import Reference
from pacs_cloud.objectstore.port import ObjectStore


@dataclass(frozen=True, slots=True)
class Chosen:
    """What would be rejected.

    Attributes:
        evidence: every visible instance of what was named, in the order of their UIDs.
        header: of the first, DICOM JSON.
    """

    evidence: tuple[Reference, ...]
    header: Elements


async def choose(
    objects: ObjectStore, catalogue: Catalogue, scope: Scope, load_table: LoadTable
) -> Chosen:
    """Return what of `scope` is visible: what a note about it names.

    Other rejection notes are left out, unless `scope` is one: to reject a note is to show
    again what it hides.

    Args:
        objects: the store.
        catalogue: the catalogue.
        scope: a study, a series or an instance with its series.
        load_table: returns the table of a committed pack.

    Raises:
        Gone, NotFound: nothing of it is visible.
        Corrupt, Offline: a pack's index cannot be read.
        Unavailable: a store cannot be reached.
    """
    names = scope.tenant, scope.study_instance_uid
    packs = await catalogue.packs(*names, scope.series_instance_uid or None)
    notes = {note.sop_instance_uid for note in await notes_about(objects, *names)}
    found: list[Reference] = []
    header: Elements | None = None
    for pack in packs:
        if len(pack.hidden) >= pack.instance_count:
            continue
        table = await load_table(scope.tenant, ref_of(pack))
        for one in table.instances:
            uid = one.sop_instance_uid
            is_meant = scope.has(uid) and uid not in pack.hidden
            if not is_meant or (uid in notes and not scope.sop_instance_uid):
                continue
            place = pack.series_instance_uid, one.sop_class_uid, uid
            found.append(Reference(*place, is_image=one.pixels is not None))
            if header is None:
                lines = await headers_of(objects, catalogue, pack)
                header = orjson.loads(
                    lines[one.header_offset : one.header_offset + one.header_length]
                )
    if header is None:
        raise absence(packs, scope.sop_instance_uid or None)
    found.sort(key=lambda one: (one.series_instance_uid, one.sop_instance_uid))
    return Chosen(tuple(found), header)

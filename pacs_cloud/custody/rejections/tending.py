"""Rejections looked after: what a crash has left is ended, and notes nobody has read are read."""

import logging
from dataclasses import dataclass

from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.rejections.arrivals import follow_pack
from pacs_cloud.custody.rejections.note import Note
from pacs_cloud.custody.rejections.registry import studies_with_notes
from pacs_cloud.custody.rejections.settling import settle_with
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.dicom.key_selection import KEY_OBJECT_SELECTION
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.telemetry import hashed

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Settled:
    """What was done.

    Attributes:
        studies: looked at.
        instances: hidden or shown.
        problems: studies that were left because something cannot be read.
    """

    studies: int = 0
    instances: int = 0
    problems: int = 0


async def tend_rejections(
    objects: ObjectStore, catalogue: Catalogue, *, load_table: LoadTable, now_us: int
) -> Settled:
    """Settle every study that a note touches, of all tenants; return what that did.

    Raises:
        Unavailable: a store cannot be reached, or a study keeps changing.
    """
    done = Settled()
    known: dict[str, Note] = {}
    async for tenant, study in studies_with_notes(objects):
        done.studies += 1
        try:
            done.instances += await settle_with(
                objects,
                catalogue,
                tenant,
                study,
                load_table=load_table,
                now_us=now_us,
                known=known,
            )
        except UNREADABLE as error:
            _leave(done, study, error)
    return done


async def read_all_notes(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str | None,
    *,
    load_table: LoadTable,
    now_us: int,
) -> Settled:
    """Read every Key Object Selection of a tenant (None: of all), and do what the notes say.

    For notes of which nobody was told: that were stored before notes were followed, or whose
    event was lost with a catalogue. Every study's record is looked at.

    Raises:
        Unavailable: a store cannot be reached, or a study keeps changing.
    """
    done = Settled()
    async for state in catalogue.export(tenant):
        if KEY_OBJECT_SELECTION not in state.study.sop_classes:
            continue
        done.studies += 1
        series = {
            one.series_instance_uid
            for one in state.series
            if KEY_OBJECT_SELECTION in one.sop_classes
        }
        for pack in state.packs:
            if pack.series_instance_uid not in series:
                continue
            try:
                done.instances += await follow_pack(
                    objects,
                    catalogue,
                    pack.tenant,
                    ref_of(pack),
                    load_table=load_table,
                    now_us=now_us,
                )
            except UNREADABLE as error:
                _leave(done, pack.study_instance_uid, error)
    return done


def _leave(done: Settled, study: str, error: Exception) -> None:
    done.problems += 1
    log.warning(
        "rejections_unreadable", extra={"study": hashed(study), "error": type(error).__name__}
    )

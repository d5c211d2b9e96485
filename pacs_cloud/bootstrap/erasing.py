"""What carries erasures out: a command's own, and those that a worker goes on with."""

import logging
from collections.abc import Sequence

from pacs_cloud.bootstrap.services import (
    Stores,
    now_us,
    recalls_of,
    repack_folder,
    wish_of,
)
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.custody.erasure.removing import Recall
from pacs_cloud.custody.erasure.run import Erasing, StudyErasure
from pacs_cloud.custody.erasure.tending import tend_erasures
from pacs_cloud.settings import Settings
from pacs_cloud.telemetry import hashed
from pacs_cloud.workers.erased import TakeOutErased

log = logging.getLogger(__name__)

_EVERY_S = 900.0
"""What was asked for is begun at once; this is for what waits, and for what a crash stopped."""


def erasure_of(settings: Settings, stores: Stores, tenant: str, study: str) -> StudyErasure:
    """Return what carries out the erasures of a study."""
    folder = repack_folder(settings)
    recall = _recall(settings, stores)
    return StudyErasure(stores.objects, stores.catalogue, folder, recall, now_us, tenant, study)


def take_out_erased(settings: Settings, stores: Stores) -> TakeOutErased:
    """Return what takes erased instances out of packs that bring them again."""

    async def erase(tenant: str, study: str) -> None:
        _log(await erasure_of(settings, stores, tenant, study).run())

    return TakeOutErased(stores.catalogue, erase)


async def go_on_erasing(settings: Settings, stores: Stores) -> float:
    """Go on with erasures that are not over; return how long to rest, in seconds."""
    tending = tend_erasures(
        stores.objects,
        stores.catalogue,
        folder=repack_folder(settings),
        recall=_recall(settings, stores),
        now_us=now_us,
    )
    async for one in tending:
        _log(one)
    return _EVERY_S


def _recall(settings: Settings, stores: Stores) -> Recall:
    recalls = recalls_of(settings, stores)

    async def recall(packs: Sequence[PackRecord]) -> None:
        await recalls.start(packs, wish_of(settings))

    return recall


def _log(done: Erasing) -> None:
    log.info(
        "erasure_tended",
        extra={
            "tenant": done.tenant,
            "study": hashed(done.study_instance_uid),
            "rewritten": done.rewritten,
            "waiting": len(done.waiting),
            "proven": done.is_proven,
        },
    )

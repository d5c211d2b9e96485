"""Repack: the small packs of a quiet series become one (`run`)."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, StudyState
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.report import Repacked
from pacs_cloud.custody.repack.run import SeriesRepack, unmergeable
from pacs_cloud.custody.repack.unfinished import remove_unfinished
from pacs_cloud.custody.unreadable import UNREADABLE
from pacs_cloud.objectstore.port import ObjectStore

UNFINISHED_US = 86_400_000_000
"""How old a file in the folder for merged packs must be to be a dead repack's: one day."""


async def repack_series(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    series_instance_uid: str,
    *,
    terms: RepackTerms,
    folder: Path,
    now_us: Callable[[], int],
) -> Repacked:
    """Merge the packs of a series that is quiet; return what was done.

    Args:
        objects: the store.
        catalogue: the catalogue.
        tenant: whose.
        study_instance_uid: of the series.
        series_instance_uid: which; nothing is done where there is none, or none visible.
        terms: what is repacked, and into what.
        folder: where merged packs are written before they are stored: for a file store
            best on its disk. What a crash leaves there `repack_due` removes, a day later.
        now_us: the clock, microseconds since 1970 UTC.

    Raises:
        Corrupt: a decision of the ledger, or a hold, cannot be read.
        Unavailable: a store cannot be reached, or the disk of `folder` refuses.
    """
    state = await catalogue.study(tenant, study_instance_uid)
    repack = SeriesRepack(objects, catalogue, terms, folder, now_us)
    names = tenant, study_instance_uid, series_instance_uid
    if state is None or not is_quiet(state, series_instance_uid, terms, now_us()):
        return Repacked(*names)
    return await repack.run(state, Repacked(*names))


async def repack_due(
    objects: ObjectStore,
    catalogue: Catalogue,
    *,
    terms: RepackTerms,
    folder: Path,
    now_us: Callable[[], int],
    tenant: str | None = None,
) -> AsyncGenerator[Repacked, None]:
    """Repack every series that is quiet; yield what was done, where anything was found to do.

    One of a study whose ledger or holds cannot be read is told as a problem.

    Args:
        objects: the store.
        catalogue: the catalogue; it is walked once, by tenant and UID.
        terms: what is repacked, and into what.
        folder: as for `repack_series`.
        now_us: the clock, microseconds since 1970 UTC.
        tenant: whose; None for all.

    Raises:
        Unavailable: as `repack_series`.
    """
    await asyncio.to_thread(remove_unfinished, folder, now_us() - UNFINISHED_US)
    async for state in catalogue.export(tenant):
        for series in state.series:
            uid = series.series_instance_uid
            if not is_quiet(state, uid, terms, now_us()) or not _may_be_due(state, uid, terms):
                continue
            names = state.study.tenant, state.study.study_instance_uid, uid
            try:
                done = await repack_series(
                    objects, catalogue, *names, terms=terms, folder=folder, now_us=now_us
                )
            except UNREADABLE as error:
                # The others are repacked all the same.
                done = Repacked(*names)
                done = replace(done, problems=(unmergeable(done, error),))
            if done.replaced or done.waiting or done.problems:
                yield done


def is_quiet(state: StudyState, series_instance_uid: str, terms: RepackTerms, now_us: int) -> bool:
    """Return whether nothing has come into a series for long enough; it must show something."""
    return any(
        series.series_instance_uid == series_instance_uid
        and series.last_received_us <= now_us - terms.quiet_us
        for series in state.series
    )


def _may_be_due(state: StudyState, series_instance_uid: str, terms: RepackTerms) -> bool:
    """Return whether a look at the packs themselves is worth it."""
    packs = [
        one
        for one in state.packs
        if one.series_instance_uid == series_instance_uid and terms.include(one)
    ]
    return (
        len(packs) > 1
        or (terms.encode and bool(packs))
        or any(HiddenReason.PURGED in pack.hidden.values() for pack in packs)
    )

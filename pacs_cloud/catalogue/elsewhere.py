"""One UID that two series or studies show: told by whoever shows it second.

Each looks before its own change, and once more behind it where another one was hidden or not
committed yet: of two that race one at least sees the other.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from pacs_cloud.catalogue.judging import Verdict, ref_of, series_of, settle
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.records import PackRecord, StudyChange, UidRef
from pacs_cloud.pack.index import PackIndex


async def shown_elsewhere(
    catalogue: Catalogue, pack: PackRecord, uids: Collection[str], *, now_us: int
) -> Verdict:
    """Return what other series and studies show of `uids`: conflicts, and what is unsettled.

    Args:
        catalogue: where they are looked up.
        pack: shows them, or is about to.
        uids: SOP Instance UIDs.
        now_us: microseconds since 1970 UTC.
    """
    own = series_of(ref_of(pack))
    found = await catalogue.find_uids(pack.tenant, uids)
    strangers = {uid: [ref for ref in refs if series_of(ref) != own] for uid, refs in found.items()}
    verdict = Verdict()
    await settle(catalogue, pack, strangers, verdict, now_us=now_us)
    return verdict


async def tell_late(
    catalogue: Catalogue,
    pack: PackIndex | PackRecord,
    unsettled: Mapping[str, Collection[UidRef]],
    *,
    now_us: int,
) -> None:
    """Record the conflicts of a pack that was changed with what was `unsettled` before that.

    Raises:
        Unavailable: the catalogue cannot be reached, or the study keeps changing.
    """
    late = Verdict()
    await settle(catalogue, pack, unsettled, late, now_us=now_us)
    if not late.conflicts:
        return

    async def tell(attempt: int) -> bool:
        del attempt
        state = await catalogue.study(pack.tenant, pack.study_instance_uid)
        if state is not None:
            change = StudyChange(
                tenant=pack.tenant,
                study_instance_uid=pack.study_instance_uid,
                before=state.study,
                after=replace(state.study, rev=next_rev(state.study, now_us)),
                conflicts=tuple(late.conflicts),
            )
            await catalogue.commit(change)
        return False

    await until_done(tell)

"""What is noted of committed packs: where their objects lie, and until when they can be read."""

from collections.abc import Callable
from dataclasses import replace

from pacs_cloud.catalogue.change_parts import first_part
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.races import next_rev, until_done
from pacs_cloud.catalogue.records import CHANGED_AT_ONCE, COLD_CLASSES, PackRecord, StudyChange


async def note_packs(
    catalogue: Catalogue,
    tenant: str,
    study_instance_uid: str,
    noted: Callable[[PackRecord], PackRecord],
    *,
    now_us: int,
) -> None:
    """Put what `noted` makes of a study's pack records in their place; what it leaves stays.

    Repeatable, and beside whatever else changes the study. What the study shows is as before.

    Args:
        catalogue: where they are.
        tenant: whose.
        study_instance_uid: which study; nothing happens where there is none.
        noted: returns a pack's record as it shall be; called again after a lost race.
        now_us: microseconds since 1970 UTC.

    Raises:
        Unavailable: the catalogue cannot be reached, or the study keeps changing.
    """

    async def step(attempt: int) -> bool:
        state = await catalogue.study(tenant, study_instance_uid)
        if state is None:
            return False
        news = [after for pack in state.packs if (after := noted(pack)) != pack]
        some = first_part(news, CHANGED_AT_ONCE)
        if not some:
            return False
        change = StudyChange(
            tenant,
            study_instance_uid,
            before=state.study,
            after=replace(
                state.study,
                rev=next_rev(state.study, now_us + attempt),
                has_cold_packs=any(
                    noted(pack).storage_class in COLD_CLASSES for pack in state.packs
                ),
            ),
            put_packs=tuple(some),
        )
        await catalogue.commit(change)
        return len(some) < len(news)

    await until_done(step)

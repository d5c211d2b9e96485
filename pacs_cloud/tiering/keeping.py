"""The thumbnails that stay hot of what goes cold: what makes them is another room's."""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

KeepThumbnail: TypeAlias = Callable[[str, str, str, Collection[str]], Awaitable[None]]
"""Returns when a series has a thumbnail that stays hot, or none can be made of it: of a tenant,
a study, a series, and the ids of packs that are known to be readable; raises PacsError."""


async def keep_none(
    tenant: str, study_instance_uid: str, series_instance_uid: str, at_hand: Collection[str]
) -> None:
    """Keep no thumbnail."""
    del tenant, study_instance_uid, series_instance_uid, at_hand

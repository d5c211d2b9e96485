"""What becomes of corrections that were not seen to end."""

import logging
from dataclasses import dataclass

from pacs_cloud.custody.corrections.applying import Corrector
from pacs_cloud.custody.corrections.book import correction_marks
from pacs_cloud.custody.corrections.merges import KEPT_US
from pacs_cloud.errors import Corrupt, InvalidRequest
from pacs_cloud.objectstore.port import ObjectStore

log = logging.getLogger(__name__)

GRACE_US = 3 * KEPT_US
"""How long whoever has a mark is left alone, and how long merges may not be known to all."""


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done.

    Attributes:
        corrections: that came to their end.
        studies: that show something else now.
        problems: corrections that cannot be read, or of which a study cannot.
    """

    corrections: int = 0
    studies: int = 0
    problems: int = 0


async def tend_corrections(
    objects: ObjectStore, corrector: Corrector, *, now_us: int, tenant: str | None = None
) -> Tended:
    """Finish the corrections and undoings that have a mark for longer than the grace.

    Args:
        objects: the store.
        corrector: what makes corrections in it.
        now_us: microseconds since 1970 UTC.
        tenant: whose; None for all.

    Raises:
        Unavailable: the store or the catalogue cannot be reached.
    """
    corrections = studies = problems = 0
    async for mark in correction_marks(objects, tenant):
        if mark.marked_us > now_us - GRACE_US:
            continue
        try:
            done = await corrector.settle(mark)
        except (Corrupt, InvalidRequest) as error:
            log.error(
                "correction_unreadable",
                extra={"correction": mark.correction_id, "error": type(error).__name__},
            )
            problems += 1
            continue
        corrections += not done.unreadable
        studies += done.changed
        problems += bool(done.unreadable)
    return Tended(corrections, studies, problems)

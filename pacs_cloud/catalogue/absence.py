"""What is said of an instance, series or study of which nothing is visible."""

from collections.abc import Iterable

from pacs_cloud.catalogue.records import GONE, HiddenReason, PackRecord
from pacs_cloud.errors import Gone, NotFound


def absence(packs: Iterable[PackRecord], sop_instance_uid: str | None = None) -> NotFound:
    """Return the error that says why nothing is there, to be raised.

    Args:
        packs: the committed packs of the study or series.
        sop_instance_uid: the one instance that was asked for, None for all of them.

    Returns:
        `Gone` where something was deleted that the catalogue still knows: it lies in
        the trash, or in a pack that holds visible instances too. Else `NotFound`, which
        says so where a rejection note names it (404, as IHE's XDS-I.b has it).
    """
    is_rejected = False
    for pack in packs:
        reasons = (
            pack.hidden.values()
            if sop_instance_uid is None
            else (pack.hidden.get(sop_instance_uid),)
        )
        if not GONE.isdisjoint(reasons):
            return Gone("This was deleted.")
        is_rejected |= HiddenReason.REJECTED in reasons
    if is_rejected:
        return NotFound("This is not to be used: a rejection note names it.")
    what = "study or series" if sop_instance_uid is None else "instance"
    return NotFound(f"There is no such {what}.")

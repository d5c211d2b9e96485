"""The instances that a C-MOVE or C-GET identifier names (PS3.4 C.4.2.2)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.element_values import text
from pacs_cloud.dimse.identifier import Identifier
from pacs_cloud.dimse.information_models import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    UNIQUE_KEYS,
    Model,
)
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.witness import NOBODY, Witness

_NAMES: Final[Mapping[Level, frozenset[str]]] = {
    Level.PATIENT: frozenset({STUDY_INSTANCE_UID}),
    Level.STUDY: frozenset({STUDY_INSTANCE_UID}),
    Level.SERIES: frozenset({STUDY_INSTANCE_UID, SERIES_INSTANCE_UID}),
    Level.IMAGE: frozenset({STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID}),
}
"""What has to be known to locate what is of each level."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where instances are retrieved from.

    Attributes:
        search: finds them.
        archive: reads them.
        witness: puts on record who has them sent.
    """

    search: Search
    archive: Archive
    witness: Witness = NOBODY


async def select(
    shelf: Shelf, caller: Caller, identifier: Identifier, model: Model, to: Action
) -> list[Located]:
    """Return the visible instances that `identifier` names, in the order they are best read.

    They are those with which the caller may do `to`, of those that they may find.

    Unique keys of higher levels narrow the choice where they are given: with
    UIDs below them nothing is ambiguous without, negotiated or not.

    Raises:
        Denied: the caller may not search, or not do that.
        InvalidRequest: the unique key of its level is missing, or a key is wrong.
        TooBroad: the search for them would read too much.
        Unavailable: a store does not answer.
    """
    keys: list[SearchKey] = []
    for level in (*model.above(identifier.level), identifier.level):
        tag = UNIQUE_KEYS[level]
        values = identifier.unique(level)
        if not values and level == identifier.level:
            raise InvalidRequest(f"{keyword_of(tag)} is required at this level")
        if values:
            keys.append(SearchKey((tag,), "\\".join(values)))
    # A patient is all their studies: what is looked for is always below it.
    level = max(identifier.level, Level.STUDY)
    request = SearchRequest(level, tuple(keys), returns=_NAMES[identifier.level])
    wanted: dict[tuple[str, str], set[str]] = {}
    async with aclosing(shelf.search.rows(caller, request)) as rows:
        async for row in rows:
            place = (text(row, STUDY_INSTANCE_UID), text(row, SERIES_INSTANCE_UID))
            wanted.setdefault(place, set()).add(text(row, SOP_INSTANCE_UID))
    found: list[Located] = []
    for (study, series), instances in wanted.items():
        found += await _located(shelf, caller, study, series, instances, to)
    return found


async def _located(
    shelf: Shelf, caller: Caller, study: str, series: str, instances: set[str], to: Action
) -> tuple[Located, ...]:
    try:
        located = await shelf.archive.instances.locate(caller, study, series or None, to=to)
    except NotFound:
        return ()  # deleted since it was found, or not for the caller
    if instances == {""}:
        return located
    return tuple(one for one in located if one.instance.sop_instance_uid in instances)


async def record_sending(
    shelf: Shelf, caller: Caller, action: str, located: Sequence[Located], destination: str = ""
) -> None:
    """Put on record that instances are sent, before the first is.

    Args:
        shelf: whose witness is told.
        caller: who asked for it.
        action: by which service.
        located: what.
        destination: where to, if it is not who asked.

    Raises:
        Unavailable: it cannot be recorded.
    """
    by_study = Counter(one.pack.study_instance_uid for one in located)
    details = (("destination", destination),) if destination else ()
    for study, count in by_study.items():
        recorded = shelf.witness.saw(
            caller, Kind.SEND, action=action, studies=(study,), instances=count, details=details
        )
        if recorded is not None:
            await recorded

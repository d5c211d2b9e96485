"""The instances that a C-MOVE or C-GET identifier names (PS3.4 C.4.2.2)."""

from collections.abc import Mapping
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
        tenant: whose they are.
    """

    search: Search
    archive: Archive
    tenant: str


async def select(shelf: Shelf, identifier: Identifier, model: Model) -> list[Located]:
    """Return the visible instances that `identifier` names, in the order they are best read.

    Unique keys of higher levels narrow the choice where they are given: with
    UIDs below them nothing is ambiguous without, negotiated or not.

    Raises:
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
    async with aclosing(shelf.search.rows(shelf.tenant, request)) as rows:
        async for row in rows:
            place = (text(row, STUDY_INSTANCE_UID), text(row, SERIES_INSTANCE_UID))
            wanted.setdefault(place, set()).add(text(row, SOP_INSTANCE_UID))
    found: list[Located] = []
    for (study, series), instances in wanted.items():
        found += await _located(shelf, study, series, instances)
    return found


async def _located(
    shelf: Shelf, study: str, series: str, instances: set[str]
) -> tuple[Located, ...]:
    try:
        located = await shelf.archive.instances.locate(shelf.tenant, study, series or None)
    except NotFound:
        return ()  # deleted since it was found
    if instances == {""}:
        return located
    return tuple(one for one in located if one.instance.sop_instance_uid in instances)

"""What a correction, or its undoing, would change: what is shown now, and what then."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import orjson

from pacs_cloud.catalogue.elements import has_value
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, StudyRecord, StudyState
from pacs_cloud.custody.corrections.correction import Correction
from pacs_cloud.custody.in_order import in_order
from pacs_cloud.custody.stored_pack import key_of, read_index_blob
from pacs_cloud.dicom.amendment import Amendment, shown_elements
from pacs_cloud.dicom.amendment import in_order as sorted_amendments
from pacs_cloud.dicom.attributes import STUDY_TAGS
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import decode_headers, decode_table, split_index

_STUDIES_AT_ONCE: Final = 8
_NOT_THERE: Final[Element] = {}


@dataclass(frozen=True, slots=True)
class Shown:
    """One attribute; an empty element where it is not there at all."""

    tag: str
    now: Element
    then: Element

    @property
    def is_changed(self) -> bool:
        """Whether anybody would see a difference."""
        return self.now != self.then and (has_value(self.now) or has_value(self.then))


@dataclass(frozen=True, slots=True)
class StudyPreview:
    """What becomes of one study.

    Attributes:
        study: its record.
        attributes: those that are meant, as its first instance that is meant shows them.
        covered_by: names of corrections that were made later and show some of these
            attributes, whatever this one says.
    """

    study: StudyRecord
    attributes: tuple[Shown, ...]
    covered_by: tuple[str, ...] = ()


async def preview(
    objects: ObjectStore, catalogue: Catalogue, correction: Correction, studies: Iterable[str]
) -> list[StudyPreview]:
    """Return what `correction` changes in each of `studies`; where it stands, its undoing.

    Studies that are gone are left out.

    Raises:
        Corrupt, NotFound, Offline: a pack's index cannot be read.
        Unavailable: a store cannot be reached.
    """

    async def uids() -> AsyncIterator[str]:
        for uid in studies:
            yield uid

    async def look(uid: str) -> StudyPreview | None:
        state = await catalogue.study(correction.tenant, uid)
        return None if state is None else await _study(objects, catalogue, correction, state)

    async with aclosing(in_order(look, uids(), _STUDIES_AT_ONCE)) as found:
        return [one async for one in found if one is not None]


async def _study(
    objects: ObjectStore, catalogue: Catalogue, correction: Correction, state: StudyState
) -> StudyPreview:
    standing = state.study.amendments
    name = correction.correction_id
    made = next((one for one in standing if one.correction_id == name), None)
    others = tuple(one for one in standing if one.correction_id != name)
    if made is None:
        amendment = replace(correction.amendment, elements=correction.elements)
        then = sorted_amendments([*others, amendment])
    else:
        amendment, then = made, others
    is_of_study = not amendment.series_instance_uid and amendment.elements.keys() <= set(STUDY_TAGS)
    if made is None and is_of_study:
        # All that searches show of it is in the record; no pack is read.
        now, later = state.study.attributes, state.study.attributes | amendment.elements
    else:
        now, later = await _headers(objects, catalogue, state, amendment, then)
    return StudyPreview(
        state.study,
        tuple(
            Shown(tag, now.get(tag, _NOT_THERE), later.get(tag, _NOT_THERE))
            for tag in sorted(amendment.elements)
        ),
        _covering(amendment, others),
    )


def _covering(amendment: Amendment, others: Sequence[Amendment]) -> tuple[str, ...]:
    """Return the names of later corrections that lie over `amendment`, in part at least."""
    return tuple(
        one.correction_id
        for one in others
        if sorted_amendments([amendment, one])[1] is one
        and not amendment.elements.keys().isdisjoint(one.elements)
        and _meet(amendment.series_instance_uid, one.series_instance_uid)
        and _meet(amendment.sop_instance_uid, one.sop_instance_uid)
    )


def _meet(one: str, other: str) -> bool:
    """Return whether two scopes, "" for all, have something in common."""
    return "" in {one, other} or one == other


async def _headers(
    objects: ObjectStore,
    catalogue: Catalogue,
    state: StudyState,
    amendment: Amendment,
    then: Sequence[Amendment],
) -> tuple[Elements, Elements]:
    """Return the header of the first instance that is meant, as it is and would be shown."""
    for pack in await _touched(catalogue, state, amendment):
        found = await _first_header(objects, catalogue, pack, amendment)
        if found is not None:
            uid, header = found
            series = pack.series_instance_uid
            touching = [one for one in then if one.touches_series(series)]
            return (
                shown_elements(header, pack.amendments, uid),
                shown_elements(header, touching, uid),
            )
    return {}, {}  # nothing of it is visible


async def _touched(
    catalogue: Catalogue, state: StudyState, amendment: Amendment
) -> list[PackRecord]:
    """Return the packs that may hold an instance that is meant, oldest first."""
    uid = amendment.sop_instance_uid
    refs = (await catalogue.find_uids(state.study.tenant, [uid])).get(uid, ()) if uid else ()
    return sorted(
        (
            pack
            for pack in state.packs
            if amendment.touches_series(pack.series_instance_uid)
            and (not uid or ref_of(pack) in refs)
        ),
        key=lambda pack: pack.pack_id,
    )


async def _first_header(
    objects: ObjectStore, catalogue: Catalogue, pack: PackRecord, amendment: Amendment
) -> tuple[str, Elements] | None:
    """Return the first instance of `pack` that is visible and meant, and its header."""
    if len(pack.hidden) >= pack.instance_count:
        return None
    frames = await catalogue.index(pack.tenant, ref_of(pack))
    if frames is None:
        table_frame, headers_frame = split_index(await read_index_blob(objects, key_of(pack)))
    else:
        table_frame, headers_frame = frames.table, frames.headers
    for one in decode_table(table_frame).instances:
        uid = one.sop_instance_uid
        if uid not in pack.hidden and amendment.touches(uid):
            lines = decode_headers(headers_frame)
            line = lines[one.header_offset : one.header_offset + one.header_length]
            try:
                return uid, orjson.loads(line)
            except ValueError as error:
                raise Corrupt("a header in a pack's index cannot be read") from error
    return None

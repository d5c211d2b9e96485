"""Rejection notes as people see them: why, in force or not, and what they hide."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from pacs_cloud.catalogue.judging import SHOWN, LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.custody.rejections.force import Force
from pacs_cloud.custody.rejections.note import Note
from pacs_cloud.custody.rejections.registry import studies_with_notes
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.port import ObjectStore

MISSING: Final = "missing"

Place = tuple[str, str, str]
"""Study, Series and SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One note, and what has come of it.

    Attributes:
        note: the note.
        in_force: whether it rejects what it names: it is there, and not rejected itself.
        states: of each instance that it names: SHOWN, "rejected", MISSING (it has never
            come in, or is gone for good), or for what else it is hidden.
    """

    note: Note
    in_force: bool
    states: Mapping[Place, str]

    @property
    def named(self) -> int:
        """How many instances it names."""
        return len(self.states)

    @property
    def hidden(self) -> int:
        """How many of these are hidden as rejected."""
        return list(self.states.values()).count(HiddenReason.REJECTED.value)

    @property
    def missing(self) -> int:
        """How many of these are not here."""
        return list(self.states.values()).count(MISSING)


async def rejections(
    objects: ObjectStore, catalogue: Catalogue, tenant: str, load_table: LoadTable
) -> AsyncIterator[Rejection]:
    """Yield a tenant's rejection notes, by study, the oldest of each first.

    Raises:
        Corrupt, NotFound: a note, or a pack's table, cannot be read.
        Unavailable: a store cannot be reached.
    """
    async for _, study in studies_with_notes(objects, tenant):
        force = Force(objects, catalogue, load_table)
        for note in await force.about(tenant, study):
            if note.study_instance_uid == study:
                yield Rejection(note, await force.has(note), await _states(catalogue, note))


async def rejection(
    objects: ObjectStore,
    catalogue: Catalogue,
    tenant: str,
    sop_instance_uid: str,
    load_table: LoadTable,
) -> Rejection:
    """Return the note of that SOP Instance UID, of several the one in force; raises NotFound."""
    found = (await catalogue.find_uids(tenant, [sop_instance_uid])).get(sop_instance_uid, ())
    last: Rejection | None = None
    for study in sorted({ref.study_instance_uid for ref in found}):
        force = Force(objects, catalogue, load_table)
        for note in await force.about(tenant, study):
            if note.sop_instance_uid != sop_instance_uid or note.study_instance_uid != study:
                continue
            last = Rejection(note, await force.has(note), await _states(catalogue, note))
            if last.in_force:
                return last
    if last is None:
        raise NotFound("There is no such rejection note.")
    return last


async def _states(catalogue: Catalogue, note: Note) -> dict[Place, str]:
    """Return what has become of each instance that `note` names."""
    states: dict[Place, str] = {}
    for study, by_series in note.named.items():
        packs = {ref_of(pack): pack for pack in await catalogue.packs(note.tenant, study)}
        uids = {uid for some in by_series.values() for uid in some}
        found = await catalogue.find_uids(note.tenant, uids)
        for series, some in by_series.items():
            for uid in some:
                reasons = {
                    packs[ref].hidden.get(uid)
                    for ref in found.get(uid, ())
                    if ref in packs and ref.series_instance_uid == series
                }
                states[study, series, uid] = _told(reasons)
    return states


def _told(reasons: set[HiddenReason | None]) -> str:
    if not reasons:
        return MISSING
    for why in (None, HiddenReason.REJECTED):
        if why in reasons:
            return SHOWN if why is None else why.value
    return ", ".join(sorted(why.value for why in reasons if why is not None))

"""Where UIDs will have been seen when a study's next pack is committed, told before it is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.pack.index import PackIndex


@dataclass(frozen=True, slots=True)
class PlacesSoFar:
    """What a catalogue has, and one study as far as it is made: `judging.UidPlaces`.

    Attributes:
        catalogue: what has everything else.
        added: the study's packs so far, by id.
        found: where the catalogue has seen the UIDs that are asked for.
    """

    catalogue: Catalogue
    added: Mapping[str, PackRecord]
    found: Mapping[str, tuple[UidRef, ...]]

    def met(self, index: PackIndex) -> list[PackRecord]:
        """Return those packs of the study so far that hold a UID of `index`."""
        ids = {
            ref.pack_id
            for one in index.instances
            for ref in self.found.get(one.sop_instance_uid, ())
            if ref.pack_id != index.pack_id
        }
        return [self.added[pack_id] for pack_id in sorted(ids & self.added.keys())]

    async def find_uids(
        self, tenant: str, uids: Collection[str]
    ) -> Mapping[str, tuple[UidRef, ...]]:
        """Return where each UID was staged."""
        del tenant
        return {uid: self.found[uid] for uid in uids if uid in self.found}

    async def packs(
        self, tenant: str, study_instance_uid: str, series_instance_uid: str | None = None
    ) -> Sequence[PackRecord]:
        """Return a series' packs, of the study itself as far as it is made."""
        own = next(iter(self.added.values()), None)
        if own is not None and own.study_instance_uid == study_instance_uid:
            return [
                one for one in self.added.values() if one.series_instance_uid == series_instance_uid
            ]
        return await self.catalogue.packs(tenant, study_instance_uid, series_instance_uid)

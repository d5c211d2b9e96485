"""Where visible instances lie, and their Part 10 files as pieces of packs."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from blake3 import blake3

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.catalogue.visibility import Admission
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.pack.index import PackIndex, PackInstance
from pacs_cloud.retrieve.pieces import Slice
from pacs_cloud.retrieve.tables import PackTables, ref_of
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.witness import NOBODY, Witness

_TABLES_AT_ONCE = 16
_TABLES_WORTH_READING = 2
"""With more tables than this unread, the UID's own record is asked first."""

_KINDS: Final = {Action.DOWNLOAD: Kind.EXPORT}

Demand: TypeAlias = Callable[[Collection[PackRecord]], Awaitable[None]]
"""Returns when packs can be read now; else raises Offline, and has asked for them."""


Opened: TypeAlias = Callable[[str, str], None]
"""Is told of each request that opens a study: the tenant, and its Study Instance UID."""


def not_told(tenant: str, study_instance_uid: str) -> None:
    """Tell nobody that a study was opened."""
    del tenant, study_instance_uid


async def no_demand(packs: Collection[PackRecord]) -> None:
    """Take it that every pack can be read."""
    del packs


@dataclass(frozen=True, slots=True)
class Located:
    """One visible instance, and the pack that holds it.

    Attributes:
        pack: its record.
        index: its table, as the pack's amendments show it.
        instance: its row in that.
    """

    pack: PackRecord
    index: PackIndex
    instance: PackInstance

    @property
    def ref(self) -> UidRef:
        """Its pack."""
        return ref_of(self.pack)

    @property
    def key(self) -> str:
        """The key of its pack's object."""
        pack = self.pack
        return PackKey(
            pack.tenant, pack.study_instance_uid, pack.series_instance_uid, pack.pack_id
        ).pack

    @property
    def amendments(self) -> tuple[Amendment, ...]:
        """What is shown of it otherwise than it is stored, in order."""
        if not self.pack.amendments:  # of nearly all
            return ()
        sop_instance_uid = self.instance.sop_instance_uid
        return tuple(one for one in self.pack.amendments if one.touches(sop_instance_uid))

    @property
    def shown_key(self) -> tuple[str, ...]:
        """What tells it from all others, and from itself under other amendments."""
        key = self.pack.pack_id, self.instance.sop_instance_uid
        if not self.pack.amendments:
            return key
        return *key, *(one.correction_id for one in self.amendments)

    def file_meta(self) -> Slice:
        """Return what stands before its data set in its Part 10 file."""
        start = self.instance.offset
        return Slice(self.key, start, start + self.instance.dataset_offset)

    def file(self) -> Slice:
        """Return its Part 10 file, byte for byte as stored."""
        start = self.instance.offset
        return Slice(self.key, start, start + self.instance.length_bytes)

    def data_set(self, start: int = 0, end: int | None = None) -> Slice:
        """Return bytes `start` to `end` (half-open; None: to the end) of its data set as stored."""
        first = self.instance.offset + self.instance.dataset_offset
        last = self.instance.offset + self.instance.length_bytes
        return Slice(self.key, first + start, last if end is None else first + end)


def state_tag(located: Iterable[Located]) -> str:
    """Return a mark that changes when other instances are served, or otherwise.

    That is from other packs, or under other amendments.
    """
    digest = blake3()
    for one in located:
        digest.update(f"{'/'.join(one.shown_key)}\n".encode())
    return digest.hexdigest(length=16)


async def demanded(demand: Demand, located: Iterable[Located]) -> None:
    """Return when `demand` has seen to the packs of `located`; raises as it does."""
    await demand({one.pack.pack_id: one.pack for one in located}.values())


class Instances:
    """Finds visible instances; reads by Study Instance UID are strongly consistent.

    Attributes:
        admission: who may do what with a study.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        tables: PackTables,
        demand: Demand = no_demand,
        opened: Opened = not_told,
        witness: Witness = NOBODY,
        sensitive: frozenset[str] = SENSITIVE,
    ) -> None:
        """Find instances, and give them out where `demand` has seen to their packs.

        `opened` is told of each study of which something is given out, and `witness` to whom;
        `sensitive` are the labels that hide a study from whoever is not named for them.
        """
        self._catalogue = catalogue
        self.admission = Admission(catalogue, witness, sensitive=sensitive)
        self._tables = tables
        self._demand = demand
        self._opened = opened
        self._witness = witness

    async def locate(
        self,
        caller: Caller,
        study_instance_uid: str,
        series_instance_uid: str | None = None,
        sop_instance_uid: str | None = None,
        *,
        to: Action = Action.READ,
    ) -> tuple[Located, ...]:
        """Return the visible instances of a study, a series, or one instance.

        They come by series, then pack, then place in the pack: as they are best read.

        Raises:
            Denied: the caller may not do that with any.
            Gone: it was deleted.
            NotFound: there is none, or not for the caller.
            Offline: as this finder's `demand`.
            Unavailable: it cannot be put on record.
        """
        try:
            only = await self.admission.admit(caller, to, study_instance_uid)
        except NotFound as error:
            # Word for word what is said where there is none.
            raise absence((), sop_instance_uid) from error
        tenant = caller.tenant
        packs = await self._catalogue.packs(tenant, study_instance_uid, series_instance_uid)
        if only is not None:
            packs = tuple(pack for pack in packs if pack.series_instance_uid in only)
        if sop_instance_uid is not None:
            found = (await self._one(tenant, packs, sop_instance_uid),)
        else:
            found = await self._every(packs)
        await demanded(self._demand, found)
        self._opened(tenant, study_instance_uid)
        recorded = self._witness.saw(
            caller, _KINDS.get(to, Kind.READ), studies=(study_instance_uid,), instances=len(found)
        )
        if recorded is not None:
            await recorded
        return found

    async def _every(self, packs: tuple[PackRecord, ...]) -> tuple[Located, ...]:
        found: list[Located] = []
        for first in range(0, len(packs), _TABLES_AT_ONCE):
            some = packs[first : first + _TABLES_AT_ONCE]
            tables = await asyncio.gather(*(self._tables.shown_index(pack) for pack in some))
            for pack, index in zip(some, tables, strict=True):
                found.extend(
                    Located(pack, index, instance)
                    for instance in index.instances
                    if instance.sop_instance_uid not in pack.hidden
                )
        if not found:
            raise absence(packs)
        return tuple(found)

    async def _one(
        self, tenant: str, packs: tuple[PackRecord, ...], sop_instance_uid: str
    ) -> Located:
        unread: list[PackRecord] = []
        for pack in packs:
            if sop_instance_uid in pack.hidden:
                continue
            if not self._tables.is_kept(tenant, ref_of(pack)):
                unread.append(pack)
            elif located := await self._in_pack(pack, sop_instance_uid):
                return located
        if len(unread) > _TABLES_WORTH_READING:
            found = await self._catalogue.find_uids(tenant, [sop_instance_uid])
            refs = frozenset(found.get(sop_instance_uid, ()))
            unread = [pack for pack in unread if ref_of(pack) in refs]
        for pack in unread:
            if located := await self._in_pack(pack, sop_instance_uid):
                return located
        raise absence(packs, sop_instance_uid)

    async def _in_pack(self, pack: PackRecord, sop_instance_uid: str) -> Located | None:
        table = await self._tables.shown(pack)
        instance = table.by_uid.get(sop_instance_uid)
        return Located(pack, table.index, instance) if instance else None

"""Which packs of a series become one."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pacs_cloud.catalogue.hiding import Hidden
from pacs_cloud.catalogue.records import HiddenReason, PackRecord, UidRef
from pacs_cloud.custody.stored_pack import StoredPack
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.pack.instance import PackInstance

DAY_US = 86_400_000_000
LEAST_SAVED_BYTES = 64 << 10
"""Received bytes are given up for good: for less in a pack, which saves no cent in a hundred
years, they are not."""

_MOST_EXAMINED = 4
"""How many times the instances of one pack are looked at for one: some are left out."""
_MEMBER_BYTES = 512
"""About what a member takes beside its content: local header, directory entry, index row."""
_NO_VERSION = frozenset({HiddenReason.PURGED, HiddenReason.DUPLICATE})
"""Why an instance is hidden that may be left out: it is gone, or there is another one like it."""


@dataclass(frozen=True, slots=True)
class RepackTerms:
    """What is repacked, and into what.

    Attributes:
        quiet_days: for so long nothing has come into a series that is.
        max_bytes: packs are merged into one of so many bytes at most.
        max_instances: and of so many instances.
        encode: whether native pixels are encoded anew as HTJ2K, without loss.
        least_saved_bytes: so much must be saved by that in a pack, and of an instance a
            twentieth (`writing`); 0: whatever is saved.
        dry: nothing is changed: what would be done is told.
        home_class: the storage class that new packs lie in.
        include_warm: whether packs that a policy has moved to another class are merged, too:
            reading them is billed, and mostly so is leaving their class early.
    """

    quiet_days: float = 7
    max_bytes: int = 64 << 20
    max_instances: int = 1000
    encode: bool = False
    least_saved_bytes: int = LEAST_SAVED_BYTES
    dry: bool = False
    home_class: str = StorageClass.STANDARD
    include_warm: bool = False

    @property
    def quiet_us(self) -> int:
        """As `quiet_days`, in microseconds."""
        return round(self.quiet_days * DAY_US)

    def include(self, record: PackRecord) -> bool:
        """Tell whether a pack may be replaced, by where it lies: never what is cold."""
        lies_in = record.storage_class
        return not needs_recall(lies_in) and (self.include_warm or lies_in == self.home_class)


@dataclass(frozen=True, slots=True)
class Source:
    """One pack that is to be replaced.

    Attributes:
        record: as the catalogue has it.
        pack: what its object says of itself.
    """

    record: PackRecord
    pack: StoredPack


@dataclass(slots=True)
class Group:
    """Packs that become one.

    Attributes:
        sources: the packs, oldest first.
        kept: by SOP Instance UID, the place in `sources` of the pack it is taken from,
            and what that says of it.
        length_bytes: about, of the pack that they become.
        examined: how many instances they have.
    """

    sources: list[Source] = field(default_factory=list[Source])
    kept: dict[str, tuple[int, PackInstance]] = field(
        default_factory=dict[str, tuple[int, PackInstance]]
    )
    length_bytes: int = 0
    examined: int = 0

    @property
    def records(self) -> list[PackRecord]:
        """Of its packs."""
        return [source.record for source in self.sources]

    @property
    def hidden(self) -> Hidden:
        """What of the kept instances is not shown, and why."""
        return {
            uid: why
            for uid, (place, _) in self.kept.items()
            if (why := self.sources[place].record.hidden.get(uid)) is not None
        }

    def has_room(self, record: PackRecord, terms: RepackTerms) -> bool:
        """Return whether a pack may go in, as far as its record tells."""
        if not self.sources:
            return True
        gone = _left_out(record)
        most = _MOST_EXAMINED * terms.max_instances
        return (
            len(self.kept) + record.instance_count - gone <= terms.max_instances
            and self.examined + record.instance_count <= most
            and (gone > 0 or self.length_bytes + record.length_bytes <= terms.max_bytes)
        )

    def join(self, source: Source, terms: RepackTerms) -> bool:
        """Take a pack in; return whether that could be, unchanged otherwise.

        What is purged is left out. Of one content under one UID the copy that is hidden
        as a duplicate is left out. Two contents under one UID cannot be in one pack.
        """
        place = len(self.sources)
        came: dict[str, tuple[int, PackInstance]] = {}
        for instance in source.pack.table.instances:
            uid = instance.sop_instance_uid
            why = source.record.hidden.get(uid)
            if why is HiddenReason.PURGED:
                continue
            if uid in self.kept:
                other, known = self.kept[uid]
                if known.digest != instance.digest:
                    return False
                if why is HiddenReason.DUPLICATE:
                    continue
                if self.sources[other].record.hidden.get(uid) is not HiddenReason.DUPLICATE:
                    return False
            came[uid] = place, instance
        kept = {**self.kept, **came}
        length_bytes = sum(one.length_bytes + _MEMBER_BYTES for _, one in kept.values())
        if self.sources and (len(kept) > terms.max_instances or length_bytes > terms.max_bytes):
            return False
        self.kept, self.length_bytes = kept, length_bytes
        self.sources.append(source)
        self.examined += len(source.pack.table.instances)
        return True

    def kept_of(self, place: int) -> list[PackInstance]:
        """Return what is taken from a pack, in its order."""
        kept = [one for at, one in self.kept.values() if at == place]
        return sorted(kept, key=lambda one: one.offset)

    @property
    def frees(self) -> bool:
        """Whether packs or bytes are won by making one pack of these, whatever is recoded."""
        return len(self.sources) > 1 or len(self.kept) < self.examined

    def is_worth_it(self, may_recode: Callable[[Source, Sequence[PackInstance]], bool]) -> bool:
        """Return whether anything is won by making one pack of these."""
        return bool(self.kept) and (
            self.frees
            or any(may_recode(one, self.kept_of(n)) for n, one in enumerate(self.sources))
        )


def deleted_in(records: Iterable[PackRecord]) -> set[str]:
    """Return the SOP Instance UIDs that are in the trash in one of these packs."""
    return {
        uid
        for record in records
        for uid, why in record.hidden.items()
        if why is HiddenReason.DELETED
    }


def without_versions(
    records: Sequence[PackRecord], found: Mapping[str, Sequence[UidRef]]
) -> list[PackRecord]:
    """Return the packs of a series without those that have an older version in the trash.

    Of several deleted versions of an instance the one that was stored last comes back
    (`deletion.Trash.restore`), and a merged pack would be later than all.

    Args:
        records: of the series.
        found: where each UID of `deleted_in` is.
    """
    packs = {record.pack_id: record for record in records}

    def has_others(record: PackRecord, uid: str) -> bool:
        return any(
            ref.pack_id in packs
            and ref.pack_id != record.pack_id
            and packs[ref.pack_id].hidden.get(uid) not in _NO_VERSION
            for ref in found.get(uid, ())
        )

    return [
        record
        for record in records
        if not any(has_others(record, uid) for uid in deleted_in((record,)))
    ]


async def groups_of(
    records: Iterable[PackRecord],
    read: Callable[[PackRecord], Awaitable[StoredPack | None]],
    is_worth_reading: Callable[[PackRecord], Awaitable[bool]],
    terms: RepackTerms,
) -> AsyncGenerator[Group, None]:
    """Yield the packs of a series in groups that may become one pack each, oldest first.

    Packs of one storage class go together (`RepackTerms.include`).

    Args:
        records: of the series.
        read: returns what a pack's object says of itself, None for one to leave alone.
        is_worth_reading: tells whether a pack is read that no other can go together with.
        terms: the limits.
    """
    by_class: dict[str, list[PackRecord]] = {}
    for record in sorted(records, key=lambda one: one.pack_id):
        if terms.include(record):
            by_class.setdefault(record.storage_class, []).append(record)
    for some in by_class.values():
        rest: Sequence[PackRecord] = some
        while rest:
            first, *others = rest
            is_alone = not any(_may_go_together(first, other, terms) for other in others)
            if is_alone and not await is_worth_reading(first):
                rest = others
                continue
            group, left = Group(), list[PackRecord]()
            for record in rest:
                if group.has_room(record, terms):
                    pack = await read(record)
                    if pack is None or group.join(Source(record, pack), terms):
                        continue
                left.append(record)
            if group.sources:
                yield group
            rest = left


def _may_go_together(one: PackRecord, other: PackRecord, terms: RepackTerms) -> bool:
    """Return whether two packs may become one, as far as their records tell."""
    gone = _left_out(one) + _left_out(other)
    return one.instance_count + other.instance_count - gone <= terms.max_instances and (
        gone > 0 or one.length_bytes + other.length_bytes <= terms.max_bytes
    )


def _left_out(record: PackRecord) -> int:
    """Return how many instances of a pack may be left out of a merged one."""
    return sum(why in _NO_VERSION for why in record.hidden.values())

"""How studies lie in a bucket: as packs, or as one object for each instance; and their catalogue.

The sizes are those of packs that this archive has made of 512 x 512 CT slices: 342 bytes
of ZIP an instance; an index of 2,650 bytes and 133 an instance.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pacs_cloud.tiering.cost.hospital import Numbers, Studies
from pacs_cloud.tiering.cost.usage import Whole, shortfall

_KB: Final = 1024
_MEMBER_BYTES: Final = 342
_INDEX_BYTES, _INDEX_BYTES_EACH = 2_650, 133
_TABLE_BYTES, _TABLE_BYTES_EACH = 1_500, 91
_HEADERS_BYTES, _HEADERS_BYTES_EACH = 1_150, 42

# Write units of 1 KB, twice that in a transaction.
STUDY_UNITS: Final = 24
"""Some 20 name tokens, three places in indexes, the month: once for a study."""
_COMMIT_UNITS: Final = 13
"""A pack's transaction (study, series, pack and event), its UID item, its event's end."""
_SERIES_UNITS: Final = 2
_INSTANCE_UNITS: Final = 1
"""The least that a catalogue with an item for each instance writes: one, of at most 1 KB."""
_MOVE_UNITS: Final = 2
"""Of each record, in a transaction."""
_STUDY_STORED: Final = 3_500
_PACK_STORED: Final = 900
_INSTANCE_STORED: Final = 1_000
_READ_KB: Final = 4


@dataclass(frozen=True, slots=True)
class Repack:
    """A quiet study's packs are merged, and made smaller: by default as `custody.repack` does.

    Attributes:
        after_days: of its arrival.
        grace_days: how long the packs before it are kept beside it.
        compressed: its pixels become lossless HTJ2K.
        instances: in a pack at most.
        pack_bytes: likewise.
    """

    after_days: int = 7
    grace_days: int = 1
    compressed: bool = True
    instances: int = 1_000
    pack_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """How instances lie in objects.

    Attributes:
        name: for tables and charts.
        packed: in packs with an index; else one object for each.
        instances: in a pack at most.
        pack_bytes: likewise.
        repack: what becomes of them later; None: nothing.
    """

    name: str
    packed: bool = True
    instances: int = 200
    pack_bytes: int = 64 << 20
    repack: Repack | None = None


PACKS: Final = Layout("packs")
REPACKED: Final = Layout("packs, HTJ2K", repack=Repack())
OBJECTS: Final = Layout("one object per instance", packed=False, instances=1)
LAYOUTS: Final = (PACKS, REPACKED, OBJECTS)


@dataclass(frozen=True, slots=True)
class Placed:
    """What lies in the bucket and the catalogue, for each study.

    Attributes:
        objects: that tiers move.
        stored: their bytes.
        instances: in them.
        still_objects: that stay in STANDARD, since lifecycle rules skip them.
        still_stored: their bytes.
        still_instances: in them.
        index_objects: never tiered, in STANDARD.
        index_stored: their bytes.
        write_units: that storing it takes.
        move_units: that noting one move takes.
        read_units: that finding it takes, for one reader.
        catalogued: bytes of its items.
    """

    objects: Numbers
    stored: Numbers
    instances: Numbers
    still_objects: Numbers
    still_stored: Numbers
    still_instances: Numbers
    index_objects: Numbers
    index_stored: Numbers
    write_units: Numbers
    move_units: Numbers
    read_units: Numbers
    catalogued: Numbers


@dataclass(slots=True)
class _Sum:
    """Adds up the packs of each size."""

    skipped_bytes: int
    zero: Numbers
    moved: list[Numbers] = field(init=False)
    still: list[Numbers] = field(init=False)

    def __post_init__(self) -> None:
        self.moved = [self.zero] * 3
        self.still = [self.zero] * 3

    def add(self, objects: Numbers, size: Numbers, instances: Numbers) -> None:
        """Add `objects` of `size` bytes with `instances` each."""
        small = shortfall(size, self.skipped_bytes) > 0
        for into, which in ((self.moved, ~small), (self.still, small)):
            mine = objects * which
            into[:] = (
                into[0] + mine,
                into[1] + mine * size,
                into[2] + mine * instances,
            )


def place(studies: Studies, layout: Layout, skipped_bytes: int) -> Placed:
    """Return how studies lie as they come in.

    Args:
        studies: which.
        layout: how.
        skipped_bytes: lifecycle rules skip smaller objects; 0: none.
    """
    if layout.packed:
        return _packs(studies, layout.instances, layout.pack_bytes, skipped_bytes)
    return _objects(studies, skipped_bytes)


def repacked(studies: Studies, repack: Repack, ratios: Numbers, skipped_bytes: int) -> Placed:
    """Return how studies lie once they are repacked.

    `ratios` are the thousandfold of what compression makes each smaller by.
    """
    smaller = studies
    if repack.compressed:
        smaller = Studies(
            studies.day,
            studies.kind,
            studies.series,
            studies.instances,
            np.maximum(studies.instance_bytes * 1000 // ratios, 1),
        )
    return _packs(smaller, repack.instances, repack.pack_bytes, skipped_bytes)


def index_bytes(instances: Whole) -> Whole:
    """Return the size of the index of a pack with so many instances."""
    return _INDEX_BYTES + _INDEX_BYTES_EACH * instances


def catalogued_bytes(packs: Whole, instances: Whole) -> Whole:
    """Return the bytes of the items of a study with so many packs and instances."""
    each = _PACK_STORED + _INDEX_BYTES
    return _STUDY_STORED + each * packs + _INDEX_BYTES_EACH * instances


def read_units(packs: Whole, table_units: Whole) -> Whole:
    """Return the read units that finding a study of so many packs takes, its tables with them."""
    return table_units + _up(_STUDY_STORED + _PACK_STORED * packs, _READ_KB * _KB)


def table_units(instances: Whole) -> Whole:
    """Return the read units that the table of a pack with so many instances takes."""
    return _up(_table_bytes(instances), _READ_KB * _KB)


def pack_units(instances: Whole) -> Whole:
    """Return the write units that committing a pack with so many instances takes."""
    headers = _HEADERS_BYTES + _HEADERS_BYTES_EACH * instances
    return _COMMIT_UNITS + _up(_table_bytes(instances), _KB) + _up(headers, _KB)


def _packs(studies: Studies, most: int, most_bytes: int, skipped_bytes: int) -> Placed:
    fitting = np.clip(most_bytes // studies.instance_bytes, 1, most)
    full, rest = studies.instances // fitting, studies.instances % fitting
    total = _Sum(skipped_bytes, np.zeros_like(studies.series))
    zero = np.zeros_like(studies.series)
    index, units, reading = zero, zero, zero
    for packs, each in ((studies.series * full, fitting), (studies.series * (rest > 0), rest)):
        own_index = index_bytes(each)
        total.add(packs, each * (studies.instance_bytes + _MEMBER_BYTES) + own_index, each)
        index = index + packs * own_index
        units = units + packs * pack_units(each)
        reading = reading + packs * table_units(each)
    packs = total.moved[0] + total.still[0]
    return Placed(
        *total.moved,
        *total.still,
        index_objects=packs,
        index_stored=index,
        write_units=units + STUDY_UNITS,
        move_units=_MOVE_UNITS * (1 + packs),
        read_units=read_units(packs, reading),
        catalogued=catalogued_bytes(packs, studies.series * studies.instances),
    )


def _objects(studies: Studies, skipped_bytes: int) -> Placed:
    total = _Sum(skipped_bytes, np.zeros_like(studies.series))
    instances = studies.series * studies.instances
    total.add(instances, studies.instance_bytes, np.ones_like(instances))
    zero = np.zeros_like(instances)
    stored = _STUDY_STORED + _INSTANCE_STORED * instances
    return Placed(
        *total.moved,
        *total.still,
        index_objects=zero,
        index_stored=zero,
        write_units=STUDY_UNITS + _SERIES_UNITS * studies.series + _INSTANCE_UNITS * instances,
        move_units=zero,
        read_units=_up(stored, _READ_KB * _KB),
        catalogued=stored,
    )


def _table_bytes(instances: Whole) -> Whole:
    return _TABLE_BYTES + _TABLE_BYTES_EACH * instances


def _up(amount: Whole, of: int) -> Whole:
    return -(-amount // of)

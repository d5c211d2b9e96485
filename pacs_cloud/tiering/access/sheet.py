"""One object of the access log: how often each study was read, by day.

A header, then one zstd frame for each day, so that a day is read, and days are put
together, without decompressing the others. It holds no person and no address: a study's
UID, and how much of it was read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

import orjson

from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.zstd_frames import compress, decompress, frame_end

DAY_US: Final = 86_400_000_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_VERSION: Final = 1
_LIMIT_BYTES: Final = 256 << 20
"""Of a day's JSON, some 100 bytes for each study that was read."""


@dataclass(frozen=True, slots=True)
class Access:
    """How often one study was read on one day.

    Attributes:
        requests: that opened it, whatever for.
        pack_reads: of its packs: requests to the object store.
        length_bytes: that these returned.
        last_us: when it was read last, microseconds since 1970 UTC.
    """

    requests: int
    pack_reads: int
    length_bytes: int
    last_us: int

    def __add__(self, other: "Access") -> "Access":
        """Return both together."""
        return Access(
            self.requests + other.requests,
            self.pack_reads + other.pack_reads,
            self.length_bytes + other.length_bytes,
            max(self.last_us, other.last_us),
        )


Accesses: TypeAlias = Mapping[str, Access]
"""Of one day, by Study Instance UID."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one object holds, its days as they are stored.

    Attributes:
        days: the frame of each day, `yyyymmdd`.
        summed: the names of the objects whose sum it is: these do not count any more.
        key: where it lies, "" as long as it is being made.
    """

    days: Mapping[str, bytes]
    summed: frozenset[str] = frozenset()
    key: str = ""

    def day(self, day: str) -> dict[str, Access]:
        """Return what it has of a day; raises Corrupt."""
        frame = self.days.get(day)
        try:
            return {} if frame is None else decode_day(frame)
        except Corrupt as error:
            raise Corrupt(f"{self.key} is damaged: {error}") from error


def day_name(day: int) -> str:
    """Return a day of UTC, counted from 1970-01-01, as sheets and keys have it: `yyyymmdd`."""
    return date.fromordinal(_EPOCH + day).strftime("%Y%m%d")


def encode_day(accesses: Accesses) -> bytes:
    """Return one day's frame, the same whoever makes it."""
    rows = {
        study: (one.requests, one.pack_reads, one.length_bytes, one.last_us)
        for study, one in accesses.items()
    }
    return compress(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS))


def decode_day(frame: bytes) -> dict[str, Access]:
    """Return what `encode_day` made `frame` from; raises Corrupt."""
    try:
        rows: dict[str, list[int]] = orjson.loads(decompress(frame, _LIMIT_BYTES))
        return {study: Access(*map(int, row)) for study, row in rows.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise Corrupt("a day of the access log cannot be read") from error


def joined(sheets: Iterable[Sheet], day: str) -> dict[str, Access]:
    """Return what several sheets have of one day together; raises Corrupt."""
    total: dict[str, Access] = {}
    for sheet in sheets:
        for study, one in sheet.day(day).items():
            known = total.get(study)
            total[study] = one if known is None else known + one
    return total


def encode_sheet(sheet: Sheet) -> bytes:
    """Return the object that holds `sheet`."""
    days = sorted(sheet.days.items())
    header = {
        "version": _VERSION,
        "summed": sorted(sheet.summed),
        "days": {day: len(frame) for day, frame in days},
    }
    return b"".join([compress(orjson.dumps(header)), *(frame for _, frame in days)])


def decode_sheet(key: str, blob: bytes) -> Sheet:
    """Return what `encode_sheet` made `blob` from.

    Raises:
        Corrupt: it cannot be read; says `key`.
    """
    try:
        return _decoded(key, blob)
    except (Corrupt, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Corrupt(f"{key} cannot be read: {error}") from error


def _decoded(key: str, blob: bytes) -> Sheet:
    header = orjson.loads(decompress(blob, _LIMIT_BYTES))
    if header["version"] != _VERSION:
        raise Corrupt("it was written by a newer release")
    days: dict[str, bytes] = {}
    at = frame_end(blob, 0)
    for day, length_bytes in header["days"].items():
        days[day] = blob[at : at + length_bytes]
        at += length_bytes
    if at != len(blob):
        raise Corrupt("it is cut")
    return Sheet(days, frozenset(header["summed"]), key)

"""How many of a study's records one change takes: a DynamoDB transaction has at most 4 MB."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import orjson

from pacs_cloud.catalogue.amendments import amendment_fields
from pacs_cloud.catalogue.records import CHANGED_AT_ONCE, PackRecord, SeriesRecord

BYTES_PER_CHANGE: Final = 3_000_000
"""Of what records have that may be large; there is room left for all else."""
_UID_BYTES: Final = 60
"""A hidden UID takes a third of that, compressed."""

Record = TypeVar("Record", bound=SeriesRecord | PackRecord)


def first_part(records: Iterable[Record], most: int) -> list[Record]:
    """Return the first of `records`, `most` of them at most, that one change takes."""
    return next(_parts(records, most), [])


def parts_of(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield as many records at a time as one change takes; an empty part where there are none."""
    is_empty = True
    for part in _parts(records, CHANGED_AT_ONCE):
        is_empty = False
        yield part
    if is_empty:
        yield []


def _parts(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    part: list[Record] = []
    total = 0
    for one in records:
        length = _large_bytes(one)
        if part and (len(part) == most or total + length > BYTES_PER_CHANGE):
            yield part
            part, total = [], 0
        part.append(one)
        total += length
    if part:
        yield part


def _large_bytes(record: SeriesRecord | PackRecord) -> int:
    if isinstance(record, SeriesRecord):
        return 0
    amendments = sum(len(orjson.dumps(amendment_fields(one))) for one in record.amendments)
    return amendments + _UID_BYTES * len(record.hidden)

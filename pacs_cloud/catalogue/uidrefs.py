"""How a pack's UIDs are referenced by few keys.

A device counts: the UIDs of a series often differ only in a short number behind
the last dot. When 20 or more of a pack's UIDs share what stands before it, one
key holds a thousand neighbouring numbers of theirs (`1.2.840.99.7.*12` holds
12,000 to 12,999), so that neither the number of keys nor the size of what lies
under one grows with a device's life. Any other UID is a key of its own; so are
those under an organisation's bare root, such as the `2.25` of UUIDs (PS3.5 B.2).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_GROUP_AT_LEAST = 20
_COUNTER = re.compile("0|[1-9][0-9]{0,5}")
"""A suffix that a device counts: short, without leading zeros."""
_BLOCK = 1000
_ROOT_COMPONENTS = 3
"""A prefix of fewer components is a root that unrelated devices may share."""


@dataclass(frozen=True, slots=True)
class UidEntry:
    """Some UIDs of one pack under one key.

    Attributes:
        key: a whole UID, or a prefix with a block's number.
        suffixes: the numbers behind the prefix as ranges, "1-200,205"; "" for a whole UID.
    """

    key: str
    suffixes: str = ""


def entries(series_instance_uid: str, sop_instance_uids: Iterable[str]) -> tuple[UidEntry, ...]:
    """Return under which keys a pack is found by its series' and its instances' UIDs."""
    whole = {series_instance_uid}
    by_prefix: dict[str, set[int]] = {}
    for uid in sop_instance_uids:
        split = _split(uid)
        if split is None:
            whole.add(uid)
        else:
            by_prefix.setdefault(split[0], set()).add(split[1])
    made: list[UidEntry] = []
    for prefix, numbers in sorted(by_prefix.items()):
        if len(numbers) < _GROUP_AT_LEAST:
            whole.update(f"{prefix}.{number}" for number in numbers)
            continue
        blocks: dict[int, list[int]] = {}
        for number in sorted(numbers):
            blocks.setdefault(number // _BLOCK, []).append(number)
        made.extend(
            UidEntry(_block_key(prefix, block), _ranges(members))
            for block, members in blocks.items()
        )
    return (*(UidEntry(uid) for uid in sorted(whole)), *made)


def keys_of(uid: str) -> tuple[str, ...]:
    """Return the keys under which `uid` may lie."""
    split = _split(uid)
    return (uid,) if split is None else (uid, _block_key(split[0], split[1] // _BLOCK))


def holds(entry: UidEntry, uid: str) -> bool:
    """Return whether `uid` is among the UIDs of `entry`."""
    if not entry.suffixes:
        return entry.key == uid
    split = _split(uid)
    if split is None or entry.key != _block_key(split[0], split[1] // _BLOCK):
        return False
    for span in entry.suffixes.split(","):
        first, _, last = span.partition("-")
        if int(first) <= split[1] <= int(last or first):
            return True
    return False


def _split(uid: str) -> tuple[str, int] | None:
    """Return what stands before the last dot and the number behind; None for no counter."""
    prefix, _, suffix = uid.rpartition(".")
    if not _COUNTER.fullmatch(suffix) or prefix.count(".") < _ROOT_COMPONENTS - 1:
        return None
    return prefix, int(suffix)


def _block_key(prefix: str, block: int) -> str:
    return f"{prefix}.*{block}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending `numbers` as ranges."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)

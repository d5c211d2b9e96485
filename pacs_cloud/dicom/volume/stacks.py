"""Which slices of a series make one volume: the largest stack of equal, parallel ones.

Localizers, other directions, other echoes and other times are left out, and what is left out
is told. Slices are ordered by their place along the normal (PS3.3 C.7.6.2.1.1).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pacs_cloud.dicom.volume.slices import Slice, Vector
from pacs_cloud.errors import NotAcceptable

FEWEST_SLICES: Final = 3
_PARALLEL: Final = 1e-3
_SAME_SPACING: Final = 1e-3
_SAME_PLACE_MM: Final = 5e-3
_EVEN: Final = 0.1
"""Of a gap: how far slices may lie from where an even stack has them."""
_MISSING: Final = 1.5
"""Gaps; from so many on slices are missing."""
_FEW_MISSING: Final = 0.2
"""Of the slices; with more, what lies between them was never meant to be there."""
_APART: Final = 4.5
"""Gaps; from so many on there are two stacks."""
_MOST_DIRECTIONS: Final = 24
_MOST_ADDED: Final = 1.0
"""Of the slices' own width and height: what a gantry's tilt may add."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices that make one volume.

    Attributes:
        slices: by their place along the normal, each place once.
        members: which they are of those that were given.
        places: of each along the normal, mm from the first.
        gap: mm from one slice of the volume to the next.
        count: slices of the volume.
        is_even: whether its slices are those that are there.
        offsets: of each, by how many rows and columns it begins further on: a tilted gantry's.
        notes: what was left out or filled in, in words.
    """

    slices: tuple[Slice, ...]
    members: tuple[int, ...]
    places: tuple[float, ...]
    gap: float
    count: int
    is_even: bool
    offsets: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]


def stack_of(slices: Sequence[Slice]) -> Stack:
    """Return the largest stack in `slices`.

    Raises:
        NotAcceptable: there is none of at least three slices, or its slices lie so that
            nobody could say what is between them.
    """
    notes: list[str] = []
    found = [n for n, one in enumerate(slices) if not one.is_localizer] or list(range(len(slices)))
    found = _parallel(slices, found)
    if len(found) < len(slices):
        notes.append(f"{len(slices) - len(found)} images that lie otherwise: left out.")
    normal = slices[found[0]].normal
    found.sort(key=lambda n: (float(slices[n].position @ normal), slices[n].number))
    unique = _once_each(slices, found, normal)
    if len(unique) < len(found):
        notes.append(
            f"{len(found) - len(unique)} images at the same places (other times, echoes or copies):"
            " left out."
        )
    kept = _without_gaps(slices, unique, normal)
    if len(kept) < len(unique):
        notes.append(f"{len(unique) - len(kept)} images far from the others: left out.")
    if len(kept) < FEWEST_SLICES:
        raise NotAcceptable("It has fewer than three parallel images: no volume is made of them.")
    chosen = [slices[n] for n in kept]
    places = np.array([float(one.position @ normal) for one in chosen])
    places -= places[0]
    gap, count, is_even = _spread(places, notes)
    return Stack(
        slices=tuple(chosen),
        members=tuple(kept),
        places=tuple(places.tolist()),
        gap=gap,
        count=count,
        is_even=is_even,
        offsets=_offsets(chosen, notes),
        notes=tuple(notes),
    )


def _parallel(slices: Sequence[Slice], candidates: Sequence[int]) -> list[int]:
    """Return the most that have the same shape and direction."""
    groups: list[list[int]] = []
    for n in candidates:
        one = slices[n]
        group = next((it for it in groups if _is_alike(slices[it[0]], one)), None)
        if group is not None:
            group.append(n)
        elif len(groups) < _MOST_DIRECTIONS:
            groups.append([n])
    return max(groups, key=len)


def _is_alike(one: Slice, other: Slice) -> bool:
    return (
        one.pixel_format == other.pixel_format
        and one.high_bit == other.high_bit
        and one.is_float == other.is_float
        and bool(np.abs(one.across - other.across).max() < _PARALLEL)
        and bool(np.abs(one.down - other.down).max() < _PARALLEL)
        and np.allclose(one.spacing, other.spacing, rtol=_SAME_SPACING)
    )


def _once_each(slices: Sequence[Slice], found: list[int], normal: Vector) -> list[int]:
    """Return one slice for each place, all of one kind where that can be told."""
    places = _places(slices, found, normal)
    distinct = len(set(places.values()))
    if distinct == len(found):
        return found
    best: list[int] = []
    for depth in range(len(slices[found[0]].marks)):
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for n in found:
            groups[slices[n].marks[depth]].append(n)
        for group in groups.values():
            once = len({places[n] for n in group})
            if once == len(group) and once > len(best):
                best = group
        if len(best) == distinct:
            return best
    if 2 * len(best) >= distinct and len(best) >= FEWEST_SLICES:
        return best
    # Nothing tells them apart one by one: of each place what comes first.
    first = {places[n]: n for n in reversed(found)}
    return sorted(first.values(), key=places.__getitem__)


def _places(slices: Sequence[Slice], found: Sequence[int], normal: Vector) -> dict[int, int]:
    """Return the number of each one's place; `found` are in the order of these."""
    places: dict[int, int] = {}
    number, before = 0, None
    for n in found:
        at = float(slices[n].position @ normal)
        if before is not None and at - before > _SAME_PLACE_MM:
            number += 1
        places[n], before = number, at
    return places


def _without_gaps(slices: Sequence[Slice], found: list[int], normal: Vector) -> list[int]:
    """Return the longest run with no gap in which several slices could lie."""
    if len(found) < FEWEST_SLICES:
        return found
    places = np.array([float(slices[n].position @ normal) for n in found])
    gaps = np.diff(places)
    ends = np.flatnonzero(gaps > _APART * float(np.median(gaps))) + 1
    runs = np.split(np.array(found), ends)
    longest = max(runs, key=len).tolist()
    if 2 * len(longest) < len(found):
        raise NotAcceptable("Its images lie too far apart: no volume can be made of them.")
    return longest


def _spread(places: Vector, notes: list[str]) -> tuple[float, int, bool]:
    """Return the gap, how many slices, and whether they are those that are there."""
    gaps = np.diff(places)
    mean = float(places[-1]) / (len(places) - 1)
    even = np.arange(len(places)) * mean
    if float(np.abs(places - even).max()) <= _EVEN * mean:
        return mean, len(places), True
    gap = float(np.median(gaps))
    count = round(float(places[-1]) / gap) + 1
    if count > 2 * len(places):
        raise NotAcceptable("Its images lie too unevenly: no volume can be made of them.")
    missing = int(sum(round(float(one) / gap) - 1 for one in gaps if one > _MISSING * gap))
    if missing and missing <= _FEW_MISSING * len(places):
        notes.append(f"Slices missing, filled in from their neighbours: {missing}.")
    else:
        notes.append("Uneven slices, evened out.")
    return gap, count, False


def _offsets(chosen: Sequence[Slice], notes: list[str]) -> tuple[tuple[float, float], ...]:
    """Return by how many rows and columns each begins further on than the least."""
    first = chosen[0]
    moved = np.array([one.position - first.position for one in chosen])
    offsets = np.stack(
        [moved @ first.down / first.spacing[0], moved @ first.across / first.spacing[1]], axis=1
    )
    offsets -= offsets.min(axis=0)
    most = offsets.max(axis=0)
    if float(most.max()) < _EVEN:
        return ((0.0, 0.0),) * len(chosen)
    rows, columns = first.pixel_format.rows, first.pixel_format.columns
    if most[0] > _MOST_ADDED * rows or most[1] > _MOST_ADDED * columns:
        raise NotAcceptable("Its images lie beside one another: no volume can be made of them.")
    notes.append("Gantry tilt, put straight.")
    return tuple((float(down), float(across)) for down, across in offsets)


def common_modality(slices: Sequence[Slice]) -> str:
    """Return the modality that most have."""
    return Counter(one.modality for one in slices).most_common(1)[0][0]

"""The order in which the images of a series follow one another: through the body, pass by pass."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

_SAME_DIRECTION: Final = 0.01
_MOST_DIRECTIONS: Final = 512
"""With more of them only those that are the same to the last digit stand together."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs.

    Attributes:
        uid: of its instance; decides where nothing else does.
        number: its Instance Number, 0 without one.
        acquisition: its Acquisition Number, likewise.
        orientation: Image Orientation (Patient), six numbers; empty where it has none.
        position: Image Position (Patient), in mm; empty likewise.
    """

    uid: str
    number: float = 0.0
    acquisition: float = 0.0
    orientation: tuple[float, ...] = field(default=())
    position: tuple[float, ...] = field(default=())


def in_order(places: Sequence[Place]) -> list[int]:
    """Return the indexes of `places` in the order in which they are looked through.

    Images of one orientation stand together, by where they cut its normal, and in the direction
    in which their numbers grow, so that "image 45" of a report is the 45th. Where each place was
    imaged several times (a dynamic or functional series), one pass follows the other. What has no
    place in the patient comes by its number.
    """
    placed = [
        index
        for index, place in enumerate(places)
        if len(place.orientation) == 6 and len(place.position) == 3
    ]
    ordered = [_through(places, members) for members in _parallel(places, placed)]
    if len(placed) < len(places):
        ordered.append(_numbered(places, set(range(len(places))).difference(placed)))
    ordered.sort(key=lambda members: min(_number(places[one]) for one in members))
    return [one for members in ordered for one in members]


def along(place: Place) -> float | None:
    """Return where an image cuts its own normal, in mm; None where that is not known."""
    if len(place.orientation) != 6 or len(place.position) != 3:
        return None
    return float(np.dot(_normal(place.orientation), place.position))


def _parallel(places: Sequence[Place], placed: Sequence[int]) -> list[list[int]]:
    """Return those that have a place, by their directions."""
    groups: dict[tuple[float, ...], list[int]] = {}
    known = np.full((_MOST_DIRECTIONS, 6), np.inf)
    found: list[list[int]] = []
    for index in placed:
        orientation = places[index].orientation
        members = groups.get(orientation)
        if members is None:
            near = np.flatnonzero(np.abs(known - orientation).max(axis=1) < _SAME_DIRECTION)
            if not near.size:
                known[len(found) : len(found) + 1] = orientation
                found.append([])
            members = groups[orientation] = found[near[0] if near.size else -1]
        members.append(index)
    return found


def _normal(orientation: Sequence[float]) -> np.ndarray:
    return np.cross(orientation[:3], orientation[3:])


def _through(places: Sequence[Place], members: Sequence[int]) -> list[int]:
    normal = _normal(places[members[0]].orientation)
    depths = {one: round(float(np.dot(normal, places[one].position)), 2) for one in members}
    numbered = _numbered(places, members)
    passes: defaultdict[float, int] = defaultdict(int)
    turn: dict[int, int] = {}
    for one in numbered:
        turn[one] = passes[depths[one]]
        passes[depths[one]] += 1
    if max(passes.values()) > 1 and len(set(passes.values())) > 1:
        turn = dict.fromkeys(numbered, 0)  # no passes: some places were imaged again
    sign = -1 if _falls([depths[one] for one in numbered if turn[one] == 0]) else 1
    rank = {one: number for number, one in enumerate(numbered)}
    return sorted(numbered, key=lambda one: (turn[one], sign * depths[one], rank[one]))


def _falls(depths: Sequence[float]) -> bool:
    """Return whether depths fall rather than rise."""
    steps = np.sign(np.diff(depths))
    return bool(steps.sum() < 0)


def _numbered(places: Sequence[Place], members: Iterable[int]) -> list[int]:
    return sorted(members, key=lambda one: _number(places[one]))


def _number(place: Place) -> tuple[float, float, str]:
    return place.acquisition, place.number, place.uid

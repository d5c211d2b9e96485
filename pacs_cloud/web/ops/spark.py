"""A line that shows how a figure went, as the outline of an SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 300
HEIGHT: Final = 48
_LEAST: Final = 2


@dataclass(frozen=True, slots=True)
class Spark:
    """What a template draws, in a box of `WIDTH` by `HEIGHT`.

    Attributes:
        line: a path through all values; "" where there are too few.
        area: the same with what lies below it.
        top: the highest value.
    """

    line: str
    area: str
    top: float


def spark(values: Sequence[float]) -> Spark:
    """Return some values as a line from the left to the right."""
    if len(values) < _LEAST:
        return Spark("", "", max(values, default=0.0))
    top = max(values)
    scale = (HEIGHT - _LEAST) / top if top > 0 else 0.0
    step = WIDTH / (len(values) - 1)
    points = [
        f"{number * step:.1f},{HEIGHT - 1 - value * scale:.1f}"
        for number, value in enumerate(values)
    ]
    line = "M" + "L".join(points)
    return Spark(line, f"{line}L{WIDTH},{HEIGHT}L0,{HEIGHT}Z", top)

"""What a figure shall be, printed in one way."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """How much something may be at the most, or has to be at the least.

    Attributes:
        value: of it, in `unit`.
        unit: as it is printed.
        is_least: whether more is better.
    """

    value: float
    unit: str
    is_least: bool = False

    def beside(self, figure: float) -> str:
        """Return how a figure compares with it, and whether it holds."""
        ratio = figure / self.value
        holds = ratio >= 1 if self.is_least else ratio <= 1
        # Not rounded to 1.00 where it misses.
        shown = (math.floor if self.is_least else math.ceil)(ratio * 100) / 100
        least = "at least " if self.is_least else ""
        return (
            f"{shown:.2f} of its bar of {least}{self.value:.0f} {self.unit},"
            f" {'holds' if holds else 'MISSED'}"
        )

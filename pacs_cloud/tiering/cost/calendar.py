"""Days from the start of a simulation, and the calendar months that bills are for."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

MONTHS_A_YEAR = 12


@dataclass(frozen=True, slots=True)
class Calendar:
    """Whole months in a row.

    Attributes:
        first: the first day; the first of a month.
        months: how many.
    """

    first: date
    months: int

    @property
    def days(self) -> int:
        """How many days the months have."""
        return (self._start(self.months) - self.first).days

    @property
    def starts(self) -> NDArray[np.int64]:
        """The day on which each month begins, counted from `first`."""
        begun = [(self._start(month) - self.first).days for month in range(self.months)]
        return np.array(begun, dtype=np.int64)

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many days each month has."""
        return tuple(
            (self._start(month + 1) - self._start(month)).days for month in range(self.months)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Each month as 2027-01."""
        return tuple(f"{self._start(month):%Y-%m}" for month in range(self.months))

    def _start(self, month: int) -> date:
        at = self.first.month - 1 + month
        return date(self.first.year + at // MONTHS_A_YEAR, at % MONTHS_A_YEAR + 1, 1)

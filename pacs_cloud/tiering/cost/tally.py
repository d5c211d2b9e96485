"""Adds up what millions of studies have, day by day, without a loop over them."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from pacs_cloud.tiering.cost.calendar import Calendar
from pacs_cloud.tiering.cost.hospital import Numbers
from pacs_cloud.tiering.cost.usage import Counted, Usage

NEVER: Final = 1 << 40
"""A day that no calendar has."""


class Tally:
    """Counts of one calendar's months. Whole numbers throughout: nothing is rounded."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._days = calendar.days
        # By how much what is held changes on each day, and what is counted on it.
        self._changes: dict[Counted, Numbers] = {}
        self._counts: dict[Counted, Numbers] = {}

    def hold(self, what: Counted, amount: Numbers, start: Numbers, end: Numbers) -> None:
        """Have `amount` of each on the days `start` to `end`, half-open, in the calendar."""
        changes = self._changes.setdefault(what, np.zeros(self._days + 1, np.int64))
        first = np.clip(start, 0, self._days)
        last = np.maximum(np.clip(end, 0, self._days), first)
        np.add.at(changes, first, amount)
        np.subtract.at(changes, last, amount)

    def count(self, what: Counted, amount: Numbers, day: Numbers) -> None:
        """Count `amount` of each on its `day`; what is not in the calendar does not count."""
        counts = self._counts.setdefault(what, np.zeros(self._days + 1, np.int64))
        # The place behind the last day takes what comes too late.
        np.add.at(counts, np.minimum(day, self._days), amount)

    def hold_all(self, amounts: Mapping[Counted, Numbers], start: Numbers, end: Numbers) -> None:
        """Hold several things over the same days."""
        for what, amount in amounts.items():
            self.hold(what, amount, start, end)

    def months(self) -> tuple[Usage, ...]:
        """Return what each month has: byte-days, object-days, or counts."""
        starts = self._calendar.starts
        daily = {what: np.cumsum(changes)[:-1] for what, changes in self._changes.items()}
        daily |= {what: counts[:-1] for what, counts in self._counts.items()}
        sums = {what: np.add.reduceat(each, starts) for what, each in daily.items()}
        return tuple(
            {what: int(each[month]) for what, each in sums.items() if each[month]}
            for month in range(self._calendar.months)
        )

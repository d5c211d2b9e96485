"""An archive's own studies and reads, as a simulation takes them, and how they may go on.

What came in comes in again on the same days, and is read again on the days of the access
log. After that its last year, or what the log knows of it in whole weeks, repeats itself:
each study comes again so much later, and is read again as it was; reads of what had come
before become reads of studies of their kind that came in about as long before.
"""

from array import array
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.tiering.access.log import DayOfReads
from pacs_cloud.tiering.cost.calendar import MONTHS_A_YEAR, Calendar
from pacs_cloud.tiering.cost.hospital import (
    GROWTH,
    KINDS,
    MOST_STUDIES,
    Hospital,
    Kind,
    Numbers,
    Reads,
    Studies,
    Subject,
    in_order,
)
from pacs_cloud.tiering.planning import facts_of

LEAST_DAYS: Final = 28
"""Less than four weeks are no trend."""

MOST_READS: Final = 30_000_000

_WEEK: Final = 7
_A_YEAR: Final = 52 * _WEEK
_DAYS_A_YEAR: Final = 365.25
_ABOUT_DAYS: Final = 14
_RATIOS: Final = {kind.modality: kind.ratio for kind in KINDS}


@dataclass(slots=True)
class Past:
    """What was: first the studies are added, then the days of the log.

    In memory are five numbers and a UID for each study, and two numbers for each read.
    """

    tenant: str
    _places: dict[str, int] = field(default_factory=dict[str, int])
    _kinds: dict[Kind, int] = field(default_factory=dict[Kind, int])
    _rows: "array[int]" = field(default_factory=lambda: array("q"))
    _lengths: "array[int]" = field(default_factory=lambda: array("q"))
    _reads: "array[int]" = field(default_factory=lambda: array("q"))
    _log_began: date | None = None

    def add(self, study: StudyRecord) -> None:
        """Add a study; one that nobody can see is left out. Raises InvalidRequest."""
        if not study.instance_count:
            return
        if len(self._places) == MOST_STUDIES:
            raise InvalidRequest(f"a replay is of {MOST_STUDIES} studies at most")
        kind = self._kinds.setdefault(_kind_of(study), len(self._kinds))
        series = max(1, study.series_count)
        instances = max(1, round(study.instance_count / series))
        each = max(1, study.length_bytes // (series * instances))
        came = datetime.fromtimestamp(study.first_received_us / 1e6, UTC).toordinal()
        self._places[study.study_instance_uid] = len(self._places)
        self._rows.extend((came, kind, series, instances, each))
        self._lengths.append(max(1, study.length_bytes))

    def read(self, day: DayOfReads) -> None:
        """Add a day, oldest first: a study is read as often as its bytes were, and once at least.

        Raises InvalidRequest.
        """
        self._log_began = self._log_began or day.day
        for uid, access in day.accesses.items():
            place = self._places.get(uid)
            if place is not None:  # it is not gone since
                times = max(1, round(access.length_bytes / self._lengths[place]))
                if len(self._reads) + 2 * times > 2 * MOST_READS:
                    raise InvalidRequest(f"a replay is of {MOST_READS} reads at most")
                self._reads.extend((place, day.day.toordinal()) * times)

    def subject(
        self, today: date, years: int, *, seed: int, growth: float | None, outside_percent: int
    ) -> Subject:
        """Return what a simulation is of.

        Args:
            today: the archive's last day.
            years: from its first month on; its own past is never cut.
            seed: of what is drawn where arrivals grow.
            growth: of the arrivals in a year; None: as in its last two years, or else `GROWTH`.
            outside_percent: see `Hospital`.

        Raises:
            InvalidRequest: it holds nothing, or is too young, or would grow too large.
        """
        if not self._places:
            raise InvalidRequest("there is nothing to replay: the archive holds no study")
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 5).T
        began = int(rows[0].min())
        if (days := today.toordinal() + 1 - began) < LEAST_DAYS:
            raise InvalidRequest(
                f"a replay needs an archive of {LEAST_DAYS} days or more, and this one has {days}"
            )
        first = date.fromordinal(began).replace(day=1)
        elapsed = (today.year - first.year) * MONTHS_A_YEAR + today.month - first.month + 1
        calendar = Calendar(first, max(years * MONTHS_A_YEAR, elapsed))
        start = first.toordinal()
        studies = Studies(rows[0] - start, *rows[1:])
        pairs = np.array(self._reads, dtype=np.int64).reshape(-1, 2).T
        # A read of the very evening before midnight may be noted before its study came.
        reads = Reads(pairs[0], np.maximum(pairs[1] - start, studies.day[pairs[0]]))
        end, age = today.toordinal() + 1 - start, today.toordinal() + 1 - began
        own = _own_growth(studies.day, end, age) if growth is None else None
        more = next(one for one in (growth, own, GROWTH) if one is not None)
        # Weeks of which no read is known would come again without any.
        known = (
            age if self._log_began is None else today.toordinal() + 1 - self._log_began.toordinal()
        )
        period = min(_A_YEAR, age, max(known, LEAST_DAYS)) // _WEEK * _WEEK
        dice = np.random.default_rng(seed)
        studies, reads = _Going(studies, reads, end, period, more, calendar.days, dice).on()
        hospital = Hospital(
            len(studies.day), seed, more, tuple(self._kinds), outside_percent, self.tenant
        )
        trend = "assumed" if own is None else "as in its last two years"
        says = (
            f"The archive's own {len(self._places):,} studies and {pairs.shape[1]:,} reads of them "
            f"until {today}, then those of its last {period} days again and again, "
            f"{more:+.1%} a year ({trend}). {self._log}"
        )
        return Subject(hospital, calendar, studies, reads, says)

    @property
    def _log(self) -> str:
        if self._log_began is None:
            return "No read is logged: what reading costs is missing."
        return f"Reads are known from {self._log_began} on."


def _kind_of(study: StudyRecord) -> Kind:
    """Return what policies ask of a study; the ratio is that of its least compressible modality."""
    facts = facts_of(study, study.last_received_us, None)
    ratio = min((_RATIOS[one] for one in facts.modalities if one in _RATIOS), default=1.0)
    modality = "+".join(sorted(facts.modalities))
    return Kind(modality, 0, 1, 1, 0, 1, 0, ratio, facts.description, facts.institution)


def _own_growth(day: Numbers, end: int, age: int) -> float | None:
    """Return by how much more came in the last year than in the one before; None: not known."""
    last = int((day >= end - _A_YEAR).sum())
    before = int(((day >= end - 2 * _A_YEAR) & (day < end - _A_YEAR)).sum())
    if age < 2 * _A_YEAR or not before:
        return None
    return min(max(last / before - 1, -0.5), 2.0)


def _check(count: float, what: str, most: int) -> None:
    if count > most:
        raise InvalidRequest(
            f"there would be {count:,.0f} {what}, above {most:,}: take fewer years, or less growth"
        )


@dataclass(frozen=True, slots=True)
class _Going:
    """A past of `end` days, whose last `period` days repeat until `days` are over."""

    studies: Studies
    reads: Reads
    end: int
    period: int
    growth: float
    days: int
    dice: np.random.Generator

    def on(self) -> tuple[Studies, Reads]:
        """Return the past and what follows."""
        again = range(1, 1 + max(0, -(-(self.days - self.end) // self.period)))
        base = np.flatnonzero(self.studies.day >= self.end - self.period)
        which, day = [np.arange(len(self.studies.day))], [self.studies.day]
        study, read = [self.reads.study], [self.reads.day]
        recent = self.reads.day >= self.end - self.period
        times_all = sum(map(self._weight, again))
        _check(len(self.studies.day) + len(base) * times_all, "studies", MOST_STUDIES)
        _check(len(self.reads.day) + int(recent.sum()) * times_all, "reads", MOST_READS)
        own = recent & (self.studies.day[self.reads.study] >= self.end - self.period)
        count = len(self.studies.day)
        for one in again:
            times = np.zeros(len(self.studies.day), dtype=np.int64)
            times[base] = self._times(one, len(base))
            first = count + np.cumsum(times) - times
            copies = np.repeat(np.arange(len(times)), times)
            which.append(copies)
            day.append(self.studies.day[copies] + one * self.period)
            # Each copy of a study is read as the study was.
            readers = np.flatnonzero(own)
            each = times[self.reads.study[readers]]
            repeated = np.repeat(readers, each)
            number = np.arange(len(repeated)) - np.repeat(np.cumsum(each) - each, each)
            study.append(first[self.reads.study[repeated]] + number)
            read.append(self.reads.day[repeated] + one * self.period)
            count += len(copies)
        whole, came = np.concatenate(which), np.concatenate(day)
        for one in again:
            older = np.flatnonzero(recent & ~own)
            older = np.repeat(older, self._times(one, len(older)))
            study.append(self._alike(older, one * self.period, self.studies.kind[whole], came))
            read.append(self.reads.day[older] + one * self.period)
        return self._inside(whole, came, np.concatenate(study), np.concatenate(read))

    def _weight(self, one: int) -> float:
        return float((1 + self.growth) ** (one * self.period / _DAYS_A_YEAR))

    def _times(self, one: int, count: int) -> Numbers:
        """Return how often each comes again the `one`th time: on average, by the growth."""
        whole, part = divmod(self._weight(one), 1)
        return int(whole) + (self.dice.random(count) < part).astype(np.int64)

    def _alike(self, older: Numbers, later: int, kind: Numbers, came: Numbers) -> Numbers:
        """Return whom old studies' reads are of, `later` days later: one of their kind each."""
        span = 2 * (self.days + self.end)
        order = np.lexsort((came, kind))
        keys = kind[order] * span + came[order]
        whose = self.reads.study[older]
        due, base = self.studies.day[whose] + later, self.studies.kind[whose] * span
        # The study itself is one of those that came before: there always is one.
        high = np.searchsorted(keys, base + due, side="right")
        low = np.searchsorted(keys, base + np.maximum(due - _ABOUT_DAYS, 0), side="left")
        low = np.minimum(low, high - 1)
        return order[low + (self.dice.random(len(older)) * (high - low)).astype(np.int64)]

    def _inside(
        self, whole: Numbers, came: Numbers, study: Numbers, read: Numbers
    ) -> tuple[Studies, Reads]:
        """Return what is in the calendar: studies by their day, and their reads."""
        order = np.argsort(came, kind="stable")
        order = order[came[order] < self.days]
        places = np.full(len(came), -1, dtype=np.int64)
        places[order] = np.arange(len(order))
        kept = (places[study] >= 0) & (read < self.days)
        past, chosen = self.studies, whole[order]
        studies = Studies(
            came[order],
            past.kind[chosen],
            past.series[chosen],
            past.instances[chosen],
            past.instance_bytes[chosen],
        )
        return studies, in_order(places[study[kept]], read[kept], self.days)

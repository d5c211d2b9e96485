"""A made-up hospital: its studies day by day, and who reads them when; the same for the same seed.

The figures below are assumptions, in the order of magnitude of a general hospital with
screening; what they are worth for yours, your own log tells.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.tiering.cost.calendar import Calendar

Numbers = NDArray[np.int64]
Shares = NDArray[np.float64]

MOST_STUDIES: Final = 5_000_000
MOST_YEARS: Final = 30
GROWTH: Final = 0.04
"""Of the arrivals in a year, where nothing else is known."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One modality's studies.

    Attributes:
        modality: (0008,0060); several are joined by "+".
        share: of all studies.
        series: in a study, on average.
        instances: in a series, the median.
        spread: of that, sigma of a log-normal distribution.
        instance_bytes: of one instance, the median; spread by a quarter.
        reads: of a study by viewers, on average, priors aside.
        ratio: by which lossless HTJ2K makes pixels smaller; 1: they are compressed already.
        description: Study Description; made-up studies have none.
        institution: Institution Name; likewise.
    """

    modality: str
    share: float
    series: float
    instances: float
    spread: float
    instance_bytes: int
    reads: float
    ratio: float
    description: str = ""
    institution: str = ""


KINDS: Final = (
    Kind("DX", 0.42, 2.0, 1.2, 0.4, 9_000_000, 2.5, 2.0),
    Kind("CT", 0.19, 4.5, 110, 0.8, 526_000, 4.0, 2.3),
    Kind("US", 0.15, 1.1, 28, 0.6, 350_000, 2.0, 1.0),
    Kind("MR", 0.11, 8.5, 32, 0.6, 210_000, 4.0, 2.0),
    Kind("MG", 0.07, 4.0, 1.1, 0.3, 24_000_000, 3.0, 2.5),
    Kind("XA", 0.025, 7.0, 1.5, 0.5, 12_000_000, 3.0, 2.0),
    Kind("NM", 0.02, 2.5, 4, 0.8, 400_000, 3.0, 1.5),
    Kind("PT", 0.015, 3.0, 250, 0.4, 38_000, 4.0, 1.6),
)

_BYTES_SPREAD: Final = 0.25
_WEEKDAYS: Final = (1.0, 1.05, 1.05, 1.0, 0.95, 0.35, 0.3)
_STUDIES_OF_A_PATIENT: Final = 2.4
_RETURNING: Final = 1.3
"""Above 1, some patients come far oftener than others."""
_PRIORS: Final = 2
# Most reads come at once, many within the weeks of treatment, a few much later:
# share of the reads, and their mean delay in days.
_DELAYS: Final = ((0.62, 0.6), (0.28, 9.0), (0.10, 110.0))
_FEWEST_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Hospital:
    """What is simulated.

    Attributes:
        studies: in all the time.
        seed: the same seed makes the same hospital.
        growth: of the arrivals in a year, 0.04: 4 %.
        kinds: its modalities; their shares make 1.
        outside_percent: of the bytes read, how many leave the region: 100 for readers
            on site with the archive in a cloud, 0 for both in one place.
        tenant: whose the studies are, for policies that ask.
    """

    studies: int = 1_000_000
    seed: int = 1
    growth: float = GROWTH
    kinds: tuple[Kind, ...] = KINDS
    outside_percent: int = 100
    tenant: str = "default"

    def __post_init__(self) -> None:
        if not 1 <= self.studies <= MOST_STUDIES:
            raise InvalidRequest(f"a hospital has 1 to {MOST_STUDIES} studies")
        if not 0 <= self.outside_percent <= 100:
            raise InvalidRequest("between 0 and 100 percent leave the region")


@dataclass(frozen=True, slots=True)
class Studies:
    """Studies, each array with one number for each; a study's series are equal.

    Attributes:
        day: on which it comes in, from the calendar's first; rising.
        kind: its place in the hospital's kinds.
        series: how many.
        instances: in each of them.
        instance_bytes: of each of those.
    """

    day: Numbers
    kind: Numbers
    series: Numbers
    instances: Numbers
    instance_bytes: Numbers

    @property
    def length_bytes(self) -> Numbers:
        """Bytes of each study's instances."""
        return self.series * self.instances * self.instance_bytes

    def chosen(self, which: NDArray[np.bool_]) -> "Studies":
        """Return some of them."""
        return Studies(
            self.day[which],
            self.kind[which],
            self.series[which],
            self.instances[which],
            self.instance_bytes[which],
        )


@dataclass(frozen=True, slots=True)
class Reads:
    """Who reads what when: by study, then by day."""

    study: Numbers
    day: Numbers

    def chosen(self, which: NDArray[np.bool_]) -> "Reads":
        """Return the reads of some studies, numbered as `Studies.chosen` does."""
        renumbered = np.cumsum(which) - 1
        mine = which[self.study]
        return Reads(renumbered[self.study[mine]], self.day[mine])


@dataclass(frozen=True, slots=True)
class Subject:
    """What a simulation is of, made up or replayed, and over which months; and that in words."""

    hospital: Hospital
    calendar: Calendar
    studies: Studies
    reads: Reads
    says: str


def in_order(study: Numbers, day: Numbers, days: int) -> Reads:
    """Return reads by study, then by day; all days are below `days`."""
    # One sort of one number is far quicker than sorting by two.
    key = np.sort(study * days + day)
    return Reads(key // days, key % days)


def made(hospital: Hospital, calendar: Calendar) -> tuple[Studies, Reads]:
    """Return the hospital's studies and their reads."""
    if calendar.months > 12 * MOST_YEARS:
        raise InvalidRequest(f"a simulation runs over {MOST_YEARS} years at most")
    dice = np.random.default_rng(hospital.seed)
    studies = _studies(hospital, calendar, dice)
    own_study, own_day = _own_reads(hospital, studies, dice)
    prior_study, prior_day = _priors(hospital, studies, dice)
    study = np.concatenate((own_study, prior_study))
    day = np.concatenate((own_day, prior_day))
    inside = day < calendar.days
    return studies, in_order(study[inside], day[inside], calendar.days)


def _studies(hospital: Hospital, calendar: Calendar, dice: np.random.Generator) -> Studies:
    days = np.arange(calendar.days)
    weekday = (calendar.first.weekday() + days) % 7
    busy = np.array(_WEEKDAYS)[weekday] * (1 + hospital.growth) ** (days / 365.25)
    arrivals = dice.multinomial(hospital.studies, busy / busy.sum())
    day = np.repeat(days, arrivals).astype(np.int64)
    kinds = hospital.kinds
    shares = np.array([kind.share for kind in kinds])
    kind = dice.choice(len(kinds), hospital.studies, p=shares / shares.sum()).astype(np.int64)
    mean = np.array([one.series for one in kinds])[kind]
    series = 1 + dice.poisson(mean - 1)
    instances = _log_normal(
        dice,
        np.array([one.instances for one in kinds])[kind],
        np.array([one.spread for one in kinds])[kind],
    )
    sizes = np.array([float(one.instance_bytes) for one in kinds])[kind]
    instance_bytes = _log_normal(dice, sizes, np.full(len(day), _BYTES_SPREAD))
    return Studies(
        day,
        kind,
        series.astype(np.int64),
        np.maximum(instances, 1),
        np.maximum(instance_bytes, _FEWEST_BYTES),
    )


def _log_normal(dice: np.random.Generator, median: Shares, spread: Shares) -> Numbers:
    return np.rint(median * np.exp(spread * dice.standard_normal(len(median)))).astype(np.int64)


def _own_reads(
    hospital: Hospital, studies: Studies, dice: np.random.Generator
) -> tuple[Numbers, Numbers]:
    mean = np.array([kind.reads for kind in hospital.kinds])[studies.kind]
    study = np.repeat(np.arange(len(studies.day)), dice.poisson(mean))
    shares = np.array([share for share, _ in _DELAYS])
    scale = np.array([days for _, days in _DELAYS])
    phase = dice.choice(len(_DELAYS), len(study), p=shares)
    delay = dice.exponential(scale[phase]).astype(np.int64)
    return study.astype(np.int64), studies.day[study] + delay


def _priors(
    hospital: Hospital, studies: Studies, dice: np.random.Generator
) -> tuple[Numbers, Numbers]:
    """Return that a patient's newest studies of a modality are read when one more comes."""
    count = len(studies.day)
    patients = max(1, round(count / _STUDIES_OF_A_PATIENT))
    patient = (patients * dice.random(count) ** _RETURNING).astype(np.int64)
    group = patient * len(hospital.kinds) + studies.kind
    order = np.argsort(group, kind="stable")  # within a patient and modality still by day
    grouped = group[order]
    study: list[Numbers] = []
    day: list[Numbers] = []
    for back in range(1, _PRIORS + 1):
        same = grouped[back:] == grouped[:-back]
        study.append(order[:-back][same])
        day.append(studies.day[order[back:][same]])
    return np.concatenate(study).astype(np.int64), np.concatenate(day)

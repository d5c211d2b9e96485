"""The made-up hospital's years: which patients came for what, and what was made of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count, islice
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from pacs_cloud.demo import documents, pictures
from pacs_cloud.demo.datasets import Visit, file_of, study_uid
from pacs_cloud.demo.patients import patient
from pacs_cloud.demo.phantoms import Random

EARLIEST: Final = date(2000, 1, 1)
"""The newest study is of this day or later: there are patients enough who lived before."""
_REFERRERS: Final = ("Bauer^Ines", "Osei^Kofi", "Marchetti^Paolo", "Dubois^Claire")


@dataclass(frozen=True, slots=True)
class Come:
    """Why somebody came.

    Attributes:
        kind: what was made, as `_MAKERS` has it.
        days: how long before the newest study of all.
        label: what the study is labelled with; "" for nothing.
        is_cold: whether it lies in a cold class.
        is_sent_twice: whether its first instance came again, with other content.
    """

    kind: str
    days: int
    label: str = ""
    is_cold: bool = False
    is_sent_twice: bool = False


@dataclass(frozen=True, slots=True)
class MadeStudy:
    """One study, whose files are made when they are wanted.

    Attributes:
        visit: of whom, when, and what for.
        come: why.
        seed: of all.
        number: the first is 0.
    """

    visit: Visit
    come: Come
    seed: int
    number: int

    def files(self) -> Iterator[bytes]:
        """Yield its instances as Part 10 files; the same each time."""
        for made in self._datasets():
            yield file_of(made)

    def sent_again(self) -> bytes:
        """Return its first instance with other content under the same UID."""
        made = next(self._datasets())
        made.ImageComments += "; sent again by mistake, with another comment"
        return file_of(made)

    def _datasets(self) -> Iterator[Dataset]:
        random = np.random.default_rng([self.seed, self.number])
        return _MAKERS[self.come.kind][1](self.visit, random)


_FIRST: Final = Come("ct_chest_large", 0, label="teaching")
_STORIES: Final[tuple[tuple[Come, ...], ...]] = (
    (Come("ct_chest", 2), Come("ct_chest", 368), Come("cr", 380)),
    (Come("mr_head", 5), Come("ct_head", 6)),
    (Come("us", 9),),
    (Come("dx", 1), Come("cr", 760)),
    (Come("mg", 21, label="second-reading"), Come("mg", 752)),
    (Come("ct_head", 3),),
    (Come("us", 34), Come("dx", 33)),
    (Come("dx", 12),),
    (Come("mr_head", 47),),
    (Come("cr", 61), Come("cr", 1490)),
)
_OF_THE_FIRST: Final = (
    _FIRST,
    Come("ct_chest", 371),
    Come("cr", 1105, is_cold=True),
)
_OF_THE_SECOND: Final = (Come("dx", 1, is_sent_twice=True), Come("mr_head", 420))
_STORY_DAYS: Final = 67
"""So many days later (earlier, seen from now) the same story happens to somebody else."""


def studies(seed: int, newest: date, number: int) -> Iterator[MadeStudy]:
    """Yield so many studies, the first of which is of the day `newest`: always the same ones.

    `newest` is not before `EARLIEST`.
    """
    return islice(_all(seed, newest), number)


def first_uid(seed: int) -> str:
    """Return the Study Instance UID of the first study, by which an earlier run is known."""
    return study_uid(seed, 1, 0)


def _all(seed: int, newest: date) -> Iterator[MadeStudy]:
    numbers = count()
    for person in count(1):
        somebody = patient(person)
        for at, come in enumerate(_story(person)):
            when = newest - timedelta(days=come.days)
            if f"{when:%Y%m%d}" < somebody.born:
                continue
            number = next(numbers)
            visit = Visit(
                somebody,
                study_uid(seed, person, at),
                f"{when:%Y%m%d}",
                f"{8 + number % 10:02}{(number * 17) % 60:02}{(number * 29) % 60:02}",
                f"DEMO{when:%y}{1000 + number:04}",
                _MAKERS[come.kind][0],
                _REFERRERS[number % len(_REFERRERS)],
            )
            yield MadeStudy(visit, come, seed, number)


def _story(person: int) -> tuple[Come, ...]:
    if person == 1:
        return _OF_THE_FIRST
    if person == 2:
        return _OF_THE_SECOND
    turn, story = divmod(person - 3, len(_STORIES))
    return tuple(
        Come(one.kind, one.days + turn * _STORY_DAYS, one.label if not turn else "")
        for one in _STORIES[story]
    )


def _large_chest(visit: Visit, random: Random) -> Iterator[Dataset]:
    images = list(pictures.ct_chest(visit, random, slices=96, nodule=0.05))
    yield from images
    yield documents.report(
        visit,
        images[36:48],
        "A nodule of the right upper lobe, 9 mm, was 7 mm a year ago. No effusion.",
        "Growing nodule: to be discussed.",
    )
    yield documents.key_images(visit, images[38:44:2])


def _chest(visit: Visit, random: Random) -> Iterator[Dataset]:
    yield from pictures.ct_chest(visit, random, slices=32, nodule=0.04)


def _mammography(visit: Visit, random: Random) -> Iterator[Dataset]:
    yield from pictures.mammogram(visit, random)
    yield documents.letter(
        visit, ["Mammography, both sides", "", "Nothing new. Please come again in two years."]
    )


def _computed(visit: Visit, random: Random) -> Iterator[Dataset]:
    return pictures.chest_film(visit, random, digital=False)


def _digital(visit: Visit, random: Random) -> Iterator[Dataset]:
    return pictures.chest_film(visit, random, digital=True)


_MAKERS: Final = {
    "ct_chest_large": ("CT chest with contrast", _large_chest),
    "ct_chest": ("CT chest with contrast", _chest),
    "ct_head": ("CT head", pictures.ct_head),
    "mr_head": ("MR brain", pictures.mr_head),
    "cr": ("Chest PA", _computed),
    "dx": ("Chest PA", _digital),
    "mg": ("Mammography, both sides", _mammography),
    "us": ("Echocardiography", pictures.ultrasound),
}
"""By kind: what the study is called, and what makes its data sets."""

"""Tier policies as values: what they match, and into which class a pack is due."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pacs_cloud.dicom.wildcard import glob_matches
from pacs_cloud.objectstore.storage_classes import StorageClass


class Clock(StrEnum):
    """What a step counts its days from."""

    STUDY = "study"
    """Study Date; where a study has none, as STORED."""
    STORED = "stored"
    """When its last instance came in."""
    UNREAD = "unread"
    """When somebody read of it last, or it came in."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move down.

    Attributes:
        to: the class to move to.
        after_days: whole days by `clock`.
        clock: what they are counted from.
    """

    to: StorageClass
    after_days: int
    clock: Clock = Clock.STUDY


@dataclass(frozen=True, slots=True)
class Match:
    """Which studies a policy is for; an empty field asks nothing.

    Attributes:
        tenants: one of these.
        modalities: the study has one of these (0008,0060).
        descriptions: Study Description is like one of these: `*`, `?`, any case.
        institutions: Institution Name likewise.
        least_bytes: the study has so many, or more.
        most_bytes: it has so many, or fewer; None: any.
    """

    tenants: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    descriptions: tuple[str, ...] = ()
    institutions: tuple[str, ...] = ()
    least_bytes: int = 0
    most_bytes: int | None = None

    def covers(self, other: "Match") -> bool:
        """Tell whether it surely matches whatever `other` does; False where that is not known."""
        return (
            _names_cover(self.tenants, other.tenants)
            and _names_cover(self.modalities, other.modalities)
            and _patterns_cover(self.descriptions, other.descriptions)
            and _patterns_cover(self.institutions, other.institutions)
            and self.least_bytes <= other.least_bytes
            and (
                self.most_bytes is None
                or (other.most_bytes is not None and other.most_bytes <= self.most_bytes)
            )
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a policy looks at, of one study at one moment.

    Attributes:
        tenant: whose.
        modalities: in it.
        description: Study Description, "" for none.
        institution: Institution Name, "" for none.
        length_bytes: of its visible instances.
        ages: whole days by each clock.
    """

    tenant: str
    modalities: frozenset[str]
    description: str
    institution: str
    length_bytes: int
    ages: Mapping[Clock, int]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy.

    Attributes:
        name: unique in its file.
        match: which studies it is for.
        steps: from the first move to the last, each to a colder class.
        retention_days: by STUDY, when a study may go for good; None: never.
    """

    name: str
    match: Match = Match()
    steps: tuple[Step, ...] = ()
    retention_days: int | None = None

    def matches(self, facts: Facts) -> bool:
        """Tell whether it is for a study with these facts."""
        match = self.match
        return (
            (not match.tenants or facts.tenant in match.tenants)
            and (not match.modalities or bool(match.modalities & facts.modalities))
            and is_like(facts.description, match.descriptions)
            and is_like(facts.institution, match.institutions)
            and match.least_bytes <= facts.length_bytes
            and (match.most_bytes is None or facts.length_bytes <= match.most_bytes)
        )

    def due(self, ages: Mapping[Clock, int]) -> StorageClass:
        """Return the class that a study of these ages belongs in: the coldest that is reached."""
        reached = [step.to for step in self.steps if ages[step.clock] >= step.after_days]
        return reached[-1] if reached else StorageClass.STANDARD

    def is_over(self, ages: Mapping[Clock, int]) -> bool:
        """Tell whether a study of these ages need not be kept any longer."""
        return self.retention_days is not None and ages[Clock.STUDY] >= self.retention_days


def policy_for(policies: Iterable[Policy], facts: Facts) -> Policy | None:
    """Return the first policy that matches; None: what no policy is for stays where it is."""
    return next((one for one in policies if one.matches(facts)), None)


def is_like(text: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a text is like one of some patterns (`*`, `?`, any case), or there are none."""
    folded = text.casefold()
    return not patterns or any(glob_matches(one.casefold(), folded) for one in patterns)


def _names_cover(broad: frozenset[str], narrow: frozenset[str]) -> bool:
    return not broad or (bool(narrow) and narrow <= broad)


def _patterns_cover(broad: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not broad or "*" in broad:
        return True
    return bool(narrow) and all(any(_covers(wide, one) for wide in broad) for one in narrow)


def _covers(wide: str, narrow: str) -> bool:
    wide, narrow = wide.casefold(), narrow.casefold()
    # Read as a text, the wild cards of `narrow` fit only a `*`, so long as there is no `?`.
    return wide == narrow or ("?" not in wide and glob_matches(wide, narrow))

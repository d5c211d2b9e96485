"""Rules of prefetching as values: which priors are recalled when a study comes in."""

from collections.abc import Iterable
from dataclasses import dataclass

from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.tiering.policy import is_like
from pacs_cloud.tiering.recall.priors import Newcomer, PriorsWanted


@dataclass(frozen=True, slots=True)
class PrefetchRule:
    """One rule; an empty field of what comes in asks nothing.

    Attributes:
        name: unique in its file.
        priors: which are wanted.
        tenants: the newcomer is of one of these.
        modalities: it has one of these.
        body_parts: it names one of these, in upper case.
        descriptions: its description is like one of these: `*`, `?`, any case.
        institutions: its institution likewise.
        speed: of their recall; None: as the settings say.
    """

    name: str
    priors: PriorsWanted
    tenants: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()
    descriptions: tuple[str, ...] = ()
    institutions: tuple[str, ...] = ()
    speed: RecallSpeed | None = None

    def matches(self, newcomer: Newcomer) -> bool:
        """Tell whether it is for what comes in."""
        return (
            (not self.tenants or newcomer.tenant in self.tenants)
            and (not self.modalities or bool(self.modalities & newcomer.modalities))
            and (not self.body_parts or bool(self.body_parts & newcomer.body_parts))
            and is_like(newcomer.description, self.descriptions)
            and is_like(newcomer.institution, self.institutions)
        )


def rule_for(rules: Iterable[PrefetchRule], newcomer: Newcomer) -> PrefetchRule | None:
    """Return the first rule that is for what comes in; None: none is."""
    return next((one for one in rules if one.matches(newcomer)), None)

"""What was done to the elements of one instance: how often, by tag; never a value."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from pydicom.datadict import dictionary_keyword


class Deed(StrEnum):
    """What was done to an element."""

    REMOVED = "removed"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    """By a dummy, or by the project's pseudonym."""
    REMAPPED = "remapped"
    """A UID, by the project's for it."""
    SHIFTED = "shifted"
    """A date, by the patient's days."""
    CLEANED = "cleaned"
    """A text, of what may identify somebody."""
    FOUND = "found"
    """A value that the profile keeps, with something of the patient in it, which was taken out."""
    KEPT_PRIVATE = "kept-private"


@dataclass(slots=True)
class Tally:
    """The counts."""

    counts: Counter[tuple[Deed, str]] = field(default_factory=Counter[tuple[Deed, str]])

    def note(self, deed: Deed, tag: int) -> None:
        """Count one element."""
        self.counts[deed, name_of_tag(tag)] += 1

    def by_deed(self) -> dict[str, dict[str, int]]:
        """Return the counts by deed and attribute, sorted."""
        found: dict[str, dict[str, int]] = {}
        for (deed, name), count in sorted(self.counts.items()):
            found.setdefault(deed.value, {})[name] = count
        return found


def name_of_tag(tag: int) -> str:
    """Return the keyword of an attribute, else its tag: (0029,xx10) for a private one."""
    if tag & 0x10000:
        return f"({tag >> 16:04X},xx{tag & 0xFF:02X})"
    try:
        return dictionary_keyword(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    except KeyError:
        return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"

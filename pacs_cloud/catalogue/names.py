"""What a study can be found by, of its patient's name (0010,0010).

A name has up to three component groups: alphabetic, ideographic, phonetic (PS3.5
6.2.1.2). A search gives the beginning of a whole group ("SMITH^J") or of a component
behind the family name ("ANNA"), normalised as `dicom.person_name` does it: `*^ANNA*`
matches a middle name as well. Or it gives the beginning of a word's sound ("SMT"), as
`dicom.name_words` spells it, of any word of the name.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pacs_cloud.catalogue.elements import name_groups
from pacs_cloud.catalogue.port import ByName, NamePart
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.name_words import sound_of, spoken_words_of
from pacs_cloud.dicom.person_name import normalise

_PATIENT_NAME = "00100010"
_GROUP_LIMIT = 256
"""Letters of a group that are searched: four times what a group may have (PS3.5 6.2)."""

PREFIX_LIMIT = 16
"""The longest beginning that has a key of its own; longer ones are filtered from it."""

GRAM = 3
"""Letters of the smallest text that is searched for inside a name."""


@dataclass(frozen=True, slots=True)
class NameTerms:
    """The normalised component groups of a patient's name.

    Attributes:
        groups: whole groups, each once, sorted.
        givens: their components behind the family name, each once, sorted.
        sounds: of their words, each once, sorted.
    """

    groups: tuple[str, ...]
    givens: tuple[str, ...]
    sounds: tuple[str, ...]

    def match(self, anchor: ByName) -> bool:
        """Return whether this name has what `anchor` gives."""
        if anchor.part is NamePart.NAME:
            return any(group.startswith(anchor.text) for group in self.groups)
        if anchor.part is NamePart.GIVEN:
            return any(given.startswith(anchor.text) for given in self.givens)
        if anchor.part is NamePart.SOUND:
            return any(sound.startswith(anchor.text) for sound in self.sounds)
        return any(anchor.text in group for group in self.groups)


def name_terms(attributes: Elements) -> NameTerms:
    """Return the terms of the patient's name among a study's attributes."""
    groups = {
        normalise(group)[:_GROUP_LIMIT] for group in name_groups(attributes, _PATIENT_NAME)
    } - {""}
    givens = {component for group in groups for component in group.split("^")[1:]} - {""}
    return NameTerms(tuple(sorted(groups)), tuple(sorted(givens)), sounds_of(groups))


def sounds_of(groups: Iterable[str]) -> tuple[str, ...]:
    """Return the sounds of all words of normalised groups, each once, sorted."""
    return tuple(sorted({sound_of(word) for group in groups for word in spoken_words_of(group)}))


def prefixes(texts: Iterable[str]) -> set[str]:
    """Return every beginning of 1 to `PREFIX_LIMIT` letters of `texts`."""
    return {
        text[:length] for text in texts for length in range(1, min(len(text), PREFIX_LIMIT) + 1)
    }


def grams(texts: Iterable[str]) -> set[str]:
    """Return every run of `GRAM` letters in `texts`."""
    return {text[at : at + GRAM] for text in texts for at in range(len(text) - GRAM + 1)}

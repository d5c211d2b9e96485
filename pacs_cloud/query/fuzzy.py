"""Fuzzy matching of person names: their words in any order and any group (PS3.18 8.3.4.2)."""

import re
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.elements import Element
from pacs_cloud.dicom.person_name import PersonName, normalise

_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name or a key, normalised, without wildcards and delimiters."""
    groups = (normalise(group) for group in text.split("="))
    return tuple(word for group in groups for word in _BETWEEN_WORDS.split(group) if word)


@dataclass(frozen=True, slots=True)
class FuzzyName:
    """Matches a name when each word of the key begins a word of it."""

    tag: str
    words: tuple[str, ...]

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's names has all the words."""
        for value in (element or {}).get("Value", ()):
            name = words_of(str(PersonName.from_json(value)))
            if all(any(part.startswith(word) for part in name) for word in self.words):
                return True
        return False

"""Fuzzy matching of person names: their words in any order and any group (PS3.18 8.3.4.2)."""

from dataclasses import dataclass
from typing import Any

from pacs_cloud.dicom.elements import Element
from pacs_cloud.dicom.name_words import sounds_like, spoken_words_of
from pacs_cloud.dicom.person_name import PersonName


@dataclass(frozen=True, slots=True)
class FuzzyName:
    """Matches a name when each word of a key begins a word of it, or sounds like one.

    Attributes:
        tag: of the attribute.
        keys: the words of each key; one key that matches is enough.
        hears: whether words may be alike by their sound alone.
        universal: never: a key without words is no fuzzy one.
    """

    tag: str
    keys: tuple[tuple[str, ...], ...]
    hears: bool = True
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's names has all the words of a key."""
        values: list[Any] = [] if element is None else element.get("Value", [])
        names = [spoken_words_of(str(PersonName.from_json(value))) for value in values]
        return any(
            all(any(self._is_alike(word, part) for part in name) for word in words)
            for name in names
            for words in self.keys
        )

    def _is_alike(self, word: str, part: str) -> bool:
        return part.startswith(word) or (self.hears and sounds_like(word, part))

"""Text as it is compared: without case, accents and widths, each character traced back."""

import unicodedata
from functools import lru_cache
from typing import Final

_HANGUL: Final = range(0xAC00, 0xD7A4)
"""Syllables, which would fall apart into parts that others begin with, too."""


def folded(text: str) -> tuple[str, list[int] | None]:
    """Return a text as it is compared, and where each of its characters came from.

    Args:
        text: any.

    Returns:
        The text, and for each character its place in the original; None where all
        stand where they stood.
    """
    if text.isascii():
        return text.lower(), None
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for one in _folded_character(character):
            characters.append(one)
            places.append(place)
    return "".join(characters), places


def fold(text: str) -> str:
    """Return a text as it is compared."""
    return folded(text)[0]


@lru_cache(4096)
def _folded_character(character: str) -> str:
    if ord(character) in _HANGUL:
        return character
    parts = unicodedata.normalize("NFKD", character)
    plain = "".join(one for one in parts if not unicodedata.combining(one))
    return plain.casefold()

"""The words of a person's name and how they sound (fuzzy matching, PS3.4 C.2.2.2.1.1).

A word's sound is spelt letter by letter from its beginning, so that the sound of
a word's beginning is the beginning of the word's sound: one look-up by sound
finds both what begins alike and what sounds alike.
"""

import re
from functools import lru_cache
from typing import Final

from pacs_cloud.dicom.person_name import normalise

SOUND_LIMIT: Final = 8
"""The longest sound; later letters of a long word make no difference."""

_SHORTEST_SOUND: Final = 2
"""A sound of one letter (Lee, Lau, Low) says too little to call two words alike."""

_BETWEEN_WORDS: Final = re.compile(r"[\s\^=*?\\,;.:()\[\]/_\"・･、，]+")
_COMPOUND: Final = re.compile(r"['’`´‘\-‐‑‒–—]+")
_LETTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# Soundex's classes (US patent 1,261,167), each named by one of its letters; but M and N,
# which few take for each other, are two: else Sean would be Sam.
_CLASSES: Final = {
    **dict.fromkeys("BFPV", "P"),
    **dict.fromkeys("CGJKQSXZ", "K"),
    **dict.fromkeys("DT", "T"),
    "L": "L",
    "M": "M",
    "N": "N",
    "R": "R",
}
_SILENT: Final = frozenset("HW")
"""Letters that do not part two consonants of one class; the vowels and Y do."""

# Soundex keeps the first letter as it is; here letters that languages swap are one.
_FIRST: Final = str.maketrans("CQVWZXGY", "KKFFSSJJ")
_KATAKANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a name or a key, normalised, without wildcards and delimiters.

    A compound is its parts: `Müller-Lüdenscheidt` is two words, `O'Brien` as well.
    """
    return tuple(part for word in _between_blanks(text) for part in _COMPOUND.split(word) if part)


@lru_cache(maxsize=4096)
def spoken_words_of(text: str) -> frozenset[str]:
    """Return the words that a name can be found by: its words, and compounds as one word."""
    whole = (_COMPOUND.sub("", word) for word in _between_blanks(text))
    return frozenset((*words_of(text), *filter(None, whole)))


@lru_cache(maxsize=4096)
def sound_of(word: str) -> str:
    """Return how a word sounds, `SOUND_LIMIT` letters at most; of SMITH and SCHMIDT `SMT`.

    Soundex for Latin letters, with letters of one class at the beginning as well;
    kana are one, whichever of the two; other writings sound as they are written.

    Args:
        word: normalised, not empty.
    """
    said = [word[0].translate(_FIRST).translate(_KATAKANA)]
    before = _CLASSES.get(word[0], "")
    for letter in word[1:]:
        if len(said) == SOUND_LIMIT:
            break
        if letter not in _LETTERS:
            said.append(letter.translate(_KATAKANA))
            before = ""
        elif letter not in _SILENT:
            sound = _CLASSES.get(letter, "")
            if sound and sound != before:
                said.append(sound)
            before = sound
    return "".join(said)


def sounds_like(one: str, other: str) -> bool:
    """Tell whether two normalised words sound alike."""
    sound = sound_of(one)
    if len(sound) < _SHORTEST_SOUND or sound != sound_of(other):
        return False
    # What Soundex knows nothing of sounds as it is written, but for the kana.
    return _LETTERS.issuperset(one + other) or one.translate(_KATAKANA) == other.translate(
        _KATAKANA
    )


def _between_blanks(text: str) -> list[str]:
    groups = (normalise(group) for group in text.split("="))
    return [word for group in groups for word in _BETWEEN_WORDS.split(group) if word]

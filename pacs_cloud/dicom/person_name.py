"""Person names (PS3.5 6.2.1): three groups of components, and how they are compared."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

_STRIPPED_SCRIPTS: Final = ("LATIN", "GREEK", "CYRILLIC")
# Letters with a stroke or a ligature have no decomposition; people type them without.
_LETTERS: Final = str.maketrans(
    {
        "Ł": "L",
        "Ø": "O",
        "Đ": "D",
        "Ð": "D",
        "Ħ": "H",
        "Ŧ": "T",
        "Æ": "AE",
        "Œ": "OE",
        "Þ": "TH",
        "ẞ": "SS",
    }
)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name in up to three writings.

    Attributes:
        alphabetic: `Yamada^Tarou`; family, given, middle, prefix, suffix.
        ideographic: `山田^太郎`.
        phonetic: `やまだ^たろう`.
    """

    alphabetic: str = ""
    ideographic: str = ""
    phonetic: str = ""

    @classmethod
    def from_json(cls, value: object) -> "PersonName":
        """Return the name in one value of a DICOM JSON PN (PS3.18 F.2.2).

        A plain string, which some servers write, is read as `A=B=C`.
        """
        if isinstance(value, Mapping):
            groups: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
            return cls(
                str(groups.get("Alphabetic") or ""),
                str(groups.get("Ideographic") or ""),
                str(groups.get("Phonetic") or ""),
            )
        return cls.from_text(str(value)) if value is not None else cls()

    @classmethod
    def from_text(cls, text: str) -> "PersonName":
        """Return the name in `A=B=C`."""
        groups = [*text.split("=", 2), "", ""]
        return cls(*(group.strip(" \0") for group in groups[:3]))

    @property
    def groups(self) -> tuple[str, str, str]:
        """Alphabetic, ideographic and phonetic, "" where one is absent."""
        return self.alphabetic, self.ideographic, self.phonetic

    def to_json(self) -> dict[str, str]:
        """Return the value of a DICOM JSON PN, absent groups left out."""
        names = ("Alphabetic", "Ideographic", "Phonetic")
        return {name: group for name, group in zip(names, self.groups, strict=True) if group}

    def __str__(self) -> str:
        return "=".join(self.groups).rstrip("=")


@lru_cache(maxsize=4096)
def normalise(text: str) -> str:
    """Return `text` as it is compared: one component group of a name, or a search key.

    Upper case; without diacritics in Latin, Greek and Cyrillic, where people
    leave them out, and with them elsewhere, where they make another letter
    (が, 각); full-width letters and half-width kana in their usual width; one
    space between words, none around `^`; no empty components at the end. `*` and
    `?` pass through.
    """
    if not text.isascii():
        text = _without_diacritics(unicodedata.normalize("NFKC", text))
    components = [" ".join(part.split()) for part in text.upper().replace("\0", " ").split("^")]
    while components and not components[-1]:
        components.pop()
    return "^".join(components)


def _without_diacritics(text: str) -> str:
    kept: list[str] = []
    is_stripped = False
    for character in unicodedata.normalize("NFKC", text.casefold()).upper():
        decomposed = unicodedata.normalize("NFD", character)
        if not unicodedata.combining(decomposed[0]):
            is_stripped = unicodedata.name(decomposed[0], "").startswith(_STRIPPED_SCRIPTS)
            kept.append(decomposed[0] if is_stripped else character)
        elif not is_stripped:
            kept.append(character)
    return "".join(kept).translate(_LETTERS)

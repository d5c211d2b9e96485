"""What identifies the patient of one instance, as strings that must not be found afterwards."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from pacs_cloud.dicom.deid.folding import fold, folded
from pacs_cloud.errors import InvalidInstance, Refusal

_LEAST_WORD: Final = 3
_LEAST_ANYWHERE: Final = 4
"""Letters; a shorter word counts only where it stands alone."""
_LEAST_LARGE: Final = 6
"""Bytes of what is looked for in pixels, where less turns up by chance."""
_LEAST_LONG_NUMBER: Final = 6
_LONG_NUMBER: Final = re.compile(r"\d{6,}")
_ENCODINGS: Final = (
    "utf-8",
    "latin-1",
    "utf-16-le",
    "utf-16-be",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_jp",
    "euc_kr",
    "iso2022_jp",
    "iso2022_kr",
    "cp1250",
    "cp1251",
    "cp1253",
    "iso8859-2",
    "iso8859-5",
    "iso8859-6",
    "iso8859-7",
    "iso8859-8",
    "tis-620",
)
_ESCAPES: Final = re.compile(rb"\x1b\$\)C|\x1b[$(].|\x0e|\x0f")
_WITHOUT_UMLAUTS: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "å": "aa", "ø": "oe"}
)
"""As names are typed where keys for them are missing."""
_MOST_NEEDLES: Final = 5_000
_MOST_ROUNDS: Final = 16
_UID: Final = re.compile(r"(?<![\d.])\d+(?:\.\d+)+(?!\.?\d)")
_PRINTABLE: Final = re.compile(r"[\t-\r -~\0]*")
_RUNS: Final = re.compile(r"(?<![\d.])\d[\d.]{6,62}\d(?![\d.])")
"""Of digits, as a day or a UID has them."""
_MOST_LARGE_UIDS: Final = 64
_LETTER: Final = r"[^\W_]"


@dataclass(slots=True)
class Needles:
    """The strings.

    Attributes:
        words: names and what else is made of letters, as written; three characters at least,
            or two of a script that needs no more.
        numbers: identifiers, of four characters at least.
        dates: days, as DA writes them.
        uids: that were replaced.
    """

    words: set[str] = field(default_factory=set[str])
    numbers: set[str] = field(default_factory=set[str])
    dates: set[str] = field(default_factory=set[str])
    uids: set[str] = field(default_factory=set[str])

    def add_word(self, text: str) -> None:
        """Take a word in, if it is long enough to mean somebody."""
        text = text.strip(" \0*.,;:'\"()[]{}<>-_/")
        least = _LEAST_WORD if text.isascii() else 2
        if len(text) >= least and any(map(str.isalpha, text)):
            self.words |= {text, text.translate(_WITHOUT_UMLAUTS)}

    def add_number(self, text: str) -> None:
        """Take an identifier in, if it is long enough."""
        text = text.strip(" \0")
        if len(text) >= _LEAST_ANYWHERE and any(map(str.isalnum, text)):
            self.numbers.add(text)
            self.numbers.update(_LONG_NUMBER.findall(text))


class Matcher:
    """Finds needles in text and in bytes."""

    def __init__(self, needles: Needles) -> None:
        """Prepare to look for `needles`; they may not change any more.

        Raises:
            InvalidInstance: TOO_LARGE, for more of them than any instance has.
        """
        self._needles = needles
        if len(needles.words) + len(needles.numbers) + len(needles.dates) > _MOST_NEEDLES:
            raise InvalidInstance("Too many names are in it.", Refusal.TOO_LARGE)
        # The longest first, for the shorter one within it would leave the rest.
        patterns = sorted({*_patterns(needles)}, reverse=True)
        joined = "|".join(pattern for _, pattern in patterns)
        self._pattern = re.compile(joined) if patterns else None
        self._long_numbers = {
            one for one in needles.numbers if one.isdecimal() and len(one) >= _LEAST_LONG_NUMBER
        }

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in `text` needles stand, half-open, in order."""
        if not text:
            return []
        plain, places = folded(text)
        found = [match.span() for match in self._pattern.finditer(plain)] if self._pattern else []
        if places is not None:
            found = [(places[start], places[end - 1] + 1) for start, end in found]
        if self._needles.uids and "." in text:
            found += [one.span() for one in _UID.finditer(text) if one[0] in self._needles.uids]
            found.sort()
        return found

    def is_in(self, text: str) -> bool:
        """Return whether a needle stands in `text`."""
        return bool(self.spans(text))

    def is_number(self, text: str) -> bool:
        """Return whether a number in text is one of the identifiers."""
        return any(value.strip() in self._long_numbers for value in text.split("\\"))

    def has_uid(self, uid: str) -> bool:
        """Return whether a UID is replaced, wherever it stands."""
        return uid in self._needles.uids

    def without(self, text: str) -> str:
        """Return `text` without needles, the blanks around each made one."""
        for _ in range(_MOST_ROUNDS):
            without = self._once_without(text)
            if without == text:
                return text
            text = without  # what is left of two halves may be a needle again
        return ""

    def _once_without(self, text: str) -> str:
        spans = self.spans(text)
        if not spans:
            return text
        kept: list[str] = []
        position = 0
        for start, end in spans:
            kept.append(text[position : max(start, position)])
            position = max(position, end)
        kept.append(text[position:])
        joined = kept[0]
        for part in kept[1:]:
            left, right = joined.rstrip(" ^"), part.lstrip(" ^")
            is_apart = len(left) < len(joined) or len(right) < len(part)
            joined = left + (" " if is_apart else "") + right
        return re.sub(r" {2,}", " ", joined).strip()

    def is_in_bytes(self, data: bytes) -> bool:
        """Return whether a needle stands in bytes, in any of the encodings in use.

        Short ones count where the bytes are all text: in others they turn up by chance.
        """
        lowered = data.lower()
        if any(one in lowered for one in self._ascii) or any(one in data for one in self._other):
            return True
        text = data.decode("latin-1")
        if _PRINTABLE.fullmatch(text):
            return self.is_in(text)
        runs = _RUNS.findall(text)
        return any(one in self._needles.dates or one in self._needles.uids for one in runs)

    def is_in_large(self, chunks: Iterable[bytes]) -> bool:
        """Return whether a long needle stands in bytes that come in pieces, as pixels do."""
        needles = tuple(self._large)
        if not needles:
            return False
        overlap, before = max(map(len, needles)), b""
        for chunk in chunks:
            data = before + chunk
            if any(data.startswith(needles, place) for place in self._places(data)):
                return True
            before = data[-overlap:]
        return False

    def _places(self, data: bytes) -> list[int]:
        """Return where in `data` one of the large needles may begin, by its first six bytes."""
        if len(data) < _LEAST_LARGE:
            return []
        single = np.frombuffer(data, np.uint8).astype(np.uint16)
        pairs = single[:-1] | single[1:] << 8
        first, *others = self._pairs
        places = np.flatnonzero(first[pairs[: 2 - _LEAST_LARGE]])
        for number, table in enumerate(others, 1):
            places = places[table[pairs[places + 2 * number]]]
        found: list[int] = places.tolist()
        return found

    @cached_property
    def _pairs(self) -> "list[np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]":
        """Which pairs of bytes stand first, second and third in one of the large needles."""
        tables = [np.zeros(1 << 16, bool) for _ in range(_LEAST_LARGE // 2)]
        for needle in self._large:
            for number, table in enumerate(tables):
                table[int.from_bytes(needle[2 * number : 2 * number + 2], "little")] = True
        return tables

    @cached_property
    def _texts(self) -> frozenset[str]:
        needles = self._needles
        return frozenset(
            {one for one in needles.words if len(one) >= _LEAST_ANYWHERE or not one.isascii()}
            | {one for one in needles.numbers if not one.isdecimal()}
            | self._long_numbers
        )

    @cached_property
    def _ascii(self) -> frozenset[bytes]:
        """In small letters, of encodings in which ASCII has letters of one or two bytes."""
        return frozenset(
            text.lower().encode(encoding)
            for text in self._texts
            if text.isascii()
            for encoding in ("ascii", "utf-16-le", "utf-16-be")
        )

    @cached_property
    def _other(self) -> frozenset[bytes]:
        return frozenset(
            encoded
            for text in self._texts
            if not text.isascii()
            for variant in {text, text.lower(), text.upper(), text.title()}
            for encoded in _encoded(variant)
        )

    @cached_property
    def _large(self) -> frozenset[bytes]:
        needles = self._needles
        ascii_texts = {
            variant
            for text in (*self._texts, *needles.numbers, *sorted(needles.uids)[:_MOST_LARGE_UIDS])
            if text.isascii()
            for variant in (text, text.lower(), text.upper(), text.title())
        }
        encoded = {text.encode("ascii") for text in ascii_texts} | self._other
        return frozenset(one for one in encoded if len(one) >= _LEAST_LARGE)


def _encoded(text: str) -> Iterator[bytes]:
    for encoding in _ENCODINGS:
        try:
            encoded = text.encode(encoding)
        except UnicodeError:
            continue
        encoded = _ESCAPES.sub(b"", encoded)
        if len(encoded) >= _LEAST_ANYWHERE:
            yield encoded


def _patterns(needles: Needles) -> Iterator[tuple[int, str]]:
    """Yield what finds each needle in folded text, with the length of the needle."""
    for word in needles.words:
        plain = fold(word)
        yield len(plain), _bounded(plain)
    for number in needles.numbers:
        plain = fold(number)
        bounded = rf"(?<!\d){plain}(?!\d)" if plain.isdecimal() else _bounded(plain)
        yield len(plain), bounded
    for day in needles.dates:
        year, month, date = day[:4], day[4:6], day[6:8]
        short = rf"0?{int(month)}", rf"0?{int(date)}"
        for one, two in (short, short[::-1]):
            yield 10, rf"(?<!\d){one}[-./ ]{two}[-./ ](?:{year}|{year[2:]})(?!\d)"
        yield 10, rf"(?<!\d){year}[-./ ]?{month}[-./ ]?{date}(?!\d)"
        yield 8, rf"(?<!\d){date}{month}{year}(?!\d)"


def _bounded(plain: str) -> str:
    pattern = r"[\s,^=]+".join(map(re.escape, plain.split()))
    if len(plain) < _LEAST_ANYWHERE and plain.isascii():
        return rf"(?<!{_LETTER}){pattern}(?!{_LETTER})"
    return pattern

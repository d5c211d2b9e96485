"""Values so plain that their JSON is beyond doubt, without asking pydicom.

Most values of a header that change from slice to slice are plain: a UID, a
decimal, a time, a few shorts. pydicom takes 20 to 60 µs for each; this takes one.
Whatever is not plainly plain answers None, and pydicom decides. A property test
holds both to the same answer.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from struct import unpack
from typing import Any, Final, TypeAlias

PlainReader: TypeAlias = Callable[[bytes], list[Any] | None]
"""Takes a value of one byte or more, as stored; returns its JSON values.

`[]` for an empty value, None where pydicom has to decide.
"""

_PRINTABLE: Final = re.compile(rb"[ -\[\]-}]*")
"""ASCII without backslash, tilde and controls: the same text in every character
set that (0008,0005) can name (JIS X 0201 reads 5C and 7E otherwise)."""
_NAME: Final = re.compile(rb"[ -<>-\[\]-}]*")
"""The same without `=`, which separates component groups."""
_UID_CHARACTERS: Final = b"0123456789."
_UIDS: Final = re.compile(rb"[0-9.]+(?:\\[0-9.]+)*")
_INTEGERS: Final = re.compile(rb" *[+-]?[0-9]{1,12} *(?:\\ *[+-]?[0-9]{1,12} *)*")
_DECIMAL: Final = rb" *[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]{1,2})? *"
_FIXED_POINT: Final = b"0123456789.+- \\"
"""What decimals without an exponent are made of. Of these characters `float` takes
what `_DECIMALS` does, and sooner; an exponent's digits it does not count."""
_DECIMALS: Final = re.compile(rb"%b(?:\\%b)*" % (_DECIMAL, _DECIMAL))
_TEXTS: Final = ("LO", "LT", "SH", "ST", "UC", "UT")
_PADDING: Final = b" \0"


def _text(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(_PADDING)
    if _PRINTABLE.fullmatch(text) is None:
        return None
    return [text.decode("ascii")] if text else []


def _ae_title(raw: bytes) -> list[Any] | None:
    if _PRINTABLE.fullmatch(raw) is None:
        return None
    text = raw.strip(b" ")
    return [text.decode("ascii")] if text else []


def _codes(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(_PADDING)
    values = text.split(b"\\")
    if len(values) == 1:
        return _text(raw)
    if any(_PRINTABLE.fullmatch(value) is None for value in values):
        return None
    return [value.decode("ascii") for value in values]


def _name(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(b"\0 ")
    if _NAME.fullmatch(text) is None:
        return None
    return [{"Alphabetic": text.decode("ascii")}] if text else None


def _uids(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(_PADDING)
    if text and not text.translate(None, _UID_CHARACTERS):
        return [text.decode("ascii")]
    return text.decode("ascii").split("\\") if _UIDS.fullmatch(text) else None


def _integers(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(_PADDING)
    return [int(value) for value in text.split(b"\\")] if _INTEGERS.fullmatch(text) else None


def _decimals(raw: bytes) -> list[Any] | None:
    text = raw.rstrip(_PADDING)
    if text.translate(None, _FIXED_POINT) and _DECIMALS.fullmatch(text) is None:
        return None
    try:
        values = list(map(float, text.split(b"\\")))
    except ValueError:
        return None
    return values if all(map(isfinite, values)) else None


_BY_VR: Final[dict[str, PlainReader]] = {
    **dict.fromkeys(("AS", "DA", "DT", "TM", *_TEXTS), _text),
    "AE": _ae_title,
    "CS": _codes,
    "DS": _decimals,
    "IS": _integers,
    "PN": _name,
    "UI": _uids,
}
_NUMBERS: Final = {
    "US": ("H", 2),
    "SS": ("h", 2),
    "UL": ("L", 4),
    "SL": ("l", 4),
    "UV": ("Q", 8),
    "SV": ("q", 8),
    "FL": ("f", 4),
    "FD": ("d", 8),
}


@lru_cache(64)
def plain_reader(vr: str, *, little: bool) -> PlainReader | None:
    """Return the reader for values of one kind, None where pydicom always decides.

    Args:
        vr: the value representation.
        little: their byte order.
    """
    read = _BY_VR.get(vr)
    if read is not None or vr not in _NUMBERS:
        return read
    code, size = _NUMBERS[vr]
    order, is_real = "<" if little else ">", code in "fd"

    def numbers(raw: bytes) -> list[Any] | None:
        count, rest = divmod(len(raw), size)
        if rest:
            return None
        values = list(unpack(f"{order}{count}{code}", raw))
        return values if not is_real or all(map(isfinite, values)) else None

    return numbers

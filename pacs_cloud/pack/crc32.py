"""CRC-32 of a file whose beginning has changed, without its rest being read again."""

from functools import lru_cache
from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
"""Of CRC-32 as ZIP has it, its bits reversed (ISO 3309)."""
_ONE: Final = 1 << 31
"""x to the power of 0."""
_BYTE: Final = 1 << 23
"""x to the power of 8: one byte more."""


def with_other_beginning(crc32: int, before: int, after: int, rest_bytes: int) -> int:
    """Return the CRC-32 of a file with another beginning.

    A CRC is linear: what the two beginnings differ by, shifted over the rest, is what the
    whole files do.

    Args:
        crc32: of the whole file as it was.
        before: of its beginning as it was.
        after: of its beginning as it is.
        rest_bytes: how long what follows the beginning is, which is the same.
    """
    return crc32 ^ _product(_power(rest_bytes), before ^ after)


@lru_cache(1024)
def _power(exponent: int) -> int:
    """Return x to the power of 8 times `exponent`, modulo the polynomial."""
    found, square = _ONE, _BYTE
    while exponent:
        if exponent & 1:
            found = _product(square, found)
        square = _product(square, square)
        exponent >>= 1
    return found


def _product(one: int, other: int) -> int:
    """Return the product of two polynomials modulo the polynomial."""
    found = 0
    while one:
        if one & _ONE:
            found ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return found

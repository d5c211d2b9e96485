"""Figures as people read them: what is small is not shown as nothing."""

from decimal import Decimal
from typing import Final

_SIZES: Final = ("bytes", "kB", "MB", "GB", "TB", "PB")
_STEP: Final = 1000
_DIGITS: Final = 6


def said(amount: Decimal, places: int) -> str:
    """Return an amount with so many places; of what would be shown as 0, that it is less."""
    least = Decimal(1).scaleb(-places)
    if 0 < amount <= least / 2:
        return f"<{least}"
    return f"{amount:,.{places}f}"


def money(amount: Decimal) -> str:
    """Return an amount in hundredths."""
    return said(amount, 2)


def quantity(amount: Decimal) -> str:
    """Return how much of something a bill has."""
    return said(amount, 3)


def price(amount: Decimal) -> str:
    """Return a price, to the digits that list prices have."""
    return f"{Decimal(f'{amount:.{_DIGITS}g}').normalize():f}"


def size(length_bytes: int) -> str:
    """Return a number of bytes in the largest unit, of a thousand each, that it reaches."""
    amount, unit = float(length_bytes), 0
    # 999.95 would be written as 1000.0.
    while amount >= _STEP - 0.05 and unit < len(_SIZES) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:,.1f} {_SIZES[unit]}" if unit else f"{length_bytes} bytes"

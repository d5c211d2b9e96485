"""What rules in a TOML file are made of: names, patterns, days and sizes, as people write them."""

import math
import re
from decimal import Decimal
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

MOST_DAYS: Final = 366_000
_DAYS_OF_YEAR: Final = 365.25
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([KMGTP]?i?)B", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

_T = TypeVar("_T")


def parse_size(value: object) -> object:
    """Return `2 GiB` or `500 MB` as a number of bytes; anything but text unchanged.

    Raises:
        ValueError: it is no size.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size such as 131072, '500 MB' or '2 GiB'")
    unit = match[2].lower()
    power = _POWERS.get(unit.removesuffix("i"))
    if power is None or unit == "i":
        raise ValueError(f"{value!r} has no unit such as MB or GiB")
    return int(Decimal(match[1]) * (1024 if unit.endswith("i") else 1000) ** power)


def days_of_years(years: float) -> int:
    """Return years in days, rounded up: no run of so many is longer, whatever its leap days."""
    return math.ceil(years * _DAYS_OF_YEAR)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def not_empty(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Return `values`; raises ValueError where there are none."""
    # An empty list would mean "any", which is not what somebody meant who emptied it.
    if not values:
        raise ValueError("is empty: name at least one, or leave it out")
    return values


Texts = Annotated[tuple[_T, ...], BeforeValidator(_as_list), AfterValidator(not_empty)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Code = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ ]{0,15}$"
    ),
]
"""As modalities and body parts have (VR CS, PS3.5 6.2)."""
Pattern = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)]
Size = Annotated[int, BeforeValidator(parse_size), Field(strict=True, ge=0)]
Days = Annotated[int, Field(strict=True, ge=0, le=MOST_DAYS)]


class Untrusted(BaseModel):
    """One table; a field that is not known is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

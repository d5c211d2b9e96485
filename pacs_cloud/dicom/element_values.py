"""Values of DICOM JSON elements, taken out leniently: what is absent or odd is None or empty."""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pacs_cloud.dicom.elements import Elements

_LARGEST: Final = 1e15
"""No attribute means a larger number; what reckons with one may overflow."""


def values(elements: Elements, tag: str) -> Sequence[Any]:
    """Return the values of `tag`, none where it is absent or empty."""
    found: Sequence[Any] | None = (elements.get(tag) or {}).get("Value")
    return found or ()


def numbers(elements: Elements, tag: str) -> tuple[float, ...]:
    """Return the numbers among the values of `tag`, up to 1e15; a text that is one counts."""
    found: list[float] = []
    for value in values(elements, tag):
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number) and abs(number) <= _LARGEST:
            found.append(number)
    return tuple(found)


def number(elements: Elements, tag: str) -> float | None:
    """Return the first number of `tag`."""
    return next(iter(numbers(elements, tag)), None)


def text(elements: Elements, tag: str) -> str:
    """Return the first value of `tag` as text without spaces around it, "" if there is none."""
    value = next(iter(values(elements, tag)), None)
    return "" if value is None or isinstance(value, dict) else str(value).strip()


def items(elements: Elements, tag: str) -> list[Elements]:
    """Return the items of the sequence `tag`."""
    return [item for item in values(elements, tag) if isinstance(item, dict)]


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set of a header, or an item in it, with its bulk values at hand.

    Attributes:
        elements: its attributes.
        bulk: bulk values of the whole header, little endian, by path (`00283000/0/00283006`).
        path: of this item, with a slash at its end; "" for the header itself.
    """

    elements: Elements
    bulk: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    path: str = ""

    def binary(self, tag: str) -> bytes:
        """Return the bytes of `tag`: its bulk value, or what is inline; b"" if there is none."""
        found = self.bulk.get(self.path + tag)
        if found is not None:
            return found
        try:
            return base64.b64decode((self.elements.get(tag) or {}).get("InlineBinary") or "")
        except (binascii.Error, TypeError):
            return b""

    def items(self, tag: str) -> "list[DataSet]":
        """Return the items of the sequence `tag`, in order."""
        return [
            DataSet(item, self.bulk, f"{self.path}{tag}/{place}/")
            for place, item in enumerate(values(self.elements, tag))
            if isinstance(item, dict)
        ]

    def item(self, tag: str, place: int) -> "DataSet | None":
        """Return one item of the sequence `tag`, None where it is absent; 0 for the first."""
        found = values(self.elements, tag)
        item = found[place] if 0 <= place < len(found) else None
        return (
            DataSet(item, self.bulk, f"{self.path}{tag}/{place}/")
            if isinstance(item, dict)
            else None
        )

    def number(self, tag: str) -> float | None:
        """Return the first number of `tag`."""
        return number(self.elements, tag)

    def numbers(self, tag: str) -> tuple[float, ...]:
        """Return the numbers of `tag`."""
        return numbers(self.elements, tag)

    def text(self, tag: str) -> str:
        """Return the first value of `tag` as text."""
        return text(self.elements, tag)

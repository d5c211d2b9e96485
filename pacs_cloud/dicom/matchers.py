"""Keys ready to be asked, one kind for each rule of PS3.4 C.2.2.2; `matching` makes them."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.moments import Bounds, moment_of
from pacs_cloud.dicom.person_name import PersonName, normalise
from pacs_cloud.dicom.wildcard import glob_matches, is_pattern

WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""PS3.4 C.2.2.2.4; in the others `*` and `?` stand for themselves."""

_INTEGER: Final = re.compile(r"[+-]?\d{1,64}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[Ee][+-]?\d{1,4})?", re.ASCII)


class _Key(Protocol):
    @property
    def tag(self) -> str: ...

    def matches(self, element: Element | None) -> bool: ...


@dataclass(frozen=True, slots=True)
class AnyMatcher:
    """Universal matching (C.2.2.2.3)."""

    tag: str
    universal: bool = True

    def matches(self, element: Element | None) -> bool:  # noqa: ARG002 - the protocol's signature
        """Tell whether `element` satisfies the key: always."""
        return True


@dataclass(frozen=True, slots=True)
class EmptyMatcher:
    """Empty value matching (C.2.2.2.7)."""

    tag: str
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether the element is absent, or has no value."""
        if element is None:
            return True
        if element.get("InlineBinary") or element.get("BulkDataURI"):
            return False
        return not any(value not in (None, "", {}) for value in element.get("Value", ()))


@dataclass(frozen=True, slots=True)
class EveryMatcher:
    """Multiple value matching (C.2.2.2.8): each value of the key is one of the element's."""

    tag: str
    keys: tuple[_Key, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether the element satisfies every key."""
        return all(key.matches(element) for key in self.keys)


@dataclass(frozen=True, slots=True)
class TextMatcher:
    """Single value, UID list and wild card matching (C.2.2.2.1, .2, .4), case-sensitive."""

    tag: str
    vr: str
    keys: tuple[str, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values satisfies one of the keys."""
        return any(
            glob_matches(key, value) if self._is_pattern(key) else key == value
            for value in map(significant, _values(element))
            for key in self.keys
        )

    def _is_pattern(self, key: str) -> bool:
        return self.vr in WILDCARD_VRS and is_pattern(key)


@dataclass(frozen=True, slots=True)
class TypedMatcher:
    """As `TextMatcher`, but without case and accents, as people type what they look for."""

    tag: str
    vr: str
    keys: tuple[str, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values satisfies one of the keys."""
        plain = TextMatcher(self.tag, self.vr, tuple(map(normalise, self.keys)))
        return plain.matches(
            {"vr": self.vr, "Value": [*map(normalise, map(significant, _values(element)))]}
        )


@dataclass(frozen=True, slots=True)
class NameMatcher:
    """Person names: without case and accents, in any component group (C.2.2.2.1, PS3.5 6.2.1)."""

    tag: str
    names: tuple[PersonName, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's names satisfies one of the keys."""
        return any(
            _name_matches(key, PersonName.from_json(value))
            for value in _values(element)
            for key in self.names
        )


@dataclass(frozen=True, slots=True)
class MomentMatcher:
    """Dates and times, single or range (C.2.2.2.5); an empty or malformed one matches none."""

    tag: str
    vr: str
    bounds: Bounds
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values lies within the bounds, ends included."""
        return any(
            moment is not None and self.bounds.contain(moment)
            for moment in (moment_of(self.vr, value) for value in _values(element))
        )


@dataclass(frozen=True, slots=True)
class NumberMatcher:
    """Numbers, equal as numbers: `1`, `01` and `1.0` are one."""

    tag: str
    numbers: tuple[float, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values equals one of the keys."""
        return any(as_number(value) in self.numbers for value in _values(element))


@dataclass(frozen=True, slots=True)
class SequenceMatcher:
    """Sequence matching (C.2.2.2.6): one item satisfies every key."""

    tag: str
    keys: tuple[_Key, ...]
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether one item of the sequence satisfies all keys."""
        items: list[Elements] = [] if element is None else element.get("Value", [])
        return any(
            all(key.matches((item or {}).get(key.tag)) for key in self.keys) for item in items
        )


def significant(value: object) -> str:
    """Return a value as text, without the padding around it."""
    return str(value).strip(" \0")


def as_number(value: object) -> float | None:
    """Return a value of a numeric VR as the number it is, an integer exactly; None for none."""
    if isinstance(value, (int, float)):
        return value
    text = significant(value)
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None


def text_in(element: Element) -> Element:
    """Return bytes of unknown meaning as the text they mostly are."""
    try:
        raw = base64.b64decode(element.get("InlineBinary", ""), validate=True)
    except binascii.Error:
        return {"vr": "LO"}
    return {"vr": "LO", "Value": raw.decode("utf-8", "replace").split("\\")}


def _values(element: Element | None) -> list[Any]:
    values: list[Any] = [] if element is None else element.get("Value", [])
    return [value for value in values if value is not None and value != ""]


def _name_matches(key: PersonName, name: PersonName) -> bool:
    if any(key.groups[1:]):
        return all(
            _group_matches(wanted, group)
            for wanted, group in zip(key.groups, name.groups, strict=True)
            if wanted
        )
    return any(_group_matches(key.alphabetic, group) for group in name.groups if group)


def _group_matches(wanted: str, group: str) -> bool:
    pattern, text = normalise(wanted), normalise(group)
    return glob_matches(pattern, text) if is_pattern(pattern) else pattern == text

"""Attribute matching (PS3.4 C.2.2.2): does an element satisfy a key?

A key is parsed once and asked often. What it says beside that, a planner uses to
find candidates by an index: `values`, `literal_prefix`, `bounds`. Combined
date and time matching is the caller's: it sees two attributes.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.moments import Bounds, bounds_of, moment_of
from pacs_cloud.dicom.person_name import PersonName, normalise
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.dicom.wildcard import glob_matches, is_pattern, literal_prefix
from pacs_cloud.errors import InvalidRequest, InvalidUid

WILDCARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""PS3.4 C.2.2.2.4; in the others `*` and `?` stand for themselves."""

_RANGE_VRS: Final = frozenset({"DA", "DT", "TM"})
_NUMBER_VRS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_ONE_VALUE_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
_BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_MAX_ALTERNATIVES: Final = 10_000


class Matcher(Protocol):
    """A parsed key.

    Attributes:
        tag: of the attribute.
        universal: every element matches, also one that is absent.
        values: what the element's value has to equal, one of these, normalised as
            PN are; empty where the key is no exact one.
        literal_prefix: what every match begins with, normalised for PN; "" if unknown.
        bounds: earliest and latest, of a range or a single date or time; else None.
    """

    @property
    def tag(self) -> str: ...  # noqa: D102
    @property
    def universal(self) -> bool: ...  # noqa: D102
    @property
    def values(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def literal_prefix(self) -> str: ...  # noqa: D102
    @property
    def bounds(self) -> Bounds | None: ...  # noqa: D102

    def matches(self, element: Element | None) -> bool:
        """Tell whether `element`, None if absent, satisfies the key."""
        ...


def parse_key(tag: str, vr: str, key: str | Element) -> Matcher:
    r"""Return the matcher of a key.

    Args:
        tag: eight hex digits.
        vr: of the attribute.
        key: text as in a query string, or the DICOM JSON element of a C-FIND
            identifier. Several values (`CT\MR`, UIDs also with commas) match if
            one of them does.

    Raises:
        InvalidRequest: a malformed date, time, range, number or UID, a sequence
            key of two items, or a binary attribute.
    """
    if vr == "SQ":
        return _sequence_key(tag, key)
    texts = _texts(vr, key)
    if not any(texts) or (vr in WILDCARD_VRS and "*" in texts):
        return AnyMatcher(tag)
    texts = [text for text in texts if text]
    if len(texts) > _MAX_ALTERNATIVES:
        raise InvalidRequest(f"{keyword_of(tag)} lists more than {_MAX_ALTERNATIVES} values.")
    if vr in _RANGE_VRS:
        if len(texts) != 1:
            raise InvalidRequest(f"{keyword_of(tag)} takes one date, time or range.")
        return MomentMatcher(tag, vr, bounds_of(vr, texts[0], keyword_of(tag)))
    if vr in _NUMBER_VRS:
        return NumberMatcher(tag, tuple(_number(tag, text) for text in texts))
    if vr == "UI":
        return TextMatcher(tag, vr, tuple(_uid(tag, text) for text in texts))
    if vr in _BINARY_VRS:
        raise InvalidRequest(f"{keyword_of(tag)} holds bytes, which cannot be matched.")
    if vr == "PN":
        return NameMatcher(tag, tuple(PersonName.from_text(text) for text in texts))
    if vr == "AT":
        texts = [text.upper() for text in texts]
    return TextMatcher(tag, vr, tuple(texts))


@dataclass(frozen=True, slots=True)
class AnyMatcher:
    """Universal matching (C.2.2.2.3)."""

    tag: str
    universal: bool = True
    values: tuple[str, ...] = ()
    literal_prefix: str = ""
    bounds: Bounds | None = None

    def matches(self, element: Element | None) -> bool:  # noqa: ARG002 - the protocol's signature
        """Tell whether `element` satisfies the key: always."""
        return True


@dataclass(frozen=True, slots=True)
class TextMatcher:
    """Single value, UID list and wild card matching (C.2.2.2.1, .2, .4), case-sensitive."""

    tag: str
    vr: str
    keys: tuple[str, ...]
    universal: bool = False
    bounds: Bounds | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The keys, if none is a pattern."""
        return () if any(self._is_pattern(key) for key in self.keys) else self.keys

    @property
    def literal_prefix(self) -> str:
        """What every match begins with."""
        if len(self.keys) != 1:
            return ""
        return literal_prefix(self.keys[0]) if self.vr in WILDCARD_VRS else self.keys[0]

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values satisfies one of the keys."""
        return any(
            glob_matches(key, value) if self._is_pattern(key) else key == value
            for value in map(_significant, _values(element))
            for key in self.keys
        )

    def _is_pattern(self, key: str) -> bool:
        return self.vr in WILDCARD_VRS and is_pattern(key)


@dataclass(frozen=True, slots=True)
class NameMatcher:
    """Person names: without case and accents, in any component group (C.2.2.2.1, PS3.5 6.2.1)."""

    tag: str
    names: tuple[PersonName, ...]
    universal: bool = False
    bounds: Bounds | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """The normalised names, if each is one group and no pattern."""
        keys = tuple(normalise(name.alphabetic) for name in self.names)
        is_plain = all(key and not is_pattern(key) for key in keys)
        return keys if is_plain and not any(any(n.groups[1:]) for n in self.names) else ()

    @property
    def literal_prefix(self) -> str:
        """What one group of every match begins with, normalised."""
        if len(self.names) != 1:
            return ""
        groups = [normalise(group) for group in self.names[0].groups if group]
        return literal_prefix(groups[0]) if groups else ""

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's names satisfies one of the keys."""
        names = [] if element is None else element.get("Value", [])
        return any(
            _name_matches(key, PersonName.from_json(value)) for value in names for key in self.names
        )


@dataclass(frozen=True, slots=True)
class MomentMatcher:
    """Dates and times, single or range (C.2.2.2.5); an empty or malformed one matches none."""

    tag: str
    vr: str
    bounds: Bounds
    universal: bool = False
    values: tuple[str, ...] = ()
    literal_prefix: str = ""

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
    values: tuple[str, ...] = ()
    literal_prefix: str = ""
    bounds: Bounds | None = None

    def matches(self, element: Element | None) -> bool:
        """Tell whether one of the element's values equals one of the keys."""
        return any(_as_number(value) in self.numbers for value in _values(element))


@dataclass(frozen=True, slots=True)
class SequenceMatcher:
    """Sequence matching (C.2.2.2.6): one item satisfies every key."""

    tag: str
    keys: tuple[Matcher, ...]
    universal: bool = False
    values: tuple[str, ...] = ()
    literal_prefix: str = ""
    bounds: Bounds | None = None

    def matches(self, element: Element | None) -> bool:
        """Tell whether one item of the sequence satisfies all keys."""
        items: list[Elements] = [] if element is None else element.get("Value", [])
        return any(all(key.matches(item.get(key.tag)) for key in self.keys) for item in items)


def _sequence_key(tag: str, key: str | Element) -> Matcher:
    items: list[Any] = [] if isinstance(key, str) else key.get("Value", [])
    if (isinstance(key, str) and key.strip()) or len(items) > 1:
        raise InvalidRequest(f"{keyword_of(tag)} is a sequence: its key is one item (C.2.2.2.6).")
    inner: Elements = items[0] if items and items[0] else {}
    keys = tuple(
        matcher
        for matcher in (
            parse_key(name, str(element["vr"]), element) for name, element in inner.items()
        )
        if not matcher.universal
    )
    return SequenceMatcher(tag, keys) if keys else AnyMatcher(tag)


def _texts(vr: str, key: str | Element) -> list[str]:
    if isinstance(key, str):
        if vr == "UI":
            key = key.replace(",", "\\")
        values: list[Any] = [key] if vr in _ONE_VALUE_VRS else key.split("\\")
    else:
        values = key.get("Value", [])
        if vr == "PN":
            values = [str(PersonName.from_json(value)) for value in values]
    return ["" if value is None else _significant(value) for value in values]


def _significant(value: object) -> str:
    return str(value).strip(" \0")


def _values(element: Element | None) -> list[Any]:
    values: list[Any] = [] if element is None else element.get("Value", [])
    return [value for value in values if value is not None and value != ""]


def _uid(tag: str, text: str) -> str:
    try:
        return parse_uid(text)
    except InvalidUid as problem:
        raise InvalidRequest(f"{keyword_of(tag)}: {problem}") from problem


def _number(tag: str, text: str) -> float:
    number = _as_number(text)
    if number is None:
        raise InvalidRequest(f"{keyword_of(tag)} takes a number, not {text[:64]!r}.")
    return number


def _as_number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except (ValueError, OverflowError):
        return None


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

"""Attribute matching (PS3.4 C.2.2.2): does an element satisfy a key?

A key is parsed once and asked often. Combined date and time matching, which sees
two attributes, is `date_times`' affair.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydicom.datadict import dictionary_VM

from pacs_cloud.dicom import matchers
from pacs_cloud.dicom.dicomjson import keyword_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.moments import bounds_of
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, InvalidUid

_RANGE_VRS: Final = frozenset({"DA", "DT", "TM"})
_NUMBER_VRS: Final = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_ONE_VALUE_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
_BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_MULTIPLE_VRS: Final = frozenset({"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"})
"""PS3.4 C.2.2.2.8."""

_NO_VALUE: Final = '""'
_MAX_ALTERNATIVES: Final = 10_000
_PRIVATE_CREATOR: Final = re.compile(r"[0-9A-F]{3}[13579BDF]00[1-9A-F][0-9A-F]")


class Matcher(Protocol):
    """A parsed key.

    Attributes:
        tag: of the attribute.
        universal: every element matches, also one that is absent.
    """

    @property
    def tag(self) -> str: ...  # noqa: D102
    @property
    def universal(self) -> bool: ...  # noqa: D102

    def matches(self, element: Element | None) -> bool:
        """Tell whether `element`, None if absent, satisfies the key."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request has agreed on beyond the baseline.

    Attributes:
        empty_values: a key of two quotation marks matches what has no value (C.2.2.2.7).
        multiple_values: of several values each must match one of the attribute's, where
            that may have several (C.2.2.2.8); else one that matches is enough.
        zone: the offset from UTC that keys without one are in, "" for wherever the
            instance was made.
        typed: keys are as people type them: texts match without case and accents.
        by_sound: words of names that are matched fuzzily may sound alike; else they begin alike.
    """

    empty_values: bool = False
    multiple_values: bool = False
    zone: str = ""
    typed: bool = False
    by_sound: bool = True


BASELINE: Final = Rules()


def parse_key(tag: str, vr: str, key: str | Element, rules: Rules = BASELINE) -> Matcher:
    r"""Return the matcher of a key.

    Args:
        tag: eight hex digits.
        vr: of the attribute; UN where only what is stored tells it.
        key: text as in a query string, or the DICOM JSON element of a C-FIND
            identifier. Several values (`CT\MR`, UIDs also with commas) match if
            one of them does, but see `rules`.
        rules: what the request has agreed on.

    Raises:
        InvalidRequest: a malformed date, time, range, number or UID, a sequence
            key of two items, or a binary attribute.
    """
    texts = _texts(vr, key)
    if rules.empty_values and texts == [_NO_VALUE]:
        return matchers.EmptyMatcher(tag)
    if vr == "SQ":
        return _sequence_key(tag, key, rules)
    if not any(texts) or (vr in matchers.WILDCARD_VRS and "*" in texts):
        return matchers.AnyMatcher(tag)
    texts = [text for text in texts if text]
    if len(texts) > _MAX_ALTERNATIVES:
        raise InvalidRequest(f"{keyword_of(tag)} lists more than {_MAX_ALTERNATIVES} values.")
    if rules.multiple_values and len(texts) > 1 and vr in _MULTIPLE_VRS and _may_have_several(tag):
        return matchers.EveryMatcher(tag, tuple(_matcher(tag, vr, [text], rules) for text in texts))
    return _matcher(tag, vr, texts, rules)


def _matcher(tag: str, vr: str, texts: list[str], rules: Rules) -> Matcher:
    if vr in _RANGE_VRS:
        if len(texts) != 1:
            raise InvalidRequest(f"{keyword_of(tag)} takes one date, time or range.")
        bounds = bounds_of(vr, texts[0], keyword_of(tag), rules.zone)
        return matchers.MomentMatcher(tag, vr, bounds)
    if vr in _NUMBER_VRS:
        return matchers.NumberMatcher(tag, tuple(_number(tag, text) for text in texts))
    if vr == "UI":
        return matchers.TextMatcher(tag, vr, tuple(_uid(tag, text) for text in texts))
    if vr in _BINARY_VRS:
        raise InvalidRequest(f"{keyword_of(tag)} holds bytes, which cannot be matched.")
    if vr == "PN":
        return matchers.NameMatcher(tag, tuple(PersonName.from_text(text) for text in texts))
    if vr == "AT":
        texts = [text.upper() for text in texts]
    if vr == "UN" and _PRIVATE_CREATOR.fullmatch(tag):
        vr = "LO"  # PS3.5 7.8.1
    if vr == "UN":
        return StoredMatcher(tag, "\\".join(texts), rules)
    kind = matchers.TypedMatcher if rules.typed else matchers.TextMatcher
    return kind(tag, vr, tuple(texts))


@dataclass(frozen=True, slots=True)
class StoredMatcher:
    """A private attribute's key: the VR it is stored with says how it is matched."""

    tag: str
    text: str
    rules: Rules
    universal: bool = False

    def matches(self, element: Element | None) -> bool:
        """Tell whether `element` satisfies the key; one that cannot be matched does not."""
        if element is None:
            return False
        vr = str(element["vr"])
        if vr in _BINARY_VRS or vr == "UN":
            vr, element = "LO", matchers.text_in(element)
        try:
            return parse_key(self.tag, vr, self.text, self.rules).matches(element)
        except InvalidRequest:
            return False


def _sequence_key(tag: str, key: str | Element, rules: Rules) -> Matcher:
    items: list[Any] = [] if isinstance(key, str) else key.get("Value", [])
    if (isinstance(key, str) and key.strip()) or len(items) > 1:
        raise InvalidRequest(f"{keyword_of(tag)} is a sequence: its key is one item (C.2.2.2.6).")
    inner: Elements = items[0] if items and items[0] else {}
    keys = tuple(
        matcher
        for matcher in (
            parse_key(name, str(element["vr"]), element, rules) for name, element in inner.items()
        )
        if not matcher.universal
    )
    return matchers.SequenceMatcher(tag, keys) if keys else matchers.AnyMatcher(tag)


def _texts(vr: str, key: str | Element) -> list[str]:
    if isinstance(key, str):
        if vr == "UI":
            key = key.replace(",", "\\")
        values: list[Any] = [key] if vr in _ONE_VALUE_VRS else key.split("\\")
    elif vr == "SQ":
        return []
    else:
        values = key.get("Value", [])
        if vr == "PN":
            values = [str(PersonName.from_json(value)) for value in values]
    return ["" if value is None else matchers.significant(value) for value in values]


def _may_have_several(tag: str) -> bool:
    try:
        return dictionary_VM(int(tag, 16)) != "1"
    except KeyError:
        return True


def _uid(tag: str, text: str) -> str:
    try:
        return parse_uid(text)
    except InvalidUid as problem:
        raise InvalidRequest(f"{keyword_of(tag)}: {problem}") from problem


def _number(tag: str, text: str) -> float:
    number = matchers.as_number(text)
    if number is None:
        raise InvalidRequest(f"{keyword_of(tag)} takes a number, not {text[:64]!r}.")
    return number

"""Which keys a request has at each level, and whether a record matches them."""

from typing import Any, Final, Protocol

from pacs_cloud.dicom import attributes, matching
from pacs_cloud.dicom.dicomjson import vr_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.query import computed
from pacs_cloud.query.fuzzy import FuzzyName, words_of
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

SPECIFIC_CHARACTER_SET: Final = "00080005"
EVERY_LEVEL: Final = frozenset({SPECIFIC_CHARACTER_SET, "00080201"})
"""Specific Character Set and Timezone Offset From UTC say how to read the other keys; they are
no condition of their own."""

STUDY_TAGS: Final = frozenset(attributes.STUDY_TAGS) | computed.STUDY_COMPUTED
SERIES_TAGS: Final = frozenset(attributes.SERIES_TAGS) | computed.SERIES_COMPUTED
INSTANCE_TAGS: Final = frozenset(attributes.INSTANCE_TAGS)


class Matcher(Protocol):
    """One key, ready to be asked."""

    @property
    def tag(self) -> str:
        """Of the attribute it looks at."""
        ...

    def matches(self, element: Element | None) -> bool:
        """Tell whether the attribute, None where it is absent, satisfies the key."""
        ...


def level_of(tag: str) -> Level | None:
    """Return the level whose records hold `tag`; None where no search keeps it.

    A patient's attributes are kept with each study: their level is STUDY.
    """
    if tag in STUDY_TAGS:
        return Level.STUDY
    if tag in SERIES_TAGS:
        return Level.SERIES
    return Level.IMAGE if tag in INSTANCE_TAGS else None


class Criteria:
    """A request's keys, ready to be matched."""

    def __init__(self, request: SearchRequest) -> None:
        """Read the keys.

        Raises:
            InvalidRequest: a value that its attribute cannot have.
        """
        self._keys: dict[Level, list[Matcher]] = {level: [] for level in Level}
        ignored: list[tuple[str, ...]] = []
        for root, key in _by_root(request.keys).items():
            level = level_of(root)
            if root in EVERY_LEVEL:
                continue
            if level is None:
                ignored.extend(k.path for k in request.keys if k.path[0] == root and k.text)
                continue
            matcher = matching.parse_key(root, vr_of(root), key)
            if matcher.universal:
                continue
            is_fuzzy = request.fuzzy and isinstance(matcher, matching.NameMatcher)
            words = words_of(str(key)) if is_fuzzy else ()
            self._keys[level].append(FuzzyName(root, words) if words else matcher)
        self.ignored = tuple(ignored)

    def has(self, level: Level) -> bool:
        """Tell whether any key is of `level`."""
        return bool(self._keys[level])

    def match(self, level: Level, elements: Elements) -> bool:
        """Tell whether a record of `level` with these attributes matches its keys."""
        return all(key.matches(elements.get(key.tag)) for key in self._keys[level])

    def lower_than(self, level: Level) -> bool:
        """Tell whether a key asks for something in the parts of a record of `level`."""
        return any(self.has(lower) for lower in Level if lower > level)


def first_text(elements: Elements, tag: str) -> str:
    """Return the first value of an attribute as text, "" where there is none."""
    values: list[Any] = elements.get(tag, {}).get("Value", [])
    return str(values[0]) if values and values[0] is not None else ""


def project(returns: frozenset[str] | None, *sources: Elements) -> Elements:
    """Return what `returns` names out of `sources`, by ascending tag; earlier sources win."""
    merged: Elements = {}
    for source in reversed(sources):
        merged.update(source)
    tags = merged.keys() if returns is None else returns & merged.keys()
    return {tag: merged[tag] for tag in sorted(tags)}


def _by_root(keys: tuple[SearchKey, ...]) -> dict[str, str | Element]:
    """Return keys by their first tag; those in one sequence become one item of it.

    One item of a sequence must satisfy all that is asked of it (PS3.4 C.2.2.2.6).
    """
    roots: dict[str, Any] = {}
    for key in keys:
        *sequences, tag = key.path
        item = roots
        for sequence in sequences:
            item = _item_of(item, sequence)
        if not sequences:
            item.setdefault(tag, key.text)
        else:
            vr = vr_of(tag)
            item.setdefault(tag, {"vr": vr, "Value": _values(vr, key.text)})
    return roots


def _item_of(item: dict[str, Any], sequence: str) -> dict[str, Any]:
    element = item.get(sequence)
    values: list[Any] = element.get("Value", []) if isinstance(element, dict) else []
    if not values or not isinstance(values[0], dict):
        # A key on the sequence itself, if there is one, says nothing about what is in it.
        values = [{}]
        item[sequence] = {"vr": "SQ", "Value": values}
    return values[0]


def _values(vr: str, text: str) -> list[Any]:
    texts = text.split("\\") if text else []
    return [{"Alphabetic": part} for part in texts] if vr == "PN" else texts

"""Which keys a request has at each level, and whether a record matches them."""

from typing import Any, Final, Protocol

from pacs_cloud.dicom import attributes, matching
from pacs_cloud.dicom.date_times import TIME_OF, combined_range, seen_from
from pacs_cloud.dicom.dicomjson import vr_of
from pacs_cloud.dicom.elements import Element, Elements
from pacs_cloud.dicom.matchers import NameMatcher
from pacs_cloud.dicom.name_words import words_of
from pacs_cloud.query import computed
from pacs_cloud.query.fuzzy import FuzzyName
from pacs_cloud.query.headers import PrivateBlocks, Wish
from pacs_cloud.query.planner import is_bounded
from pacs_cloud.query.request import Level, SearchKey, SearchRequest

SPECIFIC_CHARACTER_SET: Final = "00080005"
EVERY_LEVEL: Final = frozenset({SPECIFIC_CHARACTER_SET, "00080201"})
"""Specific Character Set and Timezone Offset From UTC say how to read the other keys; they are
no condition of their own."""

STUDY_TAGS: Final = frozenset(attributes.STUDY_TAGS) | computed.STUDY_COMPUTED
SERIES_TAGS: Final = frozenset(attributes.SERIES_TAGS) | computed.SERIES_COMPUTED
INSTANCE_TAGS: Final = frozenset(attributes.INSTANCE_TAGS)

_IN_NO_HEADER: Final = computed.OF_NO_INSTANCE | frozenset(
    {"00080052", "00080054", "00081190"}  # Query/Retrieve Level, Retrieve AE Title and URL
)


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


class Whole(Protocol):
    """What several attributes of a record must satisfy together."""

    def matches(self, elements: Elements) -> bool:
        """Tell whether they do."""
        ...


class Criteria:
    """A request's keys, ready to be matched.

    Attributes:
        ignored: keys that are not matched: no search keeps their attributes.
        unreturned: tags that cannot be returned, likewise.
        wish: what is to be returned of full headers.
    """

    def __init__(self, request: SearchRequest) -> None:
        """Read the keys.

        Raises:
            InvalidRequest: a value that its attribute cannot have.
        """
        self._keys: dict[Level, list[Matcher]] = {level: [] for level in Level}
        self._wholes: dict[Level, list[Whole]] = {level: [] for level in Level}
        self._of_headers: list[Matcher] = []
        self._request = request
        self._zone = request.rules.zone
        has_headers = request.headers and is_bounded(request)
        ignored: list[tuple[str, ...]] = []
        roots = _by_root(request.keys)
        for root in self._combine(roots) if request.combined else ():
            del roots[root]
        for root, key in roots.items():
            level = level_of(root)
            if root in EVERY_LEVEL:
                continue
            if level is None and (not has_headers or root in _IN_NO_HEADER):
                ignored.extend(k.path for k in request.keys if k.path[0] == root and k.text)
                continue
            vr = "SQ" if isinstance(key, dict) else vr_of(root)
            matcher = self._matcher(root, vr, key)
            if not matcher.universal:
                (self._of_headers if level is None else self._keys[level]).append(matcher)
        self.ignored = tuple(ignored)
        unkept = frozenset(tag for tag in request.returns or () if _is_of_headers(tag))
        self.unreturned = () if has_headers else tuple(sorted(unkept))
        self._blocks = PrivateBlocks.of(request.keys)
        everything = has_headers and request.everything and request.level == Level.IMAGE
        self.wish = Wish(unkept if has_headers else frozenset(), everything, self._blocks)

    def _matcher(self, root: str, vr: str, key: str | Element) -> "matching.Matcher | FuzzyName":
        matcher = matching.parse_key(root, vr, key, self._request.rules)
        if not self._request.fuzzy or not isinstance(matcher, NameMatcher):
            return matcher
        keys = tuple(filter(None, (words_of(str(name)) for name in matcher.names)))
        return FuzzyName(root, keys, self._request.rules.by_sound) if keys else matcher

    def _combine(self, roots: dict[str, str | Element]) -> list[str]:
        """Take up the pairs of ranges that are one; return their tags."""
        combined: list[str] = []
        for date_tag, time_tag in TIME_OF.items():
            date, time = roots.get(date_tag), roots.get(time_tag)
            level = level_of(date_tag)
            if not isinstance(date, str) or not isinstance(time, str) or level is None:
                continue
            if (whole := combined_range(date_tag, date, time)) and level_of(time_tag) == level:
                self._wholes[level].append(whole)
                combined += (date_tag, time_tag)
        return combined

    @property
    def has_header_keys(self) -> bool:
        """Whether instances must match by their full headers."""
        return bool(self._of_headers)

    def has(self, level: Level) -> bool:
        """Tell whether any key is of `level`; those of headers are of instances."""
        return bool(self._keys[level] or self._wholes[level]) or (
            level == Level.IMAGE and self.has_header_keys
        )

    def match(self, level: Level, elements: Elements) -> bool:
        """Tell whether a record of `level` with these attributes matches its keys."""
        keys, wholes = self._keys[level], self._wholes[level]
        if not keys and not wholes:
            return True
        if self._zone:
            elements = seen_from(elements, self._zone)
        return all(key.matches(elements.get(key.tag)) for key in keys) and all(
            whole.matches(elements) for whole in wholes
        )

    def match_header(self, header: Elements) -> bool:
        """Tell whether an instance's full header matches the keys that only it holds."""
        header = self._blocks.renumbered(header)
        return all(key.matches(header.get(key.tag)) for key in self._of_headers)

    def lower_than(self, level: Level) -> bool:
        """Tell whether a key asks for something in the parts of a record of `level`."""
        return any(self.has(lower) for lower in Level if lower > level)


def project(returns: frozenset[str] | None, *sources: Elements) -> Elements:
    """Return what `returns` names out of `sources`, by ascending tag; earlier sources win."""
    merged: Elements = {}
    for source in reversed(sources):
        merged.update(source)
    tags = merged.keys() if returns is None else returns & merged.keys()
    return {tag: merged[tag] for tag in sorted(tags)}


def _is_of_headers(tag: str) -> bool:
    return level_of(tag) is None and tag not in _IN_NO_HEADER and tag not in EVERY_LEVEL


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

"""Random keys against random attributes: as a reference that is as simple as can be says."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pacs_cloud.dicom.matching import Rules, parse_key

LO, CS, PN, DA, TM, IS, UI, SQ = (
    "00100020",
    "00080061",
    "00100010",
    "00080020",
    "00080030",
    "00200013",
    "0020000D",
    "00400275",
)

texts = st.text("aAbB12", min_size=1, max_size=4)
dates = st.builds("2024{:02}{:02}".format, st.integers(1, 3), st.integers(1, 5))
times = st.builds(
    lambda hour, rest: f"{hour:02}{rest}", st.integers(8, 11), st.sampled_from(["", "30", "3015"])
)
uids = st.sampled_from(["1.2", "1.2.3", "1.3", "2.5.1"])
numbers = st.integers(-3, 12)

VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    LO: ("LO", texts),
    CS: ("CS", texts),
    PN: ("PN", st.fixed_dictionaries({"Alphabetic": texts}, optional={"Ideographic": texts})),
    DA: ("DA", dates),
    TM: ("TM", times),
    IS: ("IS", numbers | numbers.map(" {} ".format)),
    UI: ("UI", uids),
}


def ranges(points: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(points, points).map(lambda two: "-".join(sorted(two)))
    return points | pair | points.map("{}-".format) | points.map("-{}".format)


patterns = st.text("aAbB12*?", min_size=1, max_size=4)
KEYS: dict[str, st.SearchStrategy[str]] = {
    LO: st.lists(patterns, min_size=1, max_size=2).map("\\".join),
    CS: st.lists(patterns, min_size=1, max_size=2).map("\\".join),
    PN: patterns,
    DA: ranges(dates),
    TM: ranges(times),
    IS: numbers.map(str) | numbers.map("{}.0".format) | numbers.map(" {}".format),
    UI: st.lists(uids, min_size=1, max_size=3).map("\\".join),
}


@st.composite
def elements(draw: st.DrawFn, tag: str) -> dict[str, Any] | None:
    vr, values = VALUES[tag]
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return None
    if kind == 1:
        return {"vr": vr}
    if kind == 2:
        return {"vr": vr, "Value": [None]}
    most = 3 if tag in {CS, LO} else 1
    return {"vr": vr, "Value": draw(st.lists(values, min_size=1, max_size=most))}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, dict[str, Any] | None]:
    tag = draw(st.sampled_from(sorted(KEYS)))
    return tag, draw(KEYS[tag] | st.just('""')), draw(elements(tag))


def spans(time: str) -> tuple[str, str]:
    return (time + "0000")[:6], (time + "5959"[len(time) - 2 :])[:6]


def value_matches(tag: str, key: str, value: Any) -> bool:
    if tag == PN:
        return any(wild(key.upper(), group.upper()) for group in value.values())
    if tag in {LO, CS}:
        return wild(key, value)
    if tag == UI:
        return key == value
    if tag == IS:
        return float(key) == float(value)
    first, dash, last = key.partition("-")
    low, high = first, (last if dash else first)
    if tag == DA:
        return (not low or low <= value) and (not high or value <= high)
    begin = spans(value)[0]
    return (not low or spans(low)[0] <= begin) and (not high or begin <= spans(high)[1])


def wild(pattern: str, text: str) -> bool:
    regex = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(regex, text) is not None


def reference(tag: str, key: str, element: dict[str, Any] | None, rules: Rules) -> bool:
    values = [value for value in (element or {}).get("Value", []) if value is not None]
    if key == '""' and rules.empty_values:
        return not values
    keys = key.split("\\")
    if set(keys) <= {"*", ""} or "*" in keys:
        return True
    if tag == CS and rules.multiple_values:
        return all(any(value_matches(tag, one, value) for value in values) for one in keys)
    return any(value_matches(tag, one, value) for one in keys for value in values)


def is_text(tag: str) -> bool:
    return tag in {LO, CS, PN}


@given(cases(), st.builds(Rules, st.booleans(), st.booleans()))
def test_matching_is_what_the_reference_says(
    case: tuple[str, str, dict[str, Any] | None], rules: Rules
) -> None:
    tag, key, element = case
    if key == '""' and not rules.empty_values and not is_text(tag):
        return
    made = parse_key(tag, VALUES[tag][0], key, rules)
    assert made.matches(element) == reference(tag, key, element, rules)


@given(st.lists(cases(), min_size=1, max_size=3, unique_by=lambda case: case[0]), st.data())
def test_one_item_of_a_sequence_has_to_meet_every_key(
    wanted: list[tuple[str, str, dict[str, Any] | None]], data: st.DataObject
) -> None:
    rules = Rules(empty_values=True)
    keys = {tag: key for tag, key, _ in wanted}
    items = [
        {tag: element for tag in keys if (element := data.draw(elements(tag))) is not None}
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    # Keys of nothing but stars are no keys.
    universal = all(key != '""' and "*" in key.split("\\") for key in keys.values())
    key_item = {
        tag: {
            "vr": VALUES[tag][0],
            "Value": [{"Alphabetic": key}] if tag == PN else key.split("\\"),
        }
        for tag, key in keys.items()
    }
    made = parse_key(SQ, "SQ", {"vr": "SQ", "Value": [key_item]}, rules)
    expected = universal or any(
        all(reference(tag, key, item.get(tag), rules) for tag, key in keys.items())
        for item in items
    )
    assert made.matches({"vr": "SQ", "Value": items}) == expected

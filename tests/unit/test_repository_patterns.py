"""No pattern of ours takes a time that grows with the square of what it is given, or worse.

A backtracking matcher does so where two unbounded repeats can share characters, with nothing that
must stand between them (CWE-1333): which of them takes how much is tried for every length. A
possessive repeat (`++`) is never tried again. What `search` does from every place is not seen here.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import pacs_cloud

CHARACTERS = [*range(256), 0x3B1, 0x4E00, 0x200B]
ALL = frozenset(CHARACTERS)
UNBOUNDED = 256
"""A repeat of fewer is a constant."""

# What these are given is bounded, as said.
BOUNDED = {
    "pacs_cloud.dicom.deid.identity._OF_WORDS": "a keyword of the dictionary",
    "pacs_cloud.security.passwords._AROUND": "256 characters",
}


def charset(items: Any) -> frozenset[int]:
    """Return which of CHARACTERS the members of a class take."""
    found: set[int] = set()
    negated = False
    for kind, value in items:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.LITERAL:
            found.add(value)
        elif kind is op.RANGE:
            found |= {c for c in CHARACTERS if value[0] <= c <= value[1]}
        elif kind is op.CATEGORY:
            pattern = {
                op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D",
                op.CATEGORY_SPACE: r"\s", op.CATEGORY_NOT_SPACE: r"\S",
                op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
            }[value]  # fmt: skip
            found |= {c for c in CHARACTERS if re.match(pattern, chr(c))}
    return ALL - found if negated else frozenset(found)


Run = frozenset[int]
"""The characters of an unbounded repeat."""


class Shape:
    """What stands at a node's edges: repeats that can reach its beginning, and its end."""

    def __init__(
        self, empty: bool, chars: frozenset[int], front: list[Run], back: list[Run], bad: bool
    ) -> None:
        self.empty, self.chars = empty, chars
        self.front, self.back, self.bad = front, back, bad


def clash(left: list[Run], right: list[Run]) -> bool:
    return any(one & other for one in left for other in right)


def sequence(shapes: list[Shape]) -> Shape:
    whole = Shape(True, frozenset(), [], [], False)
    for shape in shapes:
        whole = Shape(
            whole.empty and shape.empty,
            whole.chars | shape.chars,
            whole.front + (shape.front if whole.empty else []),
            shape.back + (whole.back if shape.empty else []),
            whole.bad or shape.bad or clash(whole.back, shape.front),
        )
    return whole


def either(shapes: list[Shape]) -> Shape:
    return Shape(
        any(one.empty for one in shapes),
        frozenset().union(*(one.chars for one in shapes)),
        [run for one in shapes for run in one.front],
        [run for one in shapes for run in one.back],
        any(one.bad for one in shapes),
    )


def shape_of(node: tuple[Any, Any]) -> Shape:
    kind, value = node
    if kind is op.LITERAL:
        return Shape(False, charset([node]), [], [], False)
    if kind is op.NOT_LITERAL:
        return Shape(False, ALL - {value}, [], [], False)
    if kind is op.ANY:
        return Shape(False, ALL, [], [], False)
    if kind is op.IN:
        return Shape(False, charset(value), [], [], False)
    if kind is op.BRANCH:
        return either([sequence(list(map(shape_of, one))) for one in value[1]])
    if kind is op.SUBPATTERN:
        return sequence(list(map(shape_of, value[3])))
    if kind is op.ATOMIC_GROUP:
        inner = sequence(list(map(shape_of, value)))
        return Shape(inner.empty, inner.chars, [], [], inner.bad)
    if kind is op.GROUPREF_EXISTS:
        arms = [one for one in value[1:] if one is not None]
        return either([sequence(list(map(shape_of, one))) for one in arms] + [sequence([])])
    if kind in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
        least, most, body = value
        inner = sequence(list(map(shape_of, body)))
        if most <= UNBOUNDED:
            return Shape(inner.empty or not least, inner.chars, inner.front, inner.back, inner.bad)
        # What is repeated stands behind itself.
        bad = inner.bad or clash(inner.back, inner.front)
        runs = [] if kind is op.POSSESSIVE_REPEAT else [inner.chars]
        is_one = len(body) == 1 and not inner.front
        # Of several elements, only those that vary can be shared out otherwise.
        front, back = (runs, runs) if is_one else (inner.front, inner.back)
        return Shape(inner.empty or not least, inner.chars, front, back, bad)
    if kind in {op.AT, op.ASSERT, op.ASSERT_NOT, op.GROUPREF}:
        return Shape(True, frozenset(), [], [], False)
    raise AssertionError(f"a kind of pattern that is not known here: {kind}")


def is_quadratic(pattern: str | bytes, flags: int = 0) -> bool:
    return sequence(list(map(shape_of, _parser.parse(pattern, flags)))).bad


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for found in pkgutil.walk_packages(pacs_cloud.__path__, "pacs_cloud."):
        if not found.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(found.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{found.name}.{name}", value


def test_every_pattern_takes_a_time_that_grows_with_its_text() -> None:
    found = dict(patterns())
    assert len(found) > 80
    bad = [
        f"{name}: {one.pattern!r}"
        for name, one in found.items()
        if name not in BOUNDED and is_quadratic(one.pattern, one.flags)
    ]
    assert bad == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+\.?\d*",
        r"(?:a+)+b",
        r"(?:a|b+)*c",
        r"a*a*",
        r"[ \t]*([^\n]*)",
        r"(x+)(?:y?)(\w*)",
        r".*.*",
        rb" *[0-9]* *[0-9]+ *x*[ ]*",
    ],
)
def test_what_grows_with_the_square_is_seen(pattern: str | bytes) -> None:
    assert is_quadratic(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d++\.?\d*+",
        r"\d+\.\d*",
        r"[a-z]+/[a-z]+",
        r"(?:[^\"\\]|\\.)*\"",
        r"[0-9]+(?:\.[0-9]+)*",
        r"a{1,64}a{1,64}",
        r"(?:[^\"\[]++|\"[^\"]*+\")*+x",
    ],
)
def test_what_does_not_is_not(pattern: str) -> None:
    assert not is_quadratic(pattern)

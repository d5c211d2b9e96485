"""What-if questions: what years of studies would cost under other policies, and the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know.

    Attributes:
        name: what the policies are called.
        policies: they, in TOML.
        years: how long.
        is_replay: whether this archive's own studies and reads are gone through again; else
            a made-up hospital's.
        studies: how many of that come in all the time.
        region: whose prices.
        speed: of restores.
    """

    name: str
    policies: str
    years: int
    is_replay: bool
    studies: int
    region: str
    speed: str = "standard"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @staticmethod
    def of_json(fields: Mapping[str, Any]) -> "Question":
        """Return the question that `as_json` has written."""
        return _QUESTION.validate_python(fields)


@dataclass(frozen=True, slots=True)
class AnsweredBill:
    """What one candidate comes to in one layout, line by line."""

    name: str
    lines: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What it would cost.

    Attributes:
        of: whose studies, in a sentence.
        when: how many, and when, in a sentence.
        prices: whose, in a sentence.
        totals: of each candidate in each layout.
        cost: what each costs a month: its name, and an SVG.
        held: what lies in each class likewise.
        bills: of each.
        words: what else is to be said.
    """

    of: str
    when: str
    prices: str
    totals: Sequence[Mapping[str, str]]
    cost: Sequence[tuple[str, str]]
    held: Sequence[tuple[str, str]]
    bills: Sequence[AnsweredBill]
    words: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @staticmethod
    def of_json(fields: Mapping[str, Any]) -> "Answer":
        """Return the answer that `as_json` has written."""
        return _ANSWER.validate_python(fields)


_QUESTION: Final = TypeAdapter(Question)
_ANSWER: Final = TypeAdapter(Answer)

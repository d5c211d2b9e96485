"""Why a recall was started."""

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """By whom, or by what."""

    READ = "read"
    """Somebody wanted to read the study."""
    COMMAND = "command"
    """Somebody asked for it back."""
    RULE = "rule"
    """A study of the same patient came in, and a rule of prefetching is for it."""
    WORKLIST = "worklist"
    """The same patient has an appointment."""
    PIN = "pin"
    """The study is pinned, and brought back for good."""
    UNKNOWN = "unknown"
    """A release wrote it that kept no causes."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why, and of RULE and WORKLIST by which rule: its name, "" for none."""

    why: Why
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.why}: {self.rule}" if self.rule else str(self.why)


PREFETCHED = frozenset({Why.RULE, Why.WORKLIST})
"""Causes that nobody is behind who waits for it: they share a bound of bytes."""

UNKNOWN = Cause(Why.UNKNOWN)

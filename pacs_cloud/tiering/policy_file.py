"""Tier policies in a TOML file, as ops teams write them (docs/tiers.md)."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Tenant
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step
from pacs_cloud.tiering.prefetch_tables import ArrivalTable, PrefetchTable, PriorsTable
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule
from pacs_cloud.tiering.rule_terms import (
    MOST_DAYS,
    Code,
    Days,
    Name,
    Pattern,
    Size,
    Texts,
    Untrusted,
    days_of_years,
    not_empty,
)

_Rule = TypeVar("_Rule")

_PREAMBLE: Final = re.compile(r"^(?:Value error, |(?:Input|String) (?=should ))")


def read_policies(path: Path) -> tuple[Policy, ...]:
    """Return the policies of a file, in its order, which is the order they are asked in.

    Raises:
        InvalidRequest: it cannot be read or understood; a line for each fault.
    """
    return _read(path, parse_policies)


def read_prefetch(path: Path) -> tuple[PrefetchRule, ...]:
    """Return the rules of prefetching of a file, likewise; raises as `read_policies`."""
    return _read(path, parse_prefetch)


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Return the policies that a TOML text holds; raises InvalidRequest, a line for each fault."""
    return tuple(one.policy() for one in _parsed(text).policies)


def parse_prefetch(text: str) -> tuple[PrefetchRule, ...]:
    """Return the rules of prefetching that it holds; raises as `parse_policies`."""
    return tuple(one.rule() for one in _parsed(text).prefetch)


def _read(path: Path, parse: Callable[[str], tuple[_Rule, ...]]) -> tuple[_Rule, ...]:
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text") from error
    try:
        return parse(text)
    except InvalidRequest as error:
        lines = [f"{path}: {line}" for line in str(error).splitlines()]
        raise InvalidRequest("\n".join(lines)) from error


class _Match(Untrusted):
    tenant: Texts[Tenant] = ()
    modality: Texts[Code] = ()
    description: Texts[Pattern] = ()
    institution: Texts[Pattern] = ()
    min_bytes: Size = 0
    max_bytes: Size | None = None

    def match(self) -> Match:
        return Match(
            tenants=frozenset(self.tenant),
            modalities=frozenset(self.modality),
            descriptions=self.description,
            institutions=self.institution,
            least_bytes=self.min_bytes,
            most_bytes=self.max_bytes,
        )


class _Step(Untrusted):
    to: StorageClass
    study_age_days: Days | None = None
    stored_days: Days | None = None
    unread_days: Days | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> Self:
        if len(self._said()) != 1:
            raise ValueError("needs one of study_age_days, stored_days and unread_days")
        return self

    def step(self) -> Step:
        ((clock, days),) = self._said().items()
        return Step(self.to, days, clock)

    def _said(self) -> dict[Clock, int]:
        days = {
            Clock.STUDY: self.study_age_days,
            Clock.STORED: self.stored_days,
            Clock.UNREAD: self.unread_days,
        }
        return {clock: said for clock, said in days.items() if said is not None}


class _Policy(Untrusted):
    name: Name
    match: _Match = _Match()
    steps: tuple[_Step, ...] = ()
    retention_days: Annotated[int, Field(strict=True, ge=1, le=MOST_DAYS)] | None = None
    retention_years: Annotated[float, Field(strict=True, gt=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_retention(self) -> Self:
        if self.retention_days is not None and self.retention_years is not None:
            raise ValueError("takes retention_days or retention_years, not both")
        return self

    def policy(self) -> Policy:
        days = self.retention_days
        if self.retention_years is not None:
            days = days_of_years(self.retention_years)
        return Policy(self.name, self.match.match(), tuple(one.step() for one in self.steps), days)


class _File(Untrusted):
    policies: Annotated[tuple[_Policy, ...], AfterValidator(not_empty)]
    prefetch: tuple[PrefetchTable, ...] = ()


def _parsed(text: str) -> _File:
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Beside what is no TOML: a number of thousands of digits, thousands of brackets.
        raise InvalidRequest(f"not TOML: {error}") from error
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise InvalidRequest("\n".join(_in_words(fault, document) for fault in faults)) from error
    faults = [
        *_doubles("policy", [one.name for one in file.policies]),
        *_doubles("prefetch rule", [one.name for one in file.prefetch]),
    ]
    if faults:
        raise InvalidRequest("\n".join(faults))
    return file


def _doubles(what: str, names: Sequence[str]) -> list[str]:
    first: dict[str, int] = {}
    faults: list[str] = []
    for number, name in enumerate(names, 1):
        if first.setdefault(name, number) != number:
            faults.append(f'{what} {number} "{name}": {what} {first[name]} has this name too')
    return faults


def _in_words(fault: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return one fault as a line: where it is, as a reader counts, and what is wrong."""
    place, field, known = _place(fault["loc"], document)
    match fault["type"]:
        case "missing":
            said = "is missing"
        case "extra_forbidden":
            said = f"is not known; there are {', '.join(known.model_fields)}"
        case "string_pattern_mismatch":
            said = f"cannot be {fault['input']!r}"
        case "model_type":
            said = "should be a table"
        case "tuple_type":
            tables = field in {"policies", "steps", "prefetch"}
            said = f"should be {'tables' if tables else 'a text or a list of texts'}"
        case _:
            said = _PREAMBLE.sub("", fault["msg"])
    subject = f"`{field}` " if field else ""
    return f"{place}: {subject}{said}" if place else f"{subject}{said}"


def _place(
    location: tuple[int | str, ...], document: Mapping[str, Any]
) -> tuple[str, str, type[Untrusted]]:
    """Return the place in words, the field there ("" for none), and what it is a field of."""
    words: list[str] = []
    known: type[Untrusted] = _File
    rest = list(location)
    if rest[:1] == ["prefetch"] and len(rest) > 1:
        words.append(_named("prefetch rule", document["prefetch"], int(rest[1])))
        known, rest = PrefetchTable, rest[2:]
        if rest[:1] == ["match"] and len(rest) > 1:
            words.append("match")
            known, rest = ArrivalTable, rest[1:]
        elif rest[:1] == ["priors"] and len(rest) > 1:
            words.append("priors")
            known, rest = PriorsTable, rest[1:]
    elif rest[:1] == ["policies"] and len(rest) > 1:
        words.append(_named("policy", document["policies"], int(rest[1])))
        known, rest = _Policy, rest[2:]
        if rest[:1] == ["steps"] and len(rest) > 1:
            words.append(f"step {int(rest[1]) + 1}")
            known, rest = _Step, rest[2:]
        elif rest[:1] == ["match"] and len(rest) > 1:
            words.append("match")
            known, rest = _Match, rest[1:]
    return ", ".join(words), str(rest[0]) if rest else "", known


def _named(what: str, tables: Sequence[Any], index: int) -> str:
    table = tables[index]
    name = table.get("name") if isinstance(table, dict) else None
    return f'{what} {index + 1} "{name}"' if isinstance(name, str) else f"{what} {index + 1}"

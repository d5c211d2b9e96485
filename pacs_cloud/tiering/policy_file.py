"""Tier policies in a TOML file, as ops teams write them (docs/tiers.md)."""

import math
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import Tenant
from pacs_cloud.tiering.policy import Clock, Match, Policy, Step

_DAYS_OF_YEAR: Final = 365.25
_MOST_DAYS: Final = 366_000
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([KMGTP]?i?)B", re.IGNORECASE)
_PREAMBLE: Final = re.compile(r"^(?:Value error, |(?:Input|String) (?=should ))")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

_T = TypeVar("_T")


def read_policies(path: Path) -> tuple[Policy, ...]:
    """Return the policies of a file, in its order, which is the order they are asked in.

    Raises:
        InvalidRequest: it cannot be read or understood; a line for each fault.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text") from error
    try:
        return parse_policies(text)
    except InvalidRequest as error:
        lines = [f"{path}: {line}" for line in str(error).splitlines()]
        raise InvalidRequest("\n".join(lines)) from error


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Return the policies that a TOML text holds; raises InvalidRequest, a line for each fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"not TOML: {error}") from error
    try:
        file = _File.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise InvalidRequest("\n".join(_in_words(fault, document) for fault in faults)) from error
    policies = tuple(one.policy() for one in file.policies)
    faults = _doubles(policies)
    if faults:
        raise InvalidRequest("\n".join(faults))
    return policies


def parse_size(value: object) -> object:
    """Return `2 GiB` or `500 MB` as a number of bytes; anything but text unchanged.

    Raises:
        ValueError: it is no size.
    """
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no size such as 131072, '500 MB' or '2 GiB'")
    unit = match[2].lower()
    power = _POWERS.get(unit.removesuffix("i"))
    if power is None or unit == "i":
        raise ValueError(f"{value!r} has no unit such as MB or GiB")
    return int(Decimal(match[1]) * (1024 if unit.endswith("i") else 1000) ** power)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _not_empty(values: tuple[_T, ...]) -> tuple[_T, ...]:
    # An empty list would mean "any", which is not what somebody meant who emptied it.
    if not values:
        raise ValueError("is empty: name at least one, or leave it out")
    return values


_Texts = Annotated[tuple[_T, ...], BeforeValidator(_as_list), AfterValidator(_not_empty)]
_Modality = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, to_upper=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ ]{0,15}$"
    ),
]
_Pattern = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)]
_Size = Annotated[int, BeforeValidator(parse_size), Field(strict=True, ge=0)]
_Days = Annotated[int, Field(strict=True, ge=0, le=_MOST_DAYS)]


class _Untrusted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Match(_Untrusted):
    tenant: _Texts[Tenant] = ()
    modality: _Texts[_Modality] = ()
    description: _Texts[_Pattern] = ()
    institution: _Texts[_Pattern] = ()
    min_bytes: _Size = 0
    max_bytes: _Size | None = None

    def match(self) -> Match:
        return Match(
            tenants=frozenset(self.tenant),
            modalities=frozenset(self.modality),
            descriptions=self.description,
            institutions=self.institution,
            least_bytes=self.min_bytes,
            most_bytes=self.max_bytes,
        )


class _Step(_Untrusted):
    to: StorageClass
    study_age_days: _Days | None = None
    stored_days: _Days | None = None
    unread_days: _Days | None = None

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


class _Policy(_Untrusted):
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    match: _Match = _Match()
    steps: tuple[_Step, ...] = ()
    retention_days: Annotated[int, Field(strict=True, ge=1, le=_MOST_DAYS)] | None = None
    retention_years: Annotated[float, Field(strict=True, gt=0, le=1000)] | None = None

    @model_validator(mode="after")
    def _one_retention(self) -> Self:
        if self.retention_days is not None and self.retention_years is not None:
            raise ValueError("takes retention_days or retention_years, not both")
        return self

    def policy(self) -> Policy:
        days = self.retention_days
        if self.retention_years is not None:
            # Rounded up: no run of so many calendar years is longer, whatever its leap days.
            days = math.ceil(self.retention_years * _DAYS_OF_YEAR)
        return Policy(self.name, self.match.match(), tuple(one.step() for one in self.steps), days)


class _File(_Untrusted):
    policies: Annotated[tuple[_Policy, ...], AfterValidator(_not_empty)]


def _doubles(policies: tuple[Policy, ...]) -> list[str]:
    first: dict[str, int] = {}
    faults: list[str] = []
    for number, policy in enumerate(policies, 1):
        if first.setdefault(policy.name, number) != number:
            faults.append(
                f'policy {number} "{policy.name}": policy {first[policy.name]} has this name too'
            )
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
            tables = field in {"policies", "steps"}
            said = f"should be {'tables' if tables else 'a text or a list of texts'}"
        case _:
            said = _PREAMBLE.sub("", fault["msg"])
    subject = f"`{field}` " if field else ""
    return f"{place}: {subject}{said}" if place else f"{subject}{said}"


def _place(
    location: tuple[int | str, ...], document: Mapping[str, Any]
) -> tuple[str, str, type[_Untrusted]]:
    """Return the place in words, the field there ("" for none), and what it is a field of."""
    words: list[str] = []
    known: type[_Untrusted] = _File
    rest = list(location)
    if rest[:1] == ["policies"] and len(rest) > 1:
        words.append(_policy_named(int(rest[1]), document))
        known, rest = _Policy, rest[2:]
        if rest[:1] == ["steps"] and len(rest) > 1:
            words.append(f"step {int(rest[1]) + 1}")
            known, rest = _Step, rest[2:]
        elif rest[:1] == ["match"] and len(rest) > 1:
            words.append("match")
            known, rest = _Match, rest[1:]
    return ", ".join(words), str(rest[0]) if rest else "", known


def _policy_named(index: int, document: Mapping[str, Any]) -> str:
    policy = document["policies"][index]
    name = policy.get("name") if isinstance(policy, dict) else None
    return f'policy {index + 1} "{name}"' if isinstance(name, str) else f"policy {index + 1}"

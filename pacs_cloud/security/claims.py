"""What a provider says of somebody, and which grants that is: a table of the site's.

    [[oidc_grants]]
    claim = "realm_access.roles"
    value = "pacs-referrer"
    role = "referrer"
    rules = [{ referring_physicians = { claim = "dicom_name" }, modalities = ["CT", "MR"] }]

Nothing that the table does not say is granted.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.access import BOUNDED
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule

_MOST_VALUES: Final = 500
_LONGEST_VALUE: Final = 256
_HALF_A_CHARACTER: Final = re.compile("[\ud800-\udfff]")
"""What JSON can spell (RFC 8259 8.2), and nothing can store."""
_SPACED: Final = frozenset({("scope",), ("scp",)})
"""Lists in one string, by blanks (RFC 8693 4.2; Entra's `scp`)."""


def _parts(path: object) -> object:
    if not isinstance(path, str):
        return path
    return json.loads(path) if path.startswith("[") else tuple(path.split("."))


_Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_VALUE)]
ClaimPath = Annotated[tuple[_Name, ...], Field(min_length=1, max_length=8), BeforeValidator(_parts)]
"""Where a claim is: `realm_access.roles`, or a list of names where one has a dot in it."""


class FromClaim(BaseModel):
    """Values that each person's own claims give."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: ClaimPath


_Wanted = FromClaim | Annotated[tuple[_Name, ...], Field(min_length=1)]


class RuleTemplate(BaseModel):
    """A `StudyRule` whose values are written down, or taken from claims."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    institutions: _Wanted | None = None
    referring_physicians: _Wanted | None = None
    modalities: _Wanted | None = None
    studies: _Wanted | None = None
    labels: _Wanted | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.wanted():
            raise ValueError("a rule that says nothing would fit every study")
        return self

    def wanted(self) -> dict[str, "_Wanted"]:
        """Return what is said, by the rule's field."""
        said: dict[str, _Wanted | None] = {
            name: getattr(self, name) for name in type(self).model_fields
        }
        return {name: values for name, values in said.items() if values is not None}


class ClaimGrant(BaseModel):
    """One line of the table: who has a value in a claim has a role.

    Attributes:
        claim: where to look.
        value: what must stand there, or be in the list there, letter by letter.
        role: what they then are.
        rules: for which studies; None: for all, which a bounded role cannot have.
        actions: what of the role's they may do; None: all of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: ClaimPath
    value: _Name
    role: Role
    rules: Annotated[tuple[RuleTemplate, ...], Field(min_length=1)] | None = None
    actions: Annotated[frozenset[Action], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _is_bounded_by_rules(self) -> Self:
        if self.rules is None and self.role in BOUNDED:
            raise ValueError(f"{self.role} sees nothing without rules")
        return self


_TABLE: Final = TypeAdapter(tuple[ClaimGrant, ...])
_PATH: Final[TypeAdapter[tuple[str, ...]]] = TypeAdapter(ClaimPath)


def read_path(text: str, setting: str) -> ClaimPath:
    """Return where a claim is, as a setting says it; raises InvalidRequest."""
    try:
        return _PATH.validate_python(text)
    except ValidationError as error:
        raise InvalidRequest(f"{setting} is not the path of a claim") from error


def read_table(rows: Sequence[Mapping[str, Any]]) -> tuple[ClaimGrant, ...]:
    """Return a table as it stands in the settings.

    Raises:
        InvalidRequest: a row means nothing, or more than it seems to; says which.
    """
    try:
        return _TABLE.validate_python(rows)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        where = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in faults
        )
        raise InvalidRequest(f"oidc_grants: {where}") from error


def values_at(claims: Mapping[str, Any], path: Sequence[str]) -> tuple[str, ...]:
    """Return the texts in a claim: one, those of a list, or none.

    An e-mail address that the provider has not verified is nobody's (OIDC Core 5.1).
    """
    if tuple(path) == ("email",) and claims.get("email_verified") is not True:
        return ()
    found: Any = claims
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return ()
        found = found[name]
    if isinstance(found, str):
        found = found.split() if tuple(path) in _SPACED else [found]
    if not isinstance(found, list):
        return ()
    return tuple(
        value
        for value in found[:_MOST_VALUES]
        if isinstance(value, str)
        and value.strip()
        and len(value) <= _LONGEST_VALUE
        and not _HALF_A_CHARACTER.search(value)
    )


def grants_for(claims: Mapping[str, Any], table: Sequence[ClaimGrant]) -> tuple[Grant, ...]:
    """Return what somebody's claims grant; nothing where the table knows none of them."""
    grants: list[Grant] = []
    for row in table:
        if row.value not in values_at(claims, row.claim):
            continue
        if row.rules is None:
            grants.append(Grant(row.role, None, row.actions))
            continue
        rules = [_rule(template, claims) for template in row.rules]
        # Never `rules=None` nor an empty rule: either would be every study.
        met = tuple(rule for rule in rules if rule is not None)
        if met:
            grants.append(Grant(row.role, met, row.actions))
    return tuple(grants)


def _rule(template: RuleTemplate, claims: Mapping[str, Any]) -> StudyRule | None:
    """Return the rule with this person's values; None where one of them is lacking."""
    fields: dict[str, frozenset[str]] = {}
    for name, wanted in template.wanted().items():
        values = values_at(claims, wanted.claim) if isinstance(wanted, FromClaim) else wanted
        if not values:
            return None
        fields[name] = frozenset(map(str.lower, values) if name == "labels" else values)
    return StudyRule(**fields)

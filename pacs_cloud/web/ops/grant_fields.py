"""What somebody may, as a form's fields: a tick for each role, a line for each that is bounded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.access import BOUNDED
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.grant_text import grant_texts, parse_grant
from pacs_cloud.web.forms import Form
from pacs_cloud.web.roles_text import ROLE_NAMES, GrantText, grant_text

RULES: Final = "rules"
LONGEST_RULES: Final = 8000
_TICK: Final = "role-{}"


@dataclass(frozen=True, slots=True)
class GrantFields:
    """The fields as a page shows them.

    Attributes:
        roles: each role that may be for all studies: its field, its name, what it may, and
            whether it is ticked.
        rules: the others, a line each, as `--grant` has them.
    """

    roles: tuple[tuple[str, str, str, bool], ...]
    rules: str


def fields_of(grants: Sequence[Grant]) -> GrantFields:
    """Return what is ticked and written for somebody who is this."""
    whole = {grant.role for grant in grants if grant.rules is None}
    lines = [text for grant in grants if grant.rules is not None for text in grant_texts(grant)]
    return _fields(whole, "\n".join(lines))


def fields_given(given: Mapping[str, str]) -> GrantFields:
    """Return the fields as somebody has filled them in."""
    ticked = {role for role in Role if given.get(_TICK.format(role))}
    return _fields(ticked, given.get(RULES, "")[:LONGEST_RULES])


def grants_in(form: Form) -> tuple[Grant, ...]:
    """Return what a form says; raises InvalidRequest, which says what is wrong with it."""
    found = [Grant(role) for role in Role if role not in BOUNDED and form.text(_TICK.format(role))]
    lines = form.text(RULES, max_length=LONGEST_RULES).splitlines()
    found += [parse_grant(line) for line in lines if line.strip()]
    if not found:
        raise InvalidRequest("Say what they may: tick a role, or write a line.")
    return tuple(found)


def words_of(grants: Sequence[Grant]) -> tuple[GrantText, ...]:
    """Return what somebody may, in words."""
    return tuple(map(grant_text, grants))


def record_of(grants: Sequence[Grant]) -> str:
    """Return what somebody may, as the record of it says."""
    return " ".join(text for grant in grants for text in grant_texts(grant))


def _fields(ticked: set[Role], rules: str) -> GrantFields:
    return GrantFields(
        tuple(
            (_TICK.format(role), name, grant_text(Grant(role)).may, role in ticked)
            for role, name in ROLE_NAMES.items()
            if role not in BOUNDED
        ),
        rules,
    )

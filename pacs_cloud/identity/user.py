"""A user, as doors and pages see one, and how signing in can fail."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from pacs_cloud.errors import Denied, InvalidRequest, Unidentified
from pacs_cloud.security.caller import Caller, Grant

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+|-]{0,127}")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")
_LONGEST_EMAIL: Final = 254
_LINE: Final = 128
LOCAL: Final = "user:"
"""What subjects of local users begin with."""


class CodeNeeded(Unidentified):
    """The password is right, and this user has to give a one-time code as well."""


class LockedOut(Denied):
    """There were too many failures; nothing was tried.

    Attributes:
        until_us: when the next try is taken, microseconds since 1970 UTC.
        retry_after_s: how long that is from now.
    """

    def __init__(self, until_us: int, now_us: int) -> None:
        super().__init__("too many tries that failed; wait before the next one")
        self.until_us = until_us
        self.retry_after_s = max(1, -(-(until_us - now_us) // 1_000_000))


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in.

    Attributes:
        tenant: whose data.
        name: what they sign in as, in lower case.
        grants: what they are.
        is_disabled: whether they are kept out.
        display_name: how pages call them; "" where nobody said.
        email: theirs, or "".
        has_password: whether one is set; not before a first link was redeemed.
        has_codes: whether they need a one-time code to sign in.
        recovery_codes: how many of theirs are left.
        link_until_us: until when their one-time link can be redeemed; 0: they have none.
        made_us: when they were made, microseconds since 1970 UTC.
        changed_us: when anything of them was changed last.
        changed_by: by whom.
        mark: changes when all of their sessions shall end.
    """

    tenant: str
    name: str
    grants: tuple[Grant, ...]
    is_disabled: bool = False
    display_name: str = ""
    email: str = ""
    has_password: bool = False
    has_codes: bool = False
    recovery_codes: int = 0
    link_until_us: int = 0
    made_us: int = 0
    changed_us: int = 0
    changed_by: str = ""
    mark: str = field(default="", repr=False)

    @property
    def subject(self) -> str:
        """Who, as the audit trail names them."""
        return f"{LOCAL}{self.name}"

    @property
    def state(self) -> str:
        """Whether they are "active", "invited" (no password is set yet) or "disabled"."""
        if self.is_disabled:
            return "disabled"
        return "active" if self.has_password else "invited"

    def caller(self, address: str) -> Caller:
        """Return them as somebody who asks, from an address."""
        return Caller(self.tenant, self.subject, self.grants, address)


def user_name(text: str) -> str:
    """Return `text` as a user's name: in lower case, without blanks around it.

    Raises:
        InvalidRequest: it is none: 1 to 128 ASCII letters, digits and `._@+|-`, a letter or
            digit first.
    """
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "a user's name is up to 128 letters, digits and any of ._@+|- behind the first"
        )
    return name


def line_of(text: str) -> str:
    """Return what is to be shown in one line, without blanks around it; raises InvalidRequest."""
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > _LINE or not text.isprintable():
        raise InvalidRequest(f"a name that is shown has up to {_LINE} printable characters")
    return text


def email_of(text: str) -> str:
    """Return an e-mail address, or ""; raises InvalidRequest where it cannot be one."""
    text = text.strip()
    if text and not (_EMAIL.fullmatch(text) and len(text) <= _LONGEST_EMAIL):
        raise InvalidRequest("this is no e-mail address")
    return text

"""What is kept of a local user, and the secret of their one-time link."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from pacs_cloud.identity.user import User
from pacs_cloud.security.caller import Grant

_LINK: Final = re.compile(r"([0-9a-f]{32})-([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Account:
    """A local user, as the store has them.

    Attributes:
        name: what they sign in as.
        grants: what they are.
        is_disabled: whether they are kept out.
        is_removed: whether there is no such user any more; only that they were is kept.
        is_first: whether this is the administrator that the archive began with, and nobody
            has ever redeemed a link of theirs.
        display_name: how pages call them.
        email: theirs.
        password: what is kept of it; "" where none is set.
        mark: random, another one each time that all their sessions shall end.
        link: what is kept of their one-time link's secret; "" without one.
        link_until_us: when that is over.
        codes: the secret of their authenticator; "" where they have none.
        codes_step: the last step of which a code was taken.
        codes_begun: a secret that they have not shown to have.
        recovery: what is kept of their recovery codes.
        made_us: when they were made.
        changed_us: when anything was changed by somebody.
        changed_by: by whom.
    """

    name: str
    grants: tuple[Grant, ...]
    is_disabled: bool = False
    is_removed: bool = False
    is_first: bool = False
    display_name: str = ""
    email: str = ""
    password: str = field(default="", repr=False)
    mark: str = field(default="", repr=False)
    link: str = field(default="", repr=False)
    link_until_us: int = 0
    codes: str = field(default="", repr=False)
    codes_step: int = -1
    codes_begun: str = field(default="", repr=False)
    recovery: tuple[str, ...] = field(default=(), repr=False)
    made_us: int = 0
    changed_us: int = 0
    changed_by: str = ""

    def user(self, tenant: str) -> User:
        """Return them without what is secret."""
        return User(
            tenant=tenant,
            name=self.name,
            grants=self.grants,
            is_disabled=self.is_disabled,
            display_name=self.display_name,
            email=self.email,
            has_password=bool(self.password),
            has_codes=bool(self.codes),
            recovery_codes=len(self.recovery),
            link_until_us=self.link_until_us,
            made_us=self.made_us,
            changed_us=self.changed_us,
            changed_by=self.changed_by,
            mark=self.mark,
        )

    def is_opened_by(self, link: "Link", now_us: int) -> bool:
        """Return whether a link may set a password now."""
        return (
            bool(self.link)
            and hmac.compare_digest(self.link, link.kept)
            and now_us < self.link_until_us
            and not self.is_disabled
            and not self.is_removed
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link.

    Attributes:
        user_id: whose.
        kept: what is kept of its secret, which has 256 random bits.
    """

    user_id: str
    kept: str = field(repr=False)


@lru_cache(maxsize=4096)
def user_id(name: str) -> str:
    """Return what a user's keys go by: names may have signs that keys have not."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def new_link(of: str) -> tuple[str, Link]:
    """Return a secret for the user of that id, as it is shown once, and what is kept."""
    secret = secrets.token_urlsafe(32)
    return f"{of}-{secret}", Link(of, _kept(secret))


def read_link(text: str) -> Link | None:
    """Return the link that somebody shows, None where it is none."""
    match = _LINK.fullmatch(text.strip())
    return Link(match[1], _kept(match[2])) if match else None


def new_mark() -> str:
    """Return a mark that no session has yet."""
    return secrets.token_hex(8)


def _kept(secret: str) -> str:
    return hashlib.sha256(f"link:{secret}".encode()).hexdigest()

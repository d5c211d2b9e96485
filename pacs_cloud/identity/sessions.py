"""Sessions of pages: a signed token in the browser, and what may end it before its time.

A token names its subject, and proves that they signed in. What they are is looked up each
time (and kept for `keep_s`), so that a right that is taken away, a password that is
changed and a user who is disabled count at once. What ends single sessions, and what
providers said of people who are no users here, lies at `sessions/{tenant}/{id}/…`.
"""

import secrets as random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.identity.account import user_id
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.states import States
from pacs_cloud.identity.user import LOCAL, User
from pacs_cloud.security.caller import Caller, Grant
from pacs_cloud.security.session_tokens import SessionClaims, SessionSigner

SESSIONS: Final = "sessions/"
IDLE_S: Final = 30 * 60
LONGEST_S: Final = 12 * 3600
_RENEWED: Final = 10
"""A token is renewed once a tenth of its idle time is over: not with each answer."""
_READ: Final = 1024
"""Tokens whose signature is not checked again."""
_MOST_ENDED: Final = 256
"""Sessions of one subject that are remembered to have ended; one more ends all of them."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider said of somebody at their last sign-in.

    Attributes:
        display_name: how pages greet them.
        grants: what they are.
        until_us: from then on they have to sign in again.
    """

    display_name: str = field(repr=False)
    grants: tuple[Grant, ...] = field(repr=False)
    until_us: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is kept of a subject's sessions.

    Attributes:
        subject: whose.
        ended: ids of sessions that are over, and when they would be by themselves, seconds
            since 1970 UTC.
        mark: whatever has another is over; a local user's stands in their account.
        vouched: of somebody whom a provider knows; None: of a local user.
    """

    subject: str
    ended: Mapping[str, int] = field(default_factory=dict[str, int])
    mark: str = field(default="", repr=False)
    vouched: Vouched | None = None


class Sessions:
    """The sessions of one tenant."""

    def __init__(
        self,
        accounts: Accounts,
        secrets: Sequence[bytes],
        now_us: Callable[[], int],
        *,
        idle_s: int = IDLE_S,
        longest_s: int = LONGEST_S,
    ) -> None:
        """Sign with the first of the secrets, and take what any of them has signed.

        Args:
            accounts: who the users are.
            secrets: 32 bytes or more each.
            now_us: tells the time, microseconds since 1970 UTC.
            idle_s: how long a session lasts that nobody uses.
            longest_s: how long any does.

        Raises:
            InvalidRequest: there is no secret, or one is too short.
        """
        self._accounts = accounts
        self._tenant = accounts.tenant
        self._signer = SessionSigner(secrets)
        self._now_us = now_us
        self._idle_s, self._longest_s = idle_s, longest_s
        folder = f"{SESSIONS}{accounts.tenant}/"
        self._standings = States(accounts.objects, folder, Standing, now_us, keep_s=accounts.keep_s)
        self._read: OrderedDict[str, SessionClaims] = OrderedDict()

    def issue(self, user: User, *, address: str) -> str:
        """Return the token of a new session of a user who has just signed in."""
        del address  # people move between networks: a session is not bound to one
        return self._begun(user.subject, user.mark, self._longest_s)

    async def issue_external(self, user: ExternalUser, *, address: str) -> str:
        """Return the token of a new session of somebody whom a provider vouches for.

        Their other sessions have the same grants from now on.

        Raises:
            InvalidRequest: they are of another tenant, or called as a local user is.
        """
        del address
        if user.tenant != self._tenant or user.subject.startswith(LOCAL):
            raise InvalidRequest("no provider vouches for such a user here")
        vouched = Vouched(user.display_name, user.grants, user.until_us)

        def met(standing: Standing | None) -> Standing:
            standing = standing or Standing(user.subject, mark=random.token_hex(8))
            return replace(standing, vouched=vouched)

        standing = await self._standings.change(user_id(user.subject), met)
        assert standing is not None
        left_s = user.until_us // 1_000_000 - self._now_s
        return self._begun(user.subject, standing.mark, min(self._longest_s, left_s))

    def unsigned(self, subject: str) -> str:
        """Return a token of the one session of a subject who never signs in: it lets in nobody.

        What its forms bring along is the same at any time.
        """
        now_s = self._now_s
        return self._signer.signed(
            SessionClaims(
                tenant=self._tenant,
                subject=subject,
                session_id=f"{self._tenant}/{subject}",
                mark="",
                begun_s=now_s,
                said_s=now_s,
                idle_s=now_s + self._idle_s,
                end_s=now_s + self._longest_s,
            )
        )

    async def who(self, token: str) -> User | ExternalUser | None:
        """Return whose session it is, as they are now; None where it is nobody's any more."""
        claims = self._claims(token)
        if claims is None:
            return None
        standing = await self._standings.kept(user_id(claims.subject))
        if standing is not None and claims.session_id in standing.ended:
            return None
        if claims.subject.startswith(LOCAL):
            user = await self._accounts.user(claims.subject.removeprefix(LOCAL))
            is_good = user is not None and not user.is_disabled and user.mark == claims.mark
            return user if is_good else None
        if standing is None or standing.vouched is None or standing.mark != claims.mark:
            return None
        vouched = standing.vouched
        return ExternalUser(
            self._tenant, claims.subject, vouched.display_name, vouched.grants, vouched.until_us
        )

    async def caller(self, token: str, *, address: str) -> Caller | None:
        """Return who asks with a token, None where it is nobody's any more."""
        user = await self.who(token)
        if user is None:
            return None
        return Caller(self._tenant, user.subject, user.grants, address)

    def renewed(self, token: str) -> str | None:
        """Return a token that lasts longer, once `caller` has known this one.

        Returns:
            None: it is not worth it yet, or the session is over.
        """
        claims = self._claims(token)
        now_s = self._now_s
        if claims is None or now_s < claims.said_s + self._idle_s / _RENEWED:
            return None
        return self._signer.signed(replace(claims, said_s=now_s, idle_s=now_s + self._idle_s))

    async def end(self, token: str) -> None:
        """End one session; nothing happens where it is over."""
        claims = self._claims(token)
        if claims is None:
            return
        is_full = False

        def ended(standing: Standing | None) -> Standing | None:
            nonlocal is_full
            standing = standing or Standing(claims.subject, mark=random.token_hex(8))
            now_s = self._now_s
            left = {one: end_s for one, end_s in standing.ended.items() if end_s > now_s}
            left[claims.session_id] = claims.end_s
            is_full = len(left) > _MOST_ENDED
            return None if is_full else replace(standing, ended=left)

        await self._standings.change(user_id(claims.subject), ended)
        if is_full:
            await self.end_all_of(claims.subject)

    async def end_all(self, name: str) -> None:
        """End all sessions of a local user; raises NotFound."""
        await self._accounts.sign_out(name)

    async def end_all_of(self, subject: str) -> None:
        """End all sessions of a subject, `user:anna` or a provider's; raises NotFound."""
        if subject.startswith(LOCAL):
            await self.end_all(subject.removeprefix(LOCAL))

        def over(standing: Standing | None) -> Standing | None:
            mark = random.token_hex(8)
            return replace(standing, mark=mark, ended={}, vouched=None) if standing else None

        await self._standings.change(user_id(subject), over)

    def csrf_of(self, token: str) -> str:
        """Return what a form of this session brings along; "" where the session is over.

        It stays the same while the session is renewed.
        """
        claims = self._claims(token)
        return self._signer.csrf_of(claims.session_id) if claims else ""

    def is_csrf(self, token: str, csrf: str) -> bool:
        """Return whether a form has brought along what is this session's."""
        claims = self._claims(token)
        return claims is not None and self._signer.is_csrf(claims.session_id, csrf)

    @property
    def _now_s(self) -> int:
        return self._now_us() // 1_000_000

    def _begun(self, subject: str, mark: str, longest_s: int) -> str:
        now_s = self._now_s
        return self._signer.signed(
            SessionClaims(
                tenant=self._tenant,
                subject=subject,
                session_id=random.token_urlsafe(16),
                mark=mark,
                begun_s=now_s,
                said_s=now_s,
                idle_s=now_s + self._idle_s,
                end_s=now_s + longest_s,
            )
        )

    def _claims(self, token: str) -> SessionClaims | None:
        """Return what a token says, None where it is not ours, or over."""
        claims = self._read.get(token)
        if claims is None:
            claims = self._signer.read(token)
            if claims is None or claims.tenant != self._tenant:
                return None
            self._read[token] = claims
            if len(self._read) > _READ:
                self._read.popitem(last=False)
        return claims if claims.is_good(self._now_us() / 1_000_000) else None

"""Whether somebody is the user they say they are: passwords, one-time codes, one-time links.

Passwords are set by their users only: whoever administers hands out links (`register`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, NoReturn

from pacs_cloud.errors import Conflict, Denied, InvalidRequest, NotFound, Unavailable, Unidentified
from pacs_cloud.identity.account import Account, Link, new_mark, read_link, user_id
from pacs_cloud.identity.hashing import Hashing
from pacs_cloud.identity.lockout import Attempt
from pacs_cloud.identity.register import USERS, Register
from pacs_cloud.identity.user import CodeNeeded, LockedOut, User, user_name
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.one_time_codes import (
    enrolment_uri,
    new_recovery_codes,
    new_secret,
    recovery_hash,
    recovery_used,
    step_of,
)
from pacs_cloud.security.passwords import Argon2id, accepted

__all__ = ["Accounts", "CodeNeeded", "LockedOut", "User"]

_AT_ONCE, _WAITING = 4, 64
"""Tries of one process: few go on while a lock is being written, and few wait."""
_ISSUER: Final = "pacs-cloud"
_WRONG: Final = "the name, the password or the code is wrong"
_OVER: Final = "this link was used, is over, or never was one"


class Accounts(Register):
    """The users of one tenant, and what proves that it is them."""

    def __init__(
        self,
        objects: ObjectStore,
        tenant: str,
        now_us: Callable[[], int],
        *,
        keep_s: float,
        argon2id: Argon2id | None = None,
    ) -> None:
        """Keep them in a store; see `Register`.

        Args:
            objects: the store.
            tenant: whose users.
            now_us: tells the time, microseconds since 1970 UTC.
            keep_s: how long `user` believes what was read.
            argon2id: what a password's hash costs; None: as much as it should.
        """
        super().__init__(objects, tenant, now_us, keep_s=keep_s)
        self._hashing = Hashing(argon2id or Argon2id())
        self._trying = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def sign_in(self, name: str, password: str, code: str = "", *, address: str) -> User:
        """Return the user whose name and password these are, and whose code, if they need one.

        Args:
            name: as it was typed.
            password: likewise; for a name that nobody has it costs the same time.
            code: of their authenticator, or a recovery code; each is taken once.
            address: where whoever signs in is; "" where nobody knows.

        Raises:
            Unidentified: it is nobody; no word tells what was wrong.
            CodeNeeded: the password is right, and a code is missing.
            LockedOut: too many tries have failed; nothing was tried.
            Unavailable: too many sign in at once.
        """
        async with self._in_turn():
            account, attempt = await self._proven(name, password, address)
            account = await self._coded(account, code, attempt)
            await self._lockout.succeeded(attempt)
            if self._hashing.is_outdated(account.password):
                await self._rehash(account, password)
            return account.user(self.tenant)

    async def change_password(
        self, name: str, old: str, new: str, code: str = "", *, address: str
    ) -> User:
        """Set the password of somebody who knows the old one; all their sessions end.

        Raises:
            InvalidRequest: the new one is too short, guessed by anybody, or the old one.
            Unidentified: the old one is wrong, or the code of somebody who needs one.
            CodeNeeded: it is missing.
            Conflict: it was changed meanwhile.
            LockedOut, Unavailable: as `sign_in`.
        """
        async with self._in_turn():
            account, attempt = await self._proven(name, old, address)
            text = accepted(new, name=account.name, email=account.email)
            if new == old:
                raise InvalidRequest("the new password is the old one")
            account = await self._coded(account, code, attempt)
            kept, before = await self._hashing.hashed(text), account.password
            await self._lockout.succeeded(attempt)

        def changed(account: Account) -> Account:
            if account.password != before:
                raise Conflict("the password was changed meanwhile")
            return replace(account, password=kept, mark=new_mark(), link="", link_until_us=0)

        return await self._change(account.name, changed, account.name)

    async def invited(self, secret: str) -> User | None:
        """Return whose password a one-time link would set now, None where it is none's."""
        link = read_link(secret)
        account = await self._opened(link) if link else None
        return account.user(self.tenant) if account else None

    async def redeem(self, secret: str, password: str, *, address: str = "") -> User:
        """Set the password of whoever has a one-time link; it is void then.

        Whoever has codes needs one to sign in all the same: let nobody in by this alone.

        Args:
            secret: the link's.
            password: the new one.
            address: where whoever has it is: from there they are known from now on.

        Raises:
            Denied: it was used, is over, or never was one.
            InvalidRequest: the password is too short, or guessed by anybody; the link stays.
            Unavailable: too many sign in at once.
        """
        link = read_link(secret)
        async with self._in_turn():
            account = await self._opened(link) if link else None
            if link is None or account is None:
                raise Denied(_OVER)
            text = accepted(password, name=account.name, email=account.email)
            kept = await self._hashing.hashed(text)

        def redeemed(account: Account) -> Account:
            if not account.is_opened_by(link, self._now_us()):
                raise Denied(_OVER)
            return replace(
                account,
                password=kept,
                mark=new_mark(),
                link="",
                link_until_us=0,
                is_first=False,
            )

        user = await self._change(account.name, redeemed, account.name)
        await self._lockout.forget(link.user_id)
        await self._lockout.succeeded(self._lockout.attempt(link.user_id, user.name, address))
        return user

    async def begin_codes(self, name: str) -> str:
        """Return the `otpauth:` URI of a new authenticator, which counts once it is confirmed.

        Raises:
            NotFound: there is no such user.
        """
        secret = new_secret()
        user = await self._change(
            name, lambda account: replace(account, codes_begun=secret), user_name(name)
        )
        return enrolment_uri(secret, user.name, _ISSUER)

    async def confirm_codes(self, name: str, code: str) -> tuple[str, ...]:
        """Let a user's new authenticator count from now on; return their recovery codes.

        What they had before counts no more. The codes are shown this once.

        Raises:
            Denied: it is none of its codes.
            NotFound: there is no such user.
        """
        codes = new_recovery_codes()
        hashes = tuple(recovery_hash(one) for one in codes)

        def confirmed(account: Account) -> Account:
            begun = account.codes_begun
            step = step_of(begun, code, now_us=self._now_us(), after=-1) if begun else None
            if step is None:
                raise Denied("this is no code of the new authenticator")
            return replace(account, codes=begun, codes_step=step, codes_begun="", recovery=hashes)

        await self._change(name, confirmed, user_name(name))
        return codes

    @asynccontextmanager
    async def _in_turn(self) -> AsyncGenerator[None]:
        if self._waiting >= _WAITING:
            raise Unavailable("too many sign in at once; try again")
        self._waiting += 1
        try:
            await self._trying.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._trying.release()

    async def _proven(self, name: str, password: str, address: str) -> tuple[Account, Attempt]:
        """Return the account of that name and password, and the try, which is not over yet."""
        account = await self._claimed(name)
        who = user_id(account.name) if account else None
        attempt = self._lockout.attempt(who, name.strip().lower(), address)
        await self._lockout.refuse_locked(attempt)
        is_right = await self._hashing.is_right(account.password if account else "", password)
        if account is None or not is_right or account.is_disabled:
            await self._fail(attempt)
        return account, attempt

    async def _fail(self, attempt: Attempt) -> NoReturn:
        await self._lockout.failed(attempt)
        raise Unidentified(_WRONG)

    async def _claimed(self, name: str) -> Account | None:
        """Return the account that a typed name means; None takes as long."""
        try:
            name = user_name(name)
        except InvalidRequest:
            name = ""
        account = await self._states.read(user_id(name))
        if account is None:
            with suppress(NotFound):
                await self.objects.get(f"{USERS}{self.tenant}/{user_id(name)}/0.json")
        return None if account is None or account.is_removed else account

    async def _opened(self, link: Link) -> Account | None:
        account = await self._states.read(link.user_id)
        is_good = account is not None and account.is_opened_by(link, self._now_us())
        return account if is_good else None

    async def _coded(self, proven: Account, code: str, attempt: Attempt) -> Account:
        """Return the account once a code is taken, where it needs one; raises as `sign_in`."""
        if not proven.codes:
            return proven
        if not code.strip():
            raise CodeNeeded("a one-time code is needed")
        account = await self._with_code(proven, code)
        if account is None:
            await self._fail(attempt)
        return account

    async def _with_code(self, proven: Account, code: str) -> Account | None:
        """Return the account once a code is taken, which nobody else can take any more."""

        def taken(account: Account | None) -> Account | None:
            if account is None or account.mark != proven.mark or not account.codes:
                return None
            step = step_of(account.codes, code, now_us=self._now_us(), after=account.codes_step)
            if step is not None:
                return replace(account, codes_step=step)
            used = recovery_used(code, account.recovery)
            left = tuple(one for one in account.recovery if one != used)
            return None if used is None else replace(account, recovery=left)

        return await self._states.change(user_id(proven.name), taken)

    async def _rehash(self, proven: Account, password: str) -> None:
        kept = await self._hashing.hashed(password)

        def rehashed(account: Account | None) -> Account | None:
            is_same = account is not None and account.password == proven.password
            return replace(account, password=kept) if account and is_same else None

        await self._states.change(user_id(proven.name), rehashed)

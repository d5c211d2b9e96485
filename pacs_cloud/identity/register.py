"""Which local users there are, and what they may, changed by whoever administers them.

Each is a numbered state at `users/{tenant}/{id}/{number}.json` (`states`), which is never
removed, so that no old backup brings back what was taken away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pacs_cloud.errors import Conflict, InvalidRequest, NotFound
from pacs_cloud.identity.account import Account, new_link, new_mark, user_id
from pacs_cloud.identity.lockout import Lockout
from pacs_cloud.identity.states import States
from pacs_cloud.identity.user import User, email_of, line_of, user_name
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.caller import Grant, Role

USERS: Final = "users/"
FIRST: Final = "admin"
"""What the administrator is called whom an archive without users begins with."""
_LINK_US: Final = 7 * 86_400_000_000
"""How long one-time links can be redeemed."""
_LAST: Final = 1024
"""Users who are not put together again with each request of theirs."""
_FIRST_AGAIN_US: Final = 60_000_000
"""Processes that start together make one link; whoever starts later makes a new one."""


class Register:
    """The users of one tenant."""

    def __init__(
        self, objects: ObjectStore, tenant: str, now_us: Callable[[], int], *, keep_s: float
    ) -> None:
        """Keep them in a store.

        Args:
            objects: the store.
            tenant: whose users.
            now_us: tells the time, microseconds since 1970 UTC.
            keep_s: how long `user` believes what was read: so long does a right go on that
                another process has taken away.
        """
        self.objects, self.tenant, self.keep_s = objects, tenant, keep_s
        self._states = States(objects, f"{USERS}{tenant}/", Account, now_us, keep_s=keep_s)
        self._lockout = Lockout(objects, tenant, now_us, keep_s=keep_s)
        self._now_us = now_us
        self._last: dict[str, tuple[Account, User]] = {}

    async def user(self, name: str) -> User | None:
        """Return a user, as they were `keep_s` ago or since; None where there is none."""
        try:
            name = user_name(name)
        except InvalidRequest:
            return None
        account = await self._states.kept(user_id(name))
        if account is None or account.is_removed:
            return None
        last = self._last.get(name)
        if last is not None and last[0] is account:
            return last[1]
        user = account.user(self.tenant)
        if len(self._last) >= _LAST:
            self._last.clear()
        self._last[name] = account, user
        return user

    async def users(self) -> list[User]:
        """Return all users, by name."""
        accounts = (await self._states.all()).values()
        users = [one.user(self.tenant) for one in accounts if not one.is_removed]
        return sorted(users, key=lambda user: user.name)

    async def locked_until_us(self, name: str) -> int:
        """Return until when nobody can sign in by a name from an address new to it; 0: one can."""
        return await self._lockout.until_us(user_id(user_name(name)))

    async def unlock(self, name: str) -> None:
        """Let a user try again at once; raises NotFound."""
        await self._there(name)
        await self._lockout.forget(user_id(user_name(name)))

    async def create(
        self,
        name: str,
        grants: Sequence[Grant],
        *,
        display_name: str = "",
        email: str = "",
        by: str = "",
    ) -> str:
        """Make a user; return the secret of the link by which they set their password.

        Raises:
            InvalidRequest: it is no name, or no address, or longer than a line.
            Conflict: there is such a user.
        """
        name = user_name(name)
        display_name, email = line_of(display_name), email_of(email)
        secret, link = new_link(user_id(name))
        now_us = self._now_us()

        def made(account: Account | None) -> Account:
            if account is not None and not account.is_removed:
                raise Conflict("there is a user of this name")
            return Account(
                name=name,
                grants=tuple(grants),
                display_name=display_name,
                email=email,
                mark=new_mark(),
                link=link.kept,
                link_until_us=now_us + _LINK_US,
                made_us=now_us,
                changed_us=now_us,
                changed_by=by,
            )

        await self._states.change(user_id(name), made)
        return secret

    async def change(
        self, name: str, *, display_name: str | None = None, email: str | None = None, by: str = ""
    ) -> User:
        """Change how a user is called, or where they are written to; None: that stays.

        Raises:
            InvalidRequest: it is no address, or longer than a line.
            NotFound: there is no such user.
        """
        called = None if display_name is None else line_of(display_name)
        written = None if email is None else email_of(email)

        def changed(account: Account) -> Account:
            return replace(
                account,
                display_name=account.display_name if called is None else called,
                email=account.email if written is None else written,
            )

        return await self._change(name, changed, by)

    async def set_grants(
        self, name: str, grants: Sequence[Grant], *, by: str = "", even_last: bool = False
    ) -> User:
        """Let a user be this and nothing else, in sessions that go on, too; raises as `disable`."""
        if not administers(tuple(grants)):
            await self._refuse_last(name, even_last=even_last)
        return await self._change(name, lambda account: replace(account, grants=tuple(grants)), by)

    async def disable(self, name: str, *, by: str = "", even_last: bool = False) -> User:
        """Keep a user out; their sessions end, and their link is void.

        Args:
            name: whom.
            by: who does it.
            even_last: also the only administrator that can sign in.

        Raises:
            NotFound: there is no such user.
            Conflict: it is the last administrator.
        """
        await self._refuse_last(name, even_last=even_last)

        def disabled(account: Account) -> Account:
            return replace(_without_link(account), is_disabled=True, mark=new_mark())

        return await self._change(name, disabled, by)

    async def enable(self, name: str, *, by: str = "") -> User:
        """Let a user in again; raises NotFound."""
        user = await self._change(name, lambda account: replace(account, is_disabled=False), by)
        await self._lockout.forget(user_id(user.name))
        return user

    async def reset(self, name: str, *, by: str = "", with_codes: bool = False) -> str:
        """Take a user's password from them; return the secret of a link that sets a new one.

        Their sessions end.

        Args:
            name: whom.
            by: who does it.
            with_codes: their authenticator and recovery codes count no more, too.

        Raises:
            NotFound: there is no such user.
            Conflict: they are disabled.
        """
        secret, link = new_link(user_id(user_name(name)))
        until_us = self._now_us() + _LINK_US

        def emptied(account: Account) -> Account:
            if account.is_disabled:
                raise Conflict("this user is disabled: enable them first")
            account = _without_codes(account) if with_codes else account
            return replace(
                account, password="", mark=new_mark(), link=link.kept, link_until_us=until_us
            )

        await self._change(name, emptied, by)
        return secret

    async def sign_out(self, name: str, *, by: str = "") -> User:
        """End all sessions of a user; raises NotFound."""
        return await self._change(name, lambda account: replace(account, mark=new_mark()), by)

    async def drop_codes(self, name: str, *, by: str = "") -> User:
        """Let a user's authenticator and recovery codes count no more; raises NotFound."""
        return await self._change(name, _without_codes, by)

    async def remove(self, name: str, *, by: str = "", even_last: bool = False) -> None:
        """Let there be no such user; only the name is kept. Raises as `disable`."""
        await self._refuse_last(name, even_last=even_last)

        def removed(account: Account) -> Account:
            return Account(
                account.name, (), is_removed=True, mark=new_mark(), made_us=account.made_us
            )

        await self._change(name, removed, by)
        await self._lockout.forget(user_id(user_name(name)), with_addresses=True)

    async def first_link(self) -> str | None:
        """Return the secret of a link for the administrator of an archive without users.

        Again where that one was made before, and nobody has ever redeemed it: then the link
        from before is void. Of processes that start at once one has it.

        Returns:
            None: there are users.
        """
        who = user_id(FIRST)
        if (await self._states.numbers()).keys() - {who}:
            return None
        secret, link = new_link(who)
        now_us = self._now_us()

        def made(account: Account | None) -> Account | None:
            if account is None:
                account = Account(FIRST, (Grant(Role.ADMIN),), is_first=True, made_us=now_us)
            elif not account.is_first or now_us - account.changed_us < _FIRST_AGAIN_US:
                return None
            return replace(
                account,
                mark=new_mark(),
                link=link.kept,
                link_until_us=now_us + _LINK_US,
                changed_us=now_us,
                changed_by="system",
            )

        return secret if await self._states.change(who, made) else None

    async def _there(self, name: str) -> Account:
        account = await self._states.read(user_id(user_name(name)))
        if account is None or account.is_removed:
            raise NotFound("there is no such user")
        return account

    async def _change(self, name: str, changed: Callable[[Account], Account], by: str) -> User:
        now_us = self._now_us()

        def change(account: Account | None) -> Account:
            if account is None or account.is_removed:
                raise NotFound("there is no such user")
            return replace(changed(account), changed_us=now_us, changed_by=by)

        account = await self._states.change(user_id(user_name(name)), change)
        assert account is not None
        return account.user(self.tenant)

    async def _refuse_last(self, name: str, *, even_last: bool) -> None:
        """Return where somebody else can administer, or this one could not either."""
        if even_last:
            return
        able = {one.name for one in await self.users() if _can_administer(one)}
        if able == {user_name(name)}:
            raise Conflict("this is the last administrator who can sign in")


def administers(grants: tuple[Grant, ...]) -> bool:
    """Return whether these let somebody administer, without bounds."""
    return any(grant.role is Role.ADMIN and grant.rules is None for grant in grants)


def _can_administer(user: User) -> bool:
    return user.has_password and not user.is_disabled and administers(user.grants)


def _without_link(account: Account) -> Account:
    return replace(account, link="", link_until_us=0)


def _without_codes(account: Account) -> Account:
    return replace(account, codes="", codes_step=-1, codes_begun="", recovery=())

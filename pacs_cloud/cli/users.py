"""`user add`, `list`, `show`, `grant`, `change`, `disable`, `enable`, `reset` and the others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pacs_cloud.bootstrap.accounts import accounts_of, welcome_link
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import confirm, print_json, print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.user import User, user_name
from pacs_cloud.security.caller import Grant
from pacs_cloud.security.grant_text import grant_texts
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("name", "grants", "state", "codes", "display")

R = TypeVar("R")


def add(
    settings: Settings,
    name: str,
    grants: tuple[Grant, ...],
    *,
    display: str,
    email: str,
    by: str,
    as_json: bool,
) -> None:
    """Make a user, also on an archive that is to be; print their link.

    Raises:
        InvalidRequest: it is no name, or no address.
        Conflict: there is such a user.
    """

    async def made(accounts: Accounts) -> tuple[str, User]:
        secret = await accounts.create(name, grants, display_name=display, email=email, by=by)
        return secret, await _user(accounts, name)

    secret, user = _with_accounts(settings, made, create=True)
    _say_link(settings, user, secret, as_json=as_json)


def reset(settings: Settings, name: str, *, with_codes: bool, by: str, as_json: bool) -> None:
    """Take a user's password; print their link.

    Raises:
        NotFound: there is no such user.
        Conflict: they are disabled.
    """

    async def done(accounts: Accounts) -> tuple[str, User]:
        secret = await accounts.reset(name, by=by, with_codes=with_codes)
        return secret, await _user(accounts, name)

    secret, user = _with_accounts(settings, done)
    _say_link(settings, user, secret, as_json=as_json)


def list_users(settings: Settings, *, as_json: bool) -> None:
    """Print every user."""
    users = _with_accounts(settings, lambda accounts: accounts.users())
    rows = [_plain(user) for user in users]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="There are no local users.")


def show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Print one user; raises NotFound."""

    async def found(accounts: Accounts) -> tuple[User, int]:
        return await _user(accounts, name), await accounts.locked_until_us(name)

    user, locked_us = _with_accounts(settings, found)
    row = {**_plain(user), "locked_until": _when(locked_us)}
    if as_json:
        print_json(row)
        return
    shown = [{"": field, " ": value} for field, value in row.items() if value]
    print_rows(shown, ("", " "), as_json=False, empty="")


def set_grants(
    settings: Settings,
    name: str,
    grants: tuple[Grant, ...],
    *,
    by: str,
    even_last: bool,
    as_json: bool,
) -> None:
    """Let a user be this and nothing else; raises NotFound, Conflict."""
    user = _with_accounts(
        settings, lambda accounts: accounts.set_grants(name, grants, by=by, even_last=even_last)
    )
    _say(user, f"{user.name} is: {', '.join(_grants(user))}.", as_json=as_json)


def change(
    settings: Settings,
    name: str,
    *,
    display: str | None,
    email: str | None,
    by: str,
    as_json: bool,
) -> None:
    """Change how a user is called, or written to; raises InvalidRequest, NotFound."""
    if display is None and email is None:
        raise InvalidRequest("nothing to change: --display or --email")
    user = _with_accounts(
        settings, lambda accounts: accounts.change(name, display_name=display, email=email, by=by)
    )
    _say(user, "Changed.", as_json=as_json)


def disable(settings: Settings, name: str, *, by: str, even_last: bool, as_json: bool) -> None:
    """Keep a user out; raises NotFound, Conflict."""
    user = _with_accounts(
        settings, lambda accounts: accounts.disable(name, by=by, even_last=even_last)
    )
    _say(user, f"{user.name} is kept out; sessions end within seconds.", as_json=as_json)


def enable(settings: Settings, name: str, *, by: str, as_json: bool) -> None:
    """Let a user in again; raises NotFound."""
    user = _with_accounts(settings, lambda accounts: accounts.enable(name, by=by))
    _say(user, f"{user.name} may sign in.", as_json=as_json)
    if not as_json and not user.has_password:
        stderr.print(f"They have no password: `pacs-cloud user reset {user.name}` gives a link.")


def unlock(settings: Settings, name: str, *, as_json: bool) -> None:
    """Let a user try again; raises NotFound."""

    async def done(accounts: Accounts) -> User:
        await accounts.unlock(name)
        return await _user(accounts, name)

    user = _with_accounts(settings, done)
    _say(user, f"{user.name} may try again.", as_json=as_json)


def sign_out(settings: Settings, name: str, *, by: str, as_json: bool) -> None:
    """End all sessions of a user; raises NotFound."""
    user = _with_accounts(settings, lambda accounts: accounts.sign_out(name, by=by))
    _say(user, f"All sessions of {user.name} end within seconds.", as_json=as_json)


def remove(settings: Settings, name: str, *, by: str, even_last: bool, sure: bool) -> None:
    """Let there be no such user; raises NotFound, Conflict, InvalidRequest."""
    confirm(f"Remove the user {user_name(name)}?", sure=sure)
    _with_accounts(settings, lambda accounts: accounts.remove(name, by=by, even_last=even_last))
    stdout.print("Removed.")


def _with_accounts(
    settings: Settings, work: Callable[[Accounts], Awaitable[R]], *, create: bool = False
) -> R:
    async def run() -> R:
        async with open_stores(settings, create=create) as stores:
            return await work(accounts_of(settings, stores.objects))

    return asyncio.run(run())


async def _user(accounts: Accounts, name: str) -> User:
    user = await accounts.user(name)
    if user is None:
        raise NotFound("there is no such user")
    return user


def _say(user: User, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(user))
    else:
        stdout.print(text)


def _say_link(settings: Settings, user: User, secret: str, *, as_json: bool) -> None:
    link = welcome_link(settings, secret)
    if as_json:
        print_json({**_plain(user), "link": link, "secret": secret})
        return
    stdout.print(link)
    stderr.print(
        f"Whoever opens this link sets the password of {user.name}. It works once, until"
        f" {_when(user.link_until_us)}, and cannot be shown again."
    )


def _plain(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "display": user.display_name,
        "email": user.email,
        "grants": _grants(user),
        "state": user.state,
        "codes": user.has_codes,
        "recovery_codes": user.recovery_codes if user.has_codes else None,
        "link_until": _when(user.link_until_us),
        "made": _when(user.made_us),
        "changed": _when(user.changed_us),
        "changed_by": user.changed_by,
    }


def _grants(user: User) -> list[str]:
    return [text for grant in user.grants for text in grant_texts(grant)]


def _when(time_us: int) -> str | None:
    return when(time_us) if time_us else None

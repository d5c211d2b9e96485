"""Browsers in which somebody is signed in at a house (`e2e.house`), without what passwords cost."""

from typing import TypeVar

from e2e.house import House
from pacs_cloud.bootstrap.accounts import sessions_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.security.caller import Grant
from web_site import CHEAP, GOOD, Browser

B = TypeVar("B", bound=Browser)


async def visitor(archive: House, browser: B, name: str, *grants: Grant) -> B:
    """Make a user with these grants, and sign them in."""
    accounts = Accounts(archive.stores.objects, "default", now_us, keep_s=0, argon2id=CHEAP)
    await accounts.redeem(await accounts.create(name, grants), GOOD)
    user = await accounts.user(name)
    assert user is not None
    token = sessions_of(archive.settings, accounts).issue(user, address="")
    browser.client.cookies.set("pacs", token, domain="127.0.0.1")
    return browser

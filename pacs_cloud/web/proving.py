"""Asking somebody who is signed in for their password again, before what outlasts a session."""

from starlette.requests import Request

from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.user import User
from pacs_cloud.web.forms import Form
from pacs_cloud.web.visits import address_of


async def prove(accounts: Accounts, request: Request, user: User, form: Form) -> None:
    """Return where whoever sends a form knows what its user knows.

    Raises:
        Denied: password or code is wrong, or missing, or there were too many tries.
        Unavailable: too many sign in at once.
    """
    await accounts.sign_in(
        user.name, form.secret("password"), form.text("code"), address=address_of(request)
    )

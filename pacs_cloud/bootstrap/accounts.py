"""Settings become users, keys of programs and sessions, and the links that begin them."""

from typing import Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.bootstrap.tenants import site_of
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Settings
from pacs_cloud.web.local_paths import welcome_path

_FILES_S: Final = 2.0
_BUCKET_S: Final = 5.0
"""How long processes believe what they read (ADR 16): so long does a revoked right go on."""


def keep_s(settings: Settings) -> float:
    """Return how long a process believes what it read of users and keys."""
    return _FILES_S if settings.is_embedded else _BUCKET_S


def accounts_of(settings: Settings, objects: ObjectStore, tenant: str = "") -> Accounts:
    """Return the local users of a tenant; "" for the settings' own.

    One for each tenant and process: it bounds how many sign in at once.
    """
    return Accounts(objects, tenant or settings.tenant, now_us, keep_s=keep_s(settings))


def api_keys_of(settings: Settings, objects: ObjectStore, tenant: str = "") -> ApiKeys:
    """Return the keys of programs of a tenant; "" for the settings' own."""
    return ApiKeys(objects, tenant or settings.tenant, now_us, keep_s=keep_s(settings))


def sessions_of(settings: Settings, accounts: Accounts) -> Sessions:
    """Return the sessions of whoever signs in on pages; raises as `session_secrets`."""
    return Sessions(accounts, session_secrets(settings), now_us)


def welcome_link(settings: Settings, secret: str) -> str:
    """Return the link by which somebody sets their password; its secret is sent to no server.

    Only the path where it listens at a port that is not known before it does.
    """
    is_known = settings.public_url or settings.http.port
    return f"{site_of(settings) if is_known else ''}{welcome_path(secret)}"

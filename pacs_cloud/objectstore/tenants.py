"""Whose objects there are, and whose each is."""

import re
from typing import Final

from pacs_cloud.objectstore.port import ObjectStore

_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SHARED: Final = ("fixity/at/", "turns/")
"""Trees of the archive as a whole."""
_BELOW: Final = "fixity/found/"
"""The only tree of tenants whose name has two parts."""
_BEHIND_ALL = "~"
"""Sorts behind every character of a key."""


def is_tenant(text: str) -> bool:
    """Return whether a tenant may be called that: a DNS label, as the settings have them."""
    return _LABEL.fullmatch(text) is not None


def tenant_in(key: str) -> str:
    """Return whose an object is, by its key `{tree}/{tenant}/…`.

    Returns:
        "" for nobody's alone, and for what lies by a name that no tenant can have, as the copies
        do that a link opens.
    """
    if key.startswith(_SHARED):
        return ""
    tree = _BELOW if key.startswith(_BELOW) else f"{key.partition('/')[0]}/"
    tenant, slash, _ = key.removeprefix(tree).partition("/")
    return tenant if slash and is_tenant(tenant) else ""


async def tenants_of(objects: ObjectStore, tree: str) -> list[str]:
    """Return who has objects in a tree such as `packs/`; costs a listing's page for each."""
    found: list[str] = []
    after = ""
    while True:
        async for info in objects.list(tree, after=after):
            tenant, slash, _ = info.key.removeprefix(tree).partition("/")
            if slash:
                found.append(tenant)
            after = f"{tree}{tenant}/{_BEHIND_ALL}" if slash else info.key
            break
        else:
            return found

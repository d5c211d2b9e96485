"""Whose objects there are."""

from pacs_cloud.objectstore.port import ObjectStore

_BEHIND_ALL = "~"
"""Sorts behind every character of a key."""


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

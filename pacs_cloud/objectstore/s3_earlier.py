"""Earlier versions of one object of a bucket, and the way back to them."""

from typing import Any

from pacs_cloud.errors import NotFound, Unavailable
from pacs_cloud.objectstore.s3_version_lists import list_of_one


async def earlier_versions(client: Any, target: dict[str, str]) -> list[str]:
    """Return the versions that are not what is read, newest first; delete markers left out."""
    versions = (await list_of_one(client, target)).versions
    return [one["VersionId"] for one in versions if not one.get("IsLatest")]


async def get_version(
    client: Any, target: dict[str, str], version: str, start: int, end: int
) -> bytes:
    """Return a range of a version."""
    answer = await client.get_object(**target, VersionId=version, Range=f"bytes={start}-{end - 1}")
    async with answer["Body"] as body:
        data: bytes = await body.read()
        return data


async def remove_newer(client: Any, target: dict[str, str], version: str) -> None:
    """Remove what hides a version, the newest first.

    Raises:
        NotFound: there is no such version.
        Unavailable: somebody writes a version meanwhile, which stays.
    """
    newer: set[str] | None = None
    while True:
        versions, markers, _ = await list_of_one(client, target)
        if all(one["VersionId"] != version for one in versions):
            raise NotFound(f"{target['Key']} has no version {version}")
        every = (*versions, *markers)
        latest = next(one["VersionId"] for one in every if one.get("IsLatest"))
        if latest == version:
            return
        if newer is None:
            newer = {one["VersionId"] for one in every}
        if latest not in newer:
            raise Unavailable(f"{target['Key']} was written meanwhile")
        await client.delete_object(**target, VersionId=latest)

"""Which versions there are: of one object, and of all below a prefix."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple


class Listed(NamedTuple):
    """An object's versions and delete markers, each newest first, as ListObjectVersions says.

    Of more than a page's thousand the newest (`is_all` is False): the others are met when
    these are gone.
    """

    versions: Sequence[Mapping[str, Any]]
    markers: Sequence[Mapping[str, Any]]
    is_all: bool


async def list_of_one(client: Any, target: dict[str, str]) -> Listed:
    """Return the versions of one object."""
    page = await client.list_object_versions(Bucket=target["Bucket"], Prefix=target["Key"])
    # Keys that begin with this one sort behind it.
    versions, markers = (
        [one for one in page.get(name, ()) if one["Key"] == target["Key"]]
        for name in ("Versions", "DeleteMarkers")
    )
    return Listed(versions, markers, not page.get("IsTruncated"))


async def list_below(client: Any, bucket: str, prefix: str) -> AsyncIterator[str]:
    """Yield the key of each version and delete marker below `prefix`."""
    options: dict[str, str] = {}
    while True:
        page = await client.list_object_versions(Bucket=bucket, Prefix=prefix, **options)
        for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            if not entry["Key"].endswith("/"):  # a folder, which is no object
                yield entry["Key"]
        if not page.get("IsTruncated"):
            return
        options = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            options["VersionIdMarker"] = page["NextVersionIdMarker"]


async def remove_all(client: Any, target: dict[str, str]) -> None:
    """Remove every version and delete marker of one object."""
    while True:
        versions, markers, is_all = await list_of_one(client, target)
        for one in (*versions, *markers):
            await client.delete_object(**target, VersionId=one["VersionId"])
        if is_all or not (versions or markers):
            return

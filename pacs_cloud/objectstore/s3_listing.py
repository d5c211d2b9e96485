"""Listings in key order, also from a store that lists by folder.

S3 lists by the bytes of whole keys. SeaweedFS keeps folders, and lists them by
their names: `a/…` before `a.b/…`, though `.` sorts before `/`; a cutoff
(StartAfter) is a place in that order. There each folder is listed by itself and
sorted here, at one request or more per folder.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pacs_cloud.errors import Unavailable
from pacs_cloud.objectstore.walk import may_hold


def lists_by_folder(answer: Mapping[str, Any]) -> bool:
    """Return whether the server that gave `answer`, a parsed response, lists by folder."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("server", "")).startswith("SeaweedFS")


async def list_keys(
    client: Any, bucket: str, prefix: str, after: str
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield ListObjectsV2's entries behind `after`.

    Raises:
        Unavailable: the store does not list in key order.
    """
    last = after
    async for page in _pages(client, {"Bucket": bucket, "Prefix": prefix}, after):
        for entry in _objects(page):
            if entry["Key"] <= last:
                raise Unavailable(f"bucket {bucket} is not listed in key order")
            last = entry["Key"]
            yield entry


async def list_folders(
    client: Any, bucket: str, prefix: str, after: str
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the same, folder by folder; one folder of each level is in memory."""
    folder = prefix[: prefix.rfind("/") + 1]
    async for entry in _list_folder(client, bucket, folder, prefix, after):
        yield entry


async def _list_folder(
    client: Any, bucket: str, folder: str, prefix: str, after: str
) -> AsyncIterator[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any] | None] = {}
    options = {"Bucket": bucket, "Prefix": folder, "Delimiter": "/"}
    async for page in _pages(client, options, ""):
        found.update((entry["Prefix"], None) for entry in page.get("CommonPrefixes", ()))
        found.update((entry["Key"], entry) for entry in _objects(page))
    for key, entry in sorted(found.items(), key=lambda item: item[0]):
        if not may_hold(key, prefix, after):
            continue
        if entry is not None:
            yield entry
        else:
            async for below in _list_folder(client, bucket, key, prefix, after):
                yield below


def _objects(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a page's entries without folder markers (`…/`), which consoles and SeaweedFS leave."""
    return [entry for entry in page.get("Contents", ()) if not entry["Key"].endswith("/")]


async def _pages(
    client: Any, options: dict[str, str], after: str
) -> AsyncIterator[Mapping[str, Any]]:
    if after:
        options = options | {"StartAfter": after}
    while True:
        page = await client.list_objects_v2(**options)
        yield page
        if not page.get("IsTruncated"):
            return
        options = options | {"ContinuationToken": page["NextContinuationToken"]}

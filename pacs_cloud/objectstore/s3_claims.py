"""A key's one writer, where a server does not see to it.

Ceph's gateway (16) takes `If-None-Match: *` in a bucket that keeps versions for a question
about the new version, which never is there, and does not look at it where an upload in
parts is completed. There the oldest version is the one that was first: who finds an older
one than its own removes its own. For that moment others may read it.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pacs_cloud.errors import Conflict
from pacs_cloud.objectstore.s3_version_lists import list_of_one
from pacs_cloud.objectstore.s3_versions import head_if_there

_GATEWAY_REQUEST = re.compile(r"tx[0-9a-f]{21}-[0-9a-f]{10}-[0-9a-f]+-.+")


class Written(NamedTuple):
    """What a store says of an object that it took."""

    etag: str
    version: str | None


def claims_by_version(answer: Mapping[str, Any]) -> bool:
    """Return whether the server that gave `answer`, a parsed response, is Ceph's gateway.

    It does not give its name, and it alone names requests as it does.
    """
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return _GATEWAY_REQUEST.fullmatch(str(headers.get("x-amz-request-id", ""))) is not None


async def refuse_taken(client: Any, target: dict[str, str]) -> None:
    """Raise Conflict where the key is taken already: then nobody reads what loses."""
    if await head_if_there(client, target, None) is not None:
        raise Conflict(f"{target['Key']} is taken")


async def be_first(client: Any, target: dict[str, str], version: str | None) -> None:
    """Remove this version of a key again where it is not the first.

    Raises:
        Conflict: it is not, and is gone.
    """
    if version is None:
        return  # the bucket keeps none, and the server looked
    versions = (await list_of_one(client, target)).versions
    if any(one["VersionId"] == version for one in versions[:-1]):
        await client.delete_object(**target, VersionId=version)
        raise Conflict(f"{target['Key']} is taken")

"""The tags of an object of a bucket."""

from typing import Any

from botocore.exceptions import ClientError

from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of


async def tags_of(client: Any, target: dict[str, str]) -> dict[str, str]:
    """Return the tags of the newest version; raises ClientError.

    Where there are none, Ceph's gateway says nothing of a set of them.
    """
    answer = await client.get_object_tagging(**target)
    return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}


async def put_tags(client: Any, target: dict[str, str], tags: dict[str, str]) -> None:
    """Give the newest version these tags in place of those that it has."""
    named = [{"Key": name, "Value": value} for name, value in tags.items()]
    await client.put_object_tagging(**target, Tagging={"TagSet": named})


async def see_to_tags(client: Any, target: dict[str, str], tags: dict[str, str]) -> None:
    """Give an object the tags that it was to be made with, where it has others.

    Ceph's gateway (16) forgets those of an upload in parts, and keeps the old ones in a copy.
    """
    try:
        if await tags_of(client, target) != tags:
            await put_tags(client, target, tags)
    except ClientError as error:
        if code_of(error) not in NO_SUCH_FEATURE:
            raise

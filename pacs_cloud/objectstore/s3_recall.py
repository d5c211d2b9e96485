"""The beginning of a restore (S3 API, RestoreObject)."""

from typing import Any

from botocore.exceptions import ClientError

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass


async def begin_restore(
    client: Any, target: dict[str, str], storage_class: str, days: int, speed: RecallSpeed
) -> None:
    """Ask for a restored copy; that one is under way already is no error.

    Raises:
        InvalidRequest: the store does not restore.
        ClientError: it refuses.
    """
    request: dict[str, Any] = {"GlacierJobParameters": {"Tier": speed.value}}
    if storage_class != StorageClass.INTELLIGENT_TIERING:  # that comes back for good
        request["Days"] = days
    try:
        await client.restore_object(**target, RestoreRequest=request)
    except ClientError as error:
        code = code_of(error)
        if code in NO_SUCH_FEATURE:
            raise InvalidRequest(
                "this store restores nothing: it wants cold=online in its URL"
            ) from error
        if code != "RestoreAlreadyInProgress":
            raise

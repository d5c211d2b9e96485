"""The beginning of a restore (S3 API, RestoreObject)."""

from typing import Any

from botocore.exceptions import ClientError

from pacs_cloud.errors import NeverRestored
from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of
from pacs_cloud.objectstore.storage_classes import RecallSpeed, StorageClass, class_named


async def begin_restore(
    client: Any, target: dict[str, str], storage_class: str, days: int, speed: RecallSpeed
) -> None:
    """Ask for a restored copy; that one is under way already is no error.

    Raises:
        NeverRestored: the store does not restore.
        ClientError: it refuses.
    """
    request: dict[str, Any] = {"GlacierJobParameters": {"Tier": speed.value}}
    if class_named(storage_class) is not StorageClass.INTELLIGENT_TIERING:  # that comes for good
        request["Days"] = days
    try:
        await client.restore_object(**target, RestoreRequest=request)
    except ClientError as error:
        code = code_of(error)
        if code in NO_SUCH_FEATURE:
            raise NeverRestored(
                "this store restores nothing: where it reads every class at once, put"
                " cold=online into its URL, else copy the object back with the store's own tools"
            ) from error
        if code != "RestoreAlreadyInProgress":
            raise

"""A bucket's lifecycle configuration, as it is there."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from pacs_cloud.objectstore.s3_errors import NO_SUCH_FEATURE, code_of

_NONE = NO_SUCH_FEATURE | {"NoSuchLifecycleConfiguration", "404"}


async def lifecycle_of(client: Any, bucket: str) -> Mapping[str, Any]:
    """Return what GetBucketLifecycleConfiguration answers; `{}` where the bucket has none.

    A store without lifecycles has none.
    """
    try:
        found = await client.get_bucket_lifecycle_configuration(Bucket=bucket)
    except ClientError as error:
        if code_of(error) in _NONE:
            return {}
        raise
    return {"Rules": found.get("Rules", [])}

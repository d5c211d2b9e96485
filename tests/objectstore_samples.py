"""How a test's bucket is reached, for every test of the object store."""

from typing import Any

from pacs_cloud.objectstore.s3_clients import S3Config
from servers.fixtures import Place


def config_at(place: Place, **options: Any) -> S3Config:
    """Return the configuration for a bucket; `options` are further fields of it."""
    return S3Config(
        place.name,
        endpoint=place.endpoint.url,
        region=place.endpoint.region,
        access_key_id=place.endpoint.access_key,
        secret_access_key=place.endpoint.secret_key,
        **options,
    )

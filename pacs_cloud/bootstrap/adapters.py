"""The only place that knows which adapter a store's URL means."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from pacs_cloud.bootstrap.measuring_stores import measure_catalogue, measure_objects
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.objectstore.tenants import is_tenant
from pacs_cloud.settings import StoreUrl
from pacs_cloud.workqueue.port import WorkQueue

# Adapters are imported when their URL asks for them: a laptop's archive never loads
# a cloud's client.


@asynccontextmanager
async def open_objects(url: StoreUrl) -> AsyncGenerator[ObjectStore]:
    """Open the object store at `url`: `file` or `s3`.

    Raises:
        InvalidRequest: an option that the adapter does not know.
        Unavailable, Denied: the store cannot be used.
    """
    if url.scheme == "file":
        from pacs_cloud.objectstore.local import LocalObjectStore

        tiers = {one.value: one for one in StorageClass if one is not StorageClass.STANDARD}
        options = _only(url, *tiers, "recall_delay_s", "encrypt")
        async with LocalObjectStore(
            Path(url.name),
            {tiers[name]: Path(path) for name, path in options.items() if name in tiers},
            recall_delay_s=_seconds(options, "recall_delay_s"),
        ) as local:
            measure_objects(local)
            if "encrypt" not in options:
                yield local
                return
            from pacs_cloud.bootstrap.object_keys import folder_scratch, rings_of
            from pacs_cloud.objectstore.encrypted import EncryptedObjectStore

            rings = await rings_of(options["encrypt"])
            with folder_scratch(Path(url.name)) as scratch:
                yield EncryptedObjectStore(local, rings, scratch)
    else:
        from pacs_cloud.objectstore.s3 import S3ObjectStore
        from pacs_cloud.objectstore.s3_clients import S3Config

        options = _only(
            url,
            *("endpoint", "region", "prefix", "storage_class"),
            *("checksum", "moves", "cold", "lock"),
            *("sse", "kms_key", "kms_keys", "encrypt", "scratch"),
        )
        bucket, _, folder = url.name.partition("/")
        prefix = options.get("prefix", folder).strip("/")
        config = S3Config(
            bucket=bucket,
            endpoint=options.get("endpoint", ""),
            region=options.get("region", ""),
            prefix=prefix and f"{prefix}/",
            storage_class=_storage_class(options),
            checksum=_checksum(options.get("checksum", "CRC64NVME")),
            moves=_moves(options.get("moves", "")),
            lock=_lock(options.get("lock", "")),
            reads_cold=_reads_cold(options.get("cold", "offline")),
            sse=_sse(options.get("sse", "")),
            kms_key=options.get("kms_key", ""),
            kms_keys=_by_tenant(options.get("kms_keys", "")),
        )
        async with S3ObjectStore(config) as s3:
            measure_objects(s3)
            if "encrypt" not in options:
                yield s3
                return
            from pacs_cloud.bootstrap.object_keys import bucket_scratch, rings_of
            from pacs_cloud.objectstore.encrypted_bucket import EncryptedBucket

            rings = await rings_of(options["encrypt"], region=config.region)
            folder = Path(options["scratch"]) if "scratch" in options else None
            yield EncryptedBucket(s3, rings, bucket_scratch(folder))


@asynccontextmanager
async def open_catalogue(
    url: StoreUrl, upgrading: Callable[[], None] = lambda: None
) -> AsyncGenerator[Catalogue]:
    """Open the catalogue at `url`: `sqlite` or `dynamodb`; raises as `open_objects`.

    `upgrading` is called every now and then while an upgrade of a file takes long.
    """
    if url.scheme == "sqlite":
        from pacs_cloud.catalogue.sqlite import SqliteCatalogue

        _only(url)
        async with SqliteCatalogue(Path(url.name), upgrading) as sqlite:
            measure_catalogue(sqlite)
            yield sqlite
    else:
        from pacs_cloud.catalogue.dynamodb import DynamodbCatalogue, DynamodbConfig

        options = _only(url, "endpoint", "region")
        async with DynamodbCatalogue(
            DynamodbConfig(
                table=url.name,
                endpoint=options.get("endpoint", ""),
                region=options.get("region", ""),
            )
        ) as dynamodb:
            measure_catalogue(dynamodb)
            yield dynamodb


@asynccontextmanager
async def open_queue(url: StoreUrl) -> AsyncGenerator[WorkQueue]:
    """Open the work queue at `url`: `sqlite` or `sqs`; raises as `open_objects`."""
    if url.scheme == "sqlite":
        from pacs_cloud.workqueue.sqlite import SqliteWorkQueue

        _only(url)
        async with SqliteWorkQueue(Path(url.name)) as sqlite:
            yield sqlite
    else:
        from pacs_cloud.workqueue.sqs import SqsConfig, SqsWorkQueue

        options = _only(url, "endpoint", "region")
        async with SqsWorkQueue(
            SqsConfig(
                queue=url.name,
                endpoint=options.get("endpoint", ""),
                region=options.get("region", ""),
            )
        ) as sqs:
            yield sqs


def _only(url: StoreUrl, *known: str) -> dict[str, str]:
    """Return the URL's options; raises InvalidRequest for one that is not `known`."""
    for name in url.options:
        if name not in known:
            names = ", ".join(known) or "none"
            raise InvalidRequest(f"{url.scheme}:// knows no option {name!r} (known: {names})")
    return dict(url.options)


def _checksum(name: str) -> Literal["CRC64NVME", "SHA256", ""]:
    match name.upper():
        case "CRC64NVME" | "SHA256" as known:
            return known
        case "NONE":
            return ""
        case _:
            raise InvalidRequest(f"checksum={name!r} is not crc64nvme, sha256 or none")


def _moves(name: str) -> Literal["tag", "copy", ""]:
    match name:
        case "tag" | "copy" | "" as known:
            return known
        case _:
            raise InvalidRequest(f"moves={name!r} is not tag or copy")


def _lock(name: str) -> Literal["GOVERNANCE", "COMPLIANCE", ""]:
    match name.upper():
        case "GOVERNANCE" | "COMPLIANCE" | "" as known:
            return known
        case _:
            raise InvalidRequest(f"lock={name!r} is not governance or compliance")


def _sse(name: str) -> Literal["AES256", "aws:kms", "aws:kms:dsse", ""]:
    match name:
        case "AES256" | "aws:kms" | "aws:kms:dsse" | "" as known:
            return known
        case _:
            raise InvalidRequest(f"sse={name!r} is not AES256, aws:kms or aws:kms:dsse")


def _by_tenant(text: str) -> Mapping[str, str]:
    """Return `TENANT=KEY,…` as a table."""
    pairs = [one.partition("=") for one in text.split(",") if one]
    if not all(is_tenant(tenant) and key for tenant, _, key in pairs):
        raise InvalidRequest("kms_keys= is not TENANT=KEY,…")
    return {tenant: key for tenant, _, key in pairs}


def _storage_class(options: dict[str, str]) -> str:
    """Return where new packs go: they are read, and compared where a put is made again."""
    name = options.get("storage_class", "")
    if needs_recall(name) and not _reads_cold(options.get("cold", "offline")):
        raise InvalidRequest(
            f"storage_class={name} would hide new packs: let a tier policy move them there"
        )
    return name


def _reads_cold(name: str) -> bool:
    if name not in {"offline", "online"}:
        raise InvalidRequest(f"cold={name!r} is not offline or online")
    return name == "online"


def _seconds(options: dict[str, str], name: str) -> float:
    """Return an option's seconds, 0 where it is not given."""
    text = options.get(name, "0")
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) is None:
        raise InvalidRequest(f"{name}={text!r} is not a number of seconds")
    return float(text)

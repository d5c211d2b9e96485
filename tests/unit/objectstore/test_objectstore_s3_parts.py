"""The S3 store's pure parts: error table, part sizes, memory budget, availability."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from obstore.exceptions import AlreadyExistsError, GenericError, PermissionDeniedError

from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidRequest,
    NotFound,
    Offline,
    PacsError,
    Unavailable,
)
from pacs_cloud.objectstore.budget import ByteBudget
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.s3_clients import S3Config
from pacs_cloud.objectstore.s3_endpoints import region_named
from pacs_cloud.objectstore.s3_errors import translated
from pacs_cloud.objectstore.s3_info import told
from pacs_cloud.objectstore.s3_multipart import (
    PART_BYTES,
    PARTS_LIMIT,
    drop_uploads,
    part_size,
)
from pacs_cloud.objectstore.s3_versions import same_by_what_is_said
from pacs_cloud.objectstore.storage_classes import (
    ARCHIVE_ACCESS,
    RecallSpeed,
    StorageClass,
    check_recall,
    class_named,
)

IT = StorageClass.INTELLIGENT_TIERING


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "…"}}, "GetObject")


def obstore_text(status: str, code: str) -> str:
    return (
        f"Generic S3 error: Error performing GET http://x/b/k in 2ms - Server returned non-2xx"
        f" status code: {status}: <?xml version='1.0'?><Error><Code>{code}</Code></Error>\n"
        "Debug source: <Code>NoSuchKey</Code>"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (client_error("NoSuchKey"), NotFound),
        (client_error("404"), NotFound),
        (client_error("NoSuchBucket"), Unavailable),
        (client_error("SlowDown"), Unavailable),
        (client_error("InternalError"), Unavailable),
        (client_error("PreconditionFailed"), Conflict),
        (client_error("ConditionalRequestConflict"), Conflict),
        (client_error("403"), Denied),
        (client_error("SignatureDoesNotMatch"), Denied),
        (NoCredentialsError(), Denied),
        (EndpointConnectionError(endpoint_url="http://x"), Unavailable),
        (FileNotFoundError(obstore_text("404 Not Found", "NoSuchKey")), NotFound),
        (FileNotFoundError(obstore_text("404 Not Found", "NoSuchBucket")), Unavailable),
        (AlreadyExistsError("Object at location k already exists"), Conflict),
        (PermissionDeniedError(obstore_text("403 Forbidden", "InvalidObjectState")), Offline),
        (PermissionDeniedError(obstore_text("403 Forbidden", "AccessDenied")), Denied),
        (PermissionDeniedError("no body"), Denied),
        (GenericError(obstore_text("416 Range Not Satisfiable", "InvalidRange")), Corrupt),
        (GenericError(obstore_text("503 Slow Down", "SlowDown")), Unavailable),
        (GenericError("HTTP error: error sending request"), Unavailable),
    ],
)
def test_errors_are_ours(error: Exception, kind: type[PacsError]) -> None:
    assert type(translated("get k", error)) is kind


def test_an_error_s_text_is_short() -> None:
    text = str(translated("get k", GenericError("cannot connect\nDebug source: {" + "x" * 5000)))
    assert text == "get k: GenericError: cannot connect"


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("PutObjectTagging", "s3:PutObjectTagging"),
        ("HeadObject", "s3:GetObject"),
        ("CopyObject", "s3:PutObjectTagging"),
        ("GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
        ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
    ],
)
def test_a_refusal_names_the_permission(operation: str, permission: str) -> None:
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "…"}}, operation)
    assert permission in str(translated("move k", error))
    expired = ClientError({"Error": {"Code": "ExpiredToken", "Message": "…"}}, operation)
    assert str(translated("move k", expired)) == "move k: ExpiredToken"


def test_a_refused_read_or_write_of_bytes_names_it_too() -> None:
    error = PermissionDeniedError(obstore_text("403 Forbidden", "AccessDenied"))
    assert str(translated("get k", error)).endswith("s3:GetObject")
    assert str(translated("put k", error)).endswith("s3:PutObject")


async def test_a_server_that_lists_no_uploads_has_none_to_drop() -> None:
    class Without:
        async def list_multipart_uploads(self, **_options: object) -> dict[str, Any]:
            raise client_error("NotImplemented")

    assert await drop_uploads(Without(), "bucket", "packs/", 1 << 60) == 0


@pytest.mark.parametrize("size", [1, PART_BYTES, 70 << 20, PART_BYTES * PARTS_LIMIT, 5 << 40])
def test_there_are_never_too_many_parts(size: int) -> None:
    part = part_size(size)
    assert -(-size // part) <= PARTS_LIMIT
    assert part >= PART_BYTES
    assert part % (1 << 20) == 0


def test_parts_are_small_while_they_can_be() -> None:
    assert part_size(4 << 30) == PART_BYTES
    assert part_size(PART_BYTES * PARTS_LIMIT) == PART_BYTES
    assert part_size(PART_BYTES * PARTS_LIMIT + 1) == PART_BYTES + (1 << 20)


async def test_a_budget_is_kept() -> None:
    budget = ByteBudget(100)
    held, most = 0, 0

    async def use(length: int) -> None:
        nonlocal held, most
        async with budget.take(length):
            held += length
            most = max(most, held)
            await asyncio.sleep(0)
            held -= length

    await asyncio.gather(*(use(length) for length in [60, 30, 10, 70, 5, 100, 40, 1] * 5))
    assert (held, most) == (0, 100)


async def test_a_large_upload_is_not_overtaken_for_ever() -> None:
    budget = ByteBudget(10)
    order: list[int] = []

    async def use(length: int) -> None:
        async with budget.take(length):
            order.append(length)
            await asyncio.sleep(0)

    await asyncio.gather(*(use(length) for length in [6, 9, 1, 1, 1]))
    assert order == [6, 9, 1, 1, 1]


async def test_more_than_the_budget_takes_all_of_it() -> None:
    budget = ByteBudget(10)
    async with budget.take(1000):
        waiting = asyncio.create_task(budget.take(1).__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_a_cancelled_upload_gives_its_bytes_back() -> None:
    budget = ByteBudget(10)
    async with budget.take(8):
        waiting = asyncio.create_task(budget.take(5).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with budget.take(10):
        pass


@pytest.mark.parametrize(
    ("headers", "availability"),
    [
        ({}, Availability.ONLINE),
        ({"StorageClass": "GLACIER_IR"}, Availability.ONLINE),
        ({"StorageClass": "GLACIER"}, Availability.OFFLINE),
        ({"StorageClass": "DEEP_ARCHIVE"}, Availability.OFFLINE),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'}, Availability.RESTORING),
        (
            {
                "StorageClass": "GLACIER",
                "Restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"',
            },
            Availability.ONLINE,
        ),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"},
            Availability.OFFLINE,
        ),
        ({"StorageClass": "INTELLIGENT_TIERING"}, Availability.ONLINE),
    ],
)
def test_what_is_cold(headers: dict[str, str], availability: Availability) -> None:
    found = {"LastModified": datetime(2026, 1, 2, tzinfo=UTC), "ETag": '"e"', **headers}
    info = told("k", 5, found)
    assert info.availability is availability
    assert (info.etag, info.length_bytes, info.modified_us) == ("e", 5, 1_767_312_000_000_000)
    lies_in = headers.get("StorageClass", "STANDARD")
    if "ArchiveStatus" in headers:
        lies_in += "/" + headers["ArchiveStatus"]
    assert info.storage_class == lies_in
    at_once = told("k", 5, found, reads_cold=True)
    assert at_once == replace(info, availability=Availability.ONLINE, available_until_us=None)


@pytest.mark.parametrize("told_too", [{}, {"ArchiveStatus": "ARCHIVE_ACCESS"}])
def test_what_comes_out_of_an_access_tier_lies_in_it_until_then(told_too: dict[str, str]) -> None:
    found = {"LastModified": datetime(2026, 1, 2, tzinfo=UTC), "StorageClass": IT, **told_too}
    info = told("k", 5, {**found, "Restore": 'ongoing-request="true"'})
    assert (info.storage_class, info.availability) == (ARCHIVE_ACCESS, Availability.RESTORING)
    assert class_named(info.storage_class) is IT


def test_when_a_restored_copy_goes() -> None:
    def until_us(restore: str) -> int | None:
        found = {"LastModified": datetime(2026, 1, 2, tzinfo=UTC), "StorageClass": "GLACIER"}
        return told("k", 5, {**found, "Restore": restore}).available_until_us

    ends = 'expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'
    assert until_us(f'ongoing-request="false", {ends}') == 1_892_505_600_000_000
    assert until_us('ongoing-request="false"') is None
    assert until_us('ongoing-request="false", expiry-date="some day"') is None
    assert until_us('ongoing-request="true"') is None


@pytest.mark.parametrize(
    ("endpoint", "moves", "by_tag"),
    [
        ("", "", True),
        ("https://s3.eu-central-1.amazonaws.com", "", True),
        ("https://vpce-1.s3.eu-central-1.vpce.amazonaws.com", "", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", "", True),
        ("http://127.0.0.1:8333", "", False),
        ("https://amazonaws.com.example", "", False),
        ("", "copy", False),
        ("http://127.0.0.1:8333", "tag", True),
    ],
)
def test_who_moves_objects(endpoint: str, moves: Any, by_tag: bool) -> None:
    assert S3Config("b", endpoint=endpoint, moves=moves).moves_by_tag is by_tag


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"ETag": '"a-2"'}, {"ETag": '"a-2"'}, True),
        ({"ETag": '"a-2"'}, {"ETag": '"b-2"'}, None),
        ({"ETag": f'"{"0" * 32}"'}, {"ETag": f'"{"1" * 32}"'}, False),
        (
            {"ETag": f'"{"0" * 32}"', "ServerSideEncryption": "aws:kms"},
            {"ETag": f'"{"1" * 32}"'},
            None,
        ),
        ({"ETag": '"a-2"', "ChecksumCRC32": "x"}, {"ETag": '"b"', "ChecksumCRC32": "x"}, True),
        ({"ETag": '"a-2"', "ChecksumCRC32": "x"}, {"ETag": '"a-2"', "ChecksumCRC32": "y"}, False),
        ({"ETag": '"a-2"', "ChecksumCRC32": "x-2"}, {"ETag": '"b"', "ChecksumCRC32": "x"}, None),
        (
            {"ETag": '"a-2"', "ChecksumSHA256": "x", "ChecksumType": "COMPOSITE"},
            {"ETag": '"b"', "ChecksumSHA256": "y"},
            None,
        ),
        ({"ETag": '"a-2"', "ChecksumCRC32": "x"}, {"ETag": '"b"', "ChecksumSHA256": "x"}, None),
        ({"ETag": ""}, {"ETag": ""}, None),
    ],
)
def test_what_tells_that_two_versions_hold_the_same(
    one: dict[str, str], other: dict[str, str], same: bool | None
) -> None:
    sized = {"ContentLength": 5}
    assert same_by_what_is_said({**one, **sized}, {**other, **sized}) is same
    assert same_by_what_is_said({**other, **sized}, {**one, **sized}) is same
    assert same_by_what_is_said({**one, **sized}, {**one, "ContentLength": 6}) is False


@pytest.mark.parametrize(
    ("storage_class", "days", "speed", "refused"),
    [
        ("GLACIER", 1, RecallSpeed.EXPEDITED, False),
        ("DEEP_ARCHIVE", 1, RecallSpeed.STANDARD, False),
        ("DEEP_ARCHIVE", 1, RecallSpeed.EXPEDITED, True),
        ("GLACIER", 0, RecallSpeed.BULK, True),
        ("STANDARD", -1, RecallSpeed.BULK, True),
    ],
)
def test_which_recalls_there_are(
    storage_class: str, days: int, speed: RecallSpeed, refused: bool
) -> None:
    with pytest.raises(InvalidRequest) if refused else nullcontext():
        check_recall(storage_class, days, speed)


def test_a_config_hides_its_secret_and_is_whole() -> None:
    assert "hush" not in repr(S3Config("b", access_key_id="k", secret_access_key="hush"))
    with pytest.raises(InvalidRequest):
        S3Config("b", access_key_id="k")
    with pytest.raises(InvalidRequest):
        S3Config("b", prefix="a")


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("", ""),
        ("https://s3.amazonaws.com", ""),
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://s3.dualstack.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://s3-us-west-2.amazonaws.com", "us-west-2"),
        ("https://bucket.vpce-1a2b.s3.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://s3.eu-central-1.amazonaws.com.example", ""),
        ("http://127.0.0.1:8333", ""),
    ],
)
def test_an_endpoint_s_name_says_its_region(endpoint: str, region: str) -> None:
    assert region_named(endpoint) == region

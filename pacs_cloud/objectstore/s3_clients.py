"""Two clients of one bucket: obstore for bytes, aiobotocore for the rest."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from obstore.store import S3Store

from pacs_cloud.aws import new_session
from pacs_cloud.errors import Denied, InvalidRequest
from pacs_cloud.objectstore.s3_endpoints import moves_by_tag
from pacs_cloud.objectstore.tenants import tenant_in

if TYPE_CHECKING:  # obstore's own rule: these names exist in its stubs alone
    from obstore.store import ClientConfig, S3Credential
    from obstore.store import S3Config as Options

CREDENTIAL_LIFE = timedelta(minutes=5)
"""botocore renews temporary keys ten minutes before they end, or earlier."""


@dataclass(frozen=True, slots=True)
class S3Config:
    """Which bucket, where, and as whom.

    Attributes:
        bucket: its name.
        endpoint: `http(s)://host:port` of an S3-compatible store, addressed path-style;
            "" for AWS.
        region: "" for the one in AWS's environment or profile, else us-east-1.
        prefix: put before every key, "" or ending in `/`.
        access_key_id, secret_access_key: "" for AWS's own chain (environment, profile,
            container, instance). Requests are never anonymous.
        session_token: with temporary keys.
        storage_class: of what `put_file` writes; "" for the bucket's default. Small
            objects (indexes, ledger, thumbnails) always stay in the default.
        checksum: sent with every object and kept by the store: CRC64NVME or SHA256
            (multipart: CRC32 of the whole); "" for stores that know none.
        moves: how objects change their class: "tag" leaves it to lifecycle rules that
            filter by TIER_TAG, "copy" copies and removes; "" for the right one:
            AWS's lifecycle moves without a second, billed version, and does not leave
            Object Lock's protection; other stores' lifecycle often moves nothing.
        lock: which locks retention dates become (`s3_locks`); "" for none: then no legal hold
            is set either, and those of others are regarded all the same.
        reads_cold: the store reads GLACIER and DEEP_ARCHIVE at once, and has no recall.
        sse: what every object is encrypted with by the store, copies by moves too;
            "" for the bucket's default.
        kms_key: ARN, id or alias of the KMS key; "" for the account's own for S3.
        kms_keys: those of tenants who have their own.
        connect_timeout_s, read_timeout_s: of one connection, of one silence.
        upload_timeout_s: for one object, or one part, of up to 64 MiB.
        retries: after a first failure, with exponential waits of at most 2 s.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    prefix: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    storage_class: str = ""
    checksum: Literal["CRC64NVME", "SHA256", ""] = "CRC64NVME"
    moves: Literal["tag", "copy", ""] = ""
    lock: Literal["GOVERNANCE", "COMPLIANCE", ""] = ""
    reads_cold: bool = False
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse", ""] = ""
    kms_key: str = ""
    kms_keys: Mapping[str, str] = field(default_factory=dict[str, str])
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 20.0
    upload_timeout_s: float = 300.0
    retries: int = 3

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise InvalidRequest("an access key and its secret go together")
        if self.prefix and not self.prefix.endswith("/"):
            raise InvalidRequest(f"a prefix ends in '/': {self.prefix!r}")
        if (self.kms_key or self.kms_keys) and not self.sse.startswith("aws:kms"):
            raise InvalidRequest("a KMS key needs sse=aws:kms")

    def kms_key_of(self, key: str) -> str:
        """Return the KMS key of the object `key`, by whose it is."""
        return self.kms_keys.get(tenant_in(key), self.kms_key)

    def encryption(self, key: str) -> dict[str, Any]:
        """Return what puts and copies of the object `key` by botocore say of encryption."""
        if not self.sse:
            return {}
        # A bucket key saves most calls of KMS; S3 has none for DSSE.
        said: dict[str, Any] = {"ServerSideEncryption": self.sse}
        if self.sse == "aws:kms":
            said["BucketKeyEnabled"] = True
        kms_key = self.kms_key_of(key)
        return said | ({"SSEKMSKeyId": kms_key} if kms_key else {})

    @property
    def moves_by_tag(self) -> bool:
        """Whether lifecycle rules move objects that are tagged."""
        return moves_by_tag(self.moves, self.endpoint)


async def session_of(config: S3Config) -> tuple[AioSession, str]:
    """Return AWS's chain with the given keys in front, and the region."""
    session = new_session()
    if config.access_key_id:
        session.set_credentials(
            config.access_key_id, config.secret_access_key, config.session_token or None
        )
    elif await session.get_credentials() is None:
        raise Denied(f"no AWS credentials for bucket {config.bucket}")
    return session, config.region or default_region(session)


def default_region(session: AioSession | None = None) -> str:
    """Return the region in AWS's environment or profile, else us-east-1."""
    return (session or new_session()).get_config_variable("region") or "us-east-1"


def botocore_options(config: S3Config) -> dict[str, Any]:
    """Return what aiobotocore's `create_client("s3", …)` takes besides the region."""
    return {
        "endpoint_url": config.endpoint or None,
        "config": AioConfig(
            connect_timeout=config.connect_timeout_s,
            read_timeout=config.read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": config.retries + 1},
            s3={"addressing_style": "path" if config.endpoint else "auto"},
            # Ours are sent as headers; botocore's own would be trailers,
            # which stores other than AWS often refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }


def stores_of(
    config: S3Config, session: AioSession, region: str
) -> tuple[S3Store, Callable[[str], S3Store]]:
    """Return obstore's client for reading, and what returns one for writing with a KMS key.

    They differ in time limits.

    A read may take as long as its reader wants, while the store keeps sending; a
    write's silence is the upload itself, so that only its whole can be limited.
    """

    async def credentials() -> "S3Credential":
        found = await session.get_credentials()
        if found is None:
            raise Denied(f"no AWS credentials for bucket {config.bucket}")
        frozen = await found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + CREDENTIAL_LIFE,
        }

    # Every option that obstore would otherwise read from the environment and
    # that could send a request elsewhere or unsigned is given here.
    options: Options = {
        "region": region,
        "skip_signature": False,
        "virtual_hosted_style_request": not config.endpoint,
        "endpoint": config.endpoint or f"https://{config.bucket}.s3.{region}.amazonaws.com",
    }
    if config.checksum:
        options["checksum_algorithm"] = config.checksum
    if config.sse:
        options["server_side_encryption"] = config.sse
        options["sse_bucket_key_enabled"] = config.sse == "aws:kms"
    timeouts: dict[str, ClientConfig] = {
        "read": {"timeout": "1day", "read_timeout": timedelta(seconds=config.read_timeout_s)},
        "write": {"timeout": timedelta(seconds=config.upload_timeout_s)},
    }

    def store(limits: "ClientConfig", kms_key: str = "") -> S3Store:
        with_key: Options = {"sse_kms_key_id": kms_key} if kms_key else {}
        return S3Store(
            config.bucket,
            config={**options, **with_key},
            client_options={
                "allow_http": config.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=config.connect_timeout_s),
                **limits,
            },
            retry_config={
                "max_retries": config.retries,
                "retry_timeout": timedelta(seconds=config.upload_timeout_s),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
            credential_provider=credentials,
        )

    return store(timeouts["read"]), cache(partial(store, timeouts["write"]))

"""One bucket, open: its clients, its keys' names, its errors, and what it was found to be like."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from obstore.store import S3Store

from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.keys import check_key
from pacs_cloud.objectstore.port import ObjectInfo
from pacs_cloud.objectstore.s3_claims import claims_by_version
from pacs_cloud.objectstore.s3_clients import S3Config, botocore_options, session_of, stores_of
from pacs_cloud.objectstore.s3_errors import VENDOR_ERRORS, translated
from pacs_cloud.objectstore.s3_info import told
from pacs_cloud.objectstore.s3_listing import lists_by_folder
from pacs_cloud.objectstore.s3_locks import can_lock
from pacs_cloud.objectstore.s3_versions import Found

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Open:
    """What an open bucket holds."""

    client: Any
    reading: S3Store
    writing: Callable[[str], S3Store]


class ServerKind(NamedTuple):
    """How a server differs from S3, as its answers tell; see where each is told."""

    lists_by_folder: bool
    claims_by_version: bool


class S3Bucket:
    """One bucket; what is found out about it is asked for once."""

    def __init__(self, config: S3Config) -> None:
        self.config = config
        self._held: _Open | None = None
        self._stack = AsyncExitStack()
        self._is_seen = False
        self._kind: ServerKind | None = None
        self._can_lock: bool | None = None
        self._moves_by_tag: bool | None = None

    async def open(self) -> None:
        """Connect, in the event loop that is to use it."""
        session, region = await session_of(self.config)
        client = await self._stack.enter_async_context(
            session.create_client("s3", region_name=region, **botocore_options(self.config))
        )
        self._held = _Open(client, *stores_of(self.config, session, region))

    async def aclose(self) -> None:
        """Close the connections."""
        self._held = None
        await self._stack.aclose()

    @property
    def client(self) -> Any:
        """Aiobotocore's client."""
        return self._opened.client

    @property
    def reading(self) -> S3Store:
        """Obstore's client for reading."""
        return self._opened.reading

    def writing(self, key: str) -> S3Store:
        """Return obstore's client for writing the object `key`."""
        return self._opened.writing(self.config.kms_key_of(key))

    @property
    def _opened(self) -> _Open:
        if self._held is None:
            raise RuntimeError("an S3ObjectStore is used inside `async with`")
        return self._held

    def path(self, key: str) -> str:
        """Return what the bucket calls `key`, or a prefix of keys."""
        return self.config.prefix + key

    def key(self, path: str) -> str:
        """Return what `path` is called outside."""
        return path.removeprefix(self.config.prefix)

    def target(self, key: str) -> dict[str, str]:
        """Return how requests name the object `key`; raises InvalidRequest for what is no key."""
        return {"Bucket": self.config.bucket, "Key": self.path(check_key(key))}

    def told(self, key: str, length_bytes: int, found: Mapping[str, Any]) -> ObjectInfo:
        """Return an answer about `key` in the port's words."""
        return told(key, length_bytes, found, reads_cold=self.config.reads_cold)

    async def head(self, key: str) -> Found:
        """Return HeadObject's answer of the newest version; raises NotFound."""
        asking = self.client.head_object(**self.target(key))
        found: Found = await self.of_one(f"head {key}", asking)
        return found

    async def info(self, key: str) -> ObjectInfo:
        """Return the same in the port's words; raises NotFound."""
        found = await self.head(key)
        return self.told(key, found["ContentLength"], found)

    @contextmanager
    def errors(self, what: str) -> Generator[None]:
        """Raise what the clients raise in the block as ours; `what` is being done."""
        try:
            yield
        except VENDOR_ERRORS as error:
            raise translated(what, error) from error
        self._is_seen = True

    async def of_one(self, what: str, asking: Awaitable[Result]) -> Result:
        """Return an answer about one object, which may begin with a HEAD."""
        try:
            with self.errors(what):
                return await asking
        except NotFound:
            # The answer to HEAD has no body to tell a missing bucket by.
            if not self._is_seen:
                await self.ready()
            raise

    async def ready(self) -> ServerKind:
        """Return what the server is like when the bucket can be listed."""
        with self.errors(f"bucket {self.config.bucket}"):
            answer = await self.client.list_objects_v2(Bucket=self.config.bucket, MaxKeys=1)
        self._kind = ServerKind(lists_by_folder(answer), claims_by_version(answer))
        return self._kind

    async def kind(self) -> ServerKind:
        """Return what the server is like."""
        return self._kind or await self.ready()

    async def can_lock(self) -> bool:
        """Return whether objects are locked here, and shall be."""
        if self._can_lock is None:
            with self.errors(f"locks of bucket {self.config.bucket}"):
                self._can_lock = bool(self.config.lock) and await can_lock(
                    self.client, self.config.bucket
                )
        return self._can_lock

    async def moves_by_tag(self) -> bool:
        """Return whether lifecycle rules shall move what is tagged, and do.

        Ceph's gateway (16) does not where the bucket keeps versions: what was tagged behind
        its creation it takes for an object that is being changed.
        """
        if self._moves_by_tag is None:
            shall = self.config.moves_by_tag
            if shall and (await self.kind()).claims_by_version:
                with self.errors(f"versioning of bucket {self.config.bucket}"):
                    found = await self.client.get_bucket_versioning(Bucket=self.config.bucket)
                shall = "Status" not in found
            self._moves_by_tag = shall
        return self._moves_by_tag

"""The audit trail in a bucket: sealed once, locked, and proven from another machine."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from infra import provision
from infra.template import read
from objectstore_samples import config_at
from pacs_cloud.audit.sealing import Sealer, SealTerms
from pacs_cloud.audit.trail import TrailOptions, open_journals
from pacs_cloud.audit.verify import Finding, Verification
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.security.audit_event import AuditEvent, Kind
from servers.endpoint import Endpoint
from servers.fixtures import Place

DAY_US = 86_400_000_000


def now_us() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def locking(s3_server: Endpoint) -> Place:
    """A bucket that can lock; nothing removes what a test leaves locked in it."""
    name = f"t-{uuid.uuid4().hex[:20]}"
    with closing(s3_server.client("s3")) as client:
        provision.create_bucket(client, read({"BucketName": name, "ObjectLock": "true"}))
    return Place(s3_server, name)


@pytest.fixture
async def objects(locking: Place) -> AsyncIterator[ObjectStore]:
    async with S3ObjectStore(config_at(locking, lock="GOVERNANCE")) as store:
        yield store


async def fill(objects: ObjectStore, root: Path, terms: SealTerms, *, parts: int = 1) -> None:
    """Let a machine with its own disk put events on record, and seal them."""
    trail = open_journals(root, Sealer(objects, terms, now_us), TrailOptions(), now_us)
    for _ in range(parts):
        await trail.record(AuditEvent(Kind.CHANGE, "default", "user:anna", "page", now_us()))
        await trail._recorder.seal()
    await trail.aclose()


async def findings(objects: ObjectStore) -> list[Finding]:
    return [one async for one in Verification(objects, None, "default").run()]


async def test_what_is_sealed_is_locked_and_proven(objects: ObjectStore, tmp_path: Path) -> None:
    await fill(objects, tmp_path / "one", SealTerms(retain_days=1), parts=2)
    keys = [info.key async for info in objects.list("audit/")]
    assert len(keys) == 2
    assert await findings(objects) == []
    if (await objects.lock_of(keys[0])).until_us == 0:
        pytest.skip("this server locks nothing")
    for key in keys:
        assert (await objects.lock_of(key)).until_us > now_us() + DAY_US // 2


async def test_the_last_part_of_one_machine_is_missed_by_another_one(
    objects: ObjectStore, tmp_path: Path
) -> None:
    await fill(objects, tmp_path / "one", SealTerms(), parts=2)
    last = [info.key async for info in objects.list("audit/")][-1]
    await fill(objects, tmp_path / "two", SealTerms())
    assert await findings(objects) == []
    await objects.delete(last)
    (finding,) = await findings(objects)
    assert "is missing" in finding.what
    assert finding.place in last

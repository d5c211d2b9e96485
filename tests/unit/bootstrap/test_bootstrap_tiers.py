"""Policies on a whole archive: what an unreadable access log stops, and what it does not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.tiers import due, expired
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.keys import AccessKey
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import load_settings
from pacs_cloud.tiering.policy import Clock, Policy, Step


async def test_who_read_a_study_is_no_matter_of_its_retention(tmp_path: Path) -> None:
    settings = load_settings({"data": tmp_path / "data"})
    step = Step(StorageClass.GLACIER_IR, 90, Clock.UNREAD)
    policies = (Policy("p", steps=(step,), retention_days=3653),)
    month = AccessKey(settings.tenant, datetime.now(UTC).strftime("%Y%m"), number=0)
    async with open_stores(settings, create=True) as stores:
        await stores.objects.put_new(month.key, b"not what was written")
        with pytest.raises(Corrupt):
            _ = [one async for one in due(settings, stores, policies)]
        assert [one async for one in expired(settings, stores, policies)] == []

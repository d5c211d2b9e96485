"""Policies on a whole archive: an unreadable access log is told, and stops nothing."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.bootstrap.tiers import due, expired, moved
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.keys import AccessKey
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.settings import load_settings
from pacs_cloud.tiering.access.sheet import Access, Sheet, encode_day, encode_sheet
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.policy import Clock, Policy, Step
from unit.custody.custody_packs import Clock as PackClock
from unit.custody.custody_packs import Sample, commit, make_pack, put


async def test_who_read_a_study_is_no_matter_of_its_retention(tmp_path: Path) -> None:
    settings = load_settings({"data": tmp_path / "data"})
    step = Step(StorageClass.GLACIER_IR, 90, Clock.UNREAD)
    policies = (Policy("p", steps=(step,), retention_days=3653),)
    month = AccessKey(settings.tenant, datetime.now(UTC).strftime("%Y%m"), number=0)
    async with open_stores(settings, create=True) as stores:
        await stores.objects.put_new(month.key, b"not what was written")
        assert [one async for one in expired(settings, stores, policies)] == []


async def test_what_the_access_log_cannot_tell_is_told_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings({"data": tmp_path / "data"})
    policies = (Policy("p", steps=(Step(StorageClass.GLACIER_IR, 90, Clock.UNREAD),)),)
    today = date.fromordinal(date.today().toordinal() - 40)
    clock, day = PackClock(), today.strftime("%Y%m%d")
    async with open_stores(settings, create=True) as stores:
        for study in ("1.1", "1.2", "1.3"):
            made = make_pack(clock, settings.tenant, study, f"{study}.1", [Sample(f"{study}.1.1")])
            await put(stores.objects, made)
            await commit(stores.objects, stores.catalogue, made, clock)
        read = encode_sheet(Sheet({day: encode_day({"1.2": Access(1, 1, 1, now_us())})}))
        torn = encode_sheet(Sheet({day: b"no frame"}))
        for part, blob in (("a", read), ("b", b"not what was written"), ("c", torn)):
            key = AccessKey(settings.tenant, day[:6], day[6:], part)
            await stores.objects.put_new(key.key, blob)
        damaged: list[Corrupt] = []
        planned = [one async for one in due(settings, stores, policies, damaged=damaged.append)]
        # What can be read counts: a study that was read stays.
        assert {one.pack.study_instance_uid for one in planned} == {"1.1", "1.3"}
        assert len(damaged) == 2
        done = [one async for one in moved(settings, stores, policies)]
        assert [one.fate for one in done] == [Fate.MOVED] * 2
    told = [one for one in caplog.records if one.msg == "access_damaged"]
    assert len(told) == 4
    assert all("access/" in str(one.__dict__["reason"]) for one in told)

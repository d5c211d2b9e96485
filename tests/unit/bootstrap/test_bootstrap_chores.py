"""What a worker does over and over: it survives what can be expected, and stops at once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pacs_cloud.bootstrap import chores
from pacs_cloud.bootstrap.chores import chores_of, over_and_over
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import load_settings
from pacs_cloud.workers.backoff import Backoff
from patience import PATIENCE_S


async def test_a_chore_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chores, "STALLED", Backoff(0, 0))
    stop, tries = asyncio.Event(), 0

    async def chore() -> float:
        nonlocal tries
        tries += 1
        if tries == 3:
            stop.set()
        raise Unavailable("the store is away")

    await asyncio.wait_for(over_and_over("sweep", chore, stop), 5)
    assert tries == 3
    (record, *_) = caplog.records
    assert (record.msg, record.__dict__["chore"]) == ("chore_stalled", "sweep")


async def test_one_failure_among_many_tries_keeps_a_chore_waiting_for_no_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, failures = asyncio.Event(), list[int]()
    ends = iter([False, False, True, False])

    class Counting(Backoff):
        def after(self, attempt: int) -> float:
            failures.append(attempt)
            return super().after(attempt)

    async def chore() -> float:
        is_done = next(ends, None)
        if is_done is None:
            stop.set()
        if not is_done:
            raise Unavailable("the store is away")
        return 0.0

    monkeypatch.setattr(chores, "STALLED", Counting(0, 0))
    await asyncio.wait_for(over_and_over("recalls", chore, stop), 5)
    assert failures == [1, 2, 1, 2]


async def test_a_stop_ends_a_chore_where_it_is() -> None:
    stop, began, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def chore() -> float:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0.0

    running = asyncio.create_task(over_and_over("fixity", chore, stop))
    await began.wait()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    assert ended.is_set()


async def test_a_stop_ends_a_rest() -> None:
    stop, worked = asyncio.Event(), asyncio.Event()

    async def chore() -> float:
        worked.set()
        return 3600.0

    running = asyncio.create_task(over_and_over("trash", chore, stop))
    await worked.wait()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)


@pytest.mark.parametrize("defect", [ZeroDivisionError("DOE^JANE"), asyncio.CancelledError()])
async def test_a_defect_is_told_and_ends_neither_its_chore_nor_the_others(
    defect: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chores, "STALLED", Backoff(0, 0))
    stop, tries = asyncio.Event(), Counter[str]()

    async def wrong() -> float:
        tries["wrong"] += 1
        raise defect

    async def right() -> float:
        tries["right"] += 1
        if tries["wrong"] > 1:
            stop.set()
        return 0.0

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(over_and_over("access", wrong, stop))
        tasks.create_task(over_and_over("trash", right, stop))
    assert tries["wrong"] > 1
    (record, *_) = caplog.records
    fields = record.__dict__
    assert (record.msg, record.levelname, fields["chore"]) == ("chore_stalled", "ERROR", "access")
    assert fields["error"] == type(defect).__name__
    assert "DOE" not in str(fields["reason"])
    assert record.exc_info is not None, "where it is wrong"


async def test_each_chore_runs_on_an_empty_archive(tmp_path: Path) -> None:
    file = tmp_path / "tiers.toml"
    file.write_text('[[policies]]\nname = "none"\n')
    settings = load_settings(
        {"data": tmp_path / "data", "tier_policies": file, "repack_quiet_days": 7}
    )
    async with open_stores(settings, create=True) as stores:
        every = chores_of(settings, stores)
        usual = {
            "sweep",
            "trash",
            "recalls",
            "access",
            "rejections",
            "corrections",
            "erasures",
            "fixity",
            "pins",
            "copies",
            "sends",
            "glass",
        }
        assert set(every) == usual | {"tiers", "repack"}
        for chore in every.values():
            assert await chore() > 0
        few = chores_of(load_settings({"data": tmp_path / "data", "fixity_days": 0}), stores)
        assert set(few) == usual - {"fixity"}
        bucket = load_settings({"data": tmp_path / "data", "objects": "s3://images"})
        assert set(chores_of(bucket, stores)) == usual - {"fixity"}
        locking = "s3://images?lock=governance"
        bucket = load_settings({"data": tmp_path / "data", "objects": locking})
        chores = chores_of(bucket, stores)
        assert set(chores) == usual - {"fixity"} | {"locks"}
        assert await chores["locks"]() > 0

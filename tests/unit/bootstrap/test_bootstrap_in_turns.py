"""Two workers on one store: what goes over the whole archive is done once, and by one of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.bootstrap.chores import MOVE_EVERY_S, chores_of, over_and_over
from pacs_cloud.bootstrap.in_turns import InTurns, alone
from pacs_cloud.bootstrap.services import Stores, open_stores
from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.turns import PATIENCE_S, Turn, Turns
from pacs_cloud.settings import Settings, load_settings
from servers.endpoint import Endpoint
from servers.fixtures import bucket_at
from unit.custody.custody_packs import NOW_US, Clock, Sample, commit, make_pack, put

STUDIES = [f"1.2.{number}" for number in range(6)]
POLICY = """
[[policies]]
name = "old"
[[policies.steps]]
to = "GLACIER_IR"
stored_days = 30
"""
WALKING = ("sweep", "fixity", "repack", "tiers")


class Planned:
    """A worker's catalogue, which notes what is planned, and may be the end of the worker."""

    def __init__(self, real: Any, planned: list[str], *, dies_at: int | None = None) -> None:
        self._real = real
        self._planned = planned
        self._dies_at = dies_at
        self.has_died = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def export(self, tenant: str | None = None) -> AsyncIterator[Any]:
        count = 0
        async for state in self._real.export(tenant):
            if count == self._dies_at:
                self.has_died.set()
                await asyncio.Event().wait()
            count += 1
            self._planned.append(state.study.study_instance_uid)
            yield state


@pytest.fixture(params=["files", "moto"])
async def settings(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY)
    chosen = {
        "data": tmp_path / "data", "tier_policies": file, "repack_quiet_days": 7, "fixity_days": 30
    }  # fmt: skip
    if request.param == "files":
        yield load_settings(chosen)
        return
    endpoint: Endpoint = request.getfixturevalue("moto_endpoint")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.secret_key)
    with bucket_at(endpoint) as place:
        yield load_settings({**chosen, "objects": f"s3://{place.name}?endpoint={endpoint.url}"})


@pytest.fixture
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    clock = Clock()
    async with open_stores(settings, create=True) as stores:
        for study in STUDIES:
            for number in (1, 2):  # two packs for repack
                sample = Sample(f"{study}.1.{number}")
                made = make_pack(clock, settings.tenant, study, f"{study}.1", [sample])
                await put(stores.objects, made)
                await commit(stores.objects, stores.catalogue, made, clock)
        yield stores


async def test_each_study_is_planned_once_in_a_round(settings: Settings, stores: Stores) -> None:
    planned: list[str] = []
    mine = replace(stores, catalogue=Planned(stores.catalogue, planned))  # type: ignore[arg-type]
    workers = [chores_of(settings, mine) for _ in range(2)]
    for name in WALKING:
        for _ in range(2):
            await asyncio.gather(*(worker[name]() for worker in workers))
    # By `repack`, and by `tiers`.
    assert Counter(planned) == Counter(STUDIES * 2)


async def test_a_killed_worker_s_round_is_done_by_the_other(
    settings: Settings, stores: Stores
) -> None:
    now_s = 0.0
    planned: list[str] = []
    dying = Planned(stores.catalogue, planned, dies_at=2)
    killed = asyncio.create_task(
        chores_of(settings, replace(stores, catalogue=dying))["tiers"]()  # type: ignore[arg-type]
    )
    await asyncio.wait_for(dying.has_died.wait(), 30)
    assert planned == STUDIES[:2]

    other = replace(stores, catalogue=Planned(stores.catalogue, planned))  # type: ignore[arg-type]
    turns = Turns(stores.objects, lambda: NOW_US, clock=lambda: now_s)
    tiers = chores_of(settings, other, turns=turns)["tiers"]
    await tiers()
    assert planned == STUDIES[:2], "it may be alive"
    now_s = PATIENCE_S
    assert await tiers() <= MOVE_EVERY_S
    assert set(planned[2:]) == set(STUDIES)
    packs = [pack for study in STUDIES for pack in await stores.catalogue.packs("default", study)]
    expected = {"GLACIER_IR"} if settings.is_embedded else {"STANDARD"}  # small packs stay
    assert {pack.storage_class for pack in packs} == expected
    killed.cancel()
    await asyncio.wait({killed})


async def test_a_stopped_worker_s_round_is_the_other_s_at_once(
    settings: Settings, stores: Stores
) -> None:
    planned: list[str] = []
    slow = Planned(stores.catalogue, planned, dies_at=2)
    stop = asyncio.Event()
    tiers = chores_of(settings, replace(stores, catalogue=slow))["tiers"]  # type: ignore[arg-type]
    running = asyncio.create_task(over_and_over("tiers", tiers, stop))
    await asyncio.wait_for(slow.has_died.wait(), 30)
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    other = replace(stores, catalogue=Planned(stores.catalogue, planned))  # type: ignore[arg-type]
    await chores_of(settings, other)["tiers"]()
    assert set(planned[2:]) == set(STUDIES)


@pytest.mark.parametrize("error", [Corrupt("a's"), KeyError("a defect")])
async def test_what_cannot_be_done_for_one_keeps_no_other_waiting(
    settings: Settings, stores: Stores, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    async def work(turn: Turn) -> None:
        done.append("b")

    async def fail(turn: Turn) -> None:
        raise error

    async def fail_too(turn: Turn) -> None:
        raise Corrupt("c's")

    async def works() -> dict[str, Any]:
        return {"x/a": fail, "x/b": work, "x/c": fail_too}

    turns = Turns(stores.objects, lambda: NOW_US)
    with pytest.raises(type(error)) as raised:
        await InTurns(turns, works, every_s=60.0)()
    assert raised.value is error
    assert done == ["b"]
    assert [one.__dict__["work"] for one in caplog.records] == ["x/a", "x/c"], "none is hidden"
    assert await InTurns(turns, alone("x/b", work), every_s=60.0)() <= 60.0
    assert done == ["b"]

"""A power cut, at whatever moment, takes no instance that was answered Success."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from crash import recorder
from crash.powercut import (
    Recording,
    check_model,
    every_cut,
    faithful,
    record,
    record_intake,
    recover_and_check,
    some_cuts,
    survivors,
)

CUTS = 24
"""The soak cuts at every moment, in every way."""


@pytest.fixture(autouse=True)
def _needs_strace() -> None:
    if (reason := recorder.unavailable()) is not None:
        pytest.skip(reason)


def broken(recording: Recording, folder: Path, count: int | None) -> tuple[list[str], int]:
    """Return what is wrong after `count` cuts (None: every one), and in how many states."""
    seed = random.randrange(1 << 32)
    cuts = check_model(recording)
    chosen = every_cut(cuts) if count is None else some_cuts(cuts, count, seed)
    faults: list[str] = []
    checked = 0
    for survived in survivors(recording, chosen, folder, seed=seed):
        checked += 1
        wrong = asyncio.run(recover_and_check(survived, recording))
        where = f"seed {seed}, cut {survived.cut.number} ({survived.cut.after}, {survived.loss})"
        faults += [f"{where}: {what}" for what in wrong]
    return faults, checked


def test_the_intake_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    recording = faithful(partial(record_intake, seed=random.randrange(1 << 32)), tmp_path)
    faults, checked = broken(recording, tmp_path, CUTS)
    assert faults == []
    assert checked > CUTS // 2


def test_an_intake_that_does_not_sync_is_caught(tmp_path: Path) -> None:
    recording = faithful(partial(record_intake, synced=False), tmp_path)
    cuts = [cut for cut in check_model(recording) if cut.acknowledged]
    for survived in survivors(recording, every_cut(cuts[:1]), tmp_path):
        faults = asyncio.run(recover_and_check(survived, recording))
        assert any("is lost" in fault for fault in faults), survived
        return
    pytest.fail("there was nothing to check")


def test_the_whole_archive_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    recording = faithful(partial(record, seed=random.randrange(1 << 32)), tmp_path)
    faults, checked = broken(recording, tmp_path, CUTS // 2)
    assert faults == []
    assert checked > CUTS // 4


@pytest.mark.soak
@pytest.mark.parametrize("recorded", [record_intake, record])
def test_no_moment_is_the_wrong_one(tmp_path: Path, recorded: Callable[..., Recording]) -> None:
    faults, checked = broken(
        faithful(partial(recorded, seed=random.randrange(1 << 32)), tmp_path), tmp_path, None
    )
    assert faults == []
    assert checked > 300

"""What a process tells of itself: seen while it runs, and by nobody afterwards."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pacs_cloud.bootstrap import process_status
from pacs_cloud.bootstrap.process_status import status_folder, telling, told
from pacs_cloud.settings import Settings


@dataclass(frozen=True)
class Said:
    name: str


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(process_status, "EVERY_S", 0.01)
    return Settings(data=tmp_path)


async def until(settings: Settings, names: list[str]) -> None:
    async with asyncio.timeout(10):
        while [one["name"] for one in told(settings, "dimse")] != names:
            await asyncio.sleep(0.01)


async def test_what_changes_is_told_until_the_end(settings: Settings) -> None:
    said: list[Said] = []
    assert told(settings, "dimse") == []
    async with telling(settings, "dimse", lambda: list(said)):
        await until(settings, [])
        said.append(Said("one"))
        await until(settings, ["one"])
        assert told(settings, "web") == []
        (path,) = status_folder(settings).glob("*.json")
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
        written = path.stat().st_mtime_ns
        await asyncio.sleep(0.1)
        assert path.stat().st_mtime_ns == written
    assert list(status_folder(settings).iterdir()) == []


_DIES = """
import asyncio, sys
from pathlib import Path
from dataclasses import dataclass
from pacs_cloud.bootstrap.process_status import telling
from pacs_cloud.settings import Settings

@dataclass(frozen=True)
class Said:
    name: str

async def main():
    async with telling(Settings(data=Path(sys.argv[1])), "dimse", lambda: [Said("theirs")]):
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_a_dead_process_has_left_is_passed_over_and_removed(settings: Settings) -> None:
    process = subprocess.Popen([sys.executable, "-c", _DIES, str(settings.data)])
    try:
        await until(settings, ["theirs"])
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert list(status_folder(settings).glob("*.json"))
    assert told(settings, "dimse") == []
    async with telling(settings, "dimse", lambda: [Said("ours")]):
        await until(settings, ["ours"])
        assert len(list(status_folder(settings).glob("*.json"))) == 1


async def test_a_disk_that_refuses_keeps_nobody_from_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "status").write_text("in the way")
    async with telling(Settings(data=tmp_path), "dimse", list):
        pass
    assert "status_not_told" in caplog.messages


async def test_processes_of_one_number_in_two_containers_both_tell(settings: Settings) -> None:
    async with (
        asyncio.timeout(10),
        telling(settings, "dimse", lambda: [Said("one")]),
        telling(settings, "dimse", lambda: [Said("two")]),
    ):
        while {one["name"] for one in told(settings, "dimse")} != {"one", "two"}:
            await asyncio.sleep(0.01)
    assert list(status_folder(settings).iterdir()) == []

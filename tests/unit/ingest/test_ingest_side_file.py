"""Bytes beside an instance: there while they are held, and nowhere afterwards."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_cloud.errors import StorageFull, Unavailable
from pacs_cloud.ingest.directory import SpoolDirectory, take_spool_directory
from pacs_cloud.ingest.side_file import SideFile

BLOCK = bytes(range(256)) * 1000


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[SpoolDirectory]:
    taken = take_spool_directory(tmp_path / "spool")
    yield taken
    taken.release()


async def test_what_is_appended_is_read(directory: SpoolDirectory) -> None:
    side = SideFile(directory, 1.0)
    for number in range(10):
        await side.append(memoryview(BLOCK)[number:])
    whole = b"".join(BLOCK[number:] for number in range(10))
    assert side.length_bytes == len(whole)
    await side.flush()
    assert side.read(0, 1 << 30) == whole
    assert side.read(len(BLOCK) - 5, 20) == whole[len(BLOCK) - 5 : len(BLOCK) + 15]
    assert side.put(b"the end") == len(whole)
    assert side.read(len(whole), 100) == b"the end"
    side.close()


async def test_it_has_no_name_and_its_space_is_given_back(directory: SpoolDirectory) -> None:
    side = SideFile(directory, 1.0)
    await side.append(BLOCK)
    await side.flush()
    assert [path.name for path in directory.path.iterdir()] == ["lock"]
    side.close()
    side.close()
    with pytest.raises(Unavailable):
        side.read(0, 1)


async def test_a_file_system_without_unnamed_files_will_do(
    directory: SpoolDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # opening a folder to write fails
    side = SideFile(directory, 1.0)
    await side.append(BLOCK)
    await side.flush()
    assert side.read(0, len(BLOCK)) == BLOCK
    assert [path.name for path in directory.path.iterdir()] == ["lock"]
    side.close()


async def test_a_full_disk_takes_nothing(directory: SpoolDirectory) -> None:
    with pytest.raises(StorageFull):
        SideFile(directory, 0.0)


async def test_closing_while_it_is_written_meets_no_other_file(directory: SpoolDirectory) -> None:
    side = SideFile(directory, 1.0)
    writing = asyncio.create_task(side.append(bytes(64 << 20)))
    await asyncio.sleep(0)
    writing.cancel()
    side.close()  # waits for the thread, or comes before it
    with pytest.raises(asyncio.CancelledError):
        await writing
    with (directory.path / "other").open("w+b") as other:
        await asyncio.sleep(0.05)
        assert os.fstat(other.fileno()).st_size == 0

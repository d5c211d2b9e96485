"""The last of numbered objects is always found, also while it is replaced."""

from pathlib import Path

import pytest

from pacs_cloud.errors import Conflict
from pacs_cloud.identity.devices import (
    Device,
    DeviceService,
    devices_of,
    read_device,
    write_device,
)
from pacs_cloud.objectstore import walk
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.numbered import read_last, write_next

FOLDER = "turns/sweep/"


def replaced_while_listed(monkeypatch: pytest.MonkeyPatch, root: Path, times: int) -> None:
    """Let somebody write the next object each time behind a look at the names in a folder."""
    real = walk._sorted_names  # pyright: ignore[reportPrivateUsage]
    left = times

    def names(top: str, folder: str) -> list[str]:
        nonlocal left
        found = real(top, folder)
        if left and found and found[-1].endswith(".json"):
            left -= 1
            place = root / folder
            number = int(found[-1].removesuffix(".json"), 16)
            (place / f"{number + 1:016x}.json").write_bytes(b"%d" % (number + 1))
            for name in found:
                (place / name).unlink()
        return found

    monkeypatch.setattr(walk, "_sorted_names", names)


@pytest.mark.parametrize("times", [1, 5])
async def test_it_is_found_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        await write_next(objects, FOLDER, 1, b"1")
        replaced_while_listed(monkeypatch, tmp_path, times)
        assert await read_last(objects, FOLDER) == (1 + times, b"%d" % (1 + times))


async def test_who_is_over_is_told_so_while_the_last_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        for number in (1, 2, 3):
            await write_next(objects, FOLDER, number, b"%d" % number)
        replaced_while_listed(monkeypatch, tmp_path, 1)
        with pytest.raises(Conflict):
            await write_next(objects, FOLDER, 1, b"late")
        assert await read_last(objects, FOLDER) == (4, b"4")


async def test_no_device_is_unknown_while_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        services = frozenset({DeviceService.STORE})
        device = Device("default", "CT1", addresses=("10.0.0.1/32",), services=services)
        before = await read_device(objects, "default", "CT1")
        state = await write_device(objects, device, before, by="root", now_us=1)
        replaced = await write_device(objects, device, state, by="root", now_us=2)
        (key,) = [info.key async for info in objects.list("devices/")]
        data = await objects.get(key)
        real = walk._sorted_names  # pyright: ignore[reportPrivateUsage]
        names_seen: list[str] = []

        def names(top: str, folder: str) -> list[str]:
            found = real(top, folder)
            if folder.count("/") == 3 and not names_seen:
                names_seen.extend(found)
                (tmp_path / folder / f"{replaced.number + 1:016x}.json").write_bytes(data)
                (tmp_path / folder / found[-1]).unlink()
            return found

        monkeypatch.setattr(walk, "_sorted_names", names)
        assert [one.device async for one in devices_of(objects, "default")] == [device]
        assert names_seen


async def test_of_two_who_change_a_device_one_is_told(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        services = frozenset({DeviceService.STORE})
        device = Device("default", "CT1", addresses=("10.0.0.1/32",), services=services)
        before = await read_device(objects, "default", "CT1")
        await write_device(objects, device, before, by="root", now_us=1)
        with pytest.raises(Conflict, match="CT1 too"):
            await write_device(objects, device, before, by="other", now_us=2)

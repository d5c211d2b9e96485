"""Locks of processes: held until they are let go, and looked at without being taken."""

import os
from pathlib import Path

from pacs_cloud.directories import is_held, lock_directory, take_lock


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    assert not is_held(path)
    assert not path.exists(), "to look makes nothing"
    held = take_lock(path)
    assert held is not None
    assert is_held(path)
    assert is_held(path), "to look takes nothing"
    assert take_lock(path) is None
    os.close(held)
    assert not is_held(path)


def test_a_directory_is_locked_by_a_file_in_it(tmp_path: Path) -> None:
    held = lock_directory(tmp_path)
    assert held is not None
    assert is_held(tmp_path / "lock")
    os.close(held)

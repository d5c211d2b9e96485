"""The model of a disk loses what it should lose, and nothing else."""

from pathlib import Path

import pytest

from crash.disk import (
    PAGE_BYTES,
    Disk,
    File,
    Loss,
    at_random,
    names_survive,
    nothing_survives,
    removals_survive,
    sizes_survive,
)


def left(disk: Disk, loss: Loss = nothing_survives) -> dict[str, bytes]:
    return {path: data for path, (_, data) in disk.after_cut(loss).files.items()}


def sync(disk: Disk, path: str) -> None:
    node = disk.find(path)
    assert node is not None
    disk.end_sync(disk.begin_sync(node))


def written(disk: Disk, path: str, data: bytes) -> File:
    file = disk.create(path)
    disk.write(file, 0, data)
    return file


def test_a_file_without_any_sync_is_gone() -> None:
    disk = Disk()
    written(disk, "a", b"1")
    assert left(disk) == {}
    assert left(disk, names_survive) == {"a": b""}
    assert left(disk, sizes_survive) == {"a": b"\0"}
    assert disk.seen_files() == {"a": b"1"}


def test_synced_bytes_need_a_synced_name() -> None:
    disk = Disk()
    written(disk, "a", b"1")
    sync(disk, "a")
    assert left(disk) == {}
    sync(disk, ".")
    assert left(disk) == {"a": b"1"}


def test_a_synced_name_needs_synced_bytes() -> None:
    disk = Disk()
    file = written(disk, "a", b"old")
    sync(disk, ".")
    assert left(disk) == {"a": b""}
    sync(disk, "a")
    disk.write(file, 3, b" new")
    assert left(disk) == {"a": b"old"}
    assert left(disk, sizes_survive) == {"a": b"old\0\0\0\0"}


def test_a_directory_is_lost_with_all_below_it() -> None:
    disk = Disk()
    disk.make_directory("d")
    written(disk, "d/a", b"1")
    sync(disk, "d/a")
    sync(disk, "d")
    assert left(disk) == {}
    sync(disk, ".")
    assert left(disk) == {"d/a": b"1"}


def test_an_unsynced_rename_leaves_the_old_name() -> None:
    disk = Disk()
    written(disk, "a", b"1")
    sync(disk, "a")
    sync(disk, ".")
    disk.rename("a", "b")
    assert left(disk) == {"a": b"1"}
    assert left(disk, removals_survive) == {"a": b"1"}
    assert left(disk, names_survive) == {"b": b"1"}
    assert {tuple(left(disk, at_random(seed))) for seed in range(20)} == {("a",), ("b",)}
    sync(disk, ".")
    assert left(disk) == {"b": b"1"}


def test_an_unsynced_replacement_leaves_the_old_contents() -> None:
    disk = Disk()
    written(disk, "a", b"old")
    sync(disk, "a")
    sync(disk, ".")
    written(disk, "t", b"new")
    disk.rename("t", "a")
    assert left(disk) == {"a": b"old"}
    assert left(disk, removals_survive) == {"a": b"old"}
    assert left(disk, names_survive) == {"a": b""}


def test_a_link_needs_its_directory_synced_before_the_old_name_goes() -> None:
    disk = Disk()
    disk.make_directory("spool")
    disk.make_directory("objects")
    written(disk, "spool/a", b"1")
    for path in ("spool/a", "spool", "."):
        sync(disk, path)
    disk.link("spool/a", "objects/a")
    disk.remove("spool/a")
    assert left(disk, removals_survive) == {}
    sync(disk, "objects")
    assert left(disk, removals_survive) == {"objects/a": b"1"}


def test_a_removal_comes_back_until_it_is_synced() -> None:
    disk = Disk()
    written(disk, "a", b"1")
    sync(disk, "a")
    sync(disk, ".")
    disk.remove("a")
    assert left(disk) == {"a": b"1"}
    sync(disk, ".")
    assert left(disk) == {}


def test_a_sync_covers_only_what_came_before_it() -> None:
    disk = Disk()
    file = written(disk, "a", b"1")
    sync(disk, ".")
    under_way = disk.begin_sync(file)
    disk.write(file, 1, b"2")
    assert left(disk) == {"a": b""}
    disk.end_sync(under_way)
    assert left(disk) == {"a": b"1"}


def test_an_older_sync_that_returns_last_takes_nothing_back() -> None:
    disk = Disk()
    file = written(disk, "a", b"1")
    sync(disk, ".")
    older = disk.begin_sync(file)
    disk.write(file, 1, b"2")
    sync(disk, "a")
    disk.end_sync(older)
    assert left(disk) == {"a": b"12"}


def test_pages_are_torn_one_by_one() -> None:
    disk = Disk()
    file = written(disk, "a", bytes(4 * PAGE_BYTES))
    sync(disk, "a")
    sync(disk, ".")
    disk.write(file, 0, b"\1" * 4 * PAGE_BYTES)
    seen = {left(disk, at_random(seed))["a"][::PAGE_BYTES] for seed in range(64)}
    assert len(seen) > 4
    assert all(len(torn) == 4 for torn in seen)


def test_a_shortened_file_stays_long_until_it_is_synced() -> None:
    disk = Disk()
    file = written(disk, "a", b"12345")
    sync(disk, "a")
    sync(disk, ".")
    disk.resize(file, 2)
    assert left(disk) == {"a": b"12345"}
    assert left(disk, sizes_survive) == {"a": b"12"}


def test_two_names_of_one_file_survive_as_one(tmp_path: Path) -> None:
    disk = Disk()
    disk.make_directory("d")
    written(disk, "d/a", b"1")
    disk.link("d/a", "b")
    for path in ("b", "d", "."):
        sync(disk, path)
    disk.after_cut(nothing_survives).write_to(tmp_path)
    assert (tmp_path / "b").read_bytes() == b"1"
    assert (tmp_path / "b").samefile(tmp_path / "d" / "a")


def test_a_file_cannot_be_made_where_no_directory_is() -> None:
    with pytest.raises(AssertionError, match="not a directory"):
        Disk().create("d/a")

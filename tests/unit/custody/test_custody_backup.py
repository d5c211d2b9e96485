"""What is no pack, written to one file and put back: the archive comes out equal."""

import shutil
import stat
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.backup import archive_file
from pacs_cloud.custody.backup.archive_file import BackupReader, Manifest
from pacs_cloud.custody.backup.restoring import Restored, Restoring
from pacs_cloud.custody.backup.writing import write_backup
from pacs_cloud.custody.holds import HoldKind, standing_holds
from pacs_cloud.custody.holds_setting import release_hold, set_hold
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.numbered import write_next
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_erasure import Eraser, traces
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import DAY_US, STUDY, House
from unit.custody.custody_packs import Sample, make_pack
from unit.custody.custody_repack import SERIES

ONE = Scope("default", STUDY, "", f"{SERIES}.777")


async def eventful(house: House, work: Path) -> None:
    """Let happen whatever leaves something that is no pack."""
    await house.fill()
    await house.store(Sample(f"{SERIES}.777"), Sample(f"{SERIES}.778"), series=SERIES)
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.778"))
    await Eraser(house, work).erase(ONE)
    await hold(house, "1.2.3.4")


async def hold(house: House, study: str = STUDY) -> None:
    if not await house.catalogue.packs("default", study):
        await house.store(Sample(f"{SERIES}.9"), series=SERIES)
    words, now_us = {"reason": "court", "who": "counsel"}, house.clock.tick()
    await set_hold(house.objects, house.catalogue, "default", study, **words, now_us=now_us)


async def backup(house: House, path: Path, **options: Any) -> Manifest:
    given = {"spool": {}, "config": {}, "with_indexes": False} | options
    return await write_backup(
        house.objects,
        path,
        settings=b'{"tenant": "default"}',
        made_us=house.clock.tick(),
        release="1",
        **given,
    )


async def restore(
    objects: ObjectStore, path: Path, *, dry: bool = False, **options: Any
) -> Restored:
    placed = options.pop("placed", None)

    def place(name: str, chunks: Iterator[bytes]) -> None:
        assert placed is not None
        placed[name] = b"".join(chunks)

    with BackupReader(path) as opened:
        return await Restoring(objects, opened, place, is_dry=dry, **options).run()


@pytest.mark.parametrize("with_indexes", [False, True])
async def test_packs_and_a_backup_make_the_archive_again(
    house: House, tmp_path: Path, with_indexes: bool
) -> None:
    await eventful(house, tmp_path / "work")
    said, trash = await house.digest(), await house.in_trash()
    manifest = await backup(house, tmp_path / "b.zip", with_indexes=with_indexes)
    assert manifest.members > 10
    # All is lost but the packs.
    shutil.copytree(tmp_path / "objects" / "packs", tmp_path / "new" / "packs")
    async with (
        LocalObjectStore(tmp_path / "new") as objects,
        SqliteCatalogue(tmp_path / "new.sqlite") as catalogue,
    ):
        before = [info.key async for info in objects.list("")]
        dry = await restore(objects, tmp_path / "b.zip", dry=True)
        assert [info.key async for info in objects.list("")] == before
        done = await restore(objects, tmp_path / "b.zip")
        assert sorted(done.missing) == sorted(dry.missing)
        assert (len(done.missing), done.differing, done.erased) == (manifest.members - 1, [], 0)
        other = House(objects, catalogue)
        other.clock.now_us = house.clock.now_us
        assert bool(await other.keys("index/")) is with_indexes
        assert await other.rebuilt() == said
        assert await other.in_trash() == trash
        assert await other.findings() == []
        assert await standing_holds(objects, "default", "1.2.3.4", now_us=house.clock.tick())
        again = await restore(objects, tmp_path / "b.zip")
        assert (again.missing, again.same + again.over) == ([], manifest.members - 1)


@pytest.mark.parametrize("answers", [False, True])
async def test_a_restoration_may_die_at_any_step(
    house: House, tmp_path: Path, answers: bool
) -> None:
    await eventful(house, tmp_path / "work")
    await backup(house, tmp_path / "b.zip")
    for step in count(1, 4):
        folder = tmp_path / f"new{step}"
        shutil.copytree(tmp_path / "objects" / "packs", folder / "packs")
        async with LocalObjectStore(folder) as objects:
            fuse = Fuse(step, answers=answers)
            with suppress(Died):
                await restore(Mortal(objects, fuse), tmp_path / "b.zip")  # type: ignore[arg-type]
            await restore(objects, tmp_path / "b.zip")
            keys = [info.key async for info in objects.list("")]
            assert keys == [key for key in await house.keys("") if not key.startswith("index/")]
        shutil.rmtree(folder)
        if not fuse.is_burnt:
            break
    assert step > 30


async def test_what_changes_while_it_is_written_is_in_it_as_it_was_or_is(
    house: House, tmp_path: Path
) -> None:
    folders = [f"{tree}/default/{name}/" for tree in ("keys", "users") for name in ("a", "b")]
    for folder in folders:
        await write_next(house.objects, folder, 1, b"1")

    class Paged(LocalObjectStore):
        """Lists as a bucket does: what comes behind a page's beginning is not in it."""

        async def list(self, prefix: str, *, after: str = "") -> Any:  # type: ignore[override]
            page = [info async for info in super().list(prefix, after=after)]
            for info in page:
                if prefix in {"keys/", "users/"}:
                    folder = f"{info.key.rpartition('/')[0]}/"
                    await write_next(house.objects, folder, 2, b"2")
                yield info

    async with Paged(tmp_path / "objects") as objects:
        await backup(House(objects, house.catalogue), tmp_path / "b.zip")
    with BackupReader(tmp_path / "b.zip") as opened:
        kept = {name: opened.read(name) for name in opened.names if name.startswith("objects/")}
    assert kept == {f"objects/{folder}{2:016x}.json": b"2" for folder in folders}


async def test_what_is_there_is_never_written_over_unasked(house: House, tmp_path: Path) -> None:
    await eventful(house, tmp_path / "work")
    await backup(house, tmp_path / "b.zip")
    (first, *_) = await house.keys("holds/")
    was = await house.objects.get(first)
    await house.objects.delete(first)
    await house.objects.put_new(first, b"something else")
    done = await restore(house.objects, tmp_path / "b.zip")
    assert (done.differing, done.replaced) == ([first], [])
    assert await house.objects.get(first) == b"something else"
    await restore(house.objects, tmp_path / "b.zip", dry=True, is_replacing=True)
    assert await house.objects.get(first) == b"something else"
    done = await restore(house.objects, tmp_path / "b.zip", is_replacing=True)
    assert done.replaced == [first]
    assert await house.objects.get(first) == was


async def test_what_is_over_since_does_not_come_back(house: House, tmp_path: Path) -> None:
    await eventful(house, tmp_path / "work")
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.1"))
    await backup(house, tmp_path / "b.zip")
    await house.trash.restore(Scope("default", STUDY, SERIES, f"{SERIES}.778"))
    house.clock.now_us += 40 * DAY_US
    await house.tend()
    words = {"reason": "over", "who": "counsel", "now_us": house.clock.tick()}
    await release_hold(house.objects, "default", "1.2.3.4", HoldKind.LEGAL, **words)
    await house.trash.delete(Scope("default", STUDY, SERIES, f"{SERIES}.2"))
    said, marks = await house.digest(), await house.keys("trash/")
    done = await restore(house.objects, tmp_path / "b.zip")
    assert (done.missing, done.differing) == ([], [])
    assert done.over >= 1
    assert await house.keys("trash/") == marks
    assert not await standing_holds(house.objects, "default", "1.2.3.4", now_us=house.clock.tick())
    assert await house.rebuilt() == said


async def test_what_was_erased_since_stays_away(house: House, tmp_path: Path) -> None:
    await eventful(house, tmp_path / "work")
    eraser, uid = Eraser(house, tmp_path / "work"), f"{SERIES}.778"
    await backup(house, tmp_path / "b.zip", with_indexes=True)
    await eraser.erase(Scope("default", STUDY, "", uid))
    said = await house.digest()
    done = await restore(house.objects, tmp_path / "b.zip")
    assert (done.missing, done.differing, done.erased) == ([], [], 1)
    assert await traces(house, uid) == []
    assert await house.rebuilt() == said
    assert await house.findings() == []


async def test_spooled_packs_and_files(house: House, tmp_path: Path) -> None:
    (known,) = [await house.store(Sample(f"{SERIES}.1"), series=SERIES)]
    waiting = make_pack(house.clock, "default", STUDY, SERIES, [Sample(f"{SERIES}.2")])
    spool = tmp_path / "spool"
    spool.mkdir()
    names = {f"0/{made.key.pack_id}.zip": made for made in (known, waiting)}
    files: dict[str, Path] = {}
    for name, made in names.items():
        files[name] = spool / made.key.pack_id
        files[name].write_bytes(made.data)
    files["0/gone.zip"] = spool / "gone"
    await backup(house, tmp_path / "b.zip", spool=files, config={"tiers.toml": b"x = 1"})
    with zipfile.ZipFile(tmp_path / "b.zip") as opened:
        assert opened.read("config/tiers.toml") == b"x = 1"
        assert b"default" in opened.read("settings.json")
    placed: dict[str, bytes] = {}
    done = await restore(house.objects, tmp_path / "b.zip", placed=placed)
    assert placed == {f"0/{waiting.key.pack_id}.zip": waiting.data}
    assert (done.spool, done.spool_known) == ([f"0/{waiting.key.pack_id}.zip"], 1)


async def test_a_torn_or_changed_file_puts_nothing_back(house: House, tmp_path: Path) -> None:
    await eventful(house, tmp_path / "work")
    whole = tmp_path / "b.zip"
    await backup(house, whole)
    data = whole.read_bytes()
    async with LocalObjectStore(tmp_path / "new") as objects:
        for at in (0, 1, len(data) // 3, len(data) // 2, len(data) - 30, len(data) - 1):
            (tmp_path / "cut.zip").write_bytes(data[:at])
            with pytest.raises(Corrupt):
                await restore(objects, tmp_path / "cut.zip")
        # Somebody has changed one object, and one is missing.
        for drop in (False, True):
            with (
                zipfile.ZipFile(whole) as source,
                zipfile.ZipFile(tmp_path / "other.zip", "w") as target,
            ):
                changed = next(name for name in source.namelist() if "/holds/" in name)
                for name in source.namelist():
                    if name != changed:
                        target.writestr(name, source.read(name))
                    elif not drop:
                        target.writestr(name, source.read(name).replace(b"court", b"caurt"))
            with pytest.raises(Corrupt, match="manifest"):
                await restore(objects, tmp_path / "other.zip")
        assert [info.key async for info in objects.list("")] == []
    with pytest.raises(NotFound):
        await restore(house.objects, tmp_path / "missing.zip")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as target:
        target.writestr("readme", "hello")
    with pytest.raises(Corrupt, match="no backup"):
        await restore(house.objects, tmp_path / "plain.zip")


async def test_another_version_is_told(house: House, tmp_path: Path) -> None:
    await backup(house, tmp_path / "b.zip")
    with (
        zipfile.ZipFile(tmp_path / "b.zip") as source,
        zipfile.ZipFile(tmp_path / "new.zip", "w") as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'"version": 1', b'"version": 2'))
    with pytest.raises(InvalidRequest, match="version 2"):
        await restore(house.objects, tmp_path / "new.zip")


async def test_a_backup_is_a_new_file_or_none(house: House, tmp_path: Path) -> None:
    await house.fill()
    await backup(house, tmp_path / "b.zip")
    with pytest.raises(Conflict):
        await backup(house, tmp_path / "b.zip")

    class Full(RuntimeError):
        pass

    def fails() -> None:
        raise Full

    with pytest.raises(Full):
        await backup(house, tmp_path / "c.zip", progress=fails)
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["b.zip"]


async def test_a_damaged_byte_is_told_wherever_it_is(house: House, tmp_path: Path) -> None:
    await house.store(Sample(f"{SERIES}.1"), series=SERIES)
    await hold(house)
    await backup(house, tmp_path / "b.zip")
    data, spoiled = (tmp_path / "b.zip").read_bytes(), tmp_path / "spoiled.zip"
    whole = 0
    for at in range(len(data)):
        spoiled.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with suppress(Corrupt), BackupReader(spoiled) as opened:
            whole += len(list(opened.verify())) > 0  # what nobody reads, such as dates
    assert 0 < whole < len(data)


async def test_a_backup_is_for_its_owner(house: House, tmp_path: Path) -> None:
    (tmp_path / "b.zip.part").touch(0o644)  # left by one that died
    await backup(house, tmp_path / "b.zip")
    assert stat.S_IMODE((tmp_path / "b.zip").stat().st_mode) == 0o600


async def test_a_member_that_would_fill_the_memory_is_refused(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hold(house)
    await backup(house, tmp_path / "b.zip")
    monkeypatch.setattr(archive_file, "_OBJECT_BYTES", 10)
    with pytest.raises(Corrupt, match="longer"):
        await restore(house.objects, tmp_path / "b.zip")


async def test_a_manifest_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(archive_file.MANIFEST, b" " * (8 << 20))
    assert path.stat().st_size < 16 << 10
    tracemalloc.start()
    try:
        with pytest.raises(Corrupt, match="longer"):
            archive_file.BackupReader(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()

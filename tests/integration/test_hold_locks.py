"""Holds in a bucket that locks objects: nobody removes what is held, whatever program he uses."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from test_command_line import lines, pacs
from test_deletion_archive import STUDY as IMPORTED
from test_deletion_archive import imported

from infra import provision
from infra.template import read
from objectstore_samples import config_at
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.cli import holding
from pacs_cloud.custody.erasure.asking import ask, plan_erasure
from pacs_cloud.custody.erasure.run import StudyErasure
from pacs_cloud.custody.findings import Severity
from pacs_cloud.custody.holds import HOLD_ENTRIES, HoldKind
from pacs_cloud.custody.holds_late import LockedAgain, lock_again
from pacs_cloud.custody.holds_locks import (
    LockDifference,
    Locked,
    lock_differences,
    lock_findings,
    lock_study,
)
from pacs_cloud.custody.holds_setting import release_hold, set_hold
from pacs_cloud.custody.stored_pack import key_of, load_table
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import purge_study
from pacs_cloud.errors import Denied, Held, NotFound
from pacs_cloud.objectstore.port import ObjectLock, ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.settings import load_settings
from pacs_cloud.workers.held import LockHeld
from pacs_cloud.workqueue.jobs import Job
from servers.endpoint import Endpoint
from servers.fixtures import Place
from unit.custody.custody_packs import Clock, Sample, commit, make_pack, put

STUDY, SERIES = "1.2.3", "1.2.3.1"
WORDS = {"reason": "case 7", "who": "ana"}
DAY_US = 86_400_000_000


@pytest.fixture
def place(s3_server: Endpoint) -> Place:
    """A bucket that can lock; nothing removes what a test leaves locked in it."""
    name = f"t-{uuid.uuid4().hex[:20]}"
    with closing(s3_server.client("s3")) as client:
        provision.create_bucket(client, read({"BucketName": name, "ObjectLock": "true"}))
    return Place(s3_server, name)


class Archive:
    def __init__(self, objects: ObjectStore, catalogue: Catalogue) -> None:
        self.objects = objects
        self.catalogue = catalogue
        self.clock = Clock()
        # Locks go by the store's own clock.
        self.clock.now_us = time.time_ns() // 1000

    async def store(self, *uids: str) -> None:
        made = make_pack(self.clock, "default", STUDY, SERIES, [Sample(uid) for uid in uids])
        await put(self.objects, made)
        await commit(self.objects, self.catalogue, made, self.clock)

    async def keys(self) -> list[str]:
        packs = await self.catalogue.packs("default", STUDY)
        return [name for pack in packs for name in (key_of(pack).pack, key_of(pack).index)]

    async def locks(self) -> set[ObjectLock]:
        return {await self.objects.lock_of(key) for key in await self.keys()}

    async def hold(self, until_us: int = 0) -> Locked:
        await set_hold(
            self.objects,
            self.catalogue,
            "default",
            STUDY,
            now_us=self.clock.tick(),
            until_us=until_us,
            **WORDS,
        )
        return await lock_study(self.objects, "default", STUDY, now_us=self.clock.tick())

    async def release(self, kind: HoldKind = HoldKind.LEGAL) -> Locked:
        now_us = self.clock.tick()
        await release_hold(self.objects, "default", STUDY, kind, now_us=now_us, **WORDS)
        return await lock_study(
            self.objects,
            "default",
            STUDY,
            now_us=self.clock.tick(),
            clears=kind is HoldKind.LEGAL,
        )

    async def differences(self) -> list[tuple[str, bool]]:
        now_us = self.clock.tick()
        return [
            (one.key, one.is_missing)
            async for one in lock_differences(self.objects, "default", now_us=now_us)
        ]


@pytest.fixture
async def archive(place: Place, tmp_path: Path) -> AsyncIterator[Archive]:
    async with (
        S3ObjectStore(config_at(place, lock="GOVERNANCE")) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        yield Archive(objects, catalogue)


async def test_a_legal_hold_locks_what_is_there_and_what_comes(archive: Archive) -> None:
    await archive.store(f"{SERIES}.1")
    assert await archive.hold() == Locked(objects=2, can_lock=True)
    assert await archive.locks() == {ObjectLock(is_held=True)}
    assert await archive.differences() == []
    for key in await archive.keys():
        with pytest.raises(Denied):
            await archive.objects.delete(key)
    await archive.store(f"{SERIES}.2")
    assert [missing for _, missing in await archive.differences()] == [True, True]
    (_, late) = await archive.catalogue.packs("default", STUDY)
    ref = ref_of(late)
    job = Job(job_id="j", kind="pack-stored", tenant="default", body=asdict(ref))
    await LockHeld(archive.objects, archive.catalogue, archive.clock.tick)(job)
    assert await archive.locks() == {ObjectLock(is_held=True)}
    assert await archive.differences() == []
    assert await archive.release() == Locked(objects=4, can_lock=True)
    assert await archive.locks() == {ObjectLock()}
    assert await archive.differences() == []


async def test_a_retention_outlasts_its_release(archive: Archive, tmp_path: Path) -> None:
    await archive.store(f"{SERIES}.1", f"{SERIES}.2")
    until_us = archive.clock.now_us // 1_000_000 * 1_000_000 + DAY_US
    assert (await archive.hold(until_us)).objects == 2
    assert await archive.locks() == {ObjectLock(until_us=until_us)}
    await archive.release(HoldKind.RETENTION)
    assert await archive.locks() == {ObjectLock(until_us=until_us)}
    assert await archive.differences() == []
    # No hold forbids it, but the store does: nothing is begun.
    scope = Scope("default", STUDY, "", f"{SERIES}.1")
    with pytest.raises(Held, match="locks"):
        await plan_erasure(archive.objects, archive.catalogue, scope, now_us=archive.clock.tick())
    # What is purged all the same stays for the store to let go of.
    load = partial(load_table, archive.objects, archive.catalogue)
    await Trash(archive.objects, archive.catalogue, load, archive.clock.tick).delete(
        Scope("default", STUDY)
    )
    with pytest.raises(Denied):
        await purge_study(
            archive.objects,
            archive.catalogue,
            "default",
            STUDY,
            load_table=load,
            now_us=archive.clock.tick(),
            cutoff_us=1 << 60,
        )


async def test_an_erasure_waits_for_a_lock_that_comes_between(
    archive: Archive, place: Place, tmp_path: Path
) -> None:
    await archive.store(f"{SERIES}.1", f"{SERIES}.2")
    scope = Scope("default", STUDY, "", f"{SERIES}.1")
    now_us = archive.clock.tick
    plan = await plan_erasure(archive.objects, archive.catalogue, scope, now_us=now_us())
    (pack, index) = await archive.keys()
    await archive.objects.set_legal_hold(pack, on=True)
    await ask(archive.objects, plan, who="dpo", reason="request", now_us=now_us())

    async def recall(_packs: object) -> None:
        raise AssertionError

    names = tmp_path, recall, now_us, "default", STUDY
    done = await StudyErasure(archive.objects, archive.catalogue, *names).run()
    assert not done.is_proven
    assert "legal hold" in done.waiting[0]
    assert [key async for key in archive.objects.versions(index)] == [index]
    (packs,) = await archive.catalogue.packs("default", STUDY)
    assert f"{SERIES}.1" in packs.hidden
    await archive.objects.set_legal_hold(pack, on=False)
    done = await StudyErasure(archive.objects, archive.catalogue, *names).run()
    assert done.is_proven
    assert [key async for key in archive.objects.versions(pack)] == []


async def test_what_a_dead_command_has_left_is_locked_later(archive: Archive) -> None:
    await archive.store(f"{SERIES}.1")
    now_us = archive.clock.tick
    names = archive.objects, archive.catalogue, "default", STUDY
    until_us = archive.clock.now_us // 1_000_000 * 1_000_000 + DAY_US
    for until in (0, until_us):  # and nothing is locked
        await set_hold(*names, now_us=now_us(), until_us=until, **WORDS)
    assert await lock_again(archive.objects, now_us=now_us()) == LockedAgain(objects=2)
    assert await archive.locks() == {ObjectLock(is_held=True, until_us=until_us)}
    assert await lock_again(archive.objects, now_us=now_us()) == LockedAgain()
    # A release that died has cleared nothing: nor does this, which cannot tell whose it is.
    await release_hold(archive.objects, "default", STUDY, HoldKind.LEGAL, now_us=now_us(), **WORDS)
    assert await lock_again(archive.objects, now_us=now_us()) == LockedAgain()
    assert await archive.locks() == {ObjectLock(is_held=True, until_us=until_us)}


async def test_a_hold_that_cannot_be_read_keeps_no_other_from_its_locks(archive: Archive) -> None:
    await archive.store(f"{SERIES}.1")
    torn = HOLD_ENTRIES.key("default", "1.1", 1, "legal-set")
    await archive.objects.put_new(torn, b"torn")
    names = archive.objects, archive.catalogue, "default", STUDY
    await set_hold(*names, now_us=archive.clock.tick(), **WORDS)
    done = await lock_again(archive.objects, now_us=archive.clock.tick())
    assert done == LockedAgain(objects=2, unreadable=1)


async def test_a_release_that_goes_between_leaves_no_lock(
    archive: Archive, place: Place, tmp_path: Path
) -> None:
    await archive.store(f"{SERIES}.1")
    names = archive.objects, archive.catalogue, "default", STUDY
    await set_hold(*names, now_us=archive.clock.tick(), **WORDS)

    class Late(S3ObjectStore):
        async def set_legal_hold(self, key: str, *, on: bool) -> bool:
            if on and not await self.lock_of(key):
                with suppress(NotFound):
                    await archive.release()
            return await super().set_legal_hold(key, on=on)

    async with Late(config_at(place, lock="GOVERNANCE")) as late:
        await lock_again(late, now_us=archive.clock.tick())
    assert await archive.locks() == {ObjectLock()}


async def test_a_lock_that_is_refused_stops_nothing_else(archive: Archive, place: Place) -> None:
    await archive.store(f"{SERIES}.1")
    await archive.hold()
    await archive.store(f"{SERIES}.2")

    class Refusing(S3ObjectStore):
        async def set_legal_hold(self, key: str, *, on: bool) -> bool:
            raise Denied(f"{key} may not be locked")

    (_, late) = await archive.catalogue.packs("default", STUDY)
    job = Job(job_id="j", kind="pack-stored", tenant="default", body=asdict(ref_of(late)))
    async with Refusing(config_at(place, lock="GOVERNANCE")) as objects:
        await LockHeld(objects, archive.catalogue, archive.clock.tick)(job)
        done = await lock_again(objects, now_us=archive.clock.tick())
    assert done == LockedAgain(refused=2)
    assert len(await archive.differences()) == 2


def test_a_release_that_died_is_ended_by_the_next(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", place.endpoint.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", place.endpoint.secret_key)
    url = f"s3://{place.name}?endpoint={place.endpoint.url}&lock=governance"
    settings = load_settings({"data": tmp_path / "data", "objects": url})

    async def dies() -> None:
        async with open_stores(settings, create=True) as stores:
            archive = Archive(stores.objects, stores.catalogue)
            await archive.store(f"{SERIES}.1")
            await archive.hold()
            now_us = archive.clock.tick()
            await release_hold(
                stores.objects, "default", STUDY, HoldKind.LEGAL, now_us=now_us, **WORDS
            )

    async def differing() -> list[LockDifference]:
        async with open_stores(settings) as stores:
            now_us = time.time_ns() // 1000
            return [one async for one in lock_differences(stores.objects, "default", now_us=now_us)]

    asyncio.run(dies())
    assert len(asyncio.run(differing())) == 2
    release = partial(
        holding.release, settings, STUDY, reason="over", retention=False, by="ben", as_json=False
    )
    assert release() == 0
    assert asyncio.run(differing()) == []
    with pytest.raises(NotFound):
        release()


async def test_a_retention_clears_no_legal_hold_of_others(archive: Archive) -> None:
    await archive.store(f"{SERIES}.1")
    (pack, index) = await archive.keys()
    await archive.objects.set_legal_hold(pack, on=True)
    until_us = archive.clock.now_us // 1_000_000 * 1_000_000 + DAY_US
    await archive.hold(until_us)
    assert await archive.objects.lock_of(pack) == ObjectLock(is_held=True, until_us=until_us)
    assert await archive.objects.lock_of(index) == ObjectLock(until_us=until_us)
    await archive.release(HoldKind.RETENTION)
    assert (await archive.objects.lock_of(pack)).is_held


def test_the_command_says_that_files_are_not_locked(tmp_path: Path) -> None:
    data = imported(tmp_path)
    words = ("--reason", "case 7", "--data", data)
    assert "locks nothing" in pacs("hold", "set", IMPORTED, *words).stdout
    (told,) = lines(pacs("hold", "set", IMPORTED, *words, "--json"))
    assert (told["can_lock"], told["locked"], told["refused"]) == (False, 0, [])
    (row,) = lines(pacs("hold", "list", "--data", data, "--json"))
    assert row["unlocked"] is None
    assert "locked" not in pacs("hold", "release", IMPORTED, *words).stdout


async def test_what_others_lock_is_told(archive: Archive, place: Place) -> None:
    await archive.store(f"{SERIES}.1")
    await archive.hold()
    await archive.release()
    (pack, _) = await archive.keys()
    await archive.objects.set_legal_hold(pack, on=True)
    findings = lock_findings(archive.objects, now_us=archive.clock.tick())
    found = [one async for one in findings]
    assert [(one.key, one.severity) for one in found] == [(pack, Severity.NOTE)]
    await archive.objects.set_legal_hold(pack, on=False)
    # A hold that cannot be read is no end of the check.
    (entry, *_) = [info.key async for info in archive.objects.list("holds/")]
    await archive.objects.delete(entry)
    await archive.objects.put_new(entry, b"torn")
    findings = lock_findings(archive.objects, now_us=archive.clock.tick())
    assert [one.severity async for one in findings] == [Severity.ERROR]


async def test_a_store_that_locks_nothing_says_so(s3_bucket: Place, tmp_path: Path) -> None:
    for lock in ("", "COMPLIANCE"):
        async with (
            S3ObjectStore(config_at(s3_bucket, lock=lock)) as objects,
            SqliteCatalogue(tmp_path / f"{lock}.sqlite") as catalogue,
        ):
            archive = Archive(objects, catalogue)
            await archive.store(f"{SERIES}.1{len(lock)}")
            assert (await archive.hold()).can_lock is False
            assert await archive.differences() == []

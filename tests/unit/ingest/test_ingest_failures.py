"""Disks, stores and tables that fail."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from ingest_instances import SERIES, STUDY, UPLOAD, ct_dataset, ct_file, scanner, store, upload

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, StorageFull, Unavailable
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.security.caller import system
from patience import PATIENCE_S

NEVER = IntakeOptions(linger_s=3600, linger_limit_s=3600, age_s=3600, age_limit_s=3600)


class FailingSync:
    """fdatasync, until told otherwise."""

    def __init__(self, code: int = errno.EIO) -> None:
        self.code = code
        self.fails = False
        self.once = False
        self.failures = 0
        self.synced_after: list[bytes] = []

    def __call__(self, fd: int) -> None:
        if self.failures:
            self.synced_after.append(os.pread(fd, os.fstat(fd).st_size, 0))
        if self.fails:
            self.failures += 1
            self.fails = not self.once
            raise OSError(self.code, os.strerror(self.code))
        os.fdatasync(fd)


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(("code", "error"), [(errno.EIO, Unavailable), (errno.ENOSPC, StorageFull)])
async def test_a_failed_sync_costs_only_what_was_not_acknowledged(archive, code, error) -> None:
    sync = FailingSync(code)
    async with archive.intake(NEVER, sync_file=sync) as intake:
        session = scanner(intake)
        for number in range(3):
            await store(session, number)
        sync.once = True
        sync.fails = True
        failed = await asyncio.gather(
            *(store(scanner(intake), number) for number in range(3, 6)), return_exceptions=True
        )
        assert [type(one) for one in failed] == [error] * 3
        await store(session, 7)  # goes into a new pack
        await until(lambda: intake.counters.packs_committed == 1)
        assert set(await archive.instances(STUDY)) == {f"{SERIES}.{n}" for n in range(3)}
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.{n}" for n in (0, 1, 2, 7)}
    assert archive.spool_files() == []
    # What the failed sync should have covered is never synced again.
    refused = [ct_dataset(number) for number in range(3, 6)]
    assert sync.synced_after
    assert not any(data in synced for synced in sync.synced_after for data in refused)


async def test_a_sender_that_was_refused_sends_again(archive) -> None:
    sync = FailingSync()
    async with archive.intake(NEVER, sync_file=sync) as intake:
        sync.fails = True
        with pytest.raises(Unavailable):
            await store(scanner(intake), 1)
        sync.fails = False
        await until(lambda: archive.spool_files() == [])
        assert not (await store(scanner(intake), 1)).repeated
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}


async def test_a_failed_seal_keeps_what_was_acknowledged(archive, monkeypatch) -> None:
    monkeypatch.setattr("pacs_cloud.ingest.spool._SALVAGE_S", 0.01)
    sync = FailingSync(errno.ENOSPC)
    async with archive.intake(NEVER, sync_file=sync) as intake:
        session = scanner(intake)
        await store(session, 1)
        sync.fails = True
        await session.flush()
        await until(lambda: sync.failures > 2)
        sync.fails = False
        await until(lambda: intake.counters.packs_committed == 1)
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1"}


async def test_stow_is_told_of_a_failed_seal(archive) -> None:
    sync = FailingSync()
    async with archive.intake(NEVER, sync_file=sync) as intake:
        session = intake.session(system("default"), UPLOAD)
        await upload(session, ct_file(1))
        sync.fails = True
        with pytest.raises(Unavailable):
            await session.commit()
        assert archive.spool_files() == []


async def test_a_failed_sync_of_a_long_instance_leaves_nothing(archive) -> None:
    sync = FailingSync()
    async with archive.intake(IntakeOptions(buffer_bytes=4096), sync_file=sync) as intake:
        sync.fails = True
        with pytest.raises(Unavailable):
            await store(scanner(intake), 1, pixels=bytes(50_000))
        assert archive.spool_files() == []
        sync.fails = False
        await store(scanner(intake), 1, pixels=bytes(50_000))
    assert len(await archive.instances(STUDY)) == 1


async def test_a_real_full_disk(archive, tmp_path) -> None:
    """Writes to /dev/full fail as on a full disk; here it stands in for a spool file."""
    async with archive.intake(NEVER) as intake:
        session = scanner(intake)
        await store(session, 1)
        pack = next(iter(intake._spool._open.values()))
        real = os.dup(pack.fd)
        full = os.open("/dev/full", os.O_RDWR)
        os.dup2(full, pack.fd)
        pack.writer.length_bytes  # noqa: B018
        with pytest.raises(Unavailable):
            await store(session, 2)
        os.dup2(real, pack.fd)
        await store(session, 3)
        os.close(real)
        os.close(full)
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1", f"{SERIES}.3"}


class Gate:
    """An object store or catalogue that is away for a while: everything else passes through."""

    def __init__(self, inner, error: Exception | None = None) -> None:
        self._inner = inner
        self.error = error
        self.calls = 0

    def __getattr__(self, name: str):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return getattr(self._inner, name)


RETRY = IntakeOptions(retry_s=0.005, retry_limit_s=0.02)


@pytest.mark.parametrize("away", ["objects", "catalogue"])
async def test_an_outage_is_waited_out(archive, away) -> None:
    gates = {
        "objects": Gate(archive.objects),
        "catalogue": Gate(archive.catalogue),
    }
    gates[away].error = Unavailable("away")
    async with Intake(archive.spool, gates["objects"], gates["catalogue"], RETRY) as intake:
        session = scanner(intake)
        for number in range(3):
            await store(session, number)
            await session.flush()
        await until(lambda: intake.counters.retries > 10)
        assert len(archive.spool_files()) == 3
        assert intake.counters.backlog_packs == 3
        await store(session, 3)  # an outage of the cloud stops no modality
        gates[away].error = None
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.{n}" for n in range(4)}
    assert archive.spool_files() == []


async def test_a_stop_during_an_outage_loses_nothing(archive) -> None:
    gate = Gate(archive.objects, Unavailable("away"))
    async with Intake(archive.spool, gate, archive.catalogue, RETRY, grace_s=0.05) as intake:
        await store(scanner(intake), 1)
        stow = intake.session(system("default"), UPLOAD)
        await upload(stow, ct_file(2))
        waiting = asyncio.create_task(stow.commit())
        await until(lambda: intake.counters.retries)
    with pytest.raises(Unavailable):
        await waiting
    assert len(archive.spool_files()) == 1
    async with archive.intake() as intake:
        await intake.drained()
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1", f"{SERIES}.2"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Corrupt("changed"), Corrupt),
        (RuntimeError("a bug"), Unavailable),
        (Conflict("another object"), Unavailable),
        (InvalidRequest("not a key"), Unavailable),
    ],
)
async def test_a_hopeless_pack_is_put_aside(archive, error, told, caplog) -> None:
    gate = Gate(archive.catalogue, error)
    async with Intake(archive.spool, archive.objects, gate, RETRY) as intake:
        stow = intake.session(system("default"), UPLOAD)
        await upload(stow, ct_file(1))
        with pytest.raises(told):
            await stow.commit()
        assert intake.counters.packs_quarantined == 1
        assert intake.counters.backlog_packs == 0
        gate.error = None
        await upload(stow, ct_file(2))
        await stow.commit()
    (name,) = archive.quarantined()
    assert "commit_impossible" in caplog.text
    assert "DOE" not in caplog.text
    # moved back it is tried again
    quarantined = archive.spool / "quarantine" / name
    quarantined.rename(archive.spool / "0" / name)
    async with archive.intake() as intake:
        await intake.drained()
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1", f"{SERIES}.2"}


async def test_a_policy_is_recorded_in_the_ledger(archive) -> None:
    async with archive.intake(policy=ConflictPolicy.REPLACE) as intake:
        for name in ("DOE^JANE", "ROE^JOHN"):
            stow = intake.session(system("default"), UPLOAD)
            await upload(stow, ct_file(1, name=name))
            outcomes = await stow.commit()
    assert outcomes[f"{SERIES}.1"].status == "replaced"
    ledger = [info.key async for info in archive.objects.list("ledger/default/")]
    assert len(ledger) == 1
    assert await archive.instances(STUDY) == {f"{SERIES}.1": ct_file(1, name="ROE^JOHN")}


async def test_a_tenant_has_a_short_name(archive) -> None:
    async with archive.intake() as intake:
        with pytest.raises(InvalidRequest):
            intake.session(system("x" * 65), UPLOAD)


async def test_a_surprise_in_sealing_loses_nothing(archive, monkeypatch) -> None:
    def surprise(*_: object, **__: object) -> int:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("pacs_cloud.ingest.spool.seal", surprise)
        async with archive.intake(NEVER) as intake:
            await store(scanner(intake), 1)
            stow = intake.session(system("default"), UPLOAD)
            await upload(stow, ct_file(2))
            with pytest.raises(Unavailable):
                await stow.commit()
    async with archive.intake() as intake:
        await intake.drained()
    assert set(await archive.instances(STUDY)) == {f"{SERIES}.1", f"{SERIES}.2"}


def test_a_spool_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")
    with pytest.raises(Unavailable):
        Intake(tmp_path / "spool", None, None)

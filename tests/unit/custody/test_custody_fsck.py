"""Whatever is broken on purpose is found, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from pacs_cloud.catalogue.records import PackRecord, StudyChange, UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fsck import check
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_packs import Clock, Made, Sample, commit, fill, make_pack, put

Kind = FindingKind


async def found(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, **options: object
) -> list[Finding]:
    return [finding async for finding in check(objects, catalogue, **options)]


async def swap(objects: LocalObjectStore, key: str, data: bytes) -> None:
    await objects.delete(key)
    await objects.put_new(key, data)


async def change_pack(
    catalogue: SqliteCatalogue, made: Made, change: Callable[[PackRecord], PackRecord]
) -> None:
    """Write another record of a pack, as a bug might."""
    state = await catalogue.study(made.key.tenant, made.key.study_instance_uid)
    assert state is not None
    record = next(pack for pack in state.packs if pack.pack_id == made.key.pack_id)
    await catalogue.commit(
        StudyChange(
            tenant=made.key.tenant,
            study_instance_uid=made.key.study_instance_uid,
            before=state.study,
            after=replace(state.study, rev=state.study.rev + 1),
            put_packs=(change(record),),
        )
    )


@pytest.mark.parametrize("deep", [False, True])
async def test_a_sound_archive_has_no_findings(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, deep: bool
) -> None:
    await fill(objects, catalogue)
    assert await found(objects, catalogue, deep=deep) == []


async def test_an_empty_archive_has_no_findings(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    assert await found(objects, catalogue) == []


Break = Callable[[LocalObjectStore, SqliteCatalogue, Made], Awaitable[None]]


async def _lose_the_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.delete(made.key.pack)


async def _lose_the_study(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    for tree in ("packs", "index", "ledger"):
        async for info in objects.list(f"{tree}/"):
            if f"/{made.key.study_instance_uid}/" in info.key and made.key.tenant in info.key:
                await objects.delete(info.key)


async def _cut_the_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await swap(objects, made.key.pack, made.data[:-5])


async def _lose_the_index(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.delete(made.key.index)


async def _change_the_index(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await swap(objects, made.key.index, made.index[:-1])


async def _another_pack(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    clock = Clock()
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    other = make_pack(clock, *names, [Sample(made.table.instances[0].sop_instance_uid)])
    await swap(objects, made.key.pack, other.data)


async def _miscount(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    await change_pack(catalogue, made, lambda pack: replace(pack, instance_count=99))


async def _mismeasure(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    await change_pack(catalogue, made, lambda pack: replace(pack, length_bytes=99))


async def _show_what_is_hidden(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, made: Made
) -> None:
    clock = Clock(made.table.instances[0].received_us + 10**12)
    names = made.key.tenant, made.key.study_instance_uid, made.key.series_instance_uid
    again = make_pack(clock, *names, [Sample(made.table.instances[0].sop_instance_uid)])
    await put(objects, again)
    await commit(objects, catalogue, again, clock)
    await change_pack(catalogue, again, lambda pack: replace(pack, hidden={}))


async def _miscount_the_study(_: LocalObjectStore, catalogue: SqliteCatalogue, made: Made) -> None:
    state = await catalogue.study(made.key.tenant, made.key.study_instance_uid)
    assert state is not None
    wrong = replace(state.study, rev=state.study.rev + 1, instance_count=1)
    series = replace(state.series[0], attributes={})
    names = made.key.tenant, made.key.study_instance_uid
    await catalogue.commit(StudyChange(*names, state.study, wrong, put_series=(series,)))


async def _spoil_the_ledger(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    async for info in objects.list(f"ledger/{made.key.tenant}/"):
        if f"/{made.key.study_instance_uid}/" in info.key:
            await swap(objects, info.key, b"{}")
            return


async def _lose_a_decision(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    async for info in objects.list(f"ledger/{made.key.tenant}/"):
        if f"/{made.key.study_instance_uid}/" in info.key:
            await objects.delete(info.key)
            return


async def _leave_strangers(objects: LocalObjectStore, _: SqliteCatalogue, made: Made) -> None:
    await objects.put_new("backup/of-something", b"1")
    await objects.put_new(f"{made.key.pack[:-4]}.tmp", b"2")
    await objects.put_new("packs/readme", b"3")
    await objects.put_new("zebra", b"4")


@pytest.mark.parametrize(
    ("breaking", "kinds"),
    [
        (_lose_the_pack, {Kind.DANGLING}),
        (_lose_the_study, {Kind.DANGLING, Kind.INDEX_MISSING, Kind.LEDGER}),
        (_cut_the_pack, {Kind.SIZE, Kind.DAMAGED}),
        (_lose_the_index, {Kind.INDEX_MISSING}),
        (_change_the_index, {Kind.INDEX_DIFFERS}),
        (
            _another_pack,
            {Kind.SIZE, Kind.INDEX_DIFFERS, Kind.MISPLACED, Kind.COUNT, Kind.AGGREGATE},
        ),
        (_miscount, {Kind.COUNT}),
        (_mismeasure, {Kind.SIZE}),
        (_show_what_is_hidden, {Kind.DOUBLE, Kind.LEDGER, Kind.AGGREGATE}),
        (_miscount_the_study, {Kind.AGGREGATE}),
        (_spoil_the_ledger, {Kind.LEDGER}),
        (_lose_a_decision, {Kind.LEDGER}),
        (_leave_strangers, {Kind.UNKNOWN_KEY}),
    ],
)
async def test_what_is_broken_is_found(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, breaking: Break, kinds: set[FindingKind]
) -> None:
    made = await fill(objects, catalogue)
    victim = made[0]
    await breaking(objects, catalogue, victim)
    findings = await found(objects, catalogue)
    assert {finding.kind for finding in findings} == kinds
    assert all(finding.is_fault and finding.detail and finding.repair for finding in findings)
    about = {(one.tenant, one.study_instance_uid) for one in findings} - {("", "")}
    assert about <= {(victim.key.tenant, victim.key.study_instance_uid)}
    assert "TEST^CUSTODY" not in repr(findings)


async def test_strangers_are_each_told_once(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    await _leave_strangers(objects, catalogue, made[0])
    keys = sorted(finding.key for finding in await found(objects, catalogue))
    assert keys == sorted(
        ["backup/of-something", f"{made[0].key.pack[:-4]}.tmp", "packs/readme", "zebra"]
    )


async def test_an_orphan_is_found_once_it_is_old_enough(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    await fill(objects, catalogue)
    orphan = make_pack(Clock(), "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await put(objects, orphan)
    stored_us = (await objects.head(orphan.key.pack)).modified_us
    findings = await found(objects, catalogue, settled_us=stored_us)
    assert [(one.kind, one.pack_id) for one in findings] == [(Kind.ORPHAN, orphan.key.pack_id)]
    assert await found(objects, catalogue, settled_us=stored_us - 1) == []


async def test_an_index_object_without_any_pack_is_found(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    left = make_pack(Clock(), "default", "1.7", "1.7.1", [Sample("1.7.1.1")])
    await objects.put_new(left.key.index, left.index)
    findings = await found(objects, catalogue)
    assert [(one.kind, one.severity) for one in findings] == [(Kind.INDEX_ORPHAN, Severity.WARNING)]


async def test_a_pack_that_was_merged_into_another_is_no_orphan(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    clock = Clock()
    part = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")])
    merged = make_pack(
        clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")], replaces=(part.key.pack_id,)
    )
    await put(objects, part)
    await put(objects, merged)
    await commit(objects, catalogue, merged, clock)
    assert await found(objects, catalogue) == []


@pytest.mark.parametrize(
    ("where", "kinds"),
    [("pixels", {Kind.CHECKSUM, Kind.DIGEST}), ("preamble", {Kind.CHECKSUM})],
)
async def test_only_a_deep_check_reads_every_byte(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, where: str, kinds: set[FindingKind]
) -> None:
    made = await fill(objects, catalogue)
    victim = made[0]
    instance = victim.table.instances[2]
    at = instance.offset + (instance.length_bytes - 1 if where == "pixels" else 5)
    data = bytearray(victim.data)
    data[at] ^= 1
    await swap(objects, victim.key.pack, bytes(data))
    assert await found(objects, catalogue) == []
    findings = await found(objects, catalogue, deep=True)
    assert {finding.kind for finding in findings} == kinds
    assert {finding.pack_id for finding in findings} == {victim.key.pack_id}


async def test_a_deep_check_looks_every_instance_up(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    victim = made[0].key
    ref = UidRef(victim.study_instance_uid, victim.series_instance_uid, victim.pack_id)
    uids = [one.sop_instance_uid for one in made[0].table.instances]
    await catalogue.unstage(victim.tenant, ref, uids)
    assert await found(objects, catalogue) == []
    kinds = {finding.kind for finding in await found(objects, catalogue, deep=True)}
    assert kinds == {Kind.UNFINDABLE}


async def test_another_tenant_is_left_alone(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    await objects.delete(made[0].key.pack)
    await objects.put_new("stranger", b"1")
    assert made[0].key.tenant == "default"
    assert await found(objects, catalogue, tenant="second") == []
    assert len(await found(objects, catalogue, tenant="default")) == 1

"""Whatever is broken on purpose is found, and nothing else."""

import pytest

from pacs_cloud.catalogue.records import UidRef
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fsck import check
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_damage import (
    Break,
    another_pack,
    change_the_index,
    cut_the_pack,
    leave_strangers,
    lose_a_decision,
    lose_the_index,
    lose_the_pack,
    lose_the_study,
    miscount,
    miscount_the_study,
    mismeasure,
    show_what_is_hidden,
    spoil_the_ledger,
    swap,
)
from unit.custody.custody_packs import Clock, Sample, commit, fill, make_pack, put

Kind = FindingKind


async def found(
    objects: LocalObjectStore, catalogue: SqliteCatalogue, **options: object
) -> list[Finding]:
    return [finding async for finding in check(objects, catalogue, **options)]


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


@pytest.mark.parametrize(
    ("breaking", "kinds"),
    [
        (lose_the_pack, {Kind.DANGLING}),
        (lose_the_study, {Kind.DANGLING, Kind.INDEX_MISSING, Kind.LEDGER}),
        (cut_the_pack, {Kind.SIZE, Kind.DAMAGED}),
        (lose_the_index, {Kind.INDEX_MISSING}),
        (change_the_index, {Kind.INDEX_DIFFERS}),
        (another_pack, {Kind.SIZE, Kind.INDEX_DIFFERS, Kind.MISPLACED}),
        (miscount, {Kind.COUNT}),
        (mismeasure, {Kind.SIZE}),
        (show_what_is_hidden, {Kind.DOUBLE, Kind.LEDGER, Kind.AGGREGATE}),
        (miscount_the_study, {Kind.AGGREGATE}),
        (spoil_the_ledger, {Kind.LEDGER}),
        (lose_a_decision, {Kind.LEDGER}),
        (leave_strangers, {Kind.UNKNOWN_KEY}),
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
    await leave_strangers(objects, catalogue, made[0])
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
    assert {one.kind for one in await found(objects, catalogue)} == {Kind.UNSTAGED}
    kinds = {finding.kind for finding in await found(objects, catalogue, deep=True)}
    assert kinds == {Kind.UNSTAGED, Kind.UNFINDABLE}


async def test_another_tenant_is_left_alone(
    objects: LocalObjectStore, catalogue: SqliteCatalogue
) -> None:
    made = await fill(objects, catalogue)
    await objects.delete(made[0].key.pack)
    await objects.put_new("stranger", b"1")
    assert made[0].key.tenant == "default"
    assert await found(objects, catalogue, tenant="second") == []
    assert len(await found(objects, catalogue, tenant="default")) == 1

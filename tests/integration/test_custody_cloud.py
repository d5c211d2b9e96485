"""Custody on S3 and DynamoDB: the same findings and the same catalogue as on files."""

from pathlib import Path

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest, export_lines
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_packs import NOW_US, Clock, Sample, fill, make_pack, put


async def kinds(objects: ObjectStore, catalogue: Catalogue) -> set[FindingKind]:
    return {finding.kind async for finding in check(objects, catalogue, deep=True)}


async def test_the_catalogue_comes_back_from_the_bucket(
    cloud: tuple[ObjectStore, Catalogue], tmp_path: Path
) -> None:
    objects, catalogue = cloud
    made = await fill(objects, catalogue, ConflictPolicy.REPLACE)
    before = [line async for line in export_lines(catalogue)]
    assert await kinds(objects, catalogue) == set()

    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=NOW_US)
    assert [line async for line in export_lines(catalogue)] == before

    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as elsewhere:
        await rebuild(objects, elsewhere, policy=ConflictPolicy.KEEP_FIRST, now_us=NOW_US)
        assert [line async for line in export_lines(elsewhere)] == before

    await objects.delete(made[0].key.pack)
    await objects.delete(made[1].key.index)
    assert await kinds(objects, catalogue) == {FindingKind.DANGLING, FindingKind.INDEX_MISSING}


async def test_an_orphan_in_the_bucket_is_adopted(cloud: tuple[ObjectStore, Catalogue]) -> None:
    objects, catalogue = cloud
    clock = Clock()
    orphan = make_pack(clock, "default", "1.2", "1.2.1", [Sample("1.2.1.1")])
    await put(objects, orphan, index=False)
    assert await kinds(objects, catalogue) == {FindingKind.ORPHAN}
    swept = await adopt_orphans(
        objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=1 << 60
    )
    assert swept.adopted == 1
    assert await kinds(objects, catalogue) == set()
    before = await digest(catalogue)
    await rebuild(objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=NOW_US)
    assert await digest(catalogue) == before

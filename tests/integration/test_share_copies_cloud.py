"""Copies that a link has shown, in a bucket and its table: nothing is left of them, and only them."""

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.custody.deid.copies import remove_tenant, tenants_beginning
from pacs_cloud.identity.shares_record import COPIES, copies_tenant, new_share_id
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_packs import Clock, Sample, commit, make_pack, put


async def test_nothing_is_left(cloud: tuple[ObjectStore, Catalogue]) -> None:
    objects, catalogue = cloud
    clock, tenant = Clock(), copies_tenant(new_share_id())
    for whose in ("default", tenant):
        made = make_pack(clock, whose, "2.25.1", "2.25.1.1", [Sample("2.25.1.1.1")])
        await put(objects, made)
        await commit(objects, catalogue, made, clock, ConflictPolicy.KEEP_FIRST)
    await put(objects, make_pack(clock, tenant, "2.25.2", "2.25.2.1", [Sample("2.25.2.1.1")]))
    await objects.put_new(f"access/{tenant}/202611_000001.zst", b"x")
    assert await tenants_beginning(objects, COPIES) == {tenant}
    await remove_tenant(objects, catalogue, tenant)
    assert [one.key async for one in objects.list("") if tenant in one.key] == []
    assert await catalogue.study(tenant, "2.25.1") is None
    assert await catalogue.find_uids(tenant, ["2.25.1.1.1", "2.25.1.1"]) == {}
    assert len(await catalogue.packs("default", "2.25.1")) == 1
    assert len([one async for one in objects.list("packs/default/")]) == 1

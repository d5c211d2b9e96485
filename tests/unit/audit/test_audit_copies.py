"""What guests of de-identified links do is on record like all else, with the copies they saw."""

from pacs_cloud.audit.names import part_of_key
from pacs_cloud.identity.shares_record import copies_tenant, new_share_id
from pacs_cloud.objectstore.tenants import tenants_of
from unit.audit.audit_house import House


async def test_their_trail_is_sealed_read_and_proven(house: House) -> None:
    tenant = copies_tenant(new_share_id())
    async with house.trail() as trail:
        await trail.record(house.event(tenant=tenant, subject="guest:1"))
    await house.seal()
    (key,) = await house.keys()
    part = part_of_key(key)
    assert part is not None
    assert part.tenant == tenant
    assert await tenants_of(house.objects, "audit/") == [tenant]
    assert [event.subject for event in await house.events(tenant)] == ["guest:1"]
    assert await house.findings(tenant) == []
    path = house.root.parent / "objects" / key
    path.write_bytes(path.read_bytes().replace(b"guest:1", b"guest:2"))
    assert await house.findings(tenant) != []

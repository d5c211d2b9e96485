"""What the operations pages ask of the stores: no more often than somebody pays for, nor of others."""

from dataclasses import replace
from pathlib import Path

from pacs_cloud.bootstrap.ops_pages import OpsRooms
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.fixity.findings import OpenFindings
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.settings import Settings
from pacs_cloud.web.ops.errands import Errands
from pacs_cloud.web.ops.traffic import Traffic
from recall_samples import CountingStore


async def test_what_costs_listings_is_not_counted_for_every_look(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    async with open_stores(settings, create=True) as stores:
        counting = CountingStore(tmp_path / "objects")
        rooms = OpsRooms(replace(stores, objects=counting), Traffic(), Errands(now_us), settings)
        look = rooms.services(settings).state
        await look()
        counting.asked.clear()
        state = await look()
        assert counting.count("list") <= 1
        assert state.counts["trash"] == 0


async def test_damage_of_another_tenant_is_not_ours(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    async with open_stores(settings, create=True) as stores:
        rooms = OpsRooms(stores, Traffic(), Errands(now_us), settings)
        found = Finding(FindingKind.DIGEST, Severity.ERROR, "it differs", "repair it")
        for tenant, packs in (("default", 1), ("north", 2)):
            for number in range(packs):
                key = PackKey(
                    tenant, "1.2", "1.2.3", f"0190a0b0-0000-7000-8000-00000000000{number}"
                )
                await OpenFindings(stores.objects).settle(key, [found], 1)
        state = await rooms.services(settings).state()
        assert state.counts["fixity_findings"] == 1

"""Finding instances over the embedded catalogue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalogue_samples import SERIES, STUDY, TENANT, Shelf, instance, pack
from pacs_cloud import metrics
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Gone, NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import state_tag
from pacs_cloud.security.caller import system


class House:
    """A catalogue to fill, and the archive that reads it."""

    def __init__(self, catalogue: SqliteCatalogue, objects: LocalObjectStore) -> None:
        self.shelf = Shelf(catalogue)
        self.archive = Archive(catalogue, objects)

    async def uids(self, *place: str) -> list[str]:
        found = await self.archive.instances.locate(system(TENANT), *place)
        return [one.instance.sop_instance_uid for one in found]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        made = House(catalogue, objects)
        yield made
        made.archive.close()


async def test_a_study_a_series_an_instance(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1"), instance("1.2")]))
    await house.shelf.commit(pack([instance("2.1")], series="1.2.840.99.1.2"))
    assert sorted(await house.uids(STUDY)) == ["1.1", "1.2", "2.1"]
    assert await house.uids(STUDY, SERIES) == ["1.1", "1.2"]
    assert await house.uids(STUDY, SERIES, "1.2") == ["1.2"]
    for place in (
        ("9",),
        (STUDY, "9"),
        (STUDY, SERIES, "9"),
        (STUDY, SERIES, "2.1"),
        ("9", SERIES, "1.1"),
    ):
        with pytest.raises(NotFound):
            await house.uids(*place)


async def test_hidden_instances_are_not_found_where_they_are_hidden(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1", "first")], pack_id="pack-1"))
    await house.shelf.commit(pack([instance("1.1", "second"), instance("1.2")], pack_id="pack-2"))
    found = await house.archive.instances.locate(system(TENANT), STUDY)
    assert {(one.pack.pack_id, one.instance.sop_instance_uid) for one in found} == {
        ("pack-1", "1.1"),
        ("pack-2", "1.2"),
    }
    (one,) = await house.archive.instances.locate(system(TENANT), STUDY, SERIES, "1.1")
    assert one.pack.pack_id == "pack-1"


def looks_into_tables() -> float:
    return metrics.snapshot().total("pacs_cache_requests_total", cache="tables")


async def test_one_instance_among_many_packs(house: House) -> None:
    for number in range(10):
        await house.shelf.commit(pack([instance(f"1.{number}")], pack_id=f"pack-{number}"))
    (one,) = await house.archive.instances.locate(system(TENANT), STUDY, SERIES, "1.7")
    assert one.pack.pack_id == "pack-7"
    # Only the table that holds it was read.
    before = looks_into_tables()
    kept = [
        pack.pack_id
        for pack in await house.shelf.catalogue.packs(TENANT, STUDY)
        if house.archive.tables.is_kept(TENANT, one.ref.__class__(STUDY, SERIES, pack.pack_id))
    ]
    assert kept == ["pack-7"]
    assert looks_into_tables() == before, "to ask is not to look"


async def test_the_state_changes_when_other_instances_are_served(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1")]))
    before = state_tag(await house.archive.instances.locate(system(TENANT), STUDY))
    assert before == state_tag(await house.archive.instances.locate(system(TENANT), STUDY))
    await house.shelf.commit(pack([instance("1.2")]))
    assert before != state_tag(await house.archive.instances.locate(system(TENANT), STUDY))


async def test_other_tenants_find_nothing(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1")]))
    with pytest.raises(NotFound):
        await house.archive.instances.locate(system("other"), STUDY)


async def test_what_was_deleted_is_gone_and_what_never_was_is_not_found(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1"), instance("1.2")]))
    await house.shelf.commit(pack([instance("2.1")], series="1.2.840.99.1.2"))
    await house.shelf.change(
        STUDY,
        lambda one, uid: HiddenReason.DELETED if one.series_instance_uid == SERIES else None,
    )
    assert await house.uids(STUDY) == ["2.1"]
    for place in ((STUDY, SERIES), (STUDY, SERIES, "1.1")):
        with pytest.raises(Gone):
            await house.uids(*place)
    for place in ((STUDY, SERIES, "9"), (STUDY, "9"), ("9",)):
        with pytest.raises(NotFound) as failure:
            await house.uids(*place)
        assert not isinstance(failure.value, Gone)
    await house.shelf.delete(STUDY)
    with pytest.raises(Gone):
        await house.uids(STUDY)
    await house.shelf.commit(pack([instance("1.1")], pack_id="again"))
    assert await house.uids(STUDY) == await house.uids(STUDY, SERIES, "1.1") == ["1.1"]


async def test_a_hidden_duplicate_is_not_called_deleted(house: House) -> None:
    await house.shelf.commit(pack([instance("1.1")]))
    await house.shelf.change(STUDY, lambda *_: HiddenReason.QUARANTINED)
    with pytest.raises(NotFound) as failure:
        await house.uids(STUDY)
    assert not isinstance(failure.value, Gone)

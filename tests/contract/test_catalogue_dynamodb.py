"""What the DynamoDB catalogue costs, and that it never scans for a search."""

import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from catalogue_samples import (
    NOW_US,
    SERIES,
    STUDY,
    TENANT,
    Shelf,
    attributes,
    config_of,
    instance,
    name,
    pack,
    staged,
)
from pacs_cloud.catalogue.dynamodb import DynamodbCatalogue, DynamodbConfig
from pacs_cloud.catalogue.dynamodb_table import Consumed
from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.port import ByAccession, ByDate, ByName, ByPatient, NamePart
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.errors import Conflict, InvalidRequest, Unavailable
from pacs_cloud.pack.index import PackIndex
from servers.fixtures import Place

WRITE_UNITS_OF_1000_CT = 1500
READ_UNITS_OF_A_SEARCH = 20
READ_UNITS_OF_A_STUDY = 5


@pytest.fixture
async def catalogue(dynamodb_table: Place) -> AsyncIterator[DynamodbCatalogue]:
    async with DynamodbCatalogue(config_of(dynamodb_table)) as catalogue:
        yield catalogue


def restart(catalogue: DynamodbCatalogue) -> Consumed:
    consumed = catalogue.consumed
    consumed.read_units = consumed.write_units = 0
    consumed.calls.clear()
    return consumed


def reports_units(place: Place) -> None:
    if place.endpoint.kind == "moto":
        pytest.skip("moto reports one unit whatever the size")


def ct_packs(study: str) -> list[PackIndex]:
    """1,000 CT instances of 5 series, in 8 packs, every UID random."""
    dice = random.Random(5)
    series = [f"2.25.{dice.getrandbits(122)}" for _ in range(5)]
    parts = [(0, 125), (0, 75), (1, 125), (1, 75), (2, 125), (2, 75), (3, 200), (4, 200)]
    return [
        pack(
            [
                instance(
                    f"2.25.{dice.getrandbits(122)}",
                    received_us=NOW_US + dice.randrange(10**6),
                    own={
                        "00080018": {
                            "vr": "UI",
                            "Value": [str(uuid.UUID(int=dice.getrandbits(128)))],
                        },
                        "00200013": {"vr": "IS", "Value": [at]},
                        "00200032": {"vr": "DS", "Value": [-120.5, -110.25, at * 2.5]},
                        "00201041": {"vr": "DS", "Value": [at * 2.5]},
                    },
                )
                for at in range(count)
            ],
            study=study,
            series=series[number],
            common=attributes(patient_name="SMITH^JONATHAN^ALEXANDER"),
        )
        for number, count in parts
    ]


async def test_a_thousand_ct_cost_few_write_units(
    catalogue: DynamodbCatalogue, dynamodb_table: Place
) -> None:
    reports_units(dynamodb_table)
    consumed = restart(catalogue)
    shelf = Shelf(catalogue)
    for index in ct_packs("2.25.77"):
        await shelf.commit(index)
    state = await catalogue.study(TENANT, "2.25.77")
    assert state is not None
    assert state.study.instance_count == 1000
    print(f"{consumed.write_units} write units, {consumed.read_units} read units, {consumed.calls}")
    assert 1000 <= consumed.write_units <= WRITE_UNITS_OF_1000_CT


ANCHORS = (
    ByPatient("P7"),
    ByAccession("A7"),
    ByName(NamePart.NAME, "SMITH^J"),
    ByName(NamePart.GIVEN, "JOHN"),
    ByName(NamePart.INFIX, "MITH"),
    ByName(NamePart.SOUND, "SMT"),
    ByDate("20240101", "20240131", "CT"),
    ByDate(),
)


async def test_a_search_never_scans_and_costs_few_read_units(
    catalogue: DynamodbCatalogue, dynamodb_table: Place
) -> None:
    shelf = Shelf(catalogue)
    for number in range(24):
        study = f"1.2.840.99.{number}"
        await shelf.commit(
            pack(
                [instance(f"{study}.1.1")],
                study=study,
                series=f"{study}.1",
                common=attributes(
                    patient_name="SMITH^JOHN" if number % 3 else "SMITHERS^ANNA",
                    patient_id=f"P{number % 10}",
                    accession=f"A{number}",
                    modality="CT" if number % 4 else "MR",
                    date=f"2024{number % 3 + 1:02}{number % 28 + 1:02}",
                ),
            )
        )
    for anchor in ANCHORS:
        consumed = restart(catalogue)
        page = await catalogue.studies(TENANT, anchor, limit=10)
        assert page.studies
        assert consumed.calls["scan"] == 0
        assert consumed.calls["query"] <= 4
        if dynamodb_table.endpoint.kind != "moto":
            budget = READ_UNITS_OF_A_STUDY * len(page.studies) + READ_UNITS_OF_A_SEARCH
            assert 0 < consumed.read_units <= budget


async def test_only_export_and_wipe_scan(catalogue: DynamodbCatalogue) -> None:
    await Shelf(catalogue).commit(pack([instance(f"{SERIES}.1")]))
    consumed = restart(catalogue)
    assert len([state async for state in catalogue.export()]) == 1
    await catalogue.wipe()
    assert consumed.calls["scan"] > 0


async def test_a_table_is_not_read_with_its_headers(
    catalogue: DynamodbCatalogue, dynamodb_table: Place
) -> None:
    reports_units(dynamodb_table)
    index = pack([instance(f"{SERIES}.1")])
    one = staged(index)
    large = replace(one, headers=random.Random(1).randbytes(300_000))
    await catalogue.stage(large)
    consumed = restart(catalogue)
    await catalogue.table(TENANT, ref_of(index))
    assert consumed.read_units == 1


async def test_a_lost_transaction_leaves_hints_that_are_passed_over(
    catalogue: DynamodbCatalogue,
) -> None:
    shelf = Shelf(catalogue)
    await shelf.commit(pack([instance(f"{SERIES}.1")]))
    state = await catalogue.study(TENANT, STUDY)
    assert state is not None
    stale = replace(state.study, rev=state.study.rev - 1)
    ghost = {**stale.attributes, "00100010": name("GHOST^G")}
    renamed = replace(stale, attributes=ghost, rev=stale.rev + 5)
    with pytest.raises(Conflict):
        await catalogue.commit(StudyChange(TENANT, STUDY, stale, renamed))
    page = await catalogue.studies(TENANT, ByName(NamePart.NAME, "GHOST"))
    assert page.studies == ()
    assert page.examined == 1


async def test_a_tenant_stays_within_its_keys(catalogue: DynamodbCatalogue) -> None:
    with pytest.raises(InvalidRequest):
        await catalogue.study("a#b", STUDY)


async def test_a_table_that_is_not_there_is_unavailable(dynamodb_table: Place) -> None:
    config = config_of(dynamodb_table)
    missing = replace(config, table="missing")
    async with DynamodbCatalogue(missing) as catalogue:
        with pytest.raises(Unavailable):
            await catalogue.ready()
        with pytest.raises(Unavailable):
            await catalogue.study(TENANT, STUDY)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    config = DynamodbConfig("t", "us-east-1", "http://127.0.0.1:9", "key", "secret", retries=1)
    async with DynamodbCatalogue(config) as catalogue:
        with pytest.raises(Unavailable):
            await catalogue.study(TENANT, STUDY)
    with pytest.raises(Unavailable):
        await catalogue.study(TENANT, STUDY)

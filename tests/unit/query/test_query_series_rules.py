"""Rules that name series: nothing tells that a study has others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.request import Level, SearchKey, SearchRequest
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule

STUDY, SERIES, SOP, MODALITY = "0020000D", "0020000E", "00080018", "00080060"
MODALITIES, STUDY_SERIES, STUDY_INSTANCES = "00080061", "00201206", "00201208"
PATIENT_STUDIES, PATIENT_SERIES = "00201200", "00201202"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[tuple[Search, Archive]]:
    """Study 1 with series 1.1 (CT, 1 instance) and 1.2 (MR, 2 instances); study 2 with 2.1 (CT)."""
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        shelf = Shelf(catalogue)
        for series, modality, count in (("1.1", "CT", 1), ("1.2", "MR", 2), ("2.1", "CT", 1)):
            study, _, _ = series.partition(".")
            common = attributes(modality=modality) | {
                STUDY: element("UI", study),
                SERIES: element("UI", series),
            }
            made = [
                instance(f"{series}.{n}", own={SOP: element("UI", f"{series}.{n}")})
                for n in range(1, count + 1)
            ]
            await shelf.commit(pack(made, common=common, study=study, series=series))
        made_archive = Archive(catalogue, objects)
        yield Search(catalogue, made_archive.tables), made_archive
        made_archive.close()


def only(*series: str, more: tuple[StudyRule, ...] = ()) -> Caller:
    rule = StudyRule(studies=frozenset({"1"}), series=frozenset(series))
    return Caller(TENANT, "guest:x", (Grant(Role.GUEST, (rule, *more)),))


async def rows(search: Search, caller: Caller, level: Level, **keys: str) -> list[Elements]:
    asked = tuple(SearchKey((tag.removeprefix("t"),), text) for tag, text in keys.items())
    return (await search.find(caller, SearchRequest(level, asked))).rows


async def test_searches_know_of_no_other(archive: tuple[Search, Archive]) -> None:
    search, _ = archive
    caller = only("1.1")
    (study,) = await rows(search, caller, Level.STUDY)
    assert study[MODALITIES]["Value"] == ["CT"]
    assert (first_text(study, STUDY_SERIES), first_text(study, STUDY_INSTANCES)) == ("1", "1")
    (patient,) = await rows(search, caller, Level.PATIENT)
    assert first_text(patient, PATIENT_SERIES) == "1"
    for level in (Level.SERIES, Level.IMAGE):
        found = await rows(search, caller, level)
        assert {first_text(row, SERIES) for row in found} == {"1.1"}
    for key, value in ((MODALITIES, "MR"), (MODALITY, "MR"), (SERIES, "1.2"), (SOP, "1.2.1")):
        for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
            assert await rows(search, caller, level, **{f"t{key}": value}) == []
    assert len(await rows(search, system(TENANT), Level.SERIES)) == 3


async def test_nothing_of_another_is_located(archive: tuple[Search, Archive]) -> None:
    instances = archive[1].instances
    located = await instances.locate(only("1.1"), "1")
    assert {one.pack.series_instance_uid for one in located} == {"1.1"}
    for below in (("1.2",), ("1.2", "1.2.1"), ("1.1", "1.2.1"), (None, "1.2.1")):
        with pytest.raises(NotFound):
            await instances.locate(only("1.1"), "1", *below)
    with pytest.raises(NotFound):
        await instances.locate(only("9.9"), "1")
    assert len(await instances.locate(system(TENANT), "1")) == 3


async def test_a_series_that_is_not_there_is_no_study(archive: tuple[Search, Archive]) -> None:
    for level in Level:
        assert await rows(archive[0], only("9.9"), level) == []


async def test_a_study_without_such_a_series_is_not_counted(
    archive: tuple[Search, Archive],
) -> None:
    search, _ = archive
    elsewhere = StudyRule(studies=frozenset({"1"}), series=frozenset({"9.9"}))
    (patient,) = await rows(search, system(TENANT), Level.PATIENT)
    assert first_text(patient, PATIENT_STUDIES) == "2"
    wide = Caller(TENANT, "guest:x", (Grant(Role.GUEST, (StudyRule(series=frozenset({"1.1"})),)),))
    for caller in (wide, only("1.1", more=(elsewhere,))):
        (patient,) = await rows(search, caller, Level.PATIENT)
        assert first_text(patient, PATIENT_STUDIES) == "1"


async def test_several_rules_add_up(archive: tuple[Search, Archive]) -> None:
    search, _ = archive
    whole = StudyRule(studies=frozenset({"1"}))
    other = StudyRule(studies=frozenset({"1"}), series=frozenset({"1.2"}))
    for more in ((whole,), (other,)):
        assert len(await rows(search, only("1.1", more=more), Level.SERIES)) == 2

"""A researcher is given what is de-identified, and an original by nothing that is asked."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.deidentifying import DeidentifyingRun, located_of, stored_files
from pacs_cloud.bootstrap.services import (
    Reading,
    Stores,
    open_intake,
    open_reading,
    open_stores,
)
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.project import Project
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.settings import Settings, load_settings

STUDY, OTHER = "1.2.3", "1.2.4"
NAME, ID = "Quagmire^Zephyrine", "ZXQ-7781"
RESEARCHER = Caller(
    "default", "user:rita", (Grant(Role.RESEARCHER, (StudyRule(studies=frozenset({STUDY})),)),)
)
UNBOUND = Caller("default", "user:rolf", (Grant(Role.RESEARCHER),))
NOT_THEIRS = [one for one in Action if one is not Action.DEIDENTIFY]


@dataclass(frozen=True)
class House:
    """An archive with two studies."""

    settings: Settings
    stores: Stores
    reading: Reading


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = load_settings({"data": tmp_path / "data"})
    async with open_stores(settings, create=True) as stores:
        async with open_intake(settings, stores) as intake:
            session = intake.session(system("default"), Source(Door.IMPORT))
            for study in (STUDY, OTHER):
                reception = session.begin_file()
                sop = f"{study}.1.1"
                reception.write(make_instance(sop, study=study, PatientName=NAME, PatientID=ID))
                await reception.finish()
            await session.commit()
        async with open_reading(settings, stores) as reading:
            yield House(settings, stores, reading)


async def test_they_get_it_de_identified(house: House, tmp_path: Path) -> None:
    located = await located_of(house.reading, RESEARCHER, [STUDY])
    assert len(located) == 1
    run = DeidentifyingRun(Deidentifier(Project("trial", b"k" * 32)), tmp_path / "out", None)
    async for file in stored_files(house.settings, house.stores, house.reading, located):
        await run.take(file)
    (made,) = (tmp_path / "out").rglob("*.dcm")
    data = made.read_bytes()
    for secret in (NAME, ID, f"{STUDY}.1.1"):
        assert secret.encode() not in data


async def test_no_study_but_theirs(house: House) -> None:
    for caller, study in ((RESEARCHER, OTHER), (UNBOUND, STUDY), (RESEARCHER, "1.2.9")):
        with pytest.raises(NotFound):
            await located_of(house.reading, caller, [study])


@pytest.mark.parametrize("role", [Role.REFERRER, Role.CLINICIAN, Role.OPS, Role.AUDITOR])
async def test_nobody_else(house: House, role: Role) -> None:
    caller = Caller("default", "user:else", (Grant(role),))
    with pytest.raises(Denied):
        await located_of(house.reading, caller, [STUDY])


@pytest.mark.parametrize("level", Level)
async def test_they_find_nothing(house: House, level: Level) -> None:
    with pytest.raises(Denied):
        await house.reading.search.find(RESEARCHER, SearchRequest(level, ()))


@pytest.mark.parametrize("action", NOT_THEIRS)
async def test_they_are_let_at_no_original(house: House, action: Action) -> None:
    archive = house.reading.archive
    for instances in (archive.instances, archive.readable.instances):
        with pytest.raises(Denied):
            await instances.admission.admit(RESEARCHER, action, STUDY)
        with pytest.raises(Denied):
            await instances.locate(RESEARCHER, STUDY, to=action)


async def test_nor_by_reading_as_everybody_does(house: House) -> None:
    archive = house.reading.archive
    for instances in (archive.instances, archive.readable.instances):
        with pytest.raises(Denied):
            await instances.locate(RESEARCHER, STUDY)
    async with open_intake(house.settings, house.stores) as intake:
        with pytest.raises(Denied):
            intake.session(RESEARCHER, Source(Door.STOW))

"""C-MOVE and C-GET by somebody whose rules name series: whatever they name, no other is sent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dimse import selection
from pacs_cloud.dimse.identifier import Identifier
from pacs_cloud.dimse.information_models import PATIENT_ROOT, STUDY_ROOT
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.request import Level
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule

STUDY, SERIES, SOP, PATIENT = "0020000D", "0020000E", "00080018", "00100020"
ONLY = StudyRule(studies=frozenset({"1"}), series=frozenset({"1.1"}))
SOUTH = Caller(TENANT, "ae:SOUTH", (Grant(Role.DEVICE, (ONLY,)),))


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[selection.Shelf]:
    """Study 1 with series 1.1 (1 instance) and 1.2 (2 instances)."""
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        filled = Shelf(catalogue)
        for series, count in (("1.1", 1), ("1.2", 2)):
            common = attributes() | {STUDY: element("UI", "1"), SERIES: element("UI", series)}
            made = [
                instance(f"{series}.{n}", own={SOP: element("UI", f"{series}.{n}")})
                for n in range(1, count + 1)
            ]
            await filled.commit(pack(made, common=common, study="1", series=series))
        archive = Archive(catalogue, objects)
        yield selection.Shelf(Search(catalogue, archive.tables), archive)
        archive.close()


async def selected(
    shelf: selection.Shelf, caller: Caller, level: Level, to: Action, **keys: str
) -> set[str]:
    named = {
        tag.removeprefix("t"): {"vr": "UI", "Value": text.split()} for tag, text in keys.items()
    }
    model = PATIENT_ROOT if level is Level.PATIENT else STUDY_ROOT
    found = await selection.select(shelf, caller, Identifier(level, named, ()), model, to)
    return {one.instance.sop_instance_uid for one in found}


@pytest.mark.parametrize("to", [Action.SEND, Action.DOWNLOAD, Action.READ])
async def test_nothing_of_another_series_is_sent(shelf: selection.Shelf, to: Action) -> None:
    patient = attributes()[PATIENT]["Value"][0]
    for level, keys, of_all in (
        (Level.PATIENT, {f"t{PATIENT}": patient}, 3),
        (Level.STUDY, {f"t{STUDY}": "1"}, 3),
        (Level.SERIES, {f"t{SERIES}": "1.1 1.2"}, 3),
        (Level.SERIES, {f"t{STUDY}": "1", f"t{SERIES}": "1.2"}, 2),
        (Level.IMAGE, {f"t{SOP}": "1.1.1 1.2.1 1.2.2"}, 3),
        (Level.IMAGE, {f"t{STUDY}": "1", f"t{SERIES}": "1.1", f"t{SOP}": "1.2.1"}, 0),
        (Level.IMAGE, {f"t{STUDY}": "1", f"t{SERIES}": "1.2", f"t{SOP}": "1.2.1"}, 1),
    ):
        every = await selected(shelf, system(TENANT), level, to, **keys)
        assert len(every) == of_all, keys
        assert await selected(shelf, SOUTH, level, to, **keys) == every & {"1.1.1"}, keys

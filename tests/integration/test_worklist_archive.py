"""Priors of scheduled patients: asked of a real worklist provider, DCMTK's or pynetdicom's."""

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from test_recall_archive import NEVER_S, STUDY, House, house
from typer.testing import CliRunner

from pacs_cloud.bootstrap.chores import chores_of
from pacs_cloud.cli.recall_commands import recall as recall_app
from pacs_cloud.dimse import worklist_scu
from pacs_cloud.dimse.requestor import Peer
from pacs_cloud.dimse.state import AssociationAborted
from pacs_cloud.dimse.worklist_scu import MODALITY_WORKLIST, ScheduledStep, scheduled_steps
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.settings import load_settings
from patience import PATIENCE_S
from servers.child import free_ports

TODAY = date.today()
RULES = """
[[policies]]
name = "cold"
steps = [{to = "GLACIER", study_age_days = 365}]
[[prefetch]]
name = "CT before CT"
match = {modality = "CT", description = "*head*"}
priors = {newest = 2, same_modality = true}
"""


def step(
    patient_id: str,
    day: date = TODAY,
    *,
    modality: str = "CT",
    description: str = "CT head",
    issuer: str = "",
    name: str = "Doe^Jane",
) -> Dataset:
    """Return one worklist item, with all that a provider must have (PS3.4 Table K.6-1)."""
    scheduled = Dataset()
    scheduled.Modality = modality
    scheduled.ScheduledStationAETitle = "CT1"
    scheduled.ScheduledProcedureStepStartDate = f"{day:%Y%m%d}"
    scheduled.ScheduledProcedureStepStartTime = "080000"
    scheduled.ScheduledPerformingPhysicianName = "Roe"
    scheduled.ScheduledProcedureStepDescription = "step"
    scheduled.ScheduledProcedureStepID = "S1"
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.AccessionNumber = "A1"
    item.PatientName = name
    item.PatientID = patient_id
    if issuer:
        item.IssuerOfPatientID = issuer
    item.PatientBirthDate, item.PatientSex = "19700101", "F"
    item.StudyInstanceUID = generate_uid()
    item.RequestedProcedureDescription = description
    item.RequestedProcedureID = "R1"
    item.ReferringPhysicianName = "Poe"
    item.ScheduledProcedureStepSequence = [scheduled]
    return item


Find = Callable[[evt.Event], Iterator[tuple[int, Dataset | None]]]


class Ris:
    """A worklist provider of pynetdicom's, and what it was asked."""

    def __init__(self, items: Sequence[Dataset], status: int) -> None:
        self.items = items
        self.status = status
        self.asked: list[Dataset] = []
        self.callers: list[str] = []
        self.port = 0

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.asked.append(event.identifier)
        self.callers.append(event.assoc.requestor.ae_title)
        for item in self.items:
            yield 0xFF00, item
        yield self.status, None


@contextmanager
def ris(
    *items: Dataset,
    status: int = 0x0000,
    sop_class: str = MODALITY_WORKLIST,
    find: Find | None = None,
) -> Iterator[Ris]:
    made = Ris(items, status)
    ae = AE("RIS")
    ae.add_supported_context(sop_class)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find or made.find)]
    )
    try:
        made.port = server.server_address[1]
        yield made
    finally:
        server.shutdown()


@contextmanager
def dcmtk_ris(program: str, folder: Path, *items: Dataset) -> Iterator[int]:
    """DCMTK's provider, which reads its worklist from files."""
    below = folder / "RIS"
    below.mkdir(parents=True)
    (below / "lockfile").touch()
    for number, item in enumerate(items):
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = MODALITY_WORKLIST
        item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.save_as(below / f"{number}.wl", enforce_file_format=True)
    (port,) = free_ports(1)
    command = [program, "-s", "-csk", "-dfp", str(folder), str(port)]
    serving = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert serving.poll() is None, "wlmscpfs has ended"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port
    finally:
        serving.terminate()
        serving.wait()


async def asked(port: int, days: int = 1) -> list[ScheduledStep]:
    last = TODAY + timedelta(days - 1)
    return await scheduled_steps(Peer("RIS", "127.0.0.1", port), "PACS", TODAY, last)


async def run(made: House, folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    config = folder / "pacs.toml"
    policies = folder / "tiers.toml"
    policies.write_text(RULES)
    config.write_text(f'objects = "{made.settings.objects_url}"\ntier_policies = "{policies}"\n')
    more = ["--data", str(folder), "--config", str(config), "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, recall_app, [*words, *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


async def test_what_is_scheduled_is_asked_for_the_days_that_are_wanted() -> None:
    umlaut = step("P2", modality="MR", description="Schädel", issuer="KH")
    twice = step("P1")
    with ris(twice, umlaut, twice) as provider:
        found = await asked(provider.port)
        assert [(one.patient_id, one.issuer, one.modality, one.description) for one in found] == [
            ("P1", "", "CT", "CT head"),
            ("P2", "KH", "MR", "Schädel"),
        ]
        assert found[0].study_instance_uid == twice.StudyInstanceUID
        await asked(provider.port, days=3)
        days = [
            one.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate
            for one in provider.asked
        ]
        last = TODAY + timedelta(2)
        assert days == [f"{TODAY:%Y%m%d}", f"{TODAY:%Y%m%d}-{last:%Y%m%d}"]
        assert set(provider.callers) == {"PACS"}


async def test_a_peer_that_fails_or_has_no_worklist_is_told() -> None:
    with ris(step("P1"), status=0xC001) as provider, pytest.raises(Unavailable, match="C001"):
        await asked(provider.port)
    with ris(sop_class="1.2.840.10008.1.1") as provider, pytest.raises(InvalidRequest):
        await asked(provider.port)
    with pytest.raises(Unavailable):
        await asked(1)


async def test_a_peer_that_goes_is_told() -> None:
    def leave(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        event.assoc.abort()
        yield 0x0000, None

    with ris(find=leave) as provider, pytest.raises(AssociationAborted):
        await asked(provider.port)


async def test_a_peer_that_never_comes_to_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist_scu, "MOST_ANSWERS", 20)
    said = list[int]()

    def repeat(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        same = step("P1")
        for number in range(5000):
            said.append(number)
            yield 0xFF00, same
        yield 0x0000, None

    with ris(find=repeat) as provider:
        (one,) = await asked(provider.port)
    assert one.patient_id == "P1"
    assert len(said) < 5000


async def test_a_peer_that_is_slow_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklist_scu, "MOST_S", 0.2)
    over = threading.Event()

    def drip(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        while not over.wait(0.05):
            yield 0xFF00, step("P1")
        yield 0x0000, None

    with ris(find=drip) as provider:
        try:
            with pytest.raises(Unavailable, match="no end"):
                async with asyncio.timeout(PATIENCE_S):
                    await asked(provider.port)
        finally:
            over.set()


async def test_priors_of_scheduled_patients_are_recalled(tmp_path: Path) -> None:
    with ris(step("P1"), step("P9"), step("", description="x")) as provider:
        async with house(tmp_path, NEVER_S) as made:
            await made.freeze()
            peer = f"RIS@127.0.0.1:{provider.port}"
            code, rows = await run(made, tmp_path, "worklist", "--from", peer, "--aet", "OURS")
            assert (code, provider.callers) == (0, ["OURS"])
            (row,) = rows
            assert (row["study"], row["fate"]) == (STUDY, "asked")
            assert row["why"] == "worklist: CT before CT"
            code, (again,) = await run(made, tmp_path, "worklist", "--from", peer)
            assert again["fate"] == "at hand"
            _, (listed,) = await run(made, tmp_path, "list")
            assert (listed["state"], listed["why"]) == ("restoring", ["worklist: CT before CT"])


async def test_what_no_rule_is_for_is_left_and_a_number_needs_none(tmp_path: Path) -> None:
    with ris(step("P1", modality="MR")) as provider:
        async with house(tmp_path, NEVER_S) as made:
            await made.freeze()
            peer = f"RIS@127.0.0.1:{provider.port}"
            assert await run(made, tmp_path, "worklist", "--from", peer) == (0, [])
            _, (row,) = await run(made, tmp_path, "worklist", "--from", peer, "--newest", "1")
            assert (row["study"], row["why"]) == (STUDY, "worklist")


async def test_the_day_has_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PREFETCH_DAILY_BYTES", "10")
    with ris(step("P1")) as provider:
        async with house(tmp_path, NEVER_S) as made:
            await made.freeze()
            peer = f"RIS@127.0.0.1:{provider.port}"
            code, (row,) = await run(made, tmp_path, "worklist", "--from", peer)
            assert (code, row["fate"]) == (1, "over the day's bound")
            assert await run(made, tmp_path, "list") == (0, [])


async def test_a_worklist_has_to_be_named(tmp_path: Path) -> None:
    async with house(tmp_path, NEVER_S) as made:
        with pytest.raises(InvalidRequest, match="--from"):
            await run(made, tmp_path, "worklist")


async def test_the_worker_asks_it_too(tmp_path: Path) -> None:
    policies = tmp_path / "tiers.toml"
    policies.write_text(RULES)
    with ris(step("P1")) as provider:
        worklist = f"RIS@127.0.0.1:{provider.port}"
        more = {"tier_policies": policies, "worklist": worklist, "worklist_minutes": 7}
        async with house(tmp_path, NEVER_S, **more) as made:
            await made.freeze()
            ask = chores_of(made.settings, made.stores)["worklist"]
            assert await ask() <= 420
            assert len(provider.asked) == 1
            await chores_of(made.settings, made.stores)["worklist"]()
            assert len(provider.asked) == 1  # another worker's turn was a moment ago
            assert sum((await made.recalled()).values()) == 2
    assert "worklist" not in chores_of(load_settings({"data": tmp_path}), made.stores)


async def test_dcmtks_provider_is_understood(tmp_path: Path, dcmtk: Callable[[str], str]) -> None:
    tomorrow = TODAY + timedelta(1)
    items = step("P1"), step("P2", tomorrow, name="Müller^Änne"), step("P3", TODAY - timedelta(1))
    with dcmtk_ris(dcmtk("wlmscpfs"), tmp_path / "worklist", *items) as port:
        assert [one.patient_id for one in await asked(port)] == ["P1"]
        found = await asked(port, days=2)
        assert sorted(one.patient_id for one in found) == ["P1", "P2"]
        assert {(one.modality, one.description) for one in found} == {("CT", "CT head")}
        async with house(tmp_path / "data", NEVER_S) as made:
            await made.freeze()
            words = ("worklist", "--from", f"RIS@127.0.0.1:{port}", "--days", "2")
            code, (row,) = await run(made, tmp_path / "data", *words)
            assert (code, row["study"], row["fate"]) == (0, STUDY, "asked")

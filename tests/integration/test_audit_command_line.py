"""The audit trail as people at a terminal read it, on an archive of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_command_line import data, imported, lines, pacs

from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.settings import Settings, load_settings
from unit.audit.audit_schema import read

__all__ = ["data", "imported"]


def settings_at(data: Path) -> Settings:
    return load_settings({"data": data})


def put_on_record(settings: Settings, *events: AuditEvent) -> None:
    async def run() -> None:
        async with open_stores(settings) as stores, open_trail(settings, stores) as trail:
            for event in events:
                await trail.record(event)

    asyncio.run(run())


def read_event(study: str, who: str = "user:anna") -> AuditEvent:
    return AuditEvent(
        Kind.READ, "default", who, "dicomweb", now_us(), address="192.0.2.7", studies=(study,)
    )


def test_who_saw_a_patient_counts_what_was_done_under_the_id_before_a_merge(data: Path) -> None:
    first, second = lines(pacs("find", "--data", data, "--json"))
    before, after = first["PatientID"], second["PatientID"]
    put_on_record(settings_at(data), read_event(first["StudyInstanceUID"]))
    pacs("patient", "merge", before, after, "--reason", "test", "--yes", "--data", data)
    put_on_record(settings_at(data), read_event(first["StudyInstanceUID"], "user:bert"))
    for patient in (before, after):
        done = lines(pacs("audit", "who", patient, "--data", data, "--json"))
        seen = {row["who"] for row in done if row["kind"] == "read"}
        # Under the old ID is what was recorded then; under the new one all of it.
        assert seen == ({"user:anna"} if patient == before else {"user:anna", "user:bert"})


def test_events_are_listed_filtered_and_exported(data: Path) -> None:
    first, second = lines(pacs("find", "--data", data, "--json"))
    put_on_record(
        settings_at(data),
        read_event(first["StudyInstanceUID"]),
        read_event(second["StudyInstanceUID"], "user:bert"),
    )

    def listed(*words: str) -> list[str]:
        rows = lines(pacs("audit", "list", *words, "--data", data, "--json"))
        return [row["subject"] for row in rows if row["kind"] == "read"]

    assert listed() == ["user:anna", "user:bert"]
    assert listed("--who", "anna") == ["user:anna"]
    assert listed("--study", second["StudyInstanceUID"]) == ["user:bert"]
    assert listed("--patient", first["PatientID"]) == ["user:anna"]
    assert listed("--since", "2099-01-01") == []
    assert listed("--until", "2020-01-01") == []
    assert listed("--outcome", "major") == []
    assert listed("--kind", "read") == ["user:anna", "user:bert"]
    pacs("audit", "list", "--kind", "nothing", "--data", data, code=2)
    done = pacs("audit", "export", "--dicom-xml", "--kind", "read", "--data", data)
    messages = [read(line.encode()) for line in done.stdout.splitlines()]
    assert [one.find("ActiveParticipant").get("UserID") for one in messages] == [
        "user:anna",
        "user:bert",
    ]
    # That somebody looked is on record, too.
    looked = lines(pacs("audit", "list", "--kind", "audit", "--data", data, "--json"))
    assert {row["action"] for row in looked} == {"list", "export"}


def test_a_changed_byte_is_found_and_named(data: Path) -> None:
    put_on_record(settings_at(data), read_event("1.2.3"))
    done = pacs("audit", "verify", "--data", data)
    assert "As it was written: 3 events in 2 parts of 1 chain." in done.stdout
    parts = (data / "objects" / "audit").rglob("*.jsonl")
    (path,) = (one for one in parts if b"user:anna" in one.read_bytes())
    path.write_bytes(path.read_bytes().replace(b"user:anna", b"user:Anna"))
    (finding,) = lines(pacs("audit", "verify", "--data", data, "--json", code=1))
    assert finding == {
        "place": str(path.relative_to(data / "objects")),
        "line": 2,
        "what": "its hash is another one",
    }


CHILD = """
import asyncio, sys
from pathlib import Path
from pacs_cloud.bootstrap.auditing import open_trail
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.settings import load_settings

async def main():
    settings = load_settings({"data": Path(sys.argv[1]), "audit_seal_s": 1})
    async with open_stores(settings) as stores, open_trail(settings, stores) as trail:
        number = int(sys.argv[2])
        while True:
            number += 1
            await trail.record(
                AuditEvent(Kind.CHANGE, "default", "user:anna", "cli", now_us(), action=str(number))
            )
            print(number, flush=True)

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "objects").mkdir(parents=True)
    answered: list[int] = []
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(data), str(1_000_000 * round_)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        ) as child:
            assert child.stdout is not None
            answered += [int(child.stdout.readline()) for _ in range(300)]
            os.kill(child.pid, signal.SIGKILL)
            answered += [int(line) for line in child.stdout.read().splitlines()[:-1]]
    pacs("audit", "verify", "--data", data)
    rows = lines(pacs("audit", "list", "--kind", "change", "--data", data, "--json"))
    found = [int(row["action"]) for row in rows]
    assert len(found) == len(set(found))
    assert set(answered) <= set(found)
    pacs("audit", "verify", "--data", data)


@pytest.mark.parametrize("words", [("list", "--since", "soon"), ("verify", "--since", "soon")])
def test_what_is_no_day_is_said_so(data: Path, words: tuple[str, ...]) -> None:
    done = pacs("audit", *words, "--data", data, code=2)
    assert done.stderr.count("\n") == 1

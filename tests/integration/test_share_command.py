"""`share make`, `list`, `show` and `revoke`, as their user runs them."""

import asyncio
from pathlib import Path

import orjson
import pytest
from pydicom import dcmread

from integration.test_command_line import CT, lines, pacs
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.identity.shares import LinkOver, Shares
from pacs_cloud.identity.shares_record import copies_tenant
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.settings import load_settings

STUDY = str(dcmread(CT, stop_before_pixels=True).StudyInstanceUID)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pacs("import", CT, "--data", tmp_path / "data")
    return tmp_path / "data"


async def opened(data: Path, share_id: str, secret: str, code: str) -> list[AuditEvent]:
    """Use a link once, as a page does."""
    settings = load_settings({"data": data})
    recorded: list[AuditEvent] = []

    async def record(event: AuditEvent) -> None:
        recorded.append(event)

    async with open_stores(settings) as stores:
        shares = Shares(stores.objects, stores.catalogue, settings.tenant, now_us, record)
        await shares.redeem(share_id, secret, code, address="192.0.2.7")
    return recorded


async def studies_of(data: Path, tenant: str) -> int:
    async with open_stores(load_settings({"data": data})) as stores:
        return len([state async for state in stores.catalogue.export(tenant)])


def test_a_link_from_its_making_to_its_end(data: Path) -> None:
    made = lines(
        pacs(
            *("share", "make", STUDY, "--reason", "a second opinion", "--download", "--code"),
            *("--name", "Dr. Eve", "--email", "eve@example.org", "--by", "root"),
            *("--data", data, "--json"),
        )
    )[0]
    page, _, secret = made["link"].partition("#")
    share_id = made["share"]
    assert page == f"http://127.0.0.1:8042/share/{share_id}"
    assert len(made["codes"]) == 3
    assert (made["state"], made["made_by"], made["may"]) == (
        "open",
        "system:root",
        ["view", "download"],
    )
    asyncio.run(opened(data, share_id, secret, made["codes"][0]))

    (listed,) = lines(pacs("share", "list", "--data", data, "--json"))
    assert (listed["share"], listed["uses"]) == (share_id, "1/3")
    assert lines(pacs("share", "list", "--study", "1.2.3", "--data", data, "--json")) == []

    shown = lines(pacs("share", "show", share_id, "--data", data, "--json"))[0]
    assert [one["from"] for one in shown["opened"]] == ["192.0.2.7"]
    assert shown["guest"] == "Dr. Eve eve@example.org"
    text = pacs("share", "show", share_id, "--data", data).stdout
    assert "192.0.2.7" in text
    assert "a second opinion" in text

    pacs("share", "revoke", share_id, "--data", data)
    with pytest.raises(LinkOver):
        asyncio.run(opened(data, share_id, secret, made["codes"][1]))
    assert lines(pacs("share", "list", "--data", data, "--json")) == []
    (over,) = lines(pacs("share", "list", "--all", "--data", data, "--json"))
    assert over["state"] == "revoked"

    on_record = lines(pacs("audit", "list", "--kind", "share", "--data", data, "--json"))
    assert [one["action"] for one in on_record] == ["link made", "link revoked"]
    assert {one["subject"].split(":")[0] for one in on_record} == {"system"}

    for path in data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert secret.encode() not in content
            assert not any(code.encode() in content for code in made["codes"]), path

    # What of the trail cannot be read nobody takes for nothing that was done.
    (damaged,) = (path for path in data.rglob("*.jsonl") if b"link made" in path.read_bytes())
    damaged.write_bytes(damaged.read_bytes().replace(b"link made", b"link mode"))
    said = pacs("share", "show", share_id, "--data", data).stderr
    assert "At least 1 record could not be read" in said
    assert "shares/" not in pacs("fsck", "--data", data, code=None).stdout


def test_copies_from_their_making_to_their_end(data: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    wish = ("--reason", "a second opinion", "--deidentify", "--report", report)
    made = lines(pacs("share", "make", STUDY, *wish, "--data", data, "--json"))[0]
    share_id, tenant = made["share"], copies_tenant(made["share"])
    assert (made["deidentified"], made["state"]) == (True, "open")
    assert orjson.loads(report.read_bytes())["written"] == made["report"]["written"] == 1
    copies = [one for one in (data / "objects").rglob("*") if tenant in one.parts]
    assert copies
    pacs("rebuild", "--data", data)
    assert asyncio.run(studies_of(data, tenant)) == 1  # a catalogue that is made anew has it
    pacs("share", "revoke", share_id, "--data", data)
    assert [one for one in (data / "objects").rglob("*.zip") if tenant in one.parts] == []
    assert asyncio.run(studies_of(data, tenant)) == 0


def test_what_cannot_be_is_said_so(data: Path) -> None:
    for words, said in (
        ((STUDY, "--reason", "why", "--deidentify", "--project", "X"), "no project X"),
        ((STUDY, "--reason", "why", "--project", "X"), "leave out who the patient is"),
        ((STUDY, "--reason", "why", "--series", "1.2.3"), "no such series"),
        ((STUDY, "--reason", "why", "--days", "400"), "up to 366 days"),
        ((STUDY, "--reason", "why", "--email", "eve@example.org"), "has a name"),
        (("1.2.3", "--reason", "why"), "no such study"),
        ((STUDY, "--reason", " "), "says why"),
    ):
        done = pacs("share", "make", *words, "--data", data, code=2)
        assert said in done.stderr
        assert done.stdout == ""
    assert "no such share" in pacs("share", "show", "0" * 32, "--data", data, code=2).stderr
    assert "no such share" in pacs("share", "revoke", "x", "--data", data, code=2).stderr

"""`label` and `break-glass`: what they do to an archive, print, and put on record."""

import asyncio
import json
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from pacs_cloud.bootstrap.breaking_glass import GlassOver, break_glass_of
from pacs_cloud.bootstrap.chores import chores_of
from pacs_cloud.bootstrap.services import open_reading, open_stores
from pacs_cloud.errors import NotFound
from pacs_cloud.identity.break_glass_record import GlassWish, Override
from pacs_cloud.query.request import Level, SearchRequest
from pacs_cloud.security.audit_codes import OVERRIDE_STARTED, OVERRIDE_STOPPED
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.settings import Settings, load_settings
from unit.cli.test_cli_on_record import done, pacs, recorded

STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
ANNA = Caller("default", "user:anna", (Grant(Role.RADIOLOGIST),))
DEVICE = Caller("default", "ae:CT1", (Grant(Role.DEVICE),))
WHY = ("--reason", "asked for", "--by", "ada")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACS_DATA", raising=False)
    folder = tmp_path / "data"
    result = pacs(folder, "import", get_testdata_file("CT_small.dcm"))
    assert result.exit_code == 0, result.output
    return folder


def settings_of(data: Path, **more: object) -> Settings:
    return load_settings({"data": data, **more})


def found(settings: Settings, caller: Caller) -> tuple[int, bool]:
    """How many studies somebody finds, and whether they may have the one sent to them."""

    async def look() -> tuple[int, bool]:
        async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
            rows = (await reading.search.find(caller, SearchRequest(Level.STUDY))).rows
            try:
                await reading.archive.instances.locate(caller, STUDY, to=Action.SEND)
            except NotFound:
                return len(rows), False
            return len(rows), True

    return asyncio.run(look())


def broken(settings: Settings) -> Override:
    async def start() -> Override:
        async with open_stores(settings) as stores:

            async def record(event: AuditEvent) -> None:
                assert event.action == OVERRIDE_STARTED

            glass = break_glass_of(settings, stores, record)
            return await glass.start(ANNA, GlassWish("found unconscious", STUDY), door="page")

    return asyncio.run(start())


def test_labels_are_added_shown_and_removed(data: Path) -> None:
    (event,) = done(data, "label", "add", STUDY, "VIP", "teaching", *WHY)
    assert (event.kind, event.action, event.studies) == (Kind.CHANGE, "label add", (STUDY,))
    details = dict(event.details)
    assert (details["labels"], details["reason"], details["by"]) == (
        "VIP, teaching",
        "asked for",
        "ada",
    )
    for options in ((), ("--study", STUDY)):
        shown = pacs(data, "label", "list", "--json", *options)
        rows = [json.loads(line) for line in shown.output.splitlines()]
        assert [(one["study"], one["label"], one["by"]) for one in rows] == [
            (STUDY, "teaching", "ada"),
            (STUDY, "vip", "ada"),
        ]
    removed = pacs(data, "label", "remove", STUDY, "vip", *WHY, "--json")
    assert json.loads(removed.output) == {"study": STUDY, "labels": ["teaching"]}
    assert "teaching" in pacs(data, "label", "list").output
    assert "no label" in pacs(data, "label", "remove", STUDY, "teaching", *WHY).output
    assert "Nothing is labelled" in pacs(data, "label", "list").output
    assert pacs(data, "label", "add", "1.2.3", "vip", *WHY).exit_code != 0
    assert pacs(data, "label", "add", STUDY, "vip").exit_code != 0


def test_what_is_sensitive_is_a_setting(data: Path) -> None:
    assert pacs(data, "label", "add", STUDY, "secret", *WHY).exit_code == 0
    for caller in (ANNA, DEVICE):
        assert found(settings_of(data), caller) == (1, True)
        assert found(settings_of(data, sensitive_labels="secret"), caller) == (0, False)
    assert pacs(data, "label", "add", STUDY, "vip", *WHY).exit_code == 0
    for caller in (ANNA, DEVICE):
        assert found(settings_of(data), caller) == (0, False)
        assert found(settings_of(data, sensitive_labels="[]"), caller) == (1, True)


def test_broken_glass_is_shown_and_ended(data: Path) -> None:
    assert pacs(data, "label", "add", STUDY, "vip", *WHY).exit_code == 0
    assert "Nobody has broken the glass" in pacs(data, "break-glass", "list").output
    override = broken(settings_of(data))
    row = json.loads(pacs(data, "break-glass", "list", "--json").output)
    assert (row["id"], row["user"], row["studies"], row["reason"]) == (
        override.override_id,
        "user:anna",
        [STUDY],
        "found unconscious",
    )
    (event,) = done(data, "break-glass", "end", override.override_id, "--by", "ada")
    assert (event.kind, event.action, event.subject, event.door) == (
        Kind.BREAK_GLASS,
        OVERRIDE_STOPPED,
        "system:ada",
        "cli",
    )
    assert dict(event.details)["user"] == "user:anna"
    assert "Nobody has broken the glass" in pacs(data, "break-glass", "list").output
    kept = json.loads(pacs(data, "break-glass", "list", "--all", "--json").output)
    assert kept["ended_by"] == "system:ada"
    assert pacs(data, "break-glass", "end", override.override_id).exit_code != 0


def test_a_worker_puts_on_record_what_is_over_by_itself(data: Path) -> None:
    assert pacs(data, "label", "add", STUDY, "vip", *WHY).exit_code == 0
    settings = settings_of(data, break_glass_minutes=1e-6)
    override = broken(settings)
    before = len(recorded(data))

    async def tend() -> list[str]:
        async with open_stores(settings) as stores:
            assert "glass" in chores_of(settings, stores)
            tending, reads, get = GlassOver(settings, stores), list[str](), stores.objects.get

            async def noted(key: str, *span: int) -> bytes:
                reads.append(key)
                return await get(key, *span)

            await tending("default", None)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(stores.objects), "get", lambda _, *given: noted(*given))
                await tending("default", None)
            return reads

    assert asyncio.run(tend()) == []  # of what has not changed nothing is read again
    (event,) = recorded(data)[before:]
    assert (event.kind, event.action, event.subject, event.door) == (
        Kind.BREAK_GLASS,
        OVERRIDE_STOPPED,
        "user:anna",
        "worker",
    )
    assert event.studies == override.studies

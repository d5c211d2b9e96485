"""What an archive does for one tenant it does for each that has a door."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pacs_cloud.bootstrap import pinning
from pacs_cloud.bootstrap.chores import chores_of
from pacs_cloud.bootstrap.pinning import tend_pins
from pacs_cloud.bootstrap.services import Stores, now_us, open_stores
from pacs_cloud.bootstrap.supervisor import Role
from pacs_cloud.cli import serve
from pacs_cloud.cli.app import app
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.settings import Address, Settings, load_settings
from pacs_cloud.tiering.bringing_back import Brought
from pacs_cloud.tiering.pins import Pin, write_pin

POLICY = '[[policies]]\nname = "p"\nsteps = [{to = "GLACIER_IR", stored_days = 90}]\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data",
        http_tenants={"south.example": "south", "s.example": "south"},
        dimse_tenants={"WEST": "west"},
        public_url="https://pacs.example",
    )


async def keys_of(objects: ObjectStore, prefix: str) -> list[str]:
    return [info.key async for info in objects.list(prefix)]


def test_hosts_are_told_as_titles_are(tmp_path: Path) -> None:
    told = load_settings({"data": tmp_path, "http_tenants": "A.example=a, b.example = b"})
    assert (told.http_tenants, told.tenants) == (
        {"a.example": "a", "b.example": "b"},
        ("default", "a", "b"),
    )
    for wrong in ("a.example", "a.example:80=a", "a.example=A", "=a", "a b=a"):
        with pytest.raises(InvalidRequest, match="http_tenants"):
            load_settings({"http_tenants": wrong})


def test_each_tenant_with_pages_is_begun_by_a_link_of_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def supervised(told: Settings, counts: Any, ready: Any) -> None:
        del counts
        await asyncio.sleep(0)
        ready(told.model_copy(update={"http": Address(host="127.0.0.1", port=9)}))

    monkeypatch.setattr(serve, "supervise", supervised)
    serve.serve_roles(settings, {Role.WEB: 1})
    said = capsys.readouterr().err.splitlines()
    links = [line.partition("#")[0] for line in said if "signs in" in line]
    assert links == [
        "the first administrator signs in at https://pacs.example/welcome",
        "the first administrator of south signs in at https://south.example/welcome",
    ]


async def test_policies_are_carried_out_for_each(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "tiers.toml"
    file.write_text(POLICY)
    settings = settings.model_copy(update={"tier_policies": file})
    async with open_stores(settings, create=True) as stores:
        await chores_of(settings, stores)["tiers"]()
        turns = await keys_of(stores.objects, "turns/tiers/")
    assert {key.split("/")[2] for key in turns} == {"default", "south", "west"}


async def test_pins_bring_back_the_studies_of_each(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def brought(told: Settings, stores: Stores, pin: Pin) -> Brought:
        del told, stores
        await asyncio.sleep(0)
        seen.append(pin.tenant)
        return Brought()

    monkeypatch.setattr(pinning, "brought_back", brought)
    async with open_stores(settings, create=True) as stores:
        for tenant in ("default", "south", "west", "strange"):
            pin = Pin(tenant, "1.2.3", is_set=True, brings_back=True)
            await write_pin(stores.objects, pin, now_us=now_us())
        await tend_pins(settings, stores)
    assert sorted(seen) == ["default", "south", "west"]


@pytest.mark.parametrize("by_environment", [False, True])
async def test_commands_are_for_the_tenant_that_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, by_environment: bool
) -> None:
    words = ["user", "add", "anna", "--role", "admin", "--data", str(settings.data)]
    monkeypatch.setenv("PACS_HTTP_TENANTS", "south.example=south")
    if by_environment:
        monkeypatch.setenv("PACS_TENANT", "south")
    else:
        words = ["--tenant", "south", *words]
    done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert (done.exit_code, done.stdout.partition("#")[0]) == (
        0,
        "http://south.example:8042/welcome",
    ), done.output
    async with open_stores(settings) as stores:
        assert await keys_of(stores.objects, "users/south/")
        assert not await keys_of(stores.objects, "users/default/")

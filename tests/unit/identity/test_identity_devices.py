"""What is said of application entities: written, read back, changed and forgotten."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, Unavailable
from pacs_cloud.identity import devices_known
from pacs_cloud.identity.devices import (
    Device,
    DeviceDestination,
    DeviceService,
    DeviceState,
    UserPolicy,
    checked,
    devices_of,
    folder_name,
    read_device,
    remove_device,
    write_device,
)
from pacs_cloud.identity.devices_known import KnownDevices
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.security.caller import Action
from servers.fixtures import Place

DIGEST = "ab" * 32
CT1 = Device(
    "north",
    "CT 1.A",
    ("10.1.0.0/16", "2001:db8::/32"),
    frozenset({DeviceService.VERIFY, DeviceService.STORE}),
    True,
    (DIGEST,),
    ("ct1.example.org",),
    UserPolicy.REQUIRE,
    4,
    60,
    DeviceDestination("ct1.example.org", 2762, True, "ct1"),
    "second floor",
    False,
)


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as store:
        yield store


async def one_life(objects: ObjectStore) -> None:
    assert await read_device(objects, "north", "CT 1.A") == DeviceState()
    first = await write_device(objects, CT1, DeviceState(), by="anna", now_us=5)
    assert first == DeviceState(1, CT1, "anna", 5)
    assert await read_device(objects, "north", "CT 1.A") == first
    # Titles tell case apart, and nobody else's device is found.
    assert (await read_device(objects, "north", "ct 1.a")).device is None
    assert (await read_device(objects, "south", "CT 1.A")).device is None
    with pytest.raises(Conflict):
        await write_device(objects, CT1, DeviceState(), by="bob", now_us=6)
    out = replace(CT1, is_disabled=True)
    second = await write_device(objects, out, first, by="bob", now_us=7)
    with pytest.raises(Conflict):
        await write_device(objects, CT1, first, by="anna", now_us=8)
    other = Device("north", "MR", ("0.0.0.0/0",))
    await write_device(objects, other, DeviceState(), by="", now_us=9)
    assert [state.device for state in [one async for one in devices_of(objects, "north")]] == [
        second.device,
        other,
    ]
    await remove_device(objects, "north", "CT 1.A", second, by="bob", now_us=10)
    assert await read_device(objects, "north", "CT 1.A") == DeviceState(3, None, "bob", 10)
    assert [one.device async for one in devices_of(objects, "north")] == [other]
    # What was there before does not come again: its number is over.
    with pytest.raises(Conflict):
        await write_device(objects, CT1, first, by="bob", now_us=11)


async def test_a_devices_life_in_files(local: LocalObjectStore) -> None:
    await one_life(local)


async def test_a_devices_life_in_a_bucket(s3_bucket: Place) -> None:
    async with S3ObjectStore(config_at(s3_bucket)) as objects:
        await one_life(objects)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        b'{"version":2,"by":"","at_us":1,"device":null}',
        b'{"version":1,"by":"","at_us":1}',
        b'{"version":1,"by":"","at_us":1,"device":{"tenant":"north"}}',
        orjson.dumps(
            {"version": 1, "by": "", "at_us": 1, "device": {"tenant": "south", "title": "CT1"}}
        ),
    ],
)
async def test_what_cannot_be_read_is_not_unknown(local: LocalObjectStore, damage: bytes) -> None:
    await local.put_new("devices/north/CT1/0000000000000001.json", damage)
    with pytest.raises(Corrupt):
        await read_device(local, "north", "CT1")
    with pytest.raises(Corrupt):
        await KnownDevices(local, 5).find("north", "CT1")


def test_titles_become_keys() -> None:
    assert folder_name("CT-1") == "CT-1"
    assert folder_name("CT 1./_") == "CT_201_2e_2f_5f"


@pytest.mark.parametrize(
    ("address", "is_at"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("somewhere", False),
    ],
)
def test_where_a_device_may_come_from(address: str, is_at: bool) -> None:
    assert CT1.is_at(address) == is_at
    assert Device("north", "X").is_at(address)


@pytest.mark.parametrize(
    ("certificate", "names", "is_proved"),
    [
        (DIGEST, {"ct1.example.org", "other"}, True),
        (DIGEST, {"other"}, False),
        ("cd" * 32, {"ct1.example.org"}, False),
        ("", set[str](), False),
    ],
)
def test_what_proves_a_device(certificate: str, names: set[str], is_proved: bool) -> None:
    assert CT1.is_proved_by(certificate, frozenset(names)) == is_proved
    capital = replace(CT1, certificates=(), names=("CT1.Example.org",))
    assert capital.is_proved_by("", frozenset({"ct1.example.org"}))


def test_what_is_written_is_checked() -> None:
    spelled = Device("north", " CT1 ", ("10.1.2.3/16",), certificates=(":".join(["AB"] * 32),))
    assert checked(spelled) == Device("north", "CT1", ("10.1.0.0/16",), certificates=(DIGEST,))
    anywhere = Device("north", "CT1", certificates=(DIGEST,))
    assert checked(anywhere) == anywhere
    for wrong, word in (
        (Device("north", "CT1"), "proves nothing"),
        (Device("north", "CT1", ("10.1.2.300",)), "range of addresses"),
        (Device("north", "C" * 17, ("10.1.2.3",)), "title"),
        (Device("north", "C\\T", ("10.1.2.3",)), "title"),
        (Device("north", "", ("10.1.2.3",)), "title"),
        (Device("../x", "CT1", ("10.1.2.3",)), "tenant"),
        (Device("north", "CT1", certificates=("abc",)), "certificates"),
        (Device("north", "CT1", ("10.1.2.3",), most_associations=0), "most_associations"),
        (
            Device("north", "CT1", ("10.1.2.3",), destination=DeviceDestination("", 104)),
            "destination",
        ),
    ):
        with pytest.raises(InvalidRequest, match=word):
            checked(wrong)


def test_services_are_rights() -> None:
    assert CT1.actions == {Action.STORE}
    retrieves = replace(CT1, services=frozenset({DeviceService.MOVE}))
    assert retrieves.actions == {Action.SEARCH, Action.SEND}
    assert replace(CT1, services=frozenset({DeviceService.VERIFY})).actions == set()


async def test_titles_that_are_made_up_cost_one_listing(
    local: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listings: list[str] = []
    real = local.list

    def counted(prefix: str, *, after: str = "") -> AsyncIterator[ObjectInfo]:
        listings.append(prefix)
        return real(prefix, after=after)

    monkeypatch.setattr(local, "list", counted)
    await write_device(
        local, Device("north", "CT1", ("10.1.0.0/16",)), DeviceState(), by="", now_us=1
    )
    listings.clear()
    known = KnownDevices(local, 5, lambda: 0.0)
    found = await asyncio.gather(*(known.find("north", f"X{n}") for n in range(50)))
    assert found == [None] * 50
    assert listings == ["devices/north/"]


class Away:
    """A store that can be reached no more."""

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[object]:
        raise Unavailable("not now")


async def test_what_is_known_is_believed_for_a_moment(local: LocalObjectStore) -> None:
    now_s = 0.0
    known = KnownDevices(local, 5, lambda: now_s)
    assert await known.find("north", "CT1") is None
    device = Device("north", "CT1", ("10.1.0.0/16",))
    first = await write_device(local, device, DeviceState(), by="", now_us=1)
    now_s = 4.9
    assert await known.find("north", "CT1") is None
    now_s = 5.1
    assert await known.find("north", "CT1") == device
    await write_device(local, replace(device, is_disabled=True), first, by="", now_us=2)
    now_s = 10.0
    assert await known.find("north", "CT1") == device
    now_s = 10.2
    found = await known.find("north", "CT1")
    assert found is not None
    assert found.is_disabled


async def test_a_store_that_is_away_keeps_known_devices_for_a_while(
    local: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    known = KnownDevices(local, 5, lambda: now_s)
    device = Device("north", "CT1", ("10.1.0.0/16",))
    await write_device(local, device, DeviceState(), by="", now_us=1)
    assert await known.find("north", "CT1") == device
    assert await known.find("north", "CT2") is None
    monkeypatch.setattr(local, "list", Away().list)
    now_s = 500.0
    assert await known.find("north", "CT1") == device
    # Whom nobody knew may be known by now.
    with pytest.raises(Unavailable):
        await known.find("north", "CT2")
    now_s = 601.0
    with pytest.raises(Unavailable):
        await known.find("north", "CT1")


async def test_what_cannot_be_read_is_as_old_as_its_last_reading(
    local: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    known = KnownDevices(local, 5, lambda: now_s)
    device = Device("north", "CT1", ("10.1.0.0/16",))
    first = await write_device(local, device, DeviceState(), by="", now_us=1)
    assert await known.find("north", "CT1") == device
    await write_device(local, replace(device, is_disabled=True), first, by="", now_us=2)

    async def away(*_args: object, **_more: object) -> DeviceState:
        raise Unavailable("not now")

    # Listed it is, and not read: it may have been kept out for hours.
    monkeypatch.setattr(devices_known, "read_device", away)
    now_s = 500.0
    assert await known.find("north", "CT1") == device
    now_s = 601.0
    with pytest.raises(Unavailable):
        await known.find("north", "CT1")


async def test_a_store_that_is_silent_is_one_that_is_away(
    local: LocalObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    known = KnownDevices(local, 5, lambda: now_s)
    device = Device("north", "CT1", ("10.1.0.0/16",))
    await write_device(local, device, DeviceState(), by="", now_us=1)
    assert await known.find("north", "CT1") == device

    async def silent(*_args: object) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    monkeypatch.setattr(devices_known, "folders_of", silent)
    monkeypatch.setattr(devices_known, "_PATIENCE_S", 0.01)
    now_s = 500.0
    # They wait for one listing together.
    found = await asyncio.gather(
        *(known.find("north", title) for title in ("CT1", "CT2", "CT1")), return_exceptions=True
    )
    assert (found[0], found[2]) == (device, device)
    assert isinstance(found[1], Unavailable)
    now_s = 601.0
    with pytest.raises(Unavailable):
        await known.find("north", "CT1")

"""Whom the gate lets in, as whom, and what it says to the others (PS3.8 Table 9-21)."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from pacs_cloud.dimse import standing
from pacs_cloud.dimse.associate import AssociateRequest, UserIdentity
from pacs_cloud.dimse.command import CommandField
from pacs_cloud.dimse.device_gate import DeviceGate, GateRules, UnknownPeers
from pacs_cloud.dimse.gate import Admission, Remote
from pacs_cloud.dimse.pdu import AssociationRejected
from pacs_cloud.dimse.places import Places
from pacs_cloud.dimse.tls import TlsPeer
from pacs_cloud.dimse.user_identity import SignedIn
from pacs_cloud.errors import Denied, PacsError, Unavailable
from pacs_cloud.identity.devices import (
    Device,
    DeviceService,
    UserPolicy,
    read_device,
    write_device,
)
from pacs_cloud.identity.devices_known import KnownDevices
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from patience import PATIENCE_S

HERE, THERE = Remote("127.0.0.1"), Remote("10.1.2.3")
DIGEST = "ab" * 32
PROVED = TlsPeer(DIGEST, frozenset({"ct1.example.org"}))
CALLED, CALLING, IDENTITY = (1, 1, 7), (1, 1, 3), (1, 2, 1)
TOO_MANY, CONGESTED = (2, 3, 2), (2, 3, 1)
EVERY_FIELD = {
    CommandField.C_ECHO,
    CommandField.C_STORE,
    CommandField.C_FIND,
    CommandField.C_GET,
    CommandField.C_MOVE,
}
MINUTE_US = 60_000_000
RULES = GateRules("north", {"PACS": "north", "SOUTH": "south"})
CT1 = Device(
    "north", "CT1", ("10.1.0.0/16",), frozenset({DeviceService.VERIFY, DeviceService.STORE})
)


class House:
    """A gate over a real store, whose clock stands still."""

    def __init__(self, objects: LocalObjectStore, folder: Path) -> None:
        self.objects = objects
        self.folder = folder
        self.now_us = 7 * MINUTE_US
        self.records: list[tuple[object, ...]] = []
        self.is_full = False
        self.users: dict[tuple[str, str, str], Caller] = {}

    def gate(self, rules: GateRules = RULES) -> DeviceGate:
        return DeviceGate(
            rules,
            KnownDevices(self.objects, 0),
            self.sign_in,
            Places(self.folder / "places"),
            lambda: self.now_us,
            self,
            again_s=0,
        )

    def saw(
        self,
        caller: Caller,
        kind: Kind,
        *,
        action: str = "",
        outcome: Outcome = Outcome.SUCCESS,
        details: tuple[tuple[str, str], ...] = (),
        **more: object,
    ) -> Awaitable[None] | None:
        """Be the witness of the gate: every second record takes a while."""
        assert not more
        self.records.append((kind, caller.tenant, caller.subject, outcome, dict(details)))
        return self.keep() if len(self.records) % 2 else None

    async def keep(self) -> None:
        await asyncio.sleep(0)
        if self.is_full:
            raise Unavailable("no room for records")

    async def sign_in(self, tenant: str, name: str, passcode: str, address: str) -> SignedIn:
        user = self.users.get((tenant, name, passcode))
        if user is None:
            raise Denied("no")

        async def still() -> bool:
            return self.users.get((tenant, name, passcode)) == user

        return SignedIn(replace(user, address=address), still)

    async def know(self, device: Device) -> None:
        before = await read_device(self.objects, device.tenant, device.title)
        await write_device(self.objects, device, before, by="", now_us=1)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with LocalObjectStore(tmp_path / "objects") as objects:
        yield House(objects, tmp_path)


def asks(
    calling: str = "CT1", called: str = "PACS", identity: UserIdentity | None = None
) -> AssociateRequest:
    return AssociateRequest(called, calling, (), 0, "1.2.3", identity=identity)


async def rejection_of(gate: DeviceGate, request: AssociateRequest, remote: Remote) -> object:
    with pytest.raises(AssociationRejected) as caught:
        await gate.admit(request, remote)
    said = caught.value.rejection
    return said.result, said.source, said.reason


# Who is not known


async def test_whoever_is_on_this_machine_comes_in_as_a_device(house: House) -> None:
    for remote in (HERE, Remote("::1"), Remote("::ffff:127.0.0.1"), Remote("127.8.8.8")):
        admitted = await house.gate().admit(asks("ANYBODY"), remote)
        assert admitted.caller == Caller(
            "north",
            "ae:ANYBODY",
            (
                Grant(
                    Role.DEVICE, None, Device("x", "x", services=frozenset(DeviceService)).actions
                ),
            ),
            remote.address,
        )
        assert admitted.requests == EVERY_FIELD
        assert not access.may(admitted.caller, Action.DELETE)
    for address in ("10.1.2.3", "128.0.0.1", "::2", "::ffff:10.0.0.1", ""):
        assert await rejection_of(house.gate(), asks("ANYBODY"), Remote(address)) == CALLING


async def test_nobody_unknown_comes_in_where_all_are_known(house: House) -> None:
    gate = house.gate(replace(RULES, unknown=UnknownPeers.REFUSE))
    assert await rejection_of(gate, asks("ANYBODY"), HERE) == CALLING


async def test_the_called_title_says_whose_data(house: House) -> None:
    gate = house.gate()
    assert (await gate.admit(asks(), HERE)).caller.tenant == "north"
    assert (await gate.admit(asks(called="SOUTH"), HERE)).caller.tenant == "south"
    for called in ("", "pacs", "NORTH"):
        assert await rejection_of(gate, asks(called=called), HERE) == CALLED


async def test_without_sign_in_everybody_here_is_administrator(house: House) -> None:
    await house.know(replace(CT1, is_disabled=True))
    gate = house.gate(replace(RULES, is_open=True))
    admitted = await gate.admit(asks(called="WHATEVER"), HERE)
    assert admitted.caller == Caller("north", "ae:CT1", (Grant(Role.ADMIN),), "127.0.0.1")
    assert admitted.requests == EVERY_FIELD
    assert (await gate.admit(asks(called="SOUTH"), HERE)).caller.tenant == "south"
    assert await rejection_of(gate, asks(called="WHATEVER"), THERE) == CALLED
    assert await rejection_of(gate, asks("ANYBODY"), THERE) == CALLING


@pytest.mark.parametrize("calling", ["", "A\\B", "A\nB", "É", "A\x7f", "X" * 17])
async def test_a_title_that_is_none(house: House, calling: str) -> None:
    for rules in (RULES, replace(RULES, is_open=True)):
        assert await rejection_of(house.gate(rules), asks(calling), HERE) == CALLING


# Who is known


async def test_a_device_comes_in_from_where_it_is(house: House) -> None:
    await house.know(CT1)
    admitted = await house.gate().admit(asks(), THERE)
    assert admitted.caller == Caller(
        "north", "ae:CT1", (Grant(Role.DEVICE, None, frozenset({Action.STORE})),), "10.1.2.3"
    )
    assert admitted.requests == {CommandField.C_ECHO, CommandField.C_STORE}
    assert admitted.identity_response is None
    # Elsewhere it is refused, also on this machine: its title is not free for all any more.
    for remote in (Remote("10.2.0.1"), HERE):
        assert await rejection_of(house.gate(), asks(), remote) == CALLING
    # Another tenant does not know it.
    assert await rejection_of(house.gate(), asks(called="SOUTH"), THERE) == CALLING


async def test_a_device_that_is_disabled_stays_out(house: House) -> None:
    await house.know(replace(CT1, is_disabled=True, addresses=("127.0.0.0/8",)))
    assert await rejection_of(house.gate(), asks(), HERE) == CALLING


@pytest.mark.parametrize(
    ("changes", "tls", "comes_in"),
    [
        ({"needs_tls": True}, None, False),
        ({"needs_tls": True}, TlsPeer(), True),
        ({"certificates": (DIGEST,)}, None, False),
        ({"certificates": (DIGEST,)}, TlsPeer(), False),
        ({"certificates": (DIGEST,)}, PROVED, True),
        ({"certificates": ("cd" * 32,)}, PROVED, False),
        ({"certificates": ("cd" * 32, DIGEST)}, PROVED, True),
        ({"names": ("ct1.example.org",)}, PROVED, True),
        ({"names": ("CT1.example.ORG",)}, PROVED, True),
        ({"names": ("mr1.example.org",)}, PROVED, False),
        ({"names": ("ct1.example.org",)}, TlsPeer(), False),
        ({}, PROVED, True),
    ],
)
async def test_what_tls_has_to_prove(
    house: House, changes: dict[str, object], tls: TlsPeer | None, comes_in: bool
) -> None:
    await house.know(replace(CT1, **changes))
    remote = Remote(THERE.address, tls)
    if comes_in:
        assert (await house.gate().admit(asks(), remote)).caller is not None
    else:
        assert await rejection_of(house.gate(), asks(), remote) == CALLING


async def test_a_refusal_tells_the_log_why_and_nothing_more(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    await house.know(replace(CT1, certificates=(DIGEST,)))
    identity = UserIdentity(2, True, b"anna", b"hunter2")
    with caplog.at_level(logging.INFO):
        await rejection_of(house.gate(), asks(identity=identity), THERE)
    (said,) = caplog.records
    assert said.getMessage() == "association_refused"
    fields = said.__dict__
    assert (fields["why"], fields["calling"], fields["address"]) == ("tls", "CT1", "10.1.2.3")
    assert "hunter2" not in str(fields)
    assert "anna" not in str(fields)


async def test_each_service_is_asked_for_by_itself(house: House) -> None:
    for service, field in (
        (DeviceService.VERIFY, CommandField.C_ECHO),
        (DeviceService.STORE, CommandField.C_STORE),
        (DeviceService.FIND, CommandField.C_FIND),
        (DeviceService.GET, CommandField.C_GET),
        (DeviceService.MOVE, CommandField.C_MOVE),
    ):
        title = service.name
        await house.know(replace(CT1, title=title, services=frozenset({service})))
        admitted = await house.gate().admit(asks(title), THERE)
        assert admitted.requests == {field}


# Users


def signed(kind: int = 2, passcode: bytes = b"right", *, asked: bool = True) -> UserIdentity:
    return UserIdentity(kind, asked, b"anna", passcode)


async def test_a_user_at_a_device_may_what_both_may(house: House) -> None:
    rule = StudyRule(modalities=frozenset({"CT"}))
    house.users["north", "anna", "right"] = Caller(
        "north",
        "user:anna",
        (
            Grant(Role.TECHNOLOGIST),
            Grant(Role.REFERRER, (rule,), frozenset({Action.SEARCH})),
        ),
    )
    services = frozenset({DeviceService.STORE, DeviceService.FIND})
    await house.know(replace(CT1, services=services))
    admitted = await house.gate().admit(asks(identity=signed()), THERE)
    assert admitted.caller == Caller(
        "north",
        "user:anna",
        (
            Grant(Role.TECHNOLOGIST, None, frozenset({Action.STORE, Action.SEARCH})),
            Grant(Role.REFERRER, (rule,), frozenset({Action.SEARCH})),
        ),
        "10.1.2.3",
    )
    assert admitted.identity_response == b""
    assert admitted.requests == {CommandField.C_STORE, CommandField.C_FIND}
    assert not access.may(admitted.caller, Action.DELETE)
    house.users["north", "anna", "right"] = Caller("north", "user:anna", (Grant(Role.AUDITOR),))
    assert (await house.gate().admit(asks(identity=signed()), THERE)).requests == set()


@pytest.mark.parametrize(
    ("policy", "identity", "comes_in"),
    [
        (UserPolicy.IGNORE, None, True),
        (UserPolicy.IGNORE, signed(passcode=b"wrong"), True),
        (UserPolicy.IGNORE, signed(5), True),
        (UserPolicy.CHECK, None, True),
        (UserPolicy.CHECK, signed(1, b""), True),
        (UserPolicy.CHECK, signed(), True),
        (UserPolicy.CHECK, signed(passcode=b"wrong"), False),
        (UserPolicy.CHECK, signed(passcode=b"\xff"), False),
        (UserPolicy.CHECK, signed(passcode=b"x" * 1025), False),
        (UserPolicy.CHECK, signed(3, b""), False),
        (UserPolicy.CHECK, signed(4, b""), False),
        (UserPolicy.CHECK, signed(5, b""), False),
        (UserPolicy.CHECK, signed(9, b""), False),
        (UserPolicy.REQUIRE, None, False),
        (UserPolicy.REQUIRE, signed(1, b""), False),
        (UserPolicy.REQUIRE, signed(), True),
        (UserPolicy.REQUIRE, signed(passcode=b"wrong"), False),
        (UserPolicy.REQUIRE, signed(5, b""), False),
    ],
)
async def test_what_is_made_of_a_users_identity(
    house: House, policy: UserPolicy, identity: UserIdentity | None, comes_in: bool
) -> None:
    house.users["north", "anna", "right"] = Caller(
        "north", "user:anna", (Grant(Role.TECHNOLOGIST),)
    )
    await house.know(replace(CT1, user=policy))
    request = asks(identity=identity)
    if not comes_in:
        assert await rejection_of(house.gate(), request, THERE) == IDENTITY
        return
    admitted = await house.gate().admit(request, THERE)
    is_user = policy is not UserPolicy.IGNORE and identity == signed()
    assert admitted.caller is not None
    assert admitted.caller.subject == ("user:anna" if is_user else "ae:CT1")


# How many


async def test_places_are_given_back(house: House) -> None:
    await house.know(replace(CT1, most_associations=2))
    gate, other = house.gate(), house.gate()
    first = await gate.admit(asks(), THERE)
    second = await other.admit(asks(), THERE)
    assert await rejection_of(gate, asks(), THERE) == TOO_MANY
    # Nobody else's are counted among them.
    await gate.admit(asks("ANYBODY"), HERE)
    left(first)
    third = await gate.admit(asks(), THERE)
    assert await rejection_of(other, asks(), THERE) == TOO_MANY
    left(second)
    left(third)


def left(admission: Admission) -> None:
    assert admission.leave is not None
    admission.leave()


async def test_a_user_who_is_refused_takes_no_place(house: House) -> None:
    await house.know(replace(CT1, most_associations=1))
    gate = house.gate()
    assert await rejection_of(gate, asks(identity=signed()), THERE) == IDENTITY
    await gate.admit(asks(), THERE)


async def test_a_minute_has_room_for_so_many(house: House) -> None:
    await house.know(replace(CT1, most_per_minute=2))
    gate, other = house.gate(), house.gate()
    await gate.admit(asks(), THERE)
    await other.admit(asks(), THERE)
    assert await rejection_of(gate, asks(), THERE) == CONGESTED
    house.now_us += MINUTE_US
    await gate.admit(asks(), THERE)
    # A passcode that is wrong is a try, too.
    assert await rejection_of(gate, asks(identity=signed()), THERE) == IDENTITY
    assert await rejection_of(gate, asks(identity=signed()), THERE) == CONGESTED


async def test_a_process_that_dies_gives_its_places_back(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, time\n"
        "from pacs_cloud.dimse.places import Places\n"
        "print(Places(pathlib.Path(sys.argv[1])).take('north/CT1', 1) is not None, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "True\n"
        places = Places(tmp_path)
        assert places.take("north/CT1", 1) is None
        assert places.take("north/CT2", 1) is not None
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()
    leave = places.take("north/CT1", 1)
    assert leave is not None
    leave()
    leave()


# On record


async def test_who_signs_in_and_who_is_refused_is_on_record(house: House) -> None:
    user = Caller("north", "user:anna", (Grant(Role.TECHNOLOGIST),))
    house.users["north", "anna", "right"] = user
    await house.know(CT1)
    gate = house.gate()
    await gate.admit(asks(), THERE)
    assert house.records == []
    await gate.admit(asks(identity=signed()), THERE)
    await rejection_of(gate, asks(identity=signed(passcode=b"wrong")), THERE)
    await rejection_of(gate, asks(identity=UserIdentity(5, True, b"secret")), THERE)
    await rejection_of(gate, asks(), HERE)
    await rejection_of(gate, asks(called="OTHER"), THERE)
    await rejection_of(gate, asks("CT2", "SOUTH"), THERE)
    login, refusal, minor = Kind.LOGIN, Kind.REFUSAL, Outcome.MINOR
    assert house.records == [
        (login, "north", "user:anna", Outcome.SUCCESS, {"device": "CT1"}),
        (login, "north", "user:anna", minor, {"why": "user-not-signed-in", "device": "CT1"}),
        (login, "north", "user:", minor, {"why": "user-jwt-not-supported", "device": "CT1"}),
        (refusal, "north", "ae:CT1", minor, {"why": "address", "called": "PACS"}),
        (refusal, "north", "ae:CT1", minor, {"why": "called-title", "called": "OTHER"}),
        (refusal, "south", "ae:CT2", minor, {"why": "unknown", "called": "SOUTH"}),
    ]


async def test_what_cannot_be_recorded_does_not_happen(house: House) -> None:
    user = Caller("north", "user:anna", (Grant(Role.TECHNOLOGIST),))
    house.users["north", "anna", "right"] = user
    await house.know(replace(CT1, most_associations=1))
    house.is_full = True
    for request in (asks(identity=signed()), asks("CT2")):
        house.records.clear()
        assert await rejection_of(house.gate(), request, THERE) == CONGESTED
    # Nor is its place taken.
    await house.gate().admit(asks(), THERE)


# What cannot be read


async def test_what_cannot_be_read_lets_nobody_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.objects.put_new("devices/north/BAD/0000000000000001.json", b"{}")
    assert await rejection_of(house.gate(), asks("BAD"), HERE) == CONGESTED
    await house.know(replace(CT1, most_associations=1))
    await house.know(replace(CT1, title="CT2", most_per_minute=1))
    (house.folder / "places").write_text("no folder")
    assert await rejection_of(house.gate(), asks(), THERE) == CONGESTED
    assert await rejection_of(house.gate(), asks("CT2"), THERE) == CONGESTED

    async def away(tenant: str, title: str) -> Device | None:
        raise Unavailable("not now")

    gate = house.gate()
    monkeypatch.setattr(gate._devices, "find", away)
    assert await rejection_of(gate, asks("ANYBODY"), HERE) == CONGESTED


# Who was let in, and what is said of them changes


async def test_a_device_that_is_disabled_may_not_go_on(house: House) -> None:
    await house.know(CT1)
    admitted = await house.gate().admit(asks(), Remote("10.1.2.3"))
    await admitted.still()
    await house.know(replace(CT1, is_disabled=True))
    house.records.clear()
    with pytest.raises(Denied):
        await admitted.still()
    assert house.records == [
        (Kind.REFUSAL, "north", "ae:CT1", Outcome.MINOR, {"why": "changed", "called": "PACS"})
    ]


async def test_somebody_unknown_may_not_go_on_once_they_are_described(house: House) -> None:
    admitted = await house.gate().admit(asks(), HERE)
    await admitted.still()
    await house.know(CT1)
    with pytest.raises(Denied):
        await admitted.still()


async def test_a_user_who_is_another_now_may_not_go_on(house: House) -> None:
    await house.know(replace(CT1, user=UserPolicy.REQUIRE))
    anna = Caller("north", "user:anna", (Grant(Role.RADIOLOGIST),))
    house.users["north", "anna", "secret"] = anna
    identity = UserIdentity(2, False, b"anna", b"secret")
    admitted = await house.gate().admit(asks(identity=identity), Remote("10.1.2.3"))
    await admitted.still()
    house.users["north", "anna", "secret"] = replace(anna, grants=(Grant(Role.REFERRER),))
    with pytest.raises(Denied):
        await admitted.still()


@pytest.mark.parametrize("error", [Unavailable("nobody answers"), Denied("not for us")])
async def test_who_was_let_in_goes_on_while_nothing_can_be_read(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: PacsError,
) -> None:
    await house.know(CT1)
    admitted = await house.gate().admit(asks(), Remote("10.1.2.3"))

    async def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(KnownDevices, "find", away)
    await admitted.still()
    assert "device_not_read" in caplog.messages


async def test_a_store_that_hangs_holds_up_one_request_and_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.know(CT1)
    admitted = await house.gate().admit(asks(), Remote("10.1.2.3"))
    looks = 0
    answers = asyncio.Event()

    async def hangs(*_: object) -> Device:
        nonlocal looks
        looks += 1
        await answers.wait()
        return replace(CT1, is_disabled=True)

    monkeypatch.setattr(KnownDevices, "find", hangs)
    monkeypatch.setattr(standing, "_WAIT_S", 0.01)
    for _ in range(100):
        await admitted.still()
    assert looks == 1
    answers.set()
    await asyncio.sleep(0)
    with pytest.raises(Denied):
        for _ in range(10):
            await asyncio.sleep(0)
            await admitted.still()


async def test_between_two_looks_the_store_is_left_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.know(CT1)
    gate = DeviceGate(
        RULES, KnownDevices(house.objects, 0), None, Places(house.folder / "places"), lambda: 1
    )
    admitted = await gate.admit(asks(), Remote("10.1.2.3"))

    async def asked(*_: object) -> None:
        raise AssertionError("nobody had to ask")

    monkeypatch.setattr(KnownDevices, "find", asked)
    await admitted.still()

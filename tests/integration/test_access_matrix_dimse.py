"""Every DIMSE service by every kind of caller: nobody gets what access does not give them.

A service that is offered and not listed here fails the test: whoever adds one says what it takes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from struct import Struct
from typing import Any

from dimse_archive import identifier_of
from dimse_wire import (
    CT,
    Store,
    Wire,
    associate_rq,
    command_pdu,
    data_pdu,
    echo_rq,
    repertoire,
    serving,
    wire_to,
)
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pynetdicom.dsutils import encode

from integration.test_access_matrix import CALLERS, INSTANCE, SECRETS, SERIES, STUDY, _may
from pacs_cloud.bootstrap.dimse_doors import known_devices
from pacs_cloud.bootstrap.dimse_role import _repertoire
from pacs_cloud.bootstrap.services import (
    Reading,
    Stores,
    open_intake,
    open_reading,
    open_stores,
)
from pacs_cloud.dimse.associate import AssociateRequest, Roles, UserIdentity
from pacs_cloud.dimse.associate_codec import decode_accept
from pacs_cloud.dimse.command import (
    NO_DATA_SET,
    RESPONSE,
    Command,
    CommandField,
    Element,
    decode_command,
)
from pacs_cloud.dimse.device_gate import DeviceGate, GateRules, UnknownPeers
from pacs_cloud.dimse.gate import Admission, Remote
from pacs_cloud.dimse.negotiation import Repertoire
from pacs_cloud.dimse.places import Places
from pacs_cloud.dimse.server import Server
from pacs_cloud.dimse.storage_classes import STORAGE_CLASSES
from pacs_cloud.dimse.user_identity import SignedIn, narrowed
from pacs_cloud.dimse.verification import VERIFICATION
from pacs_cloud.errors import Denied, NotFound
from pacs_cloud.identity.devices import (
    Device,
    DeviceService,
    DeviceState,
    UserPolicy,
    write_device,
)
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.security.witness import NOBODY, Witness
from pacs_cloud.settings import Destination, Settings
from patience import PATIENCE_S

BROUGHT = "1.2.826.0.1.78"
"""The study of what callers store."""
PRIVATE = "1.2.826.0.1.79"
"""A SOP class outside of DICOM's root."""
FOREIGN = ("FOREIGN^NAME", "FOREIGN-ID", "FOREIGN DESCRIPTION")
FOREIGN_STUDY = "1.2.826.0.2.77"
"""Of another tenant: nobody of ours may see it, whatever they are."""
DEST = "DEST"
_STORAGE, _FIND, _GET, _MOVE = (
    CommandField.C_STORE,
    CommandField.C_FIND,
    CommandField.C_GET,
    CommandField.C_MOVE,
)
NOT_AUTHORISED, SUCCESS, UNRECOGNISED = 0x0124, 0x0000, 0x0211
_QUERY: Mapping[int, tuple[CommandField, frozenset[Action]]] = {
    1: (_FIND, frozenset({Action.SEARCH})),
    2: (_MOVE, frozenset({Action.SEARCH, Action.SEND})),
    3: (_GET, frozenset({Action.SEARCH, Action.DOWNLOAD})),
}
_LEVELS: Mapping[int, tuple[str, ...]] = {
    1: ("PATIENT", "STUDY", "SERIES", "IMAGE"),
    2: ("STUDY", "SERIES", "IMAGE"),
    3: ("PATIENT", "STUDY"),
}
_UNIQUE: Mapping[str, str] = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
WANTED: Mapping[tuple[str, CommandField], frozenset[Action]] = {
    (VERIFICATION, CommandField.C_ECHO): frozenset(),
    **{(uid, _STORAGE): frozenset({Action.STORE}) for uid in STORAGE_CLASSES},
    **{
        (f"1.2.840.10008.5.1.4.1.2.{model}.{kind}", command): actions
        for model in _LEVELS
        for kind, (command, actions) in _QUERY.items()
    },
}
"""Every service, by SOP class and command, and what whoever asks for it must be allowed."""

CONTEXTS = (VERIFICATION, CT, PRIVATE, *(uid for uid, asks in WANTED if asks != _STORAGE))[:13]
KNOWN = {"PatientID": SECRETS[1], "StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}
KNOWN["SOPInstanceUID"] = INSTANCE


@dataclass(frozen=True)
class Ask:
    """One request: in which context, what, with which data set, and what it takes."""

    context: str
    command: CommandField
    actions: frozenset[Action]
    identifier: Dataset | None = None
    named: str = ""

    @property
    def case(self) -> str:
        level = self.identifier.get("QueryRetrieveLevel", "") if self.identifier else ""
        return f"{self.command.name} {self.context} {level}"


@dataclass
class Answer:
    """All that came for a request: its last command set, and every byte on the way."""

    last: Command
    said: bytearray
    stored: int = 0
    matches: int = 0


def asks(number: int) -> Iterable[Ask]:
    """Return every request that there is; `number` makes what is stored a new instance."""
    yield Ask(VERIFICATION, CommandField.C_ECHO, frozenset())
    for model, levels in _LEVELS.items():
        for kind, (command, actions) in _QUERY.items():
            for level in levels:
                above = levels[: levels.index(level) + 1]
                keys = {_UNIQUE[one]: KNOWN[_UNIQUE[one]] for one in above}
                if command is _FIND:
                    # Whoever searches names what is above, and asks for all that is below.
                    keys |= {_UNIQUE[level]: "", "PatientName": "", "StudyDescription": ""}
                context = f"1.2.840.10008.5.1.4.1.2.{model}.{kind}"
                yield Ask(context, command, actions, identifier_of(level, **keys))
    # Last: what somebody brings is theirs to see once the association is over.
    for place, sop_class in enumerate((CT, PRIVATE)):
        uid = f"{BROUGHT}.{number}.{place + 1}"
        yield Ask(sop_class, _STORAGE, frozenset({Action.STORE}), brought(sop_class, uid), uid)


def brought(sop_class: str, sop_instance_uid: str) -> Dataset:
    dataset = identifier_of("", StudyInstanceUID=BROUGHT, SeriesInstanceUID=f"{BROUGHT}.1")
    del dataset.QueryRetrieveLevel
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, sop_instance_uid
    dataset.PatientID, dataset.Modality = "BROUGHT", "CT"
    return dataset


class Peer:
    """An application entity that keeps every byte it is told."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.accepted: set[str] = set()
        self._message_id = 0

    async def associate(self, title: str, called: str = "PACS", **more: Any) -> int:
        """Return the answer's PDU type; all that is offered has been asked for."""
        roles = (Roles(CT, True, True),)
        titles = {"calling_ae_title": title, "called_ae_title": called}
        await self.wire.send(associate_rq(*CONTEXTS, roles=roles, **titles, **more))
        kind, body = await self.wire.pdu()
        if kind == 2:
            self.accepted = {
                CONTEXTS[one.context_id // 2]
                for one in decode_accept(body).contexts
                if one.result == 0
            }
        tells_nothing(body)
        return kind

    async def ask(self, ask: Ask) -> Answer:
        self._message_id += 1
        context_id = 2 * CONTEXTS.index(ask.context) + 1
        elements: dict[int, Any] = {
            Element.AFFECTED_SOP_CLASS_UID: ask.context,
            Element.COMMAND_FIELD: ask.command,
            Element.MESSAGE_ID: self._message_id,
            Element.PRIORITY: 0,
            Element.DATA_SET_TYPE: 1 if ask.identifier else NO_DATA_SET,
        }
        if ask.command is _MOVE:
            elements[Element.MOVE_DESTINATION] = DEST
        if ask.named:
            elements[Element.AFFECTED_SOP_INSTANCE_UID] = ask.named
        await self.wire.send(command_pdu(elements, context_id))
        if ask.identifier:
            data = encode(ask.identifier, is_implicit_vr=True, is_little_endian=True)
            assert data is not None
            await self.wire.send(data_pdu(data, context_id))
        return await self._answer(ask)

    async def _answer(self, ask: Ask) -> Answer:
        answer = Answer(Command({}), bytearray())
        command = bytearray()
        storing: tuple[int, Command] | None = None
        while True:
            kind, body = await self.wire.pdu()
            assert kind == 4, (ask.case, kind)
            answer.said += body
            for context_id, control, fragment in _fragments(body):
                if control & 1:
                    command += fragment
                    if not control & 2:
                        continue
                    said, command = decode_command(bytes(command)), bytearray()
                    if said.field == _STORAGE:
                        storing = context_id, said
                        continue
                    assert said.field == ask.command | RESPONSE, ask.case
                    assert said.responded_to == self._message_id
                    answer.last = said
                    if not said.is_pending and not said.has_data_set:
                        return answer
                elif storing is None:
                    if answer.last.is_pending:
                        answer.matches += bool(control & 2) and ask.command is _FIND
                    elif control & 2:
                        return answer
                elif control & 2:
                    answer.stored += 1
                    await self._stored(*storing)
                    storing = None

    async def _stored(self, context_id: int, said: Command) -> None:
        elements: dict[int, Any] = {
            Element.AFFECTED_SOP_CLASS_UID: said.affected_sop_class_uid,
            Element.COMMAND_FIELD: _STORAGE | RESPONSE,
            Element.RESPONDED_TO: said.message_id,
            Element.DATA_SET_TYPE: NO_DATA_SET,
            Element.STATUS: SUCCESS,
            Element.AFFECTED_SOP_INSTANCE_UID: said.text(Element.AFFECTED_SOP_INSTANCE_UID),
        }
        await self.wire.send(command_pdu(elements, context_id))


_PDV = Struct(">IBB")


def _fragments(body: bytes) -> Iterable[tuple[int, int, bytes]]:
    at = 0
    while at < len(body):
        length, context_id, control = _PDV.unpack_from(body, at)
        yield context_id, control, body[at + 6 : at + 4 + length]
        at += 4 + length


def tells_nothing(said: bytes | bytearray, but: Iterable[str] = ()) -> None:
    """Check that no byte of what was planted came; `but` what is not looked for."""
    planted = {*SECRETS, *FOREIGN, STUDY, FOREIGN_STUDY, "SECRET", "FOREIGN"} - set(but)
    assert [one for one in planted if one.encode() in said] == []


@dataclass
class House:
    """An archive of two tenants, its services, and where it may send."""

    settings: Settings
    stores: Stores
    intake: Intake
    reading: Reading
    repertoire: Repertoire
    sent: Store
    expected: set[str] = field(default_factory=set)
    refusals: frozenset[int] = frozenset({NOT_AUTHORISED})

    async def walk(self, peer: Peer, caller: Caller | None, number: int, who: str) -> None:
        """Ask for everything over an association, and judge each answer."""
        for ask in asks(number):
            sent = len(self.sent.sinks)
            if ask.context in peer.accepted:
                self.judge(caller, ask, await peer.ask(ask), sent, f"{who} {ask.case}")
            else:
                # The gate leaves out what could only be refused, nothing else.
                assert caller is None or not _is_allowed(caller, ask), f"{who} {ask.case}"

    def judge(
        self, caller: Caller | None, ask: Ask, answer: Answer, sent_before: int, case: str
    ) -> None:
        status, sent = answer.last.status, len(self.sent.sinks) - sent_before
        if not ask.actions:
            assert status == SUCCESS, case
        elif caller is None or not _is_allowed(caller, ask):
            assert status in self.refusals, (case, hex(status))
            assert not answer.last.has_data_set, case
        elif ask.command is _STORAGE:
            assert status == SUCCESS, (case, hex(status))
            self.expected.add(ask.named)
        elif all(_may(caller, action) for action in ask.actions):
            assert status == SUCCESS, (case, hex(status))
            found = {_FIND: answer.matches, _GET: answer.stored, _MOVE: sent}[ask.command]
            assert found >= 1, case
            tells_nothing(answer.said, {*SECRETS, STUDY, "SECRET"})
            return
        else:
            assert status == SUCCESS, (case, hex(status))
            assert not answer.last.has_data_set, case
        assert (answer.matches, answer.stored, sent) == (0, 0, 0), case
        tells_nothing(answer.said)

    async def kept(self) -> set[str]:
        """Return the instances that callers have brought, whichever tenant's."""
        found: set[str] = set()
        for tenant in ("default", "other"):
            with suppress(NotFound):
                there = await self.reading.archive.instances.locate(system(tenant), BROUGHT)
                found |= {one.instance.sop_instance_uid for one in there}
        return found

    async def all_is_kept(self) -> None:
        """Wait until all that was taken is there, and check that nothing else is."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := await self.kept()) >= self.expected:
                await asyncio.sleep(0.02)
        assert found == self.expected


def _is_allowed(caller: Caller, ask: Ask) -> bool:
    """Say, in words of this test's own, whether a service is for somebody at all."""
    if not all(access.may(caller, action) for action in ask.actions):
        return False
    # Over DIMSE nobody names the study to which they bring something.
    return ask.command is not _STORAGE or not access.is_bounded(caller, Action.STORE)


def planted(study: str, secrets: tuple[str, ...], series: int = 1) -> bytes:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID, dataset.StudyDescription = secrets
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{series}"
    dataset.SeriesDescription = f"SERIES-{series}"
    dataset.SOPInstanceUID = f"{study}.{series}.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


async def keep(intake: Intake, tenant: str, *files: bytes) -> None:
    session = intake.session(system(tenant), Source(Door.IMPORT))
    for data in files:
        reception = session.begin_file()
        reception.write(data)
        await reception.finish()
    await session.commit()


@asynccontextmanager
async def opened(folder: Path, witness: Witness = NOBODY) -> AsyncIterator[House]:
    sent = Store()
    async with serving(repertoire(sent)) as destination:
        host, port = destination.address
        settings = Settings(
            data=folder,
            destinations=(Destination(aet=DEST, host=host, port=port),),
            private_sop_classes=True,
            no_auth=False,
        )
        async with (
            open_stores(settings, create=True) as stores,
            open_intake(settings, stores) as intake,
            open_reading(settings, stores, witness) as reading,
        ):
            await keep(intake, "default", planted(STUDY, SECRETS))
            await keep(intake, "south", planted(FOREIGN_STUDY, FOREIGN))
            devices = known_devices(settings, stores)
            offered = _repertoire(settings, stores, devices, intake, reading, witness)
            yield House(settings, stores, intake, reading, offered, sent)


def test_every_service_is_listed() -> None:
    class Nothing:
        def __getattr__(self, name: str) -> "Nothing":
            return self

    settings, nothing = Settings(private_sop_classes=True), Nothing()
    offered = _repertoire(settings, nothing, nothing, nothing, nothing, NOBODY)
    there = {(uid, one) for uid, offer in offered.offers.items() for one in offer.services}
    assert there == set(WANTED)
    # One service stands for all storage classes: asking for two of them asks for every one.
    storage = {id(offered.offers[uid]) for uid in STORAGE_CLASSES} | {id(offered.private)}
    assert len(storage) == 1


async def test_nobody_is_served_more_than_access_gives_them(tmp_path: Path) -> None:
    """The services refuse by themselves, whatever a gate lets through."""
    who = list(CALLERS)

    class Gate:
        async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
            return Admission(CALLERS[who[int(request.calling_ae_title)]])

    async with opened(tmp_path) as house, serving(house.repertoire, gate=Gate()) as server:
        for number, name in enumerate(who):
            async with wire_to(server) as wire:
                peer = Peer(wire)
                assert await peer.associate(f"{number}") == 2
                assert peer.accepted == set(CONTEXTS)
                await house.walk(peer, CALLERS[name], number, name)
        await house.all_is_kept()


async def test_no_command_does_anything_in_a_context_that_is_not_for_it(tmp_path: Path) -> None:
    who: dict[str, Caller | None] = {"nobody": None, "admin": CALLERS["admin"]}

    class Gate:
        async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
            return Admission(who[request.calling_ae_title])

    async with opened(tmp_path) as house, serving(house.repertoire, gate=Gate()) as server:
        for name in who:
            for context in CONTEXTS:
                async with wire_to(server) as wire:
                    peer = Peer(wire)
                    await peer.associate(name)
                    for command in set(CommandField) - {CommandField.C_CANCEL}:
                        if (context, command) in WANTED or (context, command) == (
                            PRIVATE,
                            _STORAGE,
                        ):
                            continue
                        ask = Ask(context, command, frozenset(), identifier_of("STUDY"), "1.2.3")
                        answer = await peer.ask(ask)
                        assert answer.last.status == UNRECOGNISED, (name, ask.case)
                        tells_nothing(answer.said)


ONE_SERIES = Caller(
    "default",
    "user:x",
    (
        Grant(
            Role.RADIOLOGIST,
            (StudyRule(studies=frozenset({STUDY}), series=frozenset({f"{STUDY}.2"})),),
        ),
    ),
)


async def test_of_a_study_nobody_gets_series_that_no_rule_names(tmp_path: Path) -> None:
    class Gate:
        async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
            return Admission(ONE_SERIES)

    async with opened(tmp_path) as house, serving(house.repertoire, gate=Gate()) as server:
        await keep(house.intake, "default", planted(STUDY, SECRETS, series=2))
        async with wire_to(server) as wire:
            peer = Peer(wire)
            await peer.associate("X")
            for ask in asks(0):
                if ask.command in {_FIND, _GET, _MOVE}:
                    ask.identifier.SeriesDescription = ""
                    before = len(house.sent.sinks)
                    answer = await peer.ask(ask)
                    came = bytes(answer.said) + b"".join(
                        bytes(sink.data) for sink in house.sent.sinks[before:]
                    )
                    is_wide = ask.identifier.QueryRetrieveLevel in {"PATIENT", "STUDY"}
                    assert (STUDY.encode() in came) == is_wide or ask.command is _FIND, ask.case
                    assert b"SERIES-1" not in came, ask.case
                    assert INSTANCE.encode() not in came, ask.case


async def test_every_refusal_is_on_record(tmp_path: Path) -> None:
    refused: list[tuple[str, str]] = []

    class Clerk:
        def saw(self, caller: Caller, kind: Kind, *, action: str = "", **more: object) -> None:
            if kind is Kind.REFUSAL:
                refused.append((caller.subject, action))

    class Gate:
        async def admit(self, request: AssociateRequest, remote: Remote, /) -> Admission:
            return Admission(Caller("default", "user:aud", (Grant(Role.AUDITOR),)))

    async with (
        opened(tmp_path, Clerk()) as house,
        serving(house.repertoire, gate=Gate()) as server,
        wire_to(server) as wire,
    ):
        peer = Peer(wire)
        await peer.associate("X")
        for ask in asks(0):
            refused.clear()
            answer = await peer.ask(ask)
            is_refused = answer.last.status == NOT_AUTHORISED
            assert is_refused == bool(ask.actions), ask.case
            assert [one for one, _ in refused] == ["user:aud"] * is_refused, ask.case


# Through the gate that knows devices


def device(title: str, **more: Any) -> Device:
    more = {"services": frozenset(DeviceService), "user": UserPolicy.CHECK, **more}
    return Device("default", title, ("127.0.0.0/8",), **more)


def identity(name: str, passcode: str = "right", kind: int = 2) -> UserIdentity:
    return UserIdentity(kind, False, name.encode(), passcode.encode())


CALLING, CALLED, USER = (1, 1, 3), (1, 1, 7), (1, 2, 1)
REFUSED: Mapping[str, tuple[tuple[int, int, int], str, str, UserIdentity | None]] = {
    "unknown": (CALLING, "STRANGER", "PACS", None),
    "unknown, with a user's name": (CALLING, "STRANGER", "PACS", identity("admin")),
    "of another tenant": (CALLING, "SOUTHERN", "PACS", None),
    "at another tenant's title": (CALLING, "CT1", "SOUTH", None),
    "at no title of ours": (CALLED, "CT1", "NORTH", None),
    "disabled": (CALLING, "OUT", "PACS", None),
    "disabled, with a user's name": (CALLING, "OUT", "PACS", identity("admin")),
    "elsewhere": (CALLING, "FAR", "PACS", None),
    "without its TLS": (CALLING, "OVERTLS", "PACS", None),
    "without its certificate": (CALLING, "PROVED", "PACS", None),
    "a wrong passcode": (USER, "CT1", "PACS", identity("admin", "wrong")),
    "no passcode": (USER, "CT1", "PACS", identity("admin", "")),
    "an unknown user": (USER, "CT1", "PACS", identity("stranger")),
    "a ticket": (USER, "CT1", "PACS", identity("admin", "", 3)),
    "a token": (USER, "CT1", "PACS", identity("admin", "", 5)),
    "no user where one is needed": (USER, "USERS", "PACS", None),
    "a name alone where a user is needed": (USER, "USERS", "PACS", identity("admin", "", 1)),
}


@asynccontextmanager
async def gated(house: House) -> AsyncIterator[Server]:
    """Serve behind the gate of an archive that knows devices, and the callers as users."""
    for one in (
        device("CT1"),
        device("PLAIN", user=UserPolicy.IGNORE),
        device("USERS", user=UserPolicy.REQUIRE),
        device("OUT", is_disabled=True),
        replace(device("FAR"), addresses=("10.0.0.0/8",)),
        device("OVERTLS", needs_tls=True),
        device("PROVED", certificates=("ab" * 32,)),
        replace(device("SOUTHERN"), tenant="south"),
        replace(device("EMPTY"), tenant="other"),
        *(device(one.name, services=frozenset({one})) for one in DeviceService),
    ):
        await write_device(house.stores.objects, one, DeviceState(), by="the test", now_us=1)

    async def stays() -> bool:
        return True

    async def sign_in(tenant: str, name: str, passcode: str, address: str) -> SignedIn:
        user = CALLERS.get(name)
        if user is None or tenant != user.tenant or passcode != "right":
            raise Denied("no")
        return SignedIn(user, stays)

    rules = GateRules(
        "default",
        {"PACS": "default", "SOUTH": "south", "OTHER": "other"},
        UnknownPeers.REFUSE,
    )
    devices = known_devices(house.settings, house.stores)
    places = Places(house.settings.data / "places")
    gate = DeviceGate(rules, devices, sign_in, places, lambda: 1)
    async with serving(house.repertoire, gate=gate) as server:
        yield server


async def test_whoever_is_not_let_in_is_told_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as house, gated(house) as server:
        for case, (why, title, called, user) in REFUSED.items():
            async with wire_to(server) as wire:
                await wire.send(
                    associate_rq(
                        *CONTEXTS, calling_ae_title=title, called_ae_title=called, identity=user
                    )
                )
                kind, body = await wire.pdu()
                assert (kind, tuple(body[1:])) == (3, why), case
                # Whatever is sent then: the association never was.
                with suppress(ConnectionError):
                    await wire.send(echo_rq())
                    wire.writer.write_eof()
                assert (await wire.pdu())[0] in {0, 7}, case
        assert house.sent.sinks == []


async def test_devices_and_users_at_them_get_what_both_may(tmp_path: Path) -> None:
    everything = frozenset(DeviceService)
    as_device = Grant(Role.DEVICE, None, device("X", services=everything).actions)
    let_in: dict[str, tuple[str, str, UserIdentity | None, Caller]] = {
        f"user {name}": ("CT1", "PACS", identity(name), narrowed(caller, device("X").actions))
        for name, caller in CALLERS.items()
        if caller is not None and caller.tenant == "default"
    }
    let_in["a device"] = ("PLAIN", "PACS", None, Caller("default", "ae:PLAIN", (as_device,)))
    let_in["whose user is not looked at"] = (
        "PLAIN",
        "PACS",
        identity("admin", "wrong"),
        let_in["a device"][3],
    )
    let_in["of another tenant"] = (
        "EMPTY",
        "OTHER",
        None,
        Caller("other", "ae:EMPTY", (as_device,)),
    )
    async with opened(tmp_path) as house, gated(house) as server:
        # Of storage the gate leaves the other direction to whoever may retrieve.
        house.refusals = frozenset({NOT_AUTHORISED, UNRECOGNISED})
        for number, (who, (title, called, user, caller)) in enumerate(let_in.items()):
            async with wire_to(server) as wire:
                peer = Peer(wire)
                assert await peer.associate(title, called, identity=user) == 2, who
                await house.walk(peer, caller, number, who)
        await house.all_is_kept()


async def test_devices_get_the_services_that_they_are_for(tmp_path: Path) -> None:
    own = {
        DeviceService.VERIFY: CommandField.C_ECHO,
        DeviceService.STORE: _STORAGE,
        DeviceService.FIND: _FIND,
        DeviceService.GET: _GET,
        DeviceService.MOVE: _MOVE,
    }
    assert set(own) == set(DeviceService)
    async with opened(tmp_path) as house, gated(house) as server:
        for number, (service, command) in enumerate(own.items()):
            async with wire_to(server) as wire:
                peer = Peer(wire)
                assert await peer.associate(service.name) == 2
                for ask in asks(number):
                    case = f"for {service}: {ask.case}"
                    if ask.context not in peer.accepted:
                        assert ask.command is not command, case
                        continue
                    answer = await peer.ask(ask)
                    served = SUCCESS if ask.command is command else UNRECOGNISED
                    assert answer.last.status == served, case
                    if served != SUCCESS:
                        tells_nothing(answer.said)

"""Broken glass: who may, what it opens, how long, how often, and what goes on record."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from catalogue_samples import NOW_US, TENANT, Shelf, attributes, instance, pack
from pacs_cloud.catalogue.port import Anchor, ByAccession, ByDate, ByPatient, StudyPage
from pacs_cloud.catalogue.records import StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Denied, InvalidRequest, NotFound, TooManyRequests, Unavailable
from pacs_cloud.identity.break_glass import MOST_TRIES, BreakGlass
from pacs_cloud.identity.break_glass_record import GlassWish, Override, glass_wish
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.audit_codes import OVERRIDE_STARTED, OVERRIDE_STOPPED
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.security.audit_message import AuditSource, audit_messages
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.labels import SENSITIVE
from pacs_cloud.security.rules import StudyFacts, StudyRule
from unit.identity.accounts_house import Clock

HOUR = 3600
VIP, LATER, PLAIN, OTHER = "1.1", "1.2", "1.3", "1.4"
"""Three studies of P1, of which two are sensitive, and one of P2, which is, too."""
ANNA = Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST),), "10.0.0.1")
OLGA = Caller(TENANT, "oidc:hospital:olga", (Grant(Role.CLINICIAN),))
NORTH = Caller(
    TENANT, "user:nora", (Grant(Role.CLINICIAN, (StudyRule(studies=frozenset({"9"})),)),)
)
BY_PATIENT = GlassWish("found unconscious", ByPatient("P1"))


@dataclass
class Emergency:
    """One archive's broken glass, as any number of processes see it."""

    objects: LocalObjectStore
    catalogue: SqliteCatalogue
    clock: Clock = field(default_factory=Clock)
    events: list[AuditEvent] = field(default_factory=list[AuditEvent])
    is_deaf: bool = False

    def glass(self, tenant: str = TENANT, **more: Any) -> BreakGlass:
        async def record(event: AuditEvent) -> None:
            if self.is_deaf:
                raise Unavailable("nothing can be put on record")
            self.events.append(event)

        terms = {"keep_s": 2.0, "lasts_s": 4 * HOUR} | more
        return BreakGlass(self.objects, self.catalogue, tenant, self.clock, record, **terms)

    async def start(self, by: Caller = ANNA, wish: GlassWish = BY_PATIENT) -> Override:
        return await self.glass().start(by, wish, door="page")

    async def sees(self, caller: Caller, study: str, glass: BreakGlass | None = None) -> bool:
        facts = StudyFacts(study, "", "", frozenset(), frozenset({"vip"}), frozenset({"vip"}))
        opened = await (glass or self.glass()).opened(caller)
        assert not access.may_with(opened, Action.DOWNLOAD, facts)
        found = {access.may_with(opened, one, facts) for one in (Action.SEARCH, Action.READ)}
        assert len(found) == 1
        return found.pop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Emergency]:
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        shelf = Shelf(catalogue)
        for study, patient, labels in (
            (VIP, "P1", {"vip"}),
            (LATER, "P1", {"sensitive"}),
            (PLAIN, "P1", {"teaching"}),
            (OTHER, "P2", {"vip"}),
        ):
            common = attributes(patient_id=patient, accession=f"A{study}")
            made = pack([instance(f"{study}.1.1")], common=common, study=study, series=f"{study}.1")
            await shelf.commit(made)
            (before,) = await catalogue.studies_by_uid(TENANT, [study])
            after = replace(before, labels=frozenset(labels), rev=NOW_US + 9)
            await catalogue.commit(StudyChange(TENANT, study, before, after))
        yield Emergency(objects, catalogue)


@pytest.mark.parametrize(
    ("wanted", "opened"),
    [
        (ByPatient("P1"), {VIP, LATER}),
        (ByPatient(" P1 ", None), {VIP, LATER}),
        (ByPatient("P2"), {OTHER}),
        (ByAccession("A1.1"), {VIP}),
        (LATER, {LATER}),
    ],
)
@pytest.mark.parametrize("who", [ANNA, OLGA])
async def test_it_opens_what_was_not_seen_and_nothing_besides(
    house: Emergency, who: Caller, wanted: ByPatient | ByAccession | str, opened: set[str]
) -> None:
    assert not any([await house.sees(who, one) for one in (VIP, LATER, OTHER)])
    override = await house.start(who, GlassWish("found unconscious", wanted))
    assert set(override.studies) == opened
    for one in (VIP, LATER, OTHER, "1.1.1", "9"):
        assert await house.sees(who, one) is (one in opened)
    for other in (replace(who, subject="user:mallory"), replace(who, tenant="other")):
        assert not await house.sees(other, VIP)


async def test_who_is_bounded_sees_what_no_rule_fits(house: Emergency) -> None:
    override = await house.start(NORTH)
    assert set(override.studies) == {VIP, LATER, PLAIN}
    assert await house.sees(NORTH, VIP)


async def test_it_ends_by_itself(house: Emergency) -> None:
    glass = house.glass()
    override = await glass.start(ANNA, BY_PATIENT, door="page")
    assert override.until_us == house.clock() + 4 * HOUR * 1_000_000
    house.clock.go(4 * HOUR - 1)
    assert await house.sees(ANNA, VIP, glass)
    house.clock.go(1)
    assert not await house.sees(ANNA, VIP, glass)
    assert not await house.sees(ANNA, VIP)
    assert await house.glass().of(ANNA) == []


async def test_its_end_is_on_record_once(house: Emergency) -> None:
    first = await house.start()
    await house.start(OLGA, GlassWish("found unconscious", OTHER))
    assert await house.glass().end_over(door="worker") == 0
    house.clock.go(5 * HOUR)
    house.events.clear()
    assert await house.glass().end_over(door="worker") == 2
    assert await house.glass().end_over(door="worker") == 0
    assert {(one.kind, one.action, one.subject) for one in house.events} == {
        (Kind.BREAK_GLASS, OVERRIDE_STOPPED, ANNA.subject),
        (Kind.BREAK_GLASS, OVERRIDE_STOPPED, OLGA.subject),
    }
    kept = dict(await house.glass().all())[ANNA.subject]
    assert (kept.ended_us, kept.ended_by) == (first.until_us, "")


@pytest.mark.parametrize("who", [ANNA, system(TENANT)])
async def test_it_is_ended_before_its_time(house: Emergency, who: Caller) -> None:
    elsewhere = house.glass()
    override = await house.start()
    assert await house.sees(ANNA, VIP, elsewhere)
    ended = await house.glass().end(who, override.override_id, door="cli")
    assert ended.ended_by == who.subject
    assert not await house.sees(ANNA, VIP)
    house.clock.go(3)
    assert not await house.sees(ANNA, VIP, elsewhere), "other processes believe it for 2 s"
    event = house.events[-1]
    assert (event.kind, event.action, event.subject) == (
        Kind.BREAK_GLASS,
        OVERRIDE_STOPPED,
        who.subject,
    )
    assert dict(event.details)["user"] == ANNA.subject
    with pytest.raises(NotFound):
        await house.glass().end(who, override.override_id, door="cli")
    house.clock.go(5 * HOUR)
    assert await house.glass().end_over(door="worker") == 0


async def test_nobody_else_ends_it(house: Emergency) -> None:
    override = await house.start()
    of_some = Caller(
        TENANT, "user:ct", (Grant(Role.ADMIN, (StudyRule(modalities=frozenset({"CT"})),)),)
    )
    for who in (OLGA, of_some, replace(system("other"), subject=ANNA.subject)):
        with pytest.raises(NotFound):
            await house.glass().end(who, override.override_id, door="page")
    assert await house.sees(ANNA, VIP)
    assert await house.glass().of(OLGA) == []


async def test_ending_one_leaves_the_others(house: Emergency) -> None:
    first = await house.start(wish=GlassWish("found unconscious", VIP))
    await house.start(wish=GlassWish("found unconscious", OTHER))
    assert await house.sees(ANNA, VIP)
    await house.glass().end(ANNA, first.override_id, door="page")
    assert not await house.sees(ANNA, VIP)
    assert await house.sees(ANNA, OTHER)


async def test_a_right_that_is_taken_away_ends_it_at_once(house: Emergency) -> None:
    await house.start()
    for grants in ((), (Grant(Role.REFERRER),), (Grant(Role.OPS),)):
        assert not await house.sees(replace(ANNA, grants=grants), VIP)


@pytest.mark.parametrize(
    "who",
    [
        Caller(TENANT, "user:tim", (Grant(Role.TECHNOLOGIST),)),
        Caller(TENANT, "user:ruth", (Grant(Role.REFERRER, (StudyRule(),)),)),
        Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST, None, frozenset({Action.READ})),)),
        Caller(TENANT, "key:1", (Grant(Role.RADIOLOGIST),)),
        Caller(TENANT, "ae:CT1", (Grant(Role.RADIOLOGIST),)),
        Caller(TENANT, "guest:1", (Grant(Role.RADIOLOGIST),)),
        Caller("other", "user:anna", (Grant(Role.RADIOLOGIST),)),
    ],
    ids=lambda who: f"{who.tenant}-{who.subject}",
)
async def test_who_may_not_is_refused_and_that_is_on_record(house: Emergency, who: Caller) -> None:
    with pytest.raises(Denied):
        await house.start(who)
    (event,) = house.events
    assert (event.kind, event.action, event.outcome) == (
        Kind.REFUSAL,
        "break-glass",
        Outcome.MINOR,
    )
    assert await house.glass().all() == []


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (ByPatient("P"), NotFound),
        (ByPatient("P*"), NotFound),
        (ByPatient("P1", "elsewhere"), NotFound),
        (ByAccession("A"), NotFound),
        ("1.9", NotFound),
        (PLAIN, InvalidRequest),
    ],
)
async def test_what_opens_nothing_is_on_record_with_what_was_asked(
    house: Emergency, wanted: ByPatient | ByAccession | str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await house.start(wish=GlassWish("found unconscious", wanted))
    (event,) = house.events
    assert (event.kind, event.outcome) == (Kind.BREAK_GLASS, Outcome.MINOR)
    assert dict(event.details)["reason"] == "found unconscious"
    assert getattr(wanted, "patient_id", "") == "".join(one.patient_id for one in event.patients)
    assert not event.is_counted
    assert await house.glass().of(ANNA) == []


async def test_who_asks_too_often_waits(house: Emergency) -> None:
    for number in range(MOST_TRIES):
        with pytest.raises(NotFound):
            await house.start(wish=GlassWish("guessing", ByPatient(f"X{number}")))
        house.clock.go(60)
    with pytest.raises(TooManyRequests) as caught:
        await house.start()
    assert caught.value.retry_after_s == HOUR - MOST_TRIES * 60 + 1
    assert house.events[-1].kind is Kind.REFUSAL
    assert await house.start(OLGA)  # it is theirs alone
    house.clock.go(caught.value.retry_after_s)
    assert await house.start()


async def test_nothing_opens_that_is_not_on_record(house: Emergency) -> None:
    house.is_deaf = True
    with pytest.raises(Unavailable):
        await house.start()
    assert not await house.sees(ANNA, VIP)
    assert await house.glass().of(ANNA) == []


async def test_an_id_of_two_patients_is_none(house: Emergency) -> None:
    shelf = Shelf(house.catalogue)
    for issuer, study in (("A", "1.5"), ("B", "1.6")):
        common = attributes(patient_id="P3", issuer=issuer)
        await shelf.commit(
            pack([instance(f"{study}.1.1")], common=common, study=study, series=f"{study}.1")
        )
    with pytest.raises(InvalidRequest, match="issued"):
        await house.start(NORTH, GlassWish("found unconscious", ByPatient("P3")))
    override = await house.start(NORTH, GlassWish("found unconscious", ByPatient("P3", "B")))
    assert override.studies == ("1.6",)


class Loose(SqliteCatalogue):
    """A catalogue whose pages hold more than was asked for, as the port lets them."""

    async def studies(
        self, tenant: str, anchor: Anchor, *, after: str | None = None, limit: int = 100
    ) -> StudyPage:
        return await super().studies(tenant, ByDate(), after=after, limit=2)


async def test_what_a_page_holds_besides_is_not_opened(house: Emergency, tmp_path: Path) -> None:
    async with Loose(tmp_path / "catalogue.sqlite") as loose:
        house.catalogue = loose
        for wanted in (ByPatient("P2"), ByAccession(f"A{OTHER}")):
            override = await house.start(wish=GlassWish("found unconscious", wanted))
            assert override.studies == (OTHER,)


async def test_what_is_on_record_is_an_emergency_override(house: Emergency) -> None:
    override = await house.start()
    await house.glass().end(ANNA, override.override_id, door="page")
    started, stopped = house.events
    assert (started.action, started.studies) == (OVERRIDE_STARTED, override.studies)
    assert (started.subject, started.address) == (ANNA.subject, ANNA.address)
    source = AuditSource("PACS@HOST", "PACS")
    (said,), (ended,) = (list(audit_messages(one, source)) for one in (started, stopped))
    assert b'csd-code="110127"' in said
    assert b"Emergency Override Started" in said
    assert b'csd-code="110138"' in ended
    assert b"Emergency Override Stopped" in ended
    for message in (said, ended):
        assert b'csd-code="110113"' in message  # Security Alert (PS3.15 A.5.3.11)
        assert b64encode(b"found unconscious") in message
        assert all(study.encode() in message for study in override.studies)


class TestWishes:
    @pytest.mark.parametrize("reason", ["", "ab", "  a  ", "x" * 201, "a\x07bc"])
    def test_a_reason_is_said(self, reason: str) -> None:
        with pytest.raises(InvalidRequest, match="why"):
            glass_wish(reason, study=VIP)

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"patient_id": "P1", "study": VIP},
            {"patient_id": "P1", "accession": "A"},
            {"issuer": "A"},
            {"issuer": "A", "study": VIP},
            {"study": "1.2.x"},
            {"patient_id": "x" * 65},
            {"accession": "a\x00b"},
        ],
    )
    def test_one_thing_is_meant(self, said: dict[str, str]) -> None:
        with pytest.raises(InvalidRequest):
            glass_wish("found unconscious", **said)

    def test_they_are_what_was_typed(self) -> None:
        why = "found  unconscious"
        assert glass_wish(why, patient_id="P1") == BY_PATIENT
        assert glass_wish(why, patient_id="P1", issuer="A").wanted == ByPatient("P1", "A")
        assert glass_wish(why, accession="A1").wanted == ByAccession("A1")
        assert glass_wish(why, study="1.2.3").wanted == "1.2.3"


async def test_sensitive_labels_that_come_later_do_not_take_the_patient_away(
    house: Emergency,
) -> None:
    await house.start(wish=GlassWish("found unconscious", VIP))
    opened = await house.glass().opened(ANNA)
    facts = StudyFacts(VIP, "", "", frozenset(), SENSITIVE, SENSITIVE)
    assert access.may_with(opened, Action.READ, facts)

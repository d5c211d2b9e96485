"""Links for a second opinion: who makes them, what they open, how often, and until when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from catalogue_samples import TENANT, Shelf, attributes, element, instance, pack
from objectstore_samples import config_at
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Corrupt, Denied, InvalidRequest, InvalidUid, NotFound, Unidentified
from pacs_cloud.identity.shares import LinkOver, MadeShare, Shares, WrongCode
from pacs_cloud.identity.shares_record import MOST_WRONG, Guest, ShareState, share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.identity.user import CodeNeeded
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.security.rules import StudyRule
from servers.fixtures import Place
from unit.identity.accounts_house import AWAY, Clock

DAY = 86_400
NORTH, SOUTH = "1.1", "1.2"
ANNA = Caller(TENANT, "user:anna", (Grant(Role.RADIOLOGIST),))
CARL = Caller(TENANT, "user:carl", (Grant(Role.CLINICIAN),))


@dataclass
class Lender:
    """One archive's links, as any number of processes see them; it has studies 1.1 and 1.2."""

    objects: ObjectStore
    catalogue: SqliteCatalogue
    clock: Clock = field(default_factory=Clock)
    events: list[AuditEvent] = field(default_factory=list[AuditEvent])

    def shares(self, tenant: str = TENANT, **more: Any) -> Shares:
        async def record(event: AuditEvent) -> None:
            self.events.append(event)

        return Shares(self.objects, self.catalogue, tenant, self.clock, record, **more)

    async def made(self, *studies: str, by: Caller = ANNA, **wish: Any) -> MadeShare:
        wished = ShareWish(studies or (NORTH,), "a second opinion", **wish)
        return await self.shares().create(by, wished, door="page")

    async def redeem(self, made: MadeShare, code: str = "") -> Caller:
        share = made.share
        guest = await self.shares().redeem(share.share_id, made.secret, code, address=AWAY)
        return guest.caller(address=AWAY)


@pytest.fixture
async def lender(tmp_path: Path) -> AsyncIterator[Lender]:
    async with (
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        LocalObjectStore(tmp_path / "objects") as objects,
    ):
        shelf = Shelf(catalogue)
        for study, institution in ((NORTH, "North"), (SOUTH, "South")):
            common = attributes(**{"00080080": element("LO", institution)}) | {
                "0020000D": element("UI", study),
                "0020000E": element("UI", f"{study}.1"),
            }
            one = instance(f"{study}.1.1", own={"00080018": element("UI", f"{study}.1.1")})
            await shelf.commit(pack([one], common=common, study=study, series=f"{study}.1"))
        yield Lender(objects, catalogue)


class TestMaking:
    async def test_it_opens_what_it_says_and_no_more(self, lender: Lender) -> None:
        made = await lender.made()
        guest = await lender.redeem(made)
        assert guest.tenant == TENANT
        assert guest.subject == f"guest:{made.share.share_id}"
        assert guest.address == AWAY
        (grant,) = guest.grants
        assert grant == Grant(
            Role.GUEST,
            (StudyRule(studies=frozenset({NORTH})),),
            frozenset({Action.SEARCH, Action.READ}),
        )

    async def test_files_and_replies_have_to_be_wished_for(self, lender: Lender) -> None:
        for wish, more in (
            ({"may_download": True}, {Action.DOWNLOAD}),
            ({"may_reply": True}, {Action.STORE}),
        ):
            guest = await lender.redeem(await lender.made(**wish))
            may = {action for action in Action if access.may(guest, action)}
            assert may == {Action.SEARCH, Action.READ} | more

    async def test_nobody_shares_what_they_do_not_see(self, lender: Lender) -> None:
        northern = StudyRule(institutions=frozenset({"North"}))
        bounded = replace(CARL, grants=(Grant(Role.CLINICIAN, (northern,)),))
        await lender.made(NORTH, by=bounded)
        for studies in ((SOUTH,), (NORTH, SOUTH), ("9.9",)):
            with pytest.raises(NotFound):
                await lender.made(*studies, by=bounded)

    @pytest.mark.parametrize("role", [role for role in Role if role not in {
        Role.ADMIN, Role.RADIOLOGIST, Role.CLINICIAN}])  # fmt: skip
    async def test_other_roles_share_nothing(self, lender: Lender, role: Role) -> None:
        rule = StudyRule(studies=frozenset({NORTH}))
        for grant in (Grant(role), Grant(role, (rule,))):
            with pytest.raises(Denied):
                await lender.made(by=Caller(TENANT, "user:x", (grant,)))
        assert lender.events == []

    async def test_a_guest_makes_no_link(self, lender: Lender) -> None:
        guest = await lender.redeem(await lender.made(may_download=True, may_reply=True))
        with pytest.raises(Denied):
            await lender.made(by=guest)

    async def test_whoever_may_not_download_gives_no_downloads(self, lender: Lender) -> None:
        looks = frozenset({Action.SEARCH, Action.READ, Action.SHARE})
        by = replace(CARL, grants=(Grant(Role.CLINICIAN, None, looks),))
        await lender.made(by=by)
        with pytest.raises(Denied):
            await lender.made(by=by, may_download=True)

    async def test_only_its_own_tenants_studies(self, lender: Lender) -> None:
        for by in (system("other"), ANNA):
            with pytest.raises(NotFound):
                await lender.shares("other").create(by, ShareWish((NORTH,), "why"), door="cli")
        with pytest.raises(NotFound):
            await lender.shares().create(system("other"), ShareWish((NORTH,), "why"), door="cli")

    async def test_a_study_that_is_not_there_is_none_for_the_archive_itself(
        self, lender: Lender
    ) -> None:
        with pytest.raises(NotFound):
            await lender.made("9.9", by=system(TENANT))

    @pytest.mark.parametrize(
        "wish",
        [
            {"days": 0}, {"days": 367}, {"days": -1}, {"days": float("nan")}, {"uses": 0},
            {"uses": -1}, {"uses": 101}, {"uses": 21, "with_codes": True},
            {"guest": Guest("")}, {"guest": Guest("Eve", "nowhere")}, {"guest": Guest("a\nb")},
            {"deidentify": True},
        ],
    )  # fmt: skip
    async def test_what_cannot_be_promised_is_refused(
        self, lender: Lender, wish: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidRequest):
            await lender.made(**wish)
        assert [one async for one in lender.objects.list("shares/")] == []

    @pytest.mark.parametrize("reason", ["", "  ", "a\x00b", "x" * 501])
    async def test_it_says_why(self, lender: Lender, reason: str) -> None:
        with pytest.raises(InvalidRequest):
            await lender.shares().create(ANNA, ShareWish((NORTH,), reason), door="cli")

    @pytest.mark.parametrize("studies", [(), ("x",), tuple(f"1.{n}" for n in range(51))])
    async def test_it_names_studies(self, lender: Lender, studies: tuple[str, ...]) -> None:
        with pytest.raises((InvalidRequest, InvalidUid)):
            await lender.shares().create(ANNA, ShareWish(studies, "why"), door="cli")


class TestSecrets:
    async def test_only_hashes_are_kept(self, lender: Lender) -> None:
        made = await lender.made(with_codes=True)
        await lender.redeem(made, made.codes[0])
        written = b"".join(
            [await lender.objects.get(one.key) async for one in lender.objects.list("")]
        ).decode()
        said = written + repr(made.share) + repr(lender.events)
        for secret in (made.secret, *made.codes):
            assert secret not in said
        assert made.secret in share_path(made.share.share_id, made.secret).partition("#")[2]

    async def test_no_two_are_the_same(self, lender: Lender) -> None:
        several = [await lender.made(with_codes=True, uses=20) for _ in range(5)]
        assert len({one.secret for one in several}) == 5
        assert len({one.share.share_id for one in several}) == 5
        assert all(len(set(one.codes)) == 20 for one in several)
        assert all(len(code) == 8 and code.isdecimal() for one in several for code in one.codes)

    async def test_nothing_else_opens_it_and_no_word_says_what_is_wrong(
        self, lender: Lender
    ) -> None:
        made, other = await lender.made(), await lender.made()
        over = await lender.made()
        await lender.shares().revoke(ANNA, over.share.share_id, door="page")
        share_id = made.share.share_id
        told = set[str]()
        for which, secret in (
            (share_id, ""), (share_id, "x"), (share_id, made.secret[:-1]), (share_id, "A" * 43),
            (share_id, made.secret + "A"), (share_id, other.secret), (share_id, "ü\ud800" * 20),
            (other.share.share_id, made.secret), ("0" * 32, made.secret), ("", made.secret),
            (over.share.share_id, made.secret), (f"../{TENANT}/{share_id}", made.secret),
            (share_id.upper(), made.secret), (made.share.digest, made.share.digest),
        ):  # fmt: skip
            for ask in (lender.shares().look, lender.shares().redeem):
                with pytest.raises(Unidentified) as refused:
                    await ask(which, secret, address=AWAY)
                assert type(refused.value) is Unidentified
                told.add(str(refused.value))
        assert len(told) == 1
        assert (await lender.shares().read(ANNA, share_id)).uses == ()
        assert {(one.kind, one.subject, one.outcome) for one in lender.events[4:]} == {
            (Kind.LOGIN, "guest:?", Outcome.MINOR)
        }

    async def test_it_opens_nothing_of_another_tenant(self, lender: Lender) -> None:
        made = await lender.made()
        elsewhere = lender.shares("other")
        with pytest.raises(Unidentified):
            await elsewhere.redeem(made.share.share_id, made.secret, address=AWAY)
        guest = await lender.redeem(made)
        assert await elsewhere.still(guest) is None
        assert await lender.shares().still(replace(guest, tenant="other")) is None


class TestUses:
    async def test_looking_uses_nothing_up(self, lender: Lender) -> None:
        made = await lender.made(uses=1)
        for _ in range(3):
            share = await lender.shares().look(made.share.share_id, made.secret, address=AWAY)
            assert share == made.share
        await lender.redeem(made)
        with pytest.raises(LinkOver) as over:
            await lender.shares().look(made.share.share_id, made.secret, address=AWAY)
        assert over.value.state is ShareState.USED_UP

    async def test_they_are_counted_and_written_down(self, lender: Lender) -> None:
        made = await lender.made(uses=2)
        first = await lender.redeem(made)
        lender.clock.go(60)
        await lender.redeem(made)
        with pytest.raises(LinkOver) as over:
            await lender.redeem(made)
        assert over.value.state is ShareState.USED_UP
        share = await lender.shares().read(ANNA, made.share.share_id)
        at_us = [use.at_us for use in share.uses]
        assert at_us == [lender.clock.us - 60_000_000, lender.clock.us]
        assert {use.address for use in share.uses} == {AWAY}
        # What was begun goes on.
        assert await lender.shares().still(first) == first

    async def test_of_two_processes_one_gets_the_last(self, lender: Lender) -> None:
        for _ in range(5):
            made = await lender.made(uses=1)
            results = await asyncio.gather(
                *(lender.redeem(made) for _ in range(4)), return_exceptions=True
            )
            assert sum(isinstance(one, Caller) for one in results) == 1
            assert sum(isinstance(one, LinkOver) for one in results) == 3
            share = await lender.shares().read(ANNA, made.share.share_id)
            assert len(share.uses) == 1

    async def test_it_ends_with_its_sessions(self, lender: Lender) -> None:
        made = await lender.made(days=1)
        guest = await lender.redeem(made)
        shares = lender.shares()
        lender.clock.go(DAY - 1)
        assert await shares.still(guest) == guest
        lender.clock.go(1)
        assert await shares.still(guest) is None
        with pytest.raises(LinkOver) as over:
            await lender.redeem(made)
        assert over.value.state is ShareState.EXPIRED

    async def test_two_weeks_where_nobody_says(self, lender: Lender) -> None:
        made = await lender.made()
        assert made.share.until_us == lender.clock.us + 14 * DAY * 1_000_000
        assert (made.share.most_uses, (await lender.made(with_codes=True)).share.most_uses) == (
            10,
            3,
        )


class TestCodes:
    async def test_each_opens_once(self, lender: Lender) -> None:
        made = await lender.made(with_codes=True, uses=2)
        first, second = made.codes
        with pytest.raises(CodeNeeded):
            await lender.redeem(made)
        await lender.redeem(made, f"{first[:4]} {first[4:]}")
        with pytest.raises(WrongCode):
            await lender.redeem(made, first)
        await lender.redeem(made, f" {second[:4]}-{second[4:]} ")
        with pytest.raises(LinkOver) as over:
            await lender.redeem(made, second)
        assert over.value.state is ShareState.USED_UP

    async def test_the_code_of_another_link_opens_nothing(self, lender: Lender) -> None:
        made, other = await lender.made(with_codes=True), await lender.made(with_codes=True)
        with pytest.raises(WrongCode):
            await lender.redeem(made, other.codes[0])

    async def test_a_code_without_the_link_is_no_try(self, lender: Lender) -> None:
        made = await lender.made(with_codes=True)
        for _ in range(MOST_WRONG + 1):
            with pytest.raises(Unidentified):
                await lender.shares().redeem(
                    made.share.share_id, "A" * 43, made.codes[0], address=AWAY
                )
        await lender.redeem(made, made.codes[0])

    async def test_tries_are_few_whichever_process_counts_them(self, lender: Lender) -> None:
        made = await lender.made(with_codes=True)
        results = await asyncio.gather(
            *(lender.redeem(made, f"{n:08d}x") for n in range(MOST_WRONG + 5)),
            return_exceptions=True,
        )
        wrong = [one for one in results if isinstance(one, WrongCode)]
        assert len(wrong) == MOST_WRONG
        with pytest.raises(LinkOver) as over:
            await lender.redeem(made, made.codes[0])
        assert over.value.state is ShareState.LOCKED
        share = await lender.shares().read(ANNA, made.share.share_id)
        assert (share.wrong_codes, share.uses) == (MOST_WRONG, ())

    @pytest.mark.parametrize("code", ["0", "x" * 5000, "ü\ud800", "1234567", "١٢٣٤٥٦٧٨"])
    async def test_what_is_no_code_is_wrong(self, lender: Lender, code: str) -> None:
        made = await lender.made(with_codes=True)
        with pytest.raises(WrongCode):
            await lender.redeem(made, code)

    async def test_of_two_with_one_code_one_comes_in(self, lender: Lender) -> None:
        made = await lender.made(with_codes=True, uses=2)
        results = await asyncio.gather(
            *(lender.redeem(made, made.codes[0]) for _ in range(3)), return_exceptions=True
        )
        assert sum(isinstance(one, Caller) for one in results) == 1
        assert sum(isinstance(one, WrongCode) for one in results) == 2


class TestRevoking:
    async def test_it_counts_at_once_and_a_second_later_elsewhere(self, lender: Lender) -> None:
        made = await lender.made()
        guest = await lender.redeem(made)
        here, elsewhere = lender.shares(), lender.shares(keep_s=60)
        assert await here.still(guest) == guest
        assert await elsewhere.still(guest) == guest
        await here.revoke(ANNA, made.share.share_id, door="page")
        assert await here.still(guest) is None
        lender.clock.go(1)
        assert await elsewhere.still(guest) is None
        with pytest.raises(LinkOver) as over:
            await lender.redeem(made)
        assert over.value.state is ShareState.REVOKED

    async def test_again_changes_nothing(self, lender: Lender) -> None:
        made = await lender.made()
        first = await lender.shares().revoke(ANNA, made.share.share_id, door="page")
        lender.clock.go(5)
        assert await lender.shares().revoke(system(TENANT), made.share.share_id, door="cli") == (
            first
        )
        assert first.revoked_by == "user:anna"

    async def test_only_its_maker_or_an_administrator(self, lender: Lender) -> None:
        made = await lender.made()
        shares, share_id = lender.shares(), made.share.share_id
        rule = StudyRule(studies=frozenset({NORTH}))
        guest = await lender.redeem(made)
        for other in (
            CARL,
            guest,
            Caller(TENANT, "user:x", (Grant(Role.ADMIN, (rule,)),)),
            Caller("other", "user:anna", (Grant(Role.ADMIN),)),
        ):
            with pytest.raises(NotFound):
                await shares.revoke(other, share_id, door="page")
            with pytest.raises(NotFound):
                await shares.read(other, share_id)
            assert await shares.list(other) == []
        assert [one.share_id for one in await shares.list(ANNA)] == [share_id]
        for unknown in ("0" * 32, "", "..", "x/y"):
            with pytest.raises(NotFound):
                await shares.read(system(TENANT), unknown)
        await shares.revoke(system(TENANT), share_id, door="cli")

    async def test_whoever_is_no_guest_goes_on(self, lender: Lender) -> None:
        assert await lender.shares().still(ANNA) is ANNA

    @pytest.mark.parametrize("subject", ["guest:", "guest:?", "guest:../x", f"guest:{'0' * 32}"])
    async def test_a_guest_of_no_share_is_nobody(self, lender: Lender, subject: str) -> None:
        assert await lender.shares().still(Caller(TENANT, subject, ANNA.grants)) is None

    async def test_a_guest_has_what_the_share_says_whatever_their_session_says(
        self, lender: Lender
    ) -> None:
        guest = await lender.redeem(await lender.made())
        forged = replace(guest, grants=(Grant(Role.ADMIN),))
        assert await lender.shares().still(forged) == guest


async def test_all_is_on_record(lender: Lender) -> None:
    made = await lender.made(guest=Guest("Dr. Eve", "eve@example.org"), with_codes=True)
    with pytest.raises(WrongCode):
        await lender.redeem(made, "1")
    await lender.redeem(made, made.codes[0])
    await lender.shares().revoke(ANNA, made.share.share_id, door="page")
    with pytest.raises(LinkOver):
        await lender.redeem(made, made.codes[1])
    guest = made.share.subject
    assert [(e.kind, e.subject, e.door, e.action, e.outcome) for e in lender.events] == [
        (Kind.SHARE, "user:anna", "page", "link made", Outcome.SUCCESS),
        (Kind.LOGIN, guest, "share", "wrong code", Outcome.MINOR),
        (Kind.LOGIN, guest, "share", "link redeemed", Outcome.SUCCESS),
        (Kind.SHARE, "user:anna", "page", "link revoked", Outcome.SUCCESS),
        (Kind.LOGIN, guest, "share", "link revoked", Outcome.MINOR),
    ]
    assert {event.studies for event in lender.events} == {(NORTH,)}
    assert dict(lender.events[0].details) == {
        "share": made.share.share_id,
        "may": "read search",
        "reason": "a second opinion",
        "guest": "Dr. Eve eve@example.org",
    }


async def test_a_bucket_will_do(lender: Lender, s3_bucket: Place) -> None:
    async with S3ObjectStore(config_at(s3_bucket)) as lender.objects:
        made = await lender.made(uses=1)
        asked = (lender.redeem(made) for _ in range(3))
        results = await asyncio.gather(*asked, return_exceptions=True)
        (guest,) = [one for one in results if isinstance(one, Caller)]
        assert sum(isinstance(one, LinkOver) for one in results) == 2
        assert await lender.shares().still(guest) == guest
        await lender.shares().revoke(ANNA, made.share.share_id, door="page")
        assert await lender.shares().still(guest) is None


async def test_a_state_of_a_newer_release_opens_nothing(lender: Lender) -> None:
    made = await lender.made()
    guest = await lender.redeem(made)
    (info,) = [one async for one in lender.objects.list("shares/")]
    data = await lender.objects.get(info.key)
    await lender.objects.delete(info.key)
    newer = data.replace(b'"studies":', b'"frames":["1"],"studies":')
    await lender.objects.put_new(info.key, newer)
    with pytest.raises(Corrupt, match="newer release"):
        await lender.shares().still(guest)

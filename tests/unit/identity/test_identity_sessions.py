"""Sessions: whose they are, and when they are over."""

import asyncio
from dataclasses import replace

import pytest

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.sessions import IDLE_S, LONGEST_S, Sessions
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.security.session_tokens import SessionSigner
from unit.identity.accounts_house import (
    ADMIN,
    AWAY,
    CLINICIAN,
    GOOD,
    HOME,
    OTHER,
    SECRETS,
    House,
    S,
)

RULES = (StudyRule(institutions=frozenset({"St. Elsewhere", "North"})),)


async def signed_in(house: House) -> tuple[Sessions, str]:
    accounts = await house.user()
    sessions = house.sessions(accounts)
    return sessions, sessions.issue(
        await accounts.sign_in("anna", GOOD, address=HOME), address=HOME
    )


def external(house: House, *, hours: float = 8) -> ExternalUser:
    grants = (Grant(Role.REFERRER, RULES), Grant(Role.AUDITOR))
    until_us = house.clock.us + round(hours * 3600 * S)
    return ExternalUser("default", "oidc:corp:7f", "Anna", grants, until_us)


class TestWhose:
    async def test_its_users(self, house: House) -> None:
        sessions, token = await signed_in(house)
        assert await sessions.caller(token, address=AWAY) == Caller(
            "default", "user:anna", CLINICIAN, AWAY
        )

    async def test_what_they_are_now(self, house: House) -> None:
        sessions, token = await signed_in(house)
        await house.accounts().set_grants("anna", ADMIN)
        caller = await sessions.caller(token, address=AWAY)
        assert caller is not None
        assert caller.grants == ADMIN

    async def test_nobodys_who_made_it_up(self, house: House) -> None:
        sessions, token = await signed_in(house)
        for wrong in ("", "x", token + "x", token[:-3], token.rpartition(".")[0]):
            assert await sessions.caller(wrong, address=HOME) is None
            assert sessions.renewed(wrong) is None
            assert sessions.csrf_of(wrong) == ""
            assert not sessions.is_csrf(wrong, "")
            await sessions.end(wrong)
        assert await house.written("sessions/") == {}

    async def test_not_of_another_tenant_nor_another_archive(self, house: House) -> None:
        _, token = await signed_in(house)
        other = House(house.objects, house.clock, "other")
        await other.user()
        assert await other.sessions(other.accounts()).caller(token, address=HOME) is None
        foreign = house.sessions(house.accounts(), (b"x" * 32,))
        assert await foreign.caller(token, address=HOME) is None

    async def test_not_of_another_tenant_with_the_same_mark(self, house: House) -> None:
        sessions, token = await signed_in(house)
        signer = SessionSigner(SECRETS)
        claims = signer.read(token)
        assert claims is not None
        other = signer.signed(replace(claims, tenant="other"))
        assert await sessions.caller(other, address=HOME) is None

    async def test_a_secret_is_exchanged_without_signing_anybody_out(self, house: House) -> None:
        _, token = await signed_in(house)
        both = house.sessions(house.accounts(), (b"n" * 32, b"s" * 32))
        assert await both.caller(token, address=HOME) is not None
        house.clock.go(600)
        renewed = both.renewed(token)
        assert renewed is not None
        after = house.sessions(house.accounts(), (b"n" * 32,))
        assert await after.caller(renewed, address=HOME) is not None
        assert await after.caller(token, address=HOME) is None
        assert after.is_csrf(renewed, both.csrf_of(renewed))

    def test_secrets_are_long(self, house: House) -> None:
        with pytest.raises(InvalidRequest):
            house.sessions(house.accounts(), (b"short",))
        with pytest.raises(InvalidRequest):
            house.sessions(house.accounts(), ())


class TestTheEnd:
    async def test_when_nobody_uses_it(self, house: House) -> None:
        sessions, token = await signed_in(house)
        house.clock.go(IDLE_S - 1)
        assert await sessions.caller(token, address=HOME) is not None
        renewed = sessions.renewed(token)
        assert renewed is not None
        house.clock.go(1)
        assert await sessions.caller(token, address=HOME) is None
        assert sessions.renewed(token) is None
        assert await sessions.caller(renewed, address=HOME) is not None
        assert sessions.csrf_of(renewed)

    async def test_in_any_case_after_half_a_day(self, house: House) -> None:
        sessions, token = await signed_in(house)
        begun_us = house.clock.us
        while (house.clock.us - begun_us) / S < LONGEST_S - 300:
            assert await sessions.caller(token, address=HOME) is not None
            house.clock.go(300)
            token = sessions.renewed(token) or token
        assert await sessions.caller(token, address=HOME) is not None
        house.clock.go(300)
        assert await sessions.caller(token, address=HOME) is None
        assert sessions.renewed(token) is None

    async def test_a_token_is_not_renewed_with_each_answer(self, house: House) -> None:
        sessions, token = await signed_in(house)
        assert sessions.renewed(token) is None
        house.clock.go(IDLE_S / 10)
        assert sessions.renewed(token) is not None

    @pytest.mark.parametrize("what", ["disable", "remove", "reset", "sign_out"])
    async def test_at_once_when_an_administrator_says_so(self, house: House, what: str) -> None:
        sessions, token = await signed_in(house)
        house.clock.go(600)
        renewed = sessions.renewed(token)
        assert renewed is not None
        await getattr(house.accounts(), what)("anna")
        for one in (token, renewed):
            assert await sessions.caller(one, address=HOME) is None

    async def test_not_again_when_they_are_enabled(self, house: House) -> None:
        sessions, token = await signed_in(house)
        await house.accounts().disable("anna")
        await house.accounts().enable("anna")
        assert await sessions.caller(token, address=HOME) is None

    async def test_of_whoever_had_the_name_before(self, house: House) -> None:
        sessions, token = await signed_in(house)
        await house.accounts().remove("anna")
        await house.user("anna", ADMIN)
        assert await sessions.caller(token, address=HOME) is None

    async def test_when_the_password_is_changed(self, house: House) -> None:
        sessions, token = await signed_in(house)
        user = await house.accounts().change_password("anna", GOOD, OTHER, address=HOME)
        assert await sessions.caller(token, address=HOME) is None
        assert await sessions.caller(sessions.issue(user, address=HOME), address=HOME) is not None

    async def test_within_what_processes_believe(self, house: House) -> None:
        await signed_in(house)
        accounts = house.accounts(keep_s=5)
        sessions = house.sessions(accounts)
        user = await accounts.user("anna")
        assert user is not None
        token, ended = (sessions.issue(user, address=HOME) for _ in range(2))
        for one in (token, ended):
            assert await sessions.caller(one, address=HOME) is not None
        await house.accounts().disable("anna")
        await house.sessions(house.accounts()).end(ended)
        house.clock.go(4.9)
        assert await sessions.caller(token, address=HOME) is not None
        house.clock.go(0.1)
        for one in (token, ended):
            assert await sessions.caller(one, address=HOME) is None

    async def test_one_of_several(self, house: House) -> None:
        accounts = await house.user()
        sessions, elsewhere = house.sessions(accounts), house.sessions(house.accounts())
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        here, there = (sessions.issue(user, address=HOME) for _ in range(2))
        await sessions.end(here)
        await sessions.end(here)
        house.clock.go(600)
        renewed = elsewhere.renewed(here)
        assert renewed is not None, "a token by itself does not tell"
        for process in (sessions, elsewhere):
            assert await process.caller(here, address=HOME) is None
            assert await process.caller(renewed, address=HOME) is None
            assert await process.caller(there, address=HOME) is not None

    async def test_of_all_of_them(self, house: House) -> None:
        sessions, token = await signed_in(house)
        await sessions.end_all("anna")
        assert await sessions.caller(token, address=HOME) is None
        with pytest.raises(NotFound):
            await sessions.end_all("nobody")

    async def test_what_is_remembered_is_bounded(self, house: House) -> None:
        accounts = await house.user()
        sessions = house.sessions(accounts)
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        other = sessions.issue(user, address=HOME)
        for _ in range(256):
            await sessions.end(sessions.issue(user, address=HOME))
        assert await sessions.caller(other, address=HOME) is not None
        await sessions.end(last := sessions.issue(user, address=HOME))
        # Rather all are over than that one that was ended goes on.
        for one in (other, last):
            assert await sessions.caller(one, address=HOME) is None
        assert max(map(len, (await house.written("sessions/")).values())) < 64_000
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        here, there = (sessions.issue(user, address=HOME) for _ in range(2))
        await sessions.end(here)
        assert await sessions.caller(there, address=HOME) is not None

    async def test_of_several_at_once(self, house: House) -> None:
        accounts = await house.user()
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        sessions = house.sessions(accounts)
        tokens = [sessions.issue(user, address=HOME) for _ in range(4)]
        await asyncio.gather(*(house.sessions(house.accounts()).end(one) for one in tokens))
        assert [await sessions.caller(one, address=HOME) for one in tokens] == [None] * 4


class TestForms:
    async def test_each_session_has_its_own_word(self, house: House) -> None:
        accounts = await house.user()
        sessions = house.sessions(accounts)
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        one, other = (sessions.issue(user, address=HOME) for _ in range(2))
        assert sessions.is_csrf(one, sessions.csrf_of(one))
        assert not sessions.is_csrf(one, sessions.csrf_of(other))
        assert not sessions.is_csrf(one, "")
        house.clock.go(600)
        renewed = sessions.renewed(one)
        assert renewed is not None
        assert sessions.is_csrf(renewed, sessions.csrf_of(one))
        house.clock.go(IDLE_S)
        assert not sessions.is_csrf(one, sessions.csrf_of(one))


class TestWhomAProviderKnows:
    async def test_they_are_what_it_said(self, house: House) -> None:
        sessions = house.sessions(house.accounts())
        user = external(house)
        token = await sessions.issue_external(user, address=HOME)
        assert await house.sessions(house.accounts()).who(token) == user
        assert await sessions.caller(token, address=AWAY) == user.caller(address=AWAY)
        assert "St. Elsewhere" not in token

    async def test_however_many_rules_there_are(self, house: House) -> None:
        sessions = house.sessions(house.accounts())
        rules = tuple(StudyRule(studies=frozenset({f"1.2.{n}"})) for n in range(2000))
        user = ExternalUser("default", "oidc:corp:7f", "", (Grant(Role.GUEST, rules),), 9 * 10**18)
        token = await sessions.issue_external(user, address=HOME)
        assert len(token) < 1000, "browsers keep 4,096 bytes"
        assert await sessions.who(token) == user

    async def test_until_they_have_to_sign_in_again(self, house: House) -> None:
        sessions = house.sessions(house.accounts())
        token = await sessions.issue_external(external(house, hours=0.25), address=HOME)
        house.clock.go(800)
        token = sessions.renewed(token) or token
        assert await sessions.who(token) is not None
        house.clock.go(100)
        assert await sessions.who(token) is None
        assert await sessions.caller(token, address=HOME) is None

    async def test_until_one_or_all_of_their_sessions_are_ended(self, house: House) -> None:
        sessions = house.sessions(house.accounts())
        one, other = [
            await sessions.issue_external(external(house), address=HOME) for _ in range(2)
        ]
        await sessions.end(one)
        assert await sessions.who(one) is None
        assert await sessions.who(other) is not None
        await sessions.end_all_of("oidc:corp:7f")
        assert await sessions.who(other) is None
        again = await sessions.issue_external(external(house), address=HOME)
        assert await sessions.who(again) is not None
        assert await sessions.who(other) is None
        await sessions.end_all_of("oidc:corp:nobody")

    async def test_none_of_them_is_a_local_user(self, house: House) -> None:
        accounts = await house.user()
        sessions = house.sessions(accounts)
        made_up = ExternalUser("default", "user:anna", "", ADMIN, 9 * 10**18)
        with pytest.raises(InvalidRequest):
            await sessions.issue_external(made_up, address=HOME)
        with pytest.raises(InvalidRequest):
            await sessions.issue_external(
                ExternalUser("other", "oidc:corp:7f", "", ADMIN, 9 * 10**18), address=HOME
            )

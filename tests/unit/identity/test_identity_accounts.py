"""Local users, from the first link to the end of the last one."""

import asyncio
import json
from dataclasses import replace

import pytest

from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidRequest,
    NotFound,
    Unavailable,
    Unidentified,
)
from pacs_cloud.identity.account import Account, new_link, read_link, user_id
from pacs_cloud.identity.accounts import Accounts, CodeNeeded, LockedOut
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.passwords import Argon2id
from pacs_cloud.security.rules import StudyRule
from unit.identity.accounts_house import ADMIN, AWAY, CLINICIAN, GOOD, HOME, OTHER, House, S

DAY_S = 86_400


async def refused(accounts: Accounts, name: str, password: str, code: str = "") -> str:
    with pytest.raises(Unidentified) as error:
        await accounts.sign_in(name, password, code, address="")
    assert type(error.value) is Unidentified
    return str(error.value)


class TestTheFirst:
    async def test_an_archive_without_users_gets_an_administrator(self, house: House) -> None:
        accounts = house.accounts()
        secret = await accounts.first_link()
        assert secret is not None
        assert (await accounts.users())[0].name == "admin"
        assert await accounts.first_link() is None
        assert secret not in "".join(map(str, (await house.written()).values()))
        user = await accounts.redeem(secret, GOOD)
        assert (user.name, user.grants, user.has_password) == ("admin", ADMIN, True)
        house.clock.go(3600)
        assert await accounts.first_link() is None
        assert (await accounts.sign_in("admin", GOOD, address=HOME)).grants == ADMIN

    async def test_of_two_processes_one_wins(self, house: House) -> None:
        for _ in range(20):
            links = await asyncio.gather(
                *(house.accounts().first_link() for _ in range(4)), return_exceptions=True
            )
            (secret,) = [one for one in links if one is not None]
            assert isinstance(secret, str)
            assert (await house.accounts().invited(secret)) is not None
            house.tenant += "x"

    async def test_a_link_that_nobody_redeemed_is_made_again(self, house: House) -> None:
        lost = await house.accounts().first_link()
        house.clock.go(61)
        again = await house.accounts().first_link()
        assert lost is not None
        assert again is not None
        with pytest.raises(Denied):
            await house.accounts().redeem(lost, GOOD)
        await house.accounts().redeem(again, GOOD)

    async def test_not_where_there_are_users_or_were(self, house: House) -> None:
        accounts = await house.user("bob")
        assert await accounts.first_link() is None
        await accounts.remove("bob")
        assert await accounts.first_link() is None
        assert await accounts.users() == []


class TestSigningIn:
    async def test_name_and_password(self, house: House) -> None:
        accounts = await house.user()
        user = await accounts.sign_in(" Anna ", GOOD, address=HOME)
        assert (user.name, user.tenant, user.subject) == ("anna", "default", "user:anna")
        assert user.caller(HOME).grants == CLINICIAN
        assert user.caller(HOME).address == HOME

    async def test_nobody_is_told_what_was_wrong(self, house: House) -> None:
        accounts = await house.user()
        await house.user("off")
        await accounts.disable("off")
        await accounts.create("invited", CLINICIAN)
        said = {
            await refused(accounts, *words)
            for words in (
                ("anna", OTHER),
                ("anna", ""),
                ("nobody", GOOD),
                ("", GOOD),
                ("../anna", GOOD),
                ("off", GOOD),
                ("invited", ""),
                ("invited", GOOD),
            )
        }
        assert len(said) == 1

    async def test_an_unknown_name_costs_a_hash_too(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        accounts = await house.user()
        seen: list[bool] = []
        real = Argon2id.is_right

        def counted(self: Argon2id, kept: str, password: str) -> bool:
            seen.append(bool(kept))
            return real(self, kept, password)

        monkeypatch.setattr(Argon2id, "is_right", counted)
        await refused(accounts, "anna", OTHER)
        await refused(accounts, "nobody", OTHER)
        assert seen == [True, False]

    async def test_a_hash_is_made_anew_when_the_cost_rises(self, house: House) -> None:
        await house.user()
        dearer = house.accounts(argon2id=Argon2id(passes=2, memory_kib=8, lanes=1))
        before = await dearer.user("anna")
        await refused(dearer, "anna", OTHER)
        assert b"t=1" in b"".join((await house.written("users/")).values())
        await dearer.sign_in("anna", GOOD, address=HOME)
        assert b"t=2" in b"".join((await house.written("users/")).values())
        after = await dearer.user("anna")
        assert before is not None
        assert after is not None
        assert after.mark == before.mark, "nobody is signed out by that"
        await dearer.sign_in("anna", GOOD, address=HOME)

    async def test_other_tenants_know_nothing_of_it(self, house: House) -> None:
        await house.user()
        other = House(house.objects, house.clock, "other").accounts()
        await refused(other, "anna", GOOD)
        assert await other.user("anna") is None
        assert await other.users() == []

    async def test_too_many_at_once_are_sent_away(self, house: House) -> None:
        accounts = await house.user()
        done = await asyncio.gather(
            *(accounts.sign_in("anna", GOOD, address=HOME) for _ in range(100)),
            return_exceptions=True,
        )
        away = [one for one in done if isinstance(one, Unavailable)]
        assert len(away) == 100 - 68
        assert len([one for one in done if isinstance(one, Exception)]) == len(away)
        await accounts.sign_in("anna", GOOD, address=HOME)


class TestLinks:
    async def test_one_sets_a_password_once(self, house: House) -> None:
        accounts = house.accounts()
        secret = await accounts.create("anna", CLINICIAN, email="anna@x.example")
        invited = await accounts.invited(secret)
        assert invited is not None
        assert (invited.name, invited.email, invited.has_password) == (
            "anna",
            "anna@x.example",
            False,
        )
        with pytest.raises(InvalidRequest):
            await accounts.redeem(secret, "short")
        await accounts.redeem(f" {secret}\n", GOOD)
        for password in (GOOD, OTHER):
            with pytest.raises(Denied):
                await accounts.redeem(secret, password)
        assert await accounts.invited(secret) is None
        await accounts.sign_in("anna", GOOD, address=HOME)

    async def test_of_two_who_redeem_it_one_does(self, house: House) -> None:
        secret = await house.accounts().create("anna", CLINICIAN)
        done = await asyncio.gather(
            house.accounts().redeem(secret, GOOD),
            house.accounts().redeem(secret, GOOD),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in done) == ["Denied", "User"]

    async def test_it_is_over_after_a_week(self, house: House) -> None:
        accounts = house.accounts()
        secret = await accounts.create("anna", CLINICIAN)
        house.clock.go(7 * DAY_S - 1)
        assert await accounts.invited(secret) is not None
        house.clock.go(1)
        assert await accounts.invited(secret) is None
        with pytest.raises(Denied):
            await accounts.redeem(secret, GOOD)

    async def test_nobody_makes_one_up(self, house: House) -> None:
        accounts = house.accounts()
        secret = await accounts.create("anna", CLINICIAN)
        other = await accounts.create("bob", CLINICIAN)
        who, _, what = secret.partition("-")
        for wrong in ("", "x", who, f"{who}-", other[:33] + what, secret[:-1], f"../{secret}"):
            assert await accounts.invited(wrong) is None
            with pytest.raises(Denied):
                await accounts.redeem(wrong, GOOD)
        assert await accounts.invited(secret) is not None

    async def test_a_reset_takes_the_password_and_gives_a_link(self, house: House) -> None:
        accounts = await house.user()
        first = await accounts.reset("anna")
        await refused(accounts, "anna", GOOD)
        secret = await accounts.reset("anna")
        assert await accounts.invited(first) is None
        await accounts.redeem(secret, OTHER)
        await accounts.sign_in("anna", OTHER, address=HOME)

    def test_whoever_is_kept_out_has_none(self) -> None:
        secret, link = new_link(user_id("anna"))
        account = Account("anna", (), link=link.kept, link_until_us=10)
        shown = read_link(secret)
        assert shown == link
        assert account.is_opened_by(shown, 9)
        assert not account.is_opened_by(shown, 10)
        for change in ({"is_disabled": True}, {"is_removed": True}, {"link": ""}):
            assert not replace(account, **change).is_opened_by(shown, 9)

    async def test_none_opens_for_whom_it_is_void(self, house: House) -> None:
        accounts = await house.user()
        secret = await accounts.reset("anna")
        await accounts.disable("anna")
        await accounts.enable("anna")
        assert await accounts.invited(secret) is None
        secret = await accounts.reset("anna")
        await accounts.remove("anna")
        assert await accounts.invited(secret) is None
        with pytest.raises(NotFound):
            await accounts.reset("anna")


class TestChanges:
    async def test_a_password_is_changed_by_who_knows_it(self, house: House) -> None:
        accounts = await house.user()
        before = await accounts.user("anna")
        with pytest.raises(Unidentified):
            await accounts.change_password("anna", OTHER, OTHER, address=HOME)
        for bad in ("short", GOOD):
            with pytest.raises(InvalidRequest):
                await accounts.change_password("anna", GOOD, bad, address=HOME)
        after = await accounts.change_password("anna", GOOD, OTHER, address=HOME)
        assert before is not None
        assert after.mark != before.mark
        await refused(accounts, "anna", GOOD)
        await accounts.sign_in("anna", OTHER, address=HOME)

    async def test_what_they_are_and_are_called(self, house: House) -> None:
        accounts = await house.user()
        rules = (StudyRule(frozenset({"St. Elsewhere"}), modalities=frozenset({"CT", "MR"})),)
        grants = (Grant(Role.REFERRER, rules), Grant(Role.AUDITOR), Grant(Role.GUEST, ()))
        await accounts.set_grants("anna", grants, by="root")
        await accounts.change("anna", display_name=" Dr. Ånna ", by="root")
        user = await accounts.change("anna", email="a@x.example", by="root")
        assert user == await house.accounts().user("ANNA")
        assert (user.grants, user.display_name, user.email) == (grants, "Dr. Ånna", "a@x.example")
        assert user.changed_by == "root"
        for words in ({"email": "none"}, {"email": "a b@x"}, {"display_name": "a\nb"}):
            with pytest.raises(InvalidRequest):
                await accounts.change("anna", **words)
        await accounts.sign_in("anna", GOOD, address=HOME)

    async def test_who_is_disabled_stays_out_until_enabled(self, house: House) -> None:
        accounts = await house.user()
        assert (await accounts.disable("anna")).is_disabled
        await refused(accounts, "anna", GOOD)
        with pytest.raises(Conflict):
            await accounts.reset("anna")
        await accounts.enable("anna")
        await accounts.sign_in("anna", GOOD, address=HOME)

    async def test_a_name_that_is_free_again_has_nothing_of_who_had_it(self, house: House) -> None:
        accounts = await house.user()
        await accounts.change("anna", email="anna@x.example")
        await accounts.begin_codes("anna")
        with pytest.raises(Conflict):
            await accounts.create("ANNA", ADMIN)
        await accounts.remove("anna")
        assert await accounts.user("anna") is None
        assert b"x.example" not in b"".join((await house.written("users/")).values())
        await refused(accounts, "anna", GOOD)
        await accounts.create("anna", ADMIN)
        user = await accounts.user("anna")
        assert user is not None
        assert (user.email, user.has_password, user.has_codes) == ("", False, False)
        await refused(accounts, "anna", GOOD)

    async def test_the_last_administrator_stays(self, house: House) -> None:
        accounts = await house.user("root", ADMIN)
        await accounts.create("invited", ADMIN)
        await house.user("anna")
        for change in (
            accounts.disable("root"),
            accounts.remove("root"),
            accounts.set_grants("root", CLINICIAN),
            accounts.set_grants("ROOT", (Grant(Role.ADMIN, ()),)),
        ):
            with pytest.raises(Conflict, match="last administrator"):
                await change
        await accounts.set_grants("root", (*ADMIN, *CLINICIAN))
        await accounts.disable("anna")
        await house.user("other", ADMIN)
        await accounts.set_grants("root", CLINICIAN)
        await accounts.disable("other", even_last=True)

    @pytest.mark.parametrize(
        "name", ["", " ", "a b", "a/b", "../a", ".a", "-a", "a" * 129, "añá", "a\x00", "a:b"]
    )
    async def test_what_is_no_name(self, house: House, name: str) -> None:
        accounts = house.accounts()
        with pytest.raises(InvalidRequest):
            await accounts.create(name, CLINICIAN)
        assert await accounts.user(name) is None

    async def test_nobody_is_found_who_is_not_there(self, house: House) -> None:
        accounts = house.accounts()
        for change in (
            accounts.change("anna", email=""),
            accounts.disable("anna"),
            accounts.enable("anna"),
            accounts.set_grants("anna", ADMIN),
            accounts.reset("anna"),
            accounts.sign_out("anna"),
            accounts.remove("anna"),
            accounts.begin_codes("anna"),
            accounts.confirm_codes("anna", "123456"),
            accounts.drop_codes("anna"),
            accounts.unlock("anna"),
        ):
            with pytest.raises(NotFound):
                await change
        assert await house.written() == {}

    async def test_changes_at_once_all_count(self, house: House) -> None:
        await house.user()
        await asyncio.gather(
            house.accounts().change("anna", display_name="Anna"),
            house.accounts().change("anna", email="a@x.example"),
            house.accounts().set_grants("anna", ADMIN),
            house.accounts().begin_codes("anna"),
        )
        user = await house.accounts().user("anna")
        assert user is not None
        assert (user.display_name, user.email, user.grants) == ("Anna", "a@x.example", ADMIN)


class TestCodes:
    async def test_who_has_an_authenticator_needs_it(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        assert "anna" in uri
        await accounts.sign_in("anna", GOOD, address=HOME)
        with pytest.raises(Denied):
            await accounts.confirm_codes("anna", "000000")
        recovery = await accounts.confirm_codes("anna", house.code(uri))
        user = await accounts.user("anna")
        assert user is not None
        assert (user.has_codes, user.recovery_codes) == (True, len(recovery))
        house.clock.go(30)
        with pytest.raises(CodeNeeded):
            await accounts.sign_in("anna", GOOD, address=HOME)
        with pytest.raises(CodeNeeded):
            await accounts.sign_in("anna", GOOD, "  ", address=HOME)
        wrong = await refused(accounts, "anna", GOOD, "000000")
        assert wrong == await refused(accounts, "anna", OTHER, house.code(uri))
        assert wrong == await refused(accounts, "anna", OTHER)
        await accounts.sign_in("anna", GOOD, house.code(uri), address=HOME)

    async def test_a_code_is_taken_once_by_whichever_process(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        code = house.code(uri)
        await accounts.confirm_codes("anna", code)
        await refused(accounts, "anna", GOOD, code)
        house.clock.go(30)
        code = house.code(uri)
        done = await asyncio.gather(
            *(house.accounts().sign_in("anna", GOOD, code, address=HOME) for _ in range(4)),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in done) == ["Unidentified"] * 3 + ["User"]
        house.clock.go(30)
        await refused(accounts, "anna", GOOD, code)

    async def test_a_recovery_code_opens_once(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        recovery = await accounts.confirm_codes("anna", house.code(uri))
        user = await accounts.sign_in("anna", GOOD, recovery[0].upper(), address=HOME)
        assert user.recovery_codes == len(recovery) - 1
        await refused(accounts, "anna", GOOD, recovery[0])
        text = b"".join((await house.written()).values()).decode()
        assert not any(one in text for one in recovery)

    async def test_a_new_authenticator_replaces_the_old_one_once_confirmed(
        self, house: House
    ) -> None:
        accounts = await house.user()
        old = await accounts.begin_codes("anna")
        lost = await accounts.confirm_codes("anna", house.code(old))
        new = await accounts.begin_codes("anna")
        house.clock.go(60)
        await accounts.sign_in("anna", GOOD, house.code(old), address=HOME)
        with pytest.raises(Denied):
            await accounts.confirm_codes("anna", house.code(old))
        await accounts.confirm_codes("anna", house.code(new))
        house.clock.go(60)
        await refused(accounts, "anna", GOOD, house.code(old))
        await refused(accounts, "anna", GOOD, lost[0])
        await accounts.sign_in("anna", GOOD, house.code(new), address=HOME)

    async def test_a_link_alone_gets_nobody_past_them(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        await accounts.confirm_codes("anna", house.code(uri))
        user = await accounts.redeem(await accounts.reset("anna"), OTHER)
        assert user.has_codes
        with pytest.raises(CodeNeeded):
            await accounts.sign_in("anna", OTHER, address=HOME)
        user = await accounts.redeem(await accounts.reset("anna", with_codes=True), OTHER)
        assert not user.has_codes
        await accounts.sign_in("anna", OTHER, address=HOME)

    async def test_an_administrator_can_take_them_away(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        await accounts.confirm_codes("anna", house.code(uri))
        await accounts.drop_codes("anna", by="root")
        await accounts.sign_in("anna", GOOD, address=HOME)


class TestWhatIsKept:
    async def test_no_password_nor_secret_is_written(self, house: House) -> None:
        accounts = house.accounts()
        secret = await accounts.create("anna", CLINICIAN)
        await accounts.redeem(secret, GOOD)
        again = await accounts.reset("anna")
        text = b"".join((await house.written()).values()).decode()
        for word in (GOOD, secret.partition("-")[2], again.partition("-")[2]):
            assert word not in text

    async def test_nothing_secret_is_shown(self, house: House) -> None:
        accounts = await house.user()
        await accounts.begin_codes("anna")
        account = next(iter((await accounts._states.all()).values()))
        for value in (account.password, account.mark, account.codes_begun):
            assert value
            assert value not in repr(account)
            assert value not in repr(account.user("default"))

    async def test_another_process_believes_what_it_read_for_a_while(self, house: House) -> None:
        accounts = await house.user()
        other = house.accounts(keep_s=2)
        assert await other.user("anna") is not None
        assert await other.user("bob") is None
        await accounts.disable("anna")
        await accounts.create("bob", CLINICIAN)
        house.clock.go(1.9)
        user = await other.user("anna")
        assert user is not None
        assert not user.is_disabled
        house.clock.go(0.1)
        user = await other.user("anna")
        assert user is not None
        assert user.is_disabled
        assert await other.user("bob") is not None
        # What it changes itself, it knows.
        await other.enable("anna")
        user = await other.user("anna")
        assert user is not None
        assert not user.is_disabled

    async def test_what_cannot_be_read_is_nobody_and_never_a_free_name(self, house: House) -> None:
        accounts = await house.user()
        ((key, data),) = (await house.written("users/")).items()
        fields = json.loads(data)
        grant = {"role": "clinician", "rules": None, "from_a_newer_release": ["x"]}
        folder = key.rpartition("/")[0]
        for number, bad in enumerate(
            (
                b"",
                b"{}",
                json.dumps(fields | {"version": 2}).encode(),
                json.dumps(fields | {"state": fields["state"] | {"grants": [grant]}}).encode(),
                json.dumps(fields | {"state": fields["state"] | {"more": 1}}).encode(),
                json.dumps(fields | {"state": fields["state"] | {"is_disabled": "?"}}).encode(),
            ),
            start=10,
        ):
            await house.objects.put_new(f"{folder}/{number:016x}.json", bad)
            for call in (
                accounts.user("anna"),
                accounts.users(),
                accounts.sign_in("anna", GOOD, address=HOME),
                accounts.create("anna", ADMIN),
            ):
                with pytest.raises(Corrupt):
                    await call
        # An older release has written less.
        del fields["state"]["changed_by"]
        await house.objects.put_new(f"{folder}/{99:016x}.json", json.dumps(fields).encode())
        await accounts.sign_in("anna", GOOD, address=HOME)


async def test_who_is_locked_out_is_told_until_when(house: House) -> None:
    accounts = await house.user()
    for _ in range(6):
        with pytest.raises(Unidentified):
            await accounts.sign_in("anna", OTHER, address=AWAY)
        if await accounts.locked_until_us("anna"):
            break
    with pytest.raises(LockedOut) as locked:
        await accounts.sign_in("anna", GOOD, address=AWAY)
    assert 0 < locked.value.until_us - house.clock.us <= 3600 * S
    await accounts.sign_in("anna", GOOD, address=HOME)
    await accounts.unlock("anna")
    assert await accounts.locked_until_us("anna") == 0
    await accounts.sign_in("anna", GOOD, address=AWAY)

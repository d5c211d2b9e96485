"""Who has to wait, and who has not."""

import asyncio
from itertools import pairwise

import pytest

from pacs_cloud.errors import Unidentified
from pacs_cloud.identity.accounts import Accounts, CodeNeeded
from pacs_cloud.identity.lockout import ADDRESS, STRANGERS, Count, Lockout
from pacs_cloud.identity.user import LockedOut
from unit.identity.accounts_house import AWAY, CLINICIAN, GOOD, HOME, OTHER, House, S

FREE = STRANGERS.waits_from


async def fail(accounts: Accounts, name: str, address: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Unidentified):
            await accounts.sign_in(name, OTHER, address=address)


async def locked_s(house: House, accounts: Accounts, name: str, address: str) -> float:
    """How long somebody has to wait, who would be right."""
    with pytest.raises(LockedOut) as locked:
        await accounts.sign_in(name, GOOD, address=address)
    return (locked.value.until_us - house.clock.us) / S


class TestOneName:
    async def test_the_wait_doubles_up_to_an_hour(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", AWAY, FREE)
        waits: list[float] = []
        for _ in range(12):
            waits.append(await locked_s(house, accounts, "anna", AWAY))
            house.clock.go(waits[-1])
            await fail(accounts, "anna", AWAY)
        assert waits[:4] == [30, 60, 120, 240]
        assert waits[-1] == 3600
        assert all(a <= b for a, b in pairwise(waits))

    async def test_a_known_name_is_locked_as_an_unknown_one(self, house: House) -> None:
        accounts = await house.user()
        for name in ("anna", "nobody"):
            await fail(accounts, name, AWAY, FREE)
            assert await locked_s(house, accounts, name, AWAY) == 30

    async def test_no_strangers_failures_lock_out_who_is_known(self, house: House) -> None:
        accounts = await house.user()
        for number in range(40):
            with pytest.raises((Unidentified, LockedOut)):
                await accounts.sign_in("anna", OTHER, address=f"198.51.100.{number}")
        await accounts.sign_in("anna", GOOD, address=HOME)
        # Nor does that let strangers in.
        await locked_s(house, accounts, "anna", AWAY)

    async def test_who_is_known_is_locked_by_failures_from_there(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", HOME, 5)
        assert await locked_s(house, accounts, "anna", HOME) == 15
        await accounts.sign_in("anna", GOOD, address=AWAY)
        house.clock.go(15)
        await accounts.sign_in("anna", GOOD, address=HOME)
        await fail(accounts, "anna", HOME, 5)

    async def test_nobody_is_kept_for_long_from_where_they_always_are(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", HOME, 5)
        waits: list[float] = []
        for _ in range(8):
            waits.append(await locked_s(house, accounts, "anna", HOME))
            house.clock.go(waits[-1])
            await fail(accounts, "anna", HOME)
        assert waits[-1] == max(waits) == 300
        house.clock.go(300)
        await accounts.sign_in("anna", GOOD, address=HOME)

    async def test_failures_are_forgotten_with_time(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", AWAY, FREE - 1)
        house.clock.go(3 * 3600)
        await fail(accounts, "anna", AWAY, 3)
        await accounts.sign_in("anna", GOOD, address=AWAY)

    async def test_right_password_wrong_codes_are_failures(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        await accounts.confirm_codes("anna", house.code(uri))
        for _ in range(FREE):
            with pytest.raises(CodeNeeded):
                await accounts.sign_in("anna", GOOD, address=AWAY)
            with pytest.raises(Unidentified):
                await accounts.sign_in("anna", GOOD, "000000", address=AWAY)
        assert await locked_s(house, accounts, "anna", AWAY) == 30

    async def test_a_password_is_not_guessed_where_it_is_changed(self, house: House) -> None:
        accounts = await house.user()
        for _ in range(FREE):
            with pytest.raises(Unidentified):
                await accounts.change_password("anna", OTHER, "x", address=AWAY)
        with pytest.raises(LockedOut):
            await accounts.change_password("anna", GOOD, OTHER, address=AWAY)

    async def test_a_link_lets_its_user_in_whoever_tries(self, house: House) -> None:
        accounts = await house.user()
        secret = await accounts.reset("anna")
        await fail(accounts, "anna", AWAY, FREE)
        await locked_s(house, accounts, "anna", AWAY)
        await accounts.redeem(secret, GOOD, address=AWAY)
        await accounts.sign_in("anna", GOOD, address=AWAY)
        await fail(accounts, "anna", "198.51.100.9", FREE)
        await accounts.sign_in("anna", GOOD, address=AWAY)

    async def test_a_name_that_is_given_away_has_nothing_of_it(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", AWAY, FREE)
        await accounts.remove("anna")
        secret = await accounts.create("anna", CLINICIAN)
        await accounts.redeem(secret, GOOD, address="203.0.113.1")
        await accounts.sign_in("anna", GOOD, address=AWAY)
        await fail(accounts, "anna", "203.0.113.2", FREE)
        await locked_s(house, accounts, "anna", HOME)

    async def test_few_addresses_are_remembered(self, house: House) -> None:
        accounts = await house.user()
        for number in range(20):
            await accounts.sign_in("anna", GOOD, address=f"10.1.0.{number}")
        await fail(accounts, "anna", AWAY, FREE)
        await accounts.sign_in("anna", GOOD, address="10.1.0.19")
        await locked_s(house, accounts, "anna", HOME)


class TestOneAddress:
    async def test_one_guess_for_each_of_many_names(self, house: House) -> None:
        accounts = await house.user()
        for number in range(ADDRESS.waits_from):
            await fail(accounts, f"name{number}", AWAY)
        assert await locked_s(house, accounts, "anna", AWAY) == 30
        # Others are not touched, nor those whom that address is known of.
        await accounts.sign_in("anna", GOOD, address="198.51.100.8")
        await accounts.sign_in("anna", GOOD, address=HOME)

    async def test_a_network_of_many_people_stays_open_to_them(self, house: House) -> None:
        accounts = await house.user()
        for number in range(ADDRESS.waits_from):
            await fail(accounts, f"name{number}", HOME)
        await accounts.sign_in("anna", GOOD, address=HOME)
        await house.user("bob")
        await accounts.sign_in("bob", GOOD, address=HOME)

    @pytest.mark.parametrize(
        ("one", "other", "is_same"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:198.51.100.7", "198.51.100.7", True),
            ("198.51.100.7", "198.51.100.8", False),
            ("fe80::1%eth0", "fe80::2%eth1", True),
            ("unix", "unix", True),
        ],
    )
    async def test_what_one_customer_has_is_one(
        self, house: House, one: str, other: str, *, is_same: bool
    ) -> None:
        accounts = await house.user()
        await accounts.sign_in("anna", GOOD, address=one)
        await fail(accounts, "anna", "203.0.113.5", FREE)
        if is_same:
            await accounts.sign_in("anna", GOOD, address=other)
        else:
            await locked_s(house, accounts, "anna", other)

    async def test_without_an_address_names_are_counted_all_the_same(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", "", FREE)
        assert await locked_s(house, accounts, "anna", "") == 30
        house.clock.go(30)
        await accounts.sign_in("anna", GOOD, address="")
        await fail(accounts, "anna", "", FREE)


class TestFloods:
    async def test_nothing_is_written_while_something_is_locked(self, house: House) -> None:
        accounts = await house.user()
        await fail(accounts, "anna", AWAY, FREE)
        before = await house.written()
        for _ in range(50):
            await locked_s(house, accounts, "anna", AWAY)
        assert await house.written() == before

    async def test_unknown_names_take_no_more_room_than_there_are_places(
        self, house: House
    ) -> None:
        lockout = Lockout(house.objects, "default", house.clock, keep_s=0)
        places = {lockout.attempt(None, f"name{n}", AWAY).name for n in range(300)}
        assert all(len(place) == len("u-") + 4 for place in places)

    async def test_one_object_for_each_place(self, house: House) -> None:
        accounts = await house.user()
        for _ in range(30):
            with pytest.raises((Unidentified, LockedOut)):
                await accounts.sign_in("anna", OTHER, address=AWAY)
        assert len(await house.written("tries/")) == 2

    async def test_who_asks_many_at_once_gets_few_tries(self, house: House) -> None:
        await house.user()
        processes = [house.accounts() for _ in range(3)]
        done = await asyncio.gather(
            *(
                accounts.sign_in("anna", f"{OTHER}{number}", address=AWAY)
                for number in range(20)
                for accounts in processes
            ),
            return_exceptions=True,
        )
        tried = [one for one in done if type(one) is Unidentified]
        locked = [one for one in done if isinstance(one, LockedOut)]
        assert len(tried) + len(locked) == len(done)
        # Those that had begun while the last one was being counted: four of each process.
        assert len(tried) <= FREE + 3 * 4

    @pytest.mark.parametrize(("address", "wait_s"), [(HOME, 15), (AWAY, 30)])
    async def test_those_that_had_begun_do_not_make_it_longer(
        self, house: House, address: str, wait_s: float
    ) -> None:
        accounts = await house.user()
        tries = [house.accounts().sign_in("anna", OTHER, address=address) for _ in range(FREE + 8)]
        await asyncio.gather(*tries, return_exceptions=True)
        assert await locked_s(house, accounts, "anna", address) == wait_s

    async def test_nor_those_of_one_address(self, house: House) -> None:
        accounts = await house.user()
        for number in range(ADDRESS.waits_from - 1):
            await fail(accounts, f"name{number}", AWAY)
        tries = [
            house.accounts().sign_in(f"last{number}", OTHER, address=AWAY) for number in range(4)
        ]
        await asyncio.gather(*tries, return_exceptions=True)
        assert await locked_s(house, accounts, "anna", AWAY) == 30

    async def test_a_lock_is_believed_without_a_look(self, house: House) -> None:
        await house.user()
        accounts = house.accounts(keep_s=5)
        await fail(accounts, "anna", AWAY, FREE)
        await locked_s(house, accounts, "anna", AWAY)
        await house.accounts().unlock("anna")
        await locked_s(house, accounts, "anna", AWAY)
        house.clock.go(5)
        await accounts.sign_in("anna", GOOD, address=AWAY)

    async def test_that_nothing_is_locked_is_not(self, house: House) -> None:
        await house.user()
        accounts = house.accounts(keep_s=5)
        await fail(accounts, "anna", AWAY)
        await fail(house.accounts(), "anna", AWAY, FREE - 1)
        await locked_s(house, accounts, "anna", AWAY)


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    count = Count()
    for now_us in (10 * S, 5 * S, 1 * S):
        count = count.failed(STRANGERS, now_us)
    assert count.level == 3


def test_no_wait_is_longer_than_the_longest() -> None:
    count = Count()
    for _ in range(2000):
        count = count.failed(STRANGERS, 0)
    assert count.until_us == 3600 * S


async def test_tenants_are_counted_apart(house: House) -> None:
    await house.user()
    other = House(house.objects, house.clock, "other")
    await fail(other.accounts(), "anna", AWAY, FREE)
    await house.accounts().sign_in("anna", GOOD, address=AWAY)

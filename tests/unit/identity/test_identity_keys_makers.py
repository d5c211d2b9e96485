"""A key opens nothing once whoever made it could not make it any more."""

from collections.abc import Awaitable, Callable

import pytest

from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.register import Register
from pacs_cloud.security.caller import Grant, Role
from unit.identity.accounts_house import AWAY, CLINICIAN, House

ADMIN = (Grant(Role.ADMIN),)


def register_of(house: House) -> Register:
    return Register(house.objects, house.tenant, house.clock, keep_s=0)


async def made_by(house: House, subject: str, keep_s: float = 0) -> tuple[ApiKeys, str]:
    await register_of(house).create("anna", ADMIN)
    keys = ApiKeys(house.objects, house.tenant, house.clock, keep_s=keep_s)
    until_us = house.clock.us + 10**12
    _, secret = await keys.create(CLINICIAN, until_us=until_us, note="a router", by=subject)
    return keys, secret


async def opens(keys: ApiKeys, secret: str) -> bool:
    return await keys.caller(secret, address=AWAY) is not None


async def _disabled(register: Register) -> None:
    await register.disable("anna")


async def _made_less(register: Register) -> None:
    await register.set_grants("anna", CLINICIAN)


async def _bounded(register: Register) -> None:
    await register.set_grants("anna", (Grant(Role.ADMIN, ()),))


@pytest.mark.parametrize("less", [_disabled, _made_less, _bounded])
async def test_it_follows_the_rights_of_its_maker(
    house: House, less: Callable[[Register], Awaitable[None]]
) -> None:
    keys, secret = await made_by(house, "user:anna")
    register = register_of(house)
    assert await opens(keys, secret)
    await less(register)
    assert not await opens(keys, secret)
    await register.enable("anna")
    await register.set_grants("anna", ADMIN)
    assert await opens(keys, secret)


async def test_a_name_that_was_given_away_again_brings_nothing_back(house: House) -> None:
    keys, secret = await made_by(house, "user:anna")
    register = register_of(house)
    await register.remove("anna")
    assert not await opens(keys, secret)
    house.clock.go(1)
    await register.create("anna", ADMIN)
    assert not await opens(keys, secret)
    (key,) = await keys.list()
    assert not key.revoked_us


async def test_keys_of_operators_and_of_providers_users_go_on(house: House) -> None:
    for number, maker in enumerate(("anna", "root", "oidc:clinic:anna", "")):
        keys, secret = await made_by(House(house.objects, house.clock, f"t{number}"), maker)
        assert await opens(keys, secret)


async def test_it_counts_as_soon_as_rights_that_are_taken_away(house: House) -> None:
    keys, secret = await made_by(house, "user:anna", keep_s=5)
    assert await opens(keys, secret)
    await register_of(house).disable("anna")
    house.clock.go(5)
    assert not await opens(keys, secret)


async def test_nobody_of_this_name_made_it(house: House) -> None:
    keys, secret = await made_by(house, "user:nobody")
    assert not await opens(keys, secret)

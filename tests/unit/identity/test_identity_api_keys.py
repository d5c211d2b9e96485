"""API keys: what they open, and until when."""

import asyncio

import pytest

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from unit.identity.accounts_house import AWAY, CLINICIAN, House, S

DAY = 86_400


def keys_of(house: House, keep_s: float = 0) -> ApiKeys:
    return ApiKeys(house.objects, house.tenant, house.clock, keep_s=keep_s)


async def made(house: House, days: float = 30) -> tuple[ApiKeys, str, str]:
    keys = keys_of(house)
    until_us = house.clock.us + round(days * DAY * S)
    key, secret = await keys.create(CLINICIAN, until_us=until_us, note="a router", by="root")
    return keys, key.key_id, secret


async def test_its_secret_says_who_asks(house: House) -> None:
    keys, key_id, secret = await made(house)
    expected = Caller("default", f"key:{key_id}", CLINICIAN, AWAY)
    assert await keys.caller(secret, address=AWAY) == expected
    assert await keys_of(house).caller(secret, address=AWAY) == expected


async def test_nothing_else_does(house: House) -> None:
    keys, key_id, secret = await made(house)
    _, other_id, other = await made(house)
    mixed = other.replace(other_id, key_id)
    for wrong in ("", "x", secret[:-1], secret + "A", mixed, f"pacs_{'0' * 16}_{'A' * 43}"):
        assert await keys.caller(wrong, address=AWAY) is None
    elsewhere = House(house.objects, house.clock, "other")
    assert await keys_of(elsewhere).caller(secret, address=AWAY) is None


async def test_only_a_hash_of_it_is_kept(house: House) -> None:
    _, key_id, secret = await made(house)
    text = b"".join((await house.written()).values()).decode()
    assert secret.removeprefix(f"pacs_{key_id}_") not in text
    (key,) = await keys_of(house).list()
    assert key.digest in text
    assert key.digest not in repr(key)


async def test_it_ends(house: House) -> None:
    keys, _, secret = await made(house, days=1)
    house.clock.go(DAY - 1)
    assert await keys.caller(secret, address=AWAY) is not None
    house.clock.go(1)
    assert await keys.caller(secret, address=AWAY) is None
    with pytest.raises(InvalidRequest):
        await keys.create(CLINICIAN, until_us=house.clock.us, note="")
    with pytest.raises(InvalidRequest):
        await keys.create(CLINICIAN, until_us=house.clock.us + 1, note="a\nb")


async def test_a_revoked_one_opens_nothing(house: House) -> None:
    keys, key_id, secret = await made(house)
    elsewhere = keys_of(house, keep_s=5)
    assert await elsewhere.caller(secret, address=AWAY) is not None
    revoked = await keys.revoke(key_id, by="root")
    assert (revoked.revoked_us, revoked.revoked_by) == (house.clock.us, "root")
    assert await keys.caller(secret, address=AWAY) is None
    assert await elsewhere.caller(secret, address=AWAY) is not None
    house.clock.go(5)
    assert await elsewhere.caller(secret, address=AWAY) is None
    assert await keys.revoke(key_id, by="other") == revoked
    (key,) = await keys.list()
    assert key == revoked
    for name in ("0" * 16, "", "../x", key_id.upper() + "x"):
        with pytest.raises(NotFound):
            await keys.revoke(name)


async def test_its_use_is_written_down_once_a_day(house: House) -> None:
    _, _, secret = await made(house)
    processes = [keys_of(house, keep_s=5) for _ in range(3)]
    seen = set[str]()
    for day in range(3):
        for _ in range(10):
            callers = await asyncio.gather(
                *(keys.caller(secret, address=AWAY) for keys in processes)
            )
            assert None not in callers
            seen |= (await house.written("keys/")).keys()
            house.clock.go(600)
        (key,) = await processes[0].list()
        assert key.used_day == house.clock.us // S // DAY
        assert len(seen) == 1 + day
        house.clock.go(DAY - 6000)


async def test_what_it_may_is_kept_as_it_was_said(house: House) -> None:
    rules = (StudyRule(frozenset({"North"}), modalities=frozenset({"CT", "MR"})), StudyRule())
    grants = (Grant(Role.DEVICE, rules), Grant(Role.GUEST, ()), Grant(Role.OPS))
    key, _ = await keys_of(house).create(grants, until_us=9 * 10**18, note="")
    assert await keys_of(house).list() == [key]
    assert key.grants == grants


async def test_unknown_keys_cost_the_store_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(house)
    keys = keys_of(house, keep_s=5)
    looks: list[str] = []
    real = type(house.objects).list

    def counted(self: object, prefix: str, *, after: str = "") -> object:
        looks.append(prefix)
        return real(self, prefix, after=after)  # type: ignore[arg-type]

    monkeypatch.setattr(type(house.objects), "list", counted)
    for number in range(100):
        assert await keys.caller(f"pacs_{number:016x}_{'A' * 43}", address=AWAY) is None
    assert looks.count("keys/default/") == 1


async def test_one_that_cannot_be_read_opens_nothing_and_harms_no_other(house: House) -> None:
    keys, key_id, secret = await made(house)
    _, _, other = await made(house)
    await house.objects.put_new(f"keys/default/{key_id}/{99:016x}.json", b"{}")
    assert await keys.caller(secret, address=AWAY) is None
    assert await keys.caller(other, address=AWAY) is not None

"""Users, sessions and keys on every store that an archive can lie on, and between processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from objectstore_samples import config_at
from pacs_cloud.errors import Denied
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.user import LockedOut
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from servers.fixtures import Place
from unit.identity.accounts_house import ADMIN, AWAY, CLINICIAN, GOOD, HOME, OTHER, House, S


class AccountsOnAStore:
    async def test_of_processes_that_start_together_one_makes_the_administrator(
        self, house: House
    ) -> None:
        links = await asyncio.gather(*(house.accounts().first_link() for _ in range(3)))
        (secret,) = [link for link in links if link is not None]
        await house.accounts().redeem(secret, GOOD, address=HOME)
        user = await house.accounts().sign_in("admin", GOOD, address=HOME)
        assert user.grants == ADMIN

    async def test_a_code_is_taken_once(self, house: House) -> None:
        accounts = await house.user()
        uri = await accounts.begin_codes("anna")
        await accounts.confirm_codes("anna", house.code(uri))
        house.clock.go(30)
        code = house.code(uri)
        done = await asyncio.gather(
            *(house.accounts().sign_in("anna", GOOD, code, address=HOME) for _ in range(3)),
            return_exceptions=True,
        )
        assert Counter(type(one).__name__ for one in done) == {"User": 1, "Unidentified": 2}

    async def test_a_link_is_redeemed_once(self, house: House) -> None:
        secret = await house.accounts().create("anna", CLINICIAN)
        done = await asyncio.gather(
            *(house.accounts().redeem(secret, GOOD) for _ in range(3)), return_exceptions=True
        )
        assert Counter(type(one).__name__ for one in done) == {"User": 1, "Denied": 2}

    async def test_failures_are_counted_by_all_processes_together(self, house: House) -> None:
        await house.user()
        for _ in range(5):
            with pytest.raises(Denied):
                await house.accounts().sign_in("anna", OTHER, address=AWAY)
        with pytest.raises(LockedOut):
            await house.accounts().sign_in("anna", GOOD, address=AWAY)
        await house.accounts().sign_in("anna", GOOD, address=HOME)

    async def test_a_session_ends_everywhere(self, house: House) -> None:
        accounts = await house.user()
        user = await accounts.sign_in("anna", GOOD, address=HOME)
        here, there = house.sessions(accounts), house.sessions(house.accounts())
        one, other = (here.issue(user, address=HOME) for _ in range(2))
        assert await there.caller(one, address=AWAY) == user.caller(AWAY)
        await here.end(one)
        assert await there.caller(one, address=AWAY) is None
        assert await there.caller(other, address=AWAY) is not None
        await here.end_all("anna")
        assert await there.caller(other, address=AWAY) is None

    async def test_a_key_is_used_and_revoked_everywhere(self, house: House) -> None:
        here, there = (ApiKeys(house.objects, "default", house.clock, keep_s=0) for _ in range(2))
        until_us = house.clock.us + 3600 * S
        key, secret = await here.create(CLINICIAN, until_us=until_us, note="")
        callers = await asyncio.gather(
            *(keys.caller(secret, address=HOME) for keys in (here, there) for _ in range(3))
        )
        assert None not in callers
        await there.revoke(key.key_id)
        assert await here.caller(secret, address=HOME) is None

    async def test_one_object_is_left_of_each_user(self, house: House) -> None:
        accounts = await house.user()
        for number in range(3):
            await accounts.change("anna", display_name=f"Anna {number}")
        assert len(await house.written("users/")) == 1
        assert [key async for key in house.objects.versions("users/")] == list(
            await house.written("users/")
        ), "no hash of a password that was is left in a hidden version"


class TestOnFiles(AccountsOnAStore):
    @pytest.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        async with LocalObjectStore(tmp_path) as store:
            yield House(store)


class TestOnS3(AccountsOnAStore):
    @pytest.fixture
    async def house(self, s3_bucket: Place) -> AsyncIterator[House]:
        async with S3ObjectStore(config_at(s3_bucket)) as store:
            yield House(store)

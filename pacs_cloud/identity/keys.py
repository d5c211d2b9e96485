"""API keys: how programs say who they are.

Each is a numbered state at `keys/{tenant}/{id}/{number}.json` (`states`), which is never
removed: it can be told later whose a key was. Of the secret a hash is kept. Processes know
the whole table, and look once every `keep_s` what has changed: an unknown key costs nothing.

A key that a local user has made opens nothing unless they could make it now: while they are
disabled, or not an administrator, and for ever once they are removed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.identity.register import Register, administers
from pacs_cloud.identity.states import States
from pacs_cloud.identity.user import LOCAL, line_of
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security.api_keys import is_key_id, new_key, read_key
from pacs_cloud.security.caller import Caller, Grant

KEYS: Final = "keys/"
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key.

    Attributes:
        key_id: sixteen hex digits, which its secret shows too.
        digest: of the secret.
        grants: what whoever has it is.
        until_us: when it ends, microseconds since 1970 UTC.
        note: what it is for, in the words of whoever made it.
        made_us: when it was made.
        made_by: by whom.
        used_day: when it was used last, days since 1970 UTC; -1 never.
        revoked_us: when it was revoked; 0: it was not.
        revoked_by: by whom.
    """

    key_id: str
    digest: str = field(repr=False)
    grants: tuple[Grant, ...]
    until_us: int
    note: str = ""
    made_us: int = 0
    made_by: str = ""
    used_day: int = -1
    revoked_us: int = 0
    revoked_by: str = ""

    def is_good(self, now_us: int) -> bool:
        """Return whether it opens anything."""
        return not self.revoked_us and now_us < self.until_us

    @property
    def subject(self) -> str:
        """Who, as the audit trail names whoever has it."""
        return f"key:{self.key_id}"

    def state(self, now_us: int, *, opens: bool) -> str:
        """Return "active", "revoked", "over", or "maker gone" where it `opens` nothing else."""
        if self.revoked_us:
            return "revoked"
        if not self.is_good(now_us):
            return "over"
        return "active" if opens else "maker gone"


class ApiKeys:
    """The keys of one tenant."""

    def __init__(
        self, objects: ObjectStore, tenant: str, now_us: Callable[[], int], *, keep_s: float
    ) -> None:
        """Keep them in a store.

        Args:
            objects: the store.
            tenant: whose.
            now_us: tells the time, microseconds since 1970 UTC.
            keep_s: how long the table is believed: so long does a revoked key go on, or one
                whose maker lost their rights.
        """
        self._states = States(objects, f"{KEYS}{tenant}/", ApiKey, now_us)
        self._makers = Register(objects, tenant, now_us, keep_s=keep_s)
        self._tenant = tenant
        self._now_us = now_us
        self._keep_us = round(keep_s * 1_000_000)
        self._table: Mapping[str, ApiKey] = {}
        self._looked_us: int | None = None
        self._looking = asyncio.Lock()

    async def caller(self, secret: str, *, address: str) -> Caller | None:
        """Return who shows a secret, None where it is no key's, or its key is over.

        Writes down that it was used, once a day.
        """
        shown = read_key(secret)
        if shown is None:
            return None
        now_us = self._now_us()
        key = (await self._known(now_us)).get(shown.key_id)
        if key is None or not shown.is_kept_as(key.digest) or not await self.opens(key):
            return None
        if key.used_day < now_us // _DAY_US:
            await self._note_use(key.key_id, now_us // _DAY_US)
        return Caller(self._tenant, key.subject, key.grants, address)

    async def opens(self, key: ApiKey) -> bool:
        """Return whether a key opens anything: it is good, and its maker could make it now."""
        if not key.is_good(self._now_us()):
            return False
        if not key.made_by.startswith(LOCAL):
            return True  # made by an operator, or by somebody whom a provider vouched for
        maker = await self._makers.user(key.made_by.removeprefix(LOCAL))
        return (
            maker is not None
            and not maker.is_disabled
            and administers(maker.grants)
            # Whoever was given the name of somebody who is removed is not its maker.
            and maker.made_us <= key.made_us
        )

    async def create(
        self, grants: Sequence[Grant], *, until_us: int, note: str, by: str = ""
    ) -> tuple[ApiKey, str]:
        """Make a key; return it, and its secret, which nobody can be told again.

        Args:
            grants: what whoever has it is.
            until_us: when it ends, microseconds since 1970 UTC.
            note: what it is for, one line.
            by: who makes it.

        Raises:
            InvalidRequest: it would end before now, or its note is no line.
        """
        now_us = self._now_us()
        if until_us <= now_us:
            raise InvalidRequest("a key ends later than now")
        key_id, secret, digest = new_key()
        key = ApiKey(
            key_id, digest, tuple(grants), until_us, line_of(note), made_us=now_us, made_by=by
        )

        def made(known: ApiKey | None) -> ApiKey:
            assert known is None, "64 random bits came twice"
            return key

        await self._states.change(key_id, made)
        self._looked_us = None
        return key, secret

    async def list(self) -> list[ApiKey]:
        """Return all keys, also those that are over, the oldest first."""
        return sorted((await self._states.all()).values(), key=lambda key: key.made_us)

    async def revoke(self, key_id: str, *, by: str = "") -> ApiKey:
        """Let a key open nothing any more; return it. Again changes nothing.

        Raises:
            NotFound: there is none.
        """
        if not is_key_id(key_id):
            raise NotFound("there is no such key")
        now_us = self._now_us()
        found: list[ApiKey] = []

        def revoked(key: ApiKey | None) -> ApiKey | None:
            if key is None:
                raise NotFound("there is no such key")
            found[:] = [key]
            return None if key.revoked_us else replace(key, revoked_us=now_us, revoked_by=by)

        key = await self._states.change(key_id, revoked)
        self._looked_us = None
        return key or found[0]

    async def _known(self, now_us: int) -> Mapping[str, ApiKey]:
        if self._is_known(now_us):
            return self._table
        async with self._looking:
            if not self._is_known(now_us):
                # One that a newer release has made is none here, and no harm to others.
                self._table = await self._states.all(readable=True)
                self._looked_us = now_us
            return self._table

    def _is_known(self, now_us: int) -> bool:
        looked_us = self._looked_us
        return looked_us is not None and looked_us <= now_us < looked_us + self._keep_us

    async def _note_use(self, key_id: str, day: int) -> None:
        def used(key: ApiKey | None) -> ApiKey | None:
            return replace(key, used_day=day) if key and key.used_day < day else None

        key = await self._states.change(key_id, used)
        if key is not None:
            self._table = {**self._table, key_id: key}

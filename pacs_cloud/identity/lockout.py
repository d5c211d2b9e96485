"""Who has failed too often, and has to wait: shared by all processes, in few objects.

Three things are counted, each as a bucket that fills by failures and drains with time:

- of a name, what comes from addresses that the user has never signed in from;
- of a name and each address that they have: so that no stranger's failures keep them out;
- of an address, what concerns names that are new to it: one guess each for many names.

From a certain failure on each lets one try through, then waits twice as long as before, up
to a limit (SP 800-63B 3.2.2: waiting up to an hour, and addresses that are known). While
it waits nothing is tried and nothing is written, so that a flood writes a few objects an
hour. Names that nobody has share some thousands of places, addresses as well: what lies
there is bounded, and an unknown name is locked as a known one is.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pacs_cloud.identity.states import States
from pacs_cloud.identity.user import LockedOut
from pacs_cloud.objectstore.port import ObjectStore

TRIES: Final = "tries/"
_PLACES: Final = 4
"""Hex digits: 65,536 places for unknown names, as many for addresses."""
_MOST_KNOWN: Final = 16
"""Addresses that are remembered of a user."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may fail.

    Attributes:
        waits_from: which failure is the first that makes wait.
        drain_s: a failure is forgotten after so long.
        first_s: how long that one does; each further one twice as long.
        longest_s: how long any does.
    """

    waits_from: int
    drain_s: float
    first_s: float
    longest_s: float


STRANGERS: Final = Limit(waits_from=5, drain_s=3600, first_s=30, longest_s=3600)
ACQUAINTED: Final = Limit(waits_from=5, drain_s=1800, first_s=15, longest_s=300)
ADDRESS: Final = Limit(waits_from=30, drain_s=120, first_s=30, longest_s=900)


@dataclass(frozen=True, slots=True)
class Count:
    """How often something has failed.

    Attributes:
        level: failures that are not forgotten, as of `at_us`.
        at_us: when the last one was, microseconds since 1970 UTC.
        until_us: when the next try is taken.
    """

    level: float = 0
    at_us: int = 0
    until_us: int = 0

    def failed(self, limit: Limit, now_us: int) -> "Count":
        """Return it with one failure more."""
        drained = max(0, now_us - self.at_us) / 1_000_000 / limit.drain_s
        level = max(0.0, self.level - drained) + 1
        above = round(level) - limit.waits_from
        if above < 0:
            return Count(level, now_us)
        wait_s = min(limit.first_s * 2 ** min(above, 30), limit.longest_s)
        return Count(level, now_us, now_us + round(wait_s * 1_000_000))


@dataclass(frozen=True, slots=True)
class Tries:
    """What is counted in one place.

    Attributes:
        strangers: of a name, from addresses that are new to it; or of an address.
        known: of a name, for each address that it has signed in from, oldest first.
    """

    strangers: Count = Count()
    known: Mapping[str, Count] = field(default_factory=dict[str, Count])


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to sign in.

    Attributes:
        name: the place of the name's counts.
        address: of whoever tries; "" where nobody knows.
    """

    name: str
    address: str


class Lockout:
    """The counts of one tenant."""

    def __init__(
        self, objects: ObjectStore, tenant: str, now_us: Callable[[], int], *, keep_s: float
    ) -> None:
        """Count in the objects of a tenant; what is locked is believed for `keep_s`."""
        self._states = States(objects, f"{TRIES}{tenant}/", Tries, now_us, keep_s=keep_s)
        self._now_us = now_us

    def attempt(self, user_id: str | None, name: str, address: str) -> Attempt:
        """Return a try by that name.

        Args:
            user_id: the user's; None where there is no such user.
            name: as it was typed.
            address: an IP address, or "".
        """
        place = f"n-{user_id}" if user_id else f"u-{_short(name)}"
        return Attempt(place, _network(address))

    async def refuse_locked(self, attempt: Attempt) -> None:
        """Return where it may be tried; raises LockedOut."""
        place = _place_of(attempt.address)
        remembered = self._states.remembered
        until_us = _until_us(attempt, remembered(attempt.name), remembered(place))
        if until_us <= self._now_us():
            # Only that something is locked is believed.
            name = await self._states.kept_anew(attempt.name)
            address = await self._states.kept_anew(place) if attempt.address else None
            until_us = _until_us(attempt, name, address)
        now_us = self._now_us()
        if until_us > now_us:
            raise LockedOut(until_us, now_us)

    async def failed(self, attempt: Attempt) -> None:
        """Count a failure; no more where others have locked it meanwhile."""
        now_us = self._now_us()

        def name_failed(tries: Tries | None) -> Tries | None:
            tries = tries or Tries()
            count = tries.known.get(attempt.address)
            if count is not None:
                if count.until_us > now_us:
                    return None
                count = count.failed(ACQUAINTED, now_us)
                return replace(tries, known={**tries.known, attempt.address: count})
            if tries.strangers.until_us > now_us:
                return None
            return replace(tries, strangers=tries.strangers.failed(STRANGERS, now_us))

        def address_failed(tries: Tries | None) -> Tries | None:
            count = (tries or Tries()).strangers
            return None if count.until_us > now_us else Tries(count.failed(ADDRESS, now_us))

        told = await self._states.change(attempt.name, name_failed)
        if told is not None and attempt.address and attempt.address not in told.known:
            await self._states.change(_place_of(attempt.address), address_failed)

    async def succeeded(self, attempt: Attempt) -> None:
        """Forget what a name failed, and remember the address; writes only where that is new.

        What strangers have failed is not forgotten: they may be at it still.
        """

        def name_succeeded(tries: Tries | None) -> Tries | None:
            tries = tries or Tries()
            if not attempt.address:
                return replace(tries, strangers=Count()) if tries.strangers.level else None
            if tries.known.get(attempt.address) == Count():
                return None
            known = {one: count for one, count in tries.known.items() if one != attempt.address}
            known[attempt.address] = Count()
            return replace(tries, known=dict(list(known.items())[-_MOST_KNOWN:]))

        await self._states.change(attempt.name, name_succeeded)

    async def forget(self, user_id: str, *, with_addresses: bool = False) -> None:
        """Let a user try again at once, wherever they are.

        Args:
            user_id: whose failures.
            with_addresses: their addresses are not known any more, either.
        """

        def forgotten(tries: Tries | None) -> Tries | None:
            known = {} if tries is None or with_addresses else tries.known
            new = Tries(known=dict.fromkeys(known, Count()))
            return None if new == (tries or Tries()) else new

        await self._states.change(f"n-{user_id}", forgotten)

    async def until_us(self, user_id: str) -> int:
        """Return until when strangers to a user's addresses are locked out; 0: they are not."""
        tries = await self._states.read(f"n-{user_id}")
        until_us = tries.strangers.until_us if tries else 0
        return until_us if until_us > self._now_us() else 0


def _until_us(attempt: Attempt, name: Tries | None, address: Tries | None) -> int:
    name, address = name or Tries(), address or Tries()
    count = name.known.get(attempt.address)
    if count is not None:
        return count.until_us
    return max(name.strangers.until_us, address.strangers.until_us)


def _network(address: str) -> str:
    """Return what stands for an address: itself, or the network of one customer (IPv6 /64)."""
    if not address:
        return ""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return _digest(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False)
    return _digest(str(parsed))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _short(text: str) -> str:
    return _digest(text)[:_PLACES]


def _place_of(network: str) -> str:
    return f"a-{network[:_PLACES]}"

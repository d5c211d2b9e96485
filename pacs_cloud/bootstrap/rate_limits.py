"""How often an address, or a caller, may ask: token buckets in bounded memory, of one process.

They keep one client from taking all of a process (OWASP API4:2023). Guessed passwords are counted
elsewhere, for all processes (`identity.lockout`).
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from pacs_cloud.dicomweb.app import HEALTHZ, READYZ
from pacs_cloud.dicomweb.callers import Identify
from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.errors import TooManyRequests
from pacs_cloud.security.caller import Caller
from pacs_cloud.settings import Settings
from pacs_cloud.web.local_paths import BREAK_GLASS, HOME

MOST_BUCKETS: Final = 20_000
"""Some 4 MB; of more clients the one that was quiet for longest is forgotten."""
SIGN_IN_PATHS: Final = ("/sign-in", "/welcome", "/share/", f"{HOME}/", BREAK_GLASS)
"""Where a POST tries a password, a code or a patient's ID; of what ends in `/`, all below."""
_PAUSE_S: Final = 10.0
"""A viewer opens a study with as many requests as it may make in so long."""
_PROBES: Final = frozenset({HEALTHZ, READYZ})
_NETWORK_BITS: Final = 64
"""Of IPv6 addresses: one customer has all that begin so (RFC 6177)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is allowed.

    Attributes:
        per_s: on average; 0: no limit.
        burst: at once, after a pause.
    """

    per_s: float
    burst: float

    @classmethod
    def with_pauses(cls, per_s: float, pause_s: float) -> "Rate":
        """Return a rate that lets what a pause of `pause_s` has saved go at once."""
        return cls(per_s, max(1.0, per_s * pause_s))


class TokenBuckets:
    """One bucket for each key, of those that were used last."""

    __slots__ = ("_buckets", "_most", "_now_s", "_rate")

    def __init__(
        self,
        rate: Rate,
        most: int = MOST_BUCKETS,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with full buckets.

        Args:
            rate: at which each fills, and how full it gets.
            most: buckets that are kept.
            now_s: a clock that never goes back.
        """
        self._rate = rate
        self._most = most
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str) -> float:
        """Take a token; return 0, or after how many seconds there is one."""
        per_s, burst = self._rate.per_s, self._rate.burst
        if per_s <= 0:
            return 0.0
        now_s = self._now_s()
        tokens, at_s = self._buckets.pop(key, (burst, now_s))
        tokens = min(burst, tokens + (now_s - at_s) * per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / per_s
        self._buckets[key] = (tokens if wait_s else tokens - 1, now_s)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait_s


class RateLimited:
    """Turns requests away before the application sees them: 429, and when to come again."""

    def __init__(
        self,
        app: ASGIApp,
        requests: TokenBuckets,
        sign_ins: TokenBuckets,
    ) -> None:
        """Surround `app`.

        Args:
            app: the application.
            requests: of one address, all but probes.
            sign_ins: of one address, what asks for a password to be looked at.
        """
        self._app = app
        self._requests = requests
        self._sign_ins = sign_ins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 429."""
        if scope["type"] != "http" or (path := scope["path"]) in _PROBES:
            await self._app(scope, receive, send)
            return
        network = network_of(scope)
        wait_s = self._requests.take(network)
        if not wait_s and scope["method"] == "POST" and _is_sign_in(path):
            wait_s = self._sign_ins.take(network)
        if not wait_s:
            await self._app(scope, receive, send)
            return
        refused = problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many requests come from this address.",
            retry_after_s=math.ceil(wait_s),
            headers={"x-content-type-options": "nosniff"},
        )
        await refused(scope, receive, send)


def _is_sign_in(path: str) -> bool:
    return any(path == one or (one[-1] == "/" and path.startswith(one)) for one in SIGN_IN_PATHS)


def rate_limited(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Return `app` behind the limits for addresses that `settings` ask for."""
    per_minute = settings.http_sign_ins_per_minute
    requests = Rate.with_pauses(settings.http_rate_per_s, _PAUSE_S)
    sign_ins = Rate(per_minute / 60, max(1.0, per_minute))
    if not requests.per_s and not sign_ins.per_s:
        return app
    return RateLimited(app, TokenBuckets(requests), TokenBuckets(sign_ins))


def limited(identify: Identify, buckets: TokenBuckets) -> Identify:
    """Return `identify`, which lets no caller ask more often than their bucket gives.

    It raises TooManyRequests besides.
    """

    async def identified(scope: Mapping[str, Any]) -> Caller | None:
        caller = await identify(scope)
        if caller is not None and (wait_s := buckets.take(f"{caller.tenant} {caller.subject}")):
            raise TooManyRequests(math.ceil(wait_s))
        return caller

    return identified


def network_of(scope: Mapping[str, Any]) -> str:
    """Return whose bucket a request is from: an IPv4 address, or an IPv6 network of 64 bits."""
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, _NETWORK_BITS), strict=False))

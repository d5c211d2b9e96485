"""How often somebody may ask, by a clock that the tests set."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.rate_limits import (
    Rate,
    RateLimited,
    TokenBuckets,
    _is_sign_in,
    limited,
    network_of,
    rate_limited,
)
from pacs_cloud.bootstrap.web_role import server_config
from pacs_cloud.errors import TooManyRequests
from pacs_cloud.security.caller import Caller
from pacs_cloud.settings import Settings
from pacs_cloud.web.local_paths import BREAK_GLASS, HOME
from pacs_cloud.web.routes import routes


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asked(
    served: Any, address: str = "192.0.2.1", path: str = "/dicom-web/studies", method: str = "GET"
) -> tuple[int, Mapping[bytes, bytes], bytes]:
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": method, "path": path, "client": (address, 1), "headers": []}
    await served(scope, None, send)
    return said[0]["status"], dict(said[0]["headers"]), said[1]["body"]


def test_a_burst_then_a_steady_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(Rate(2, 3), now_s=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now_s += 0.25
    assert buckets.take("a") == 0.25
    clock.now_s += 0.25
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    clock.now_s += 1000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_asking_while_there_is_none_costs_nothing() -> None:
    clock = Clock()
    buckets = TokenBuckets(Rate(1, 1), now_s=clock)
    assert buckets.take("a") == 0
    for _ in range(100):
        clock.now_s += 0.005
        assert buckets.take("a") > 0
    clock.now_s += 0.501
    assert buckets.take("a") == 0


def test_no_rate_is_no_limit_and_keeps_nothing() -> None:
    buckets = TokenBuckets(Rate(0, 1))
    assert [buckets.take("a") for _ in range(1000)] == [0] * 1000
    assert len(buckets) == 0


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    clock = Clock()
    buckets = TokenBuckets(Rate(1, 1), most=10, now_s=clock)
    buckets.take("busy")
    for n in range(1000):
        assert buckets.take(str(n)) == 0
        assert buckets.take("busy") > 0
        assert len(buckets) <= 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::nonsense:", "::nonsense:"),
    ],
)
def test_ipv6_addresses_of_one_network_share_a_bucket(address: str, network: str) -> None:
    assert network_of({"client": (address, 1)}) == network
    assert network_of({"client": None}) == network_of({}) == ""


async def test_too_many_requests_are_answered_429_and_when_to_come_again() -> None:
    clock = Clock()
    none = TokenBuckets(Rate(0, 1))
    served = RateLimited(app, TokenBuckets(Rate(0.5, 2), now_s=clock), none)
    assert [(await asked(served))[0] for _ in range(3)] == [200, 200, 429]
    status, headers, body = await asked(served)
    assert (status, headers[b"retry-after"], headers[b"content-type"]) == (
        429,
        b"2",
        b"application/problem+json",
    )
    assert headers[b"cache-control"] == b"no-store"
    assert json.loads(body)["status"] == 429
    assert (await asked(served, "192.0.2.2"))[0] == 200
    for path in ("/healthz", "/readyz"):
        assert (await asked(served, path=path))[0] == 200
    clock.now_s += 2
    assert (await asked(served))[0] == 200


async def test_sign_ins_have_a_limit_of_their_own(tmp_path: Path) -> None:
    served = rate_limited(app, Settings(data=tmp_path, http_sign_ins_per_minute=3))
    for path in ("/sign-in", "/welcome", "/share/0a1b2c"):
        assert (await asked(served, path=path, method="POST"))[0] == 200
    assert (await asked(served, path="/welcome", method="POST"))[0] == 429
    for path in ("/sign-in", "/sign-in/other"):
        assert (await asked(served, path=path))[0] == 200
    assert (await asked(served, path="/sign-in/other", method="POST"))[0] == 200
    assert (await asked(served, method="POST"))[0] == 200
    assert (await asked(served, "192.0.2.2", "/sign-in", "POST"))[0] == 200


async def test_without_a_limit_nothing_stands_before_the_application(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, http_sign_ins_per_minute=0)
    assert rate_limited(app, settings) is app
    limit = rate_limited(app, Settings(data=tmp_path, http_rate_per_s=1))
    assert [(await asked(limit))[0] for _ in range(11)] == [200] * 10 + [429]


async def test_a_caller_is_limited_wherever_they_come_from() -> None:
    async def identify(scope: Mapping[str, Any]) -> Caller | None:
        return Caller("north", scope["who"], ()) if scope["who"] else None

    guarded = limited(identify, TokenBuckets(Rate(0.25, 1), now_s=Clock()))
    assert (await guarded({"who": "user:anna"})) == Caller("north", "user:anna", ())
    with pytest.raises(TooManyRequests) as refused:
        await guarded({"who": "user:anna"})
    assert refused.value.retry_after_s == 4
    assert (await guarded({"who": "user:ben"})) is not None
    for _ in range(3):
        assert await guarded({"who": ""}) is None


@pytest.mark.parametrize(
    ("proxies", "address"), [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9")]
)
async def test_only_a_named_proxy_says_who_asks(proxies: tuple[str, ...], address: str) -> None:
    seen: list[str] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    config = server_config(note, ConnectionLimits(), Drain(), proxies)
    config.load()
    served: Any = config.loaded_app
    forged = [(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")]
    await served(
        {"type": "http", "client": ("127.0.0.1", 5), "headers": forged, "scheme": "http"},
        None,
        None,
    )
    assert seen == [address]


def test_a_proxy_is_an_address_or_a_network(tmp_path: Path) -> None:
    assert Settings(data=tmp_path, http_proxies="10.0.0.1, 2001:db8::/32").http_proxies == (
        "10.0.0.1",
        "2001:db8::/32",
    )
    for wrong in ("*", "proxy.example", "10.0.0.1/x"):
        with pytest.raises(ValueError, match="http_proxies"):
            Settings(data=tmp_path, http_proxies=wrong)


def test_every_form_counts_that_tries_what_can_be_guessed() -> None:
    class Anything:
        def __getattr__(self, name: str) -> "Anything":
            return self

        def __call__(self, *_: object, **__: object) -> "Anything":
            return self

        def __iter__(self) -> Iterator[bytes]:
            return iter((b"s" * 32,))

    services: Any = Anything()
    services.everybody = None
    served = {route.path for route in routes(services) if isinstance(route, Route)}
    guessed = {"/sign-in", "/welcome", "/share/{share}", BREAK_GLASS}
    guessed |= {f"{HOME}/{form}" for form in ("password", "codes", "codes/confirm", "codes/drop")}
    guessed |= {f"{HOME}/keys"}
    assert guessed <= served
    assert {path for path in guessed if _is_sign_in(path)} == guessed
    assert not _is_sign_in("/dicom-web/studies")
    assert not _is_sign_in("/sign-out")

"""Bearer tokens of a real provider: believed, kept, and whatever is wrong with them refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from oidc_house import Clock, archive_of, real_provider, said_in, signing_key

from oidc_forging import jwk, private_key, signed, text64
from pacs_cloud.errors import Unavailable
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_jwt import Fault, TokenRefused
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from servers.oidc_provider import API, OTHER_API, Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLF = Grant(
    Role.REFERRER,
    (
        StudyRule(
            referring_physicians=frozenset({"REFERRER^ROLF"}),
            institutions=frozenset({"St. Elsewhere", "Sacred Heart"}),
        ),
    ),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Provider]:
    async with real_provider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest_asyncio.fixture(loop_scope="module")
async def provider(running: Provider) -> Provider:
    await running.reset()
    return running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(loop_scope="module")
async def archive(provider: Provider, clock: Clock) -> AsyncIterator[OidcProvider]:
    async with archive_of(provider, clock) as archive:
        yield archive


async def why(archive: OidcProvider, token: str) -> Fault:
    """Return why a token is refused, which its bearer is never told."""
    assert await archive.caller(token, address="") is None
    with pytest.raises(TokenRefused) as refusal:
        await archive.explain(token)
    return refusal.value.fault


class TestBelieved:
    async def test_a_users_token(self, provider: Provider, archive: OidcProvider) -> None:
        token = (await provider.app_tokens("anna"))["access_token"]
        caller = await archive.caller(token, address="192.0.2.1")
        grants = (Grant(Role.RADIOLOGIST),)
        assert caller == Caller("here", "oidc:test:anna", grants, "192.0.2.1")

    async def test_a_users_rules_are_from_their_claims(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token = (await provider.app_tokens("rolf"))["access_token"]
        caller = await archive.caller(token, address="")
        assert caller == Caller("here", "oidc:test:rolf", (ROLF,), "")

    async def test_who_has_no_role_here_may_do_nothing(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token = (await provider.app_tokens("nina"))["access_token"]
        assert await archive.caller(token, address="") == Caller("here", "oidc:test:nina", ())
        program = await archive.caller(await provider.program_token(), address="")
        assert program == Caller("here", "oidc:test:gateway", ())

    async def test_it_is_verified_once_a_minute_and_kept_by_its_digest(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        assert await archive.caller(await provider.program_token(), address="") is not None
        token = await altered(provider, exp=9_999_999_999)
        clock.ahead_s = 560
        assert await archive.caller(token, address="192.0.2.1") is not None
        asked = await provider.asked("/jwks")
        clock.ahead_s = 619  # when whatever is verified needs the keys anew
        caller = await archive.caller(token, address="192.0.2.2")
        assert caller is not None
        assert caller.address == "192.0.2.2"
        assert await provider.asked("/jwks") == asked
        clock.ahead_s = 621
        assert await archive.caller(token, address="") is not None
        assert await provider.asked("/jwks") == asked + 1
        forged = token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")
        assert await why(archive, forged) is Fault.SIGNATURE

    async def test_what_is_kept_ends_with_the_token(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        token = await provider.program_token()
        clock.ahead_s = 630  # its end, and half of the allowance
        assert await archive.caller(token, address="") is not None
        clock.ahead_s = 700
        assert await why(archive, token) is Fault.EXPIRED

    async def test_so_many_are_kept_and_no_token_itself(
        self, provider: Provider, archive: OidcProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pacs_cloud.identity.oidc_bearer._KEPT", 2)
        tokens = [await altered(provider, jti=str(number)) for number in range(5)]
        for token in [*tokens, *tokens]:
            assert await archive.caller(token, address="") is not None
        kept = archive._bearer._kept
        assert len(kept) == 2
        assert all(len(digest) == 32 for digest in kept)

    async def test_many_requests_at_once_ask_for_the_keys_once(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token, before = await provider.program_token(), await provider.asked("/jwks")
        callers = await asyncio.gather(*(archive.caller(token, address="") for _ in range(50)))
        assert None not in callers
        assert await provider.asked("/jwks") == before + 1

    async def test_whoever_asks_for_no_audience_takes_no_token(
        self, provider: Provider, clock: Clock
    ) -> None:
        token, asked = await provider.program_token(), await provider.asked("/jwks")
        async with archive_of(provider, clock, audiences=frozenset()) as archive:
            assert await archive.caller(token, address="") is None
        assert await provider.asked("/jwks") == asked


class TestTimes:
    async def test_a_token_has_an_end(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        token = await provider.program_token()
        clock.ahead_s = 700
        assert await why(archive, token) is Fault.EXPIRED

    async def test_a_clock_may_be_off_by_a_minute(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        token = await provider.program_token()
        clock.ahead_s = -30
        assert await archive.caller(token, address="") is not None
        clock.ahead_s = -62
        assert await why(archive, token) is Fault.EARLY

    async def test_a_token_that_is_not_valid_yet(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        assert await why(archive, await altered(provider, nbf=9_999_999_999)) is Fault.EARLY


async def altered(provider: Provider, header: Any = None, **claims: Any) -> str:
    """Return a token that the provider signs with its own key, though it never would."""
    said = said_in(await provider.program_token()) | claims
    name, key = await signing_key(provider)
    said = {claim: value for claim, value in said.items() if value is not None}
    return signed(said, "RS256", key, {"kid": name, "typ": "at+jwt"} | (header or {}))


class TestClaims:
    async def test_what_the_provider_signs_is_believed(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        assert await archive.caller(await altered(provider), address="") is not None

    async def test_a_token_for_another_api(self, provider: Provider, archive: OidcProvider) -> None:
        assert await why(archive, await provider.program_token(OTHER_API)) is Fault.AUDIENCE

    @pytest.mark.parametrize("audience", [None, "", [], API + "/", API[:-1], [[API]], {API: API}])
    async def test_a_token_for_nobody_we_are(
        self, provider: Provider, archive: OidcProvider, audience: object
    ) -> None:
        assert await why(archive, await altered(provider, aud=audience)) is Fault.AUDIENCE

    async def test_a_token_for_us_among_others(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token = await altered(provider, aud=[OTHER_API, API])
        assert await archive.caller(token, address="") is not None

    @pytest.mark.parametrize("issuer", [None, "", "https://evil.example", ["x"]])
    async def test_a_token_of_another_issuer(
        self, provider: Provider, archive: OidcProvider, issuer: object
    ) -> None:
        asked = await provider.asked("/jwks")
        assert await why(archive, await altered(provider, iss=issuer)) is Fault.ISSUER
        assert await why(archive, await altered(provider, iss=provider.issuer + "/"))
        assert await provider.asked("/jwks") == asked, "others' tokens are no reason to ask"

    @pytest.mark.parametrize("end", [None, "soon", True])
    async def test_a_token_without_an_end(
        self, provider: Provider, archive: OidcProvider, end: object
    ) -> None:
        assert await why(archive, await altered(provider, exp=end)) is Fault.MALFORMED

    async def test_a_token_of_nobody(self, provider: Provider, archive: OidcProvider) -> None:
        assert await why(archive, await altered(provider, sub=None)) is Fault.USER

    async def test_an_id_token_is_no_access_token(self, provider: Provider, clock: Clock) -> None:
        id_token = (await provider.app_tokens("anna"))["id_token"]
        async with archive_of(provider, clock) as archive:
            assert await why(archive, id_token) is Fault.AUDIENCE
        for claim in ("nonce", "at_hash", "events"):
            token = await altered(provider, {"typ": "JWT"}, **{claim: "x"})
            async with archive_of(provider, clock) as archive:
                assert await why(archive, token) is Fault.TYPE

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({"typ": "logout+jwt"}, {}),
            ({"typ": "dpop+jwt"}, {}),
            ({"typ": "JWT"}, {"typ": "ID"}),
            ({"typ": "JWT"}, {"typ": "Refresh"}),
            ({}, {"cnf": {"jkt": "x"}}),
        ],
    )
    async def test_a_token_of_another_kind(
        self, provider: Provider, archive: OidcProvider, header: Any, claims: Any
    ) -> None:
        assert await why(archive, await altered(provider, header, **claims)) is Fault.TYPE

    async def test_keycloak_says_bearer_in_a_claim(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token = await altered(provider, {"typ": "JWT"}, typ="Bearer", nonce="as old releases do")
        assert await archive.caller(token, address="") is not None


class TestForged:
    async def test_no_signature(self, provider: Provider, archive: OidcProvider) -> None:
        claims = said_in(await provider.program_token())
        token = signed(claims, "none", None)
        assert await why(archive, token) is Fault.MALFORMED
        assert await why(archive, token + "AAAA") is Fault.ALGORITHM

    async def test_the_public_key_as_a_shared_secret(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims = said_in(await provider.program_token())
        name, key = await signing_key(provider)
        public = key.public_key()
        for secret in (
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            json.dumps(jwk(key)).encode(),
        ):
            token = signed(claims, "HS256", secret, {"kid": name})
            assert await why(archive, token) is Fault.ALGORITHM

    async def test_a_stranger_who_names_the_providers_key(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims = said_in(await provider.program_token())
        name, _ = await signing_key(provider)
        token = signed(claims, "RS256", private_key("RS256"), {"kid": name})
        assert await why(archive, token) is Fault.SIGNATURE

    async def test_a_key_that_the_token_brings_itself(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims, mine = said_in(await provider.program_token()), private_key("RS256")
        for header in (
            {"jwk": jwk(mine)},
            {"jwk": jwk(mine), "kid": "mine"},
            {"jku": f"{provider.issuer}/evil-keys", "kid": "mine"},
            {"x5u": f"{provider.issuer}/evil-keys", "kid": "mine"},
        ):
            fault = await why(archive, signed(claims, "RS256", mine, header))
            assert fault in {Fault.KEY, Fault.SIGNATURE}
        assert await provider.asked("/evil-keys") == 0

    async def test_a_key_of_the_provider_for_another_algorithm(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims = said_in(await provider.program_token())
        name, _ = await signing_key(provider)
        token = signed(claims, "ES256", private_key("ES256"), {"kid": name})
        assert await why(archive, token) is Fault.KEY

    async def test_an_algorithm_that_this_archive_does_not_allow(
        self, provider: Provider, clock: Clock
    ) -> None:
        token = await provider.program_token()
        async with archive_of(provider, clock, algorithms=frozenset({"ES256"})) as archive:
            assert await why(archive, token) is Fault.ALGORITHM

    @pytest.mark.parametrize(
        "token",
        ["", "x", "a.b.c", "🂡.🂡.🂡", "A" * 40_000, "é" * 100, f"{text64(b'[' * 6000)}.e30.AAAA"],
        ids=range(7),
    )
    async def test_what_is_no_token(
        self, provider: Provider, archive: OidcProvider, token: str
    ) -> None:
        await provider.answer("/.well-known/openid-configuration", status=500)
        assert await archive.caller(token, address="") is None

    async def test_a_token_that_is_too_long(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        assert await why(archive, await altered(provider, x="x" * 25_000)) is Fault.MALFORMED


class TestKeys:
    async def test_a_new_key_is_found(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        assert await archive.caller(await provider.program_token(), address="") is not None
        await provider.rotate(keep=True)
        clock.ahead_s = 11
        asked = await provider.asked("/jwks")
        assert await archive.caller(await provider.program_token(), address="") is not None
        assert await archive.caller(await provider.program_token(), address="") is not None
        assert await provider.asked("/jwks") == asked + 1

    async def test_a_withdrawn_key_counts_ten_minutes_at_most(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        old = await altered(provider, exp=9_999_999_999)
        assert await archive.caller(old, address="") is not None
        await provider.rotate()
        clock.ahead_s = 61
        assert await archive.caller(old, address="") is not None
        clock.ahead_s = 601 + 60
        assert await why(archive, old) is Fault.KEY

    async def test_unknown_keys_make_one_request_in_ten_seconds(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        assert await archive.caller(await provider.program_token(), address="") is not None
        asked = await provider.asked("/jwks")
        clock.ahead_s = 11
        for number in range(30):
            token = await altered(provider, {"kid": f"unknown-{number}"})
            assert await why(archive, token) is Fault.KEY
        assert await provider.asked("/jwks") == asked + 1

    async def test_a_token_that_names_no_key(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims = said_in(await provider.program_token())
        _, key = await signing_key(provider)
        assert await archive.caller(signed(claims, "RS256", key), address="") is not None

    async def test_a_token_that_names_no_key_where_several_fit(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        await provider.rotate(keep=True)
        claims = said_in(await provider.program_token())
        _, key = await signing_key(provider)
        assert await why(archive, signed(claims, "RS256", key)) is Fault.KEY

    async def test_a_weak_key_that_the_provider_publishes(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims = said_in(await provider.program_token())
        weak, strong = private_key("RS256", bits=1024), private_key("RS256")
        published = {"keys": [jwk(weak, kid="weak"), jwk(strong, kid="strong")]}
        await provider.answer("/jwks", body=json.dumps(published))
        token = signed(claims, "RS256", weak, {"kid": "weak"})
        assert await why(archive, token) is Fault.KEY
        token = signed(claims, "RS256", strong, {"kid": "strong"})
        assert await archive.caller(token, address="") is not None

    async def test_a_shared_secret_that_the_provider_publishes(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        claims, strong = said_in(await provider.program_token()), private_key("RS256")
        shared = {"kty": "oct", "kid": "shared", "k": text64(b"k" * 32), "alg": "HS256"}
        published = {"keys": [shared, jwk(strong, kid="strong")]}
        await provider.answer("/jwks", body=json.dumps(published))
        token = signed(claims, "HS256", b"k" * 32, {"kid": "shared"})
        assert await why(archive, token) is Fault.ALGORITHM

    async def test_a_set_without_a_key_that_may_be_used(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        token = await provider.program_token()
        weak = jwk(private_key("RS256", bits=1024), kid="weak")
        await provider.answer("/jwks", body=json.dumps({"keys": [weak]}))
        with pytest.raises(Unavailable, match="no key that may be used"):
            await archive.caller(token, address="")


@pytest.mark.parametrize("algorithm", ["PS256", "RS512", "ES256", "ES384", "EdDSA"])
async def test_other_signatures(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, algorithm: str
) -> None:
    directory = tmp_path_factory.mktemp("provider")
    async with (
        real_provider(directory, signs=algorithm) as provider,
        archive_of(provider, clock) as archive,
    ):
        assert await archive.caller(await provider.program_token(), address="") is not None

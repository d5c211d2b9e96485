"""Signing in at a real provider, as a browser does, and every way of tampering with it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from oidc_house import Clock, archive_of, real_provider, signing_key

from oidc_forging import private_key, signed, text64
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_sign_in import SignInFault, SignInRefused
from pacs_cloud.security.caller import Grant, Role
from servers.oidc_provider import PACS, REDIRECT, SIGNED_OUT, Browser, Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")

Query = Sequence[tuple[str, str]]


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


async def there_and_back(archive: OidcProvider, account: str = "anna") -> tuple[str, Query]:
    """Return what the browser kept and the query that it comes back with."""
    url, kept = await archive.begin("/studies?page=2")
    return kept, await Browser().sign_in(url, account)


def changed(query: Query, **values: str | None) -> Query:
    """Return a query with other values; without those that are None."""
    said: dict[str, str | None] = {**dict(query), **values}
    return [(name, value) for name, value in said.items() if value is not None]


async def why(archive: OidcProvider, kept: str, query: Query) -> SignInFault:
    with pytest.raises(SignInRefused) as refusal:
        await archive.finish(kept, query)
    return refusal.value.fault


class TestIn:
    async def test_somebody_signs_in(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        before_us = clock()
        done = await archive.finish(*await there_and_back(archive))
        grants = (Grant(Role.RADIOLOGIST),)
        user = done.user
        assert done.return_to == "/studies?page=2"
        assert user == ExternalUser(
            "here", "oidc:test:anna", "Anna Radiologist", grants, user.until_us
        )
        assert before_us + 3_600_000_000 <= user.until_us <= clock() + 3_600_000_000
        caller = user.caller(address="192.0.2.1")
        assert (caller.subject, caller.grants, caller.address) == (
            *("oidc:test:anna", grants),
            "192.0.2.1",
        )

    async def test_what_the_provider_is_asked_for(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        url, kept = await archive.begin("/")
        asked = parse_qs(urlsplit(url).query, strict_parsing=True)
        assert url.startswith(f"{provider.issuer}/auth?")
        assert len(asked["state"][0]) == len(asked["nonce"][0]) == 43
        assert {name: asked[name] for name in asked if name not in {"state", "nonce"}} == {
            "response_type": ["code"],
            "client_id": ["pacs"],
            "redirect_uri": [REDIRECT],
            "scope": ["openid profile email"],
            "code_challenge": asked["code_challenge"],
            "code_challenge_method": ["S256"],
        }
        assert kept not in url

    async def test_who_has_no_role_here_signs_in_and_may_do_nothing(
        self, archive: OidcProvider
    ) -> None:
        done = await archive.finish(*await there_and_back(archive, "nina"))
        assert (done.user.subject, done.user.grants) == ("oidc:test:nina", ())

    async def test_rules_are_from_claims(self, archive: OidcProvider) -> None:
        done = await archive.finish(*await there_and_back(archive, "rolf"))
        (grant,) = done.user.grants
        assert grant.rules is not None
        assert grant.rules[0].institutions == {"St. Elsewhere", "Sacred Heart"}

    async def test_several_people_at_once(self, archive: OidcProvider) -> None:
        ways = await asyncio.gather(
            *(there_and_back(archive, account) for account in ("anna", "rolf", "nina"))
        )
        done = await asyncio.gather(*(archive.finish(*way) for way in ways))
        assert [one.user.display_name for one in done] == [
            *("Anna Radiologist", "Rolf Referrer", "Nina Nobody")
        ]

    async def test_who_is_signed_in_there_need_not_type_again(self, archive: OidcProvider) -> None:
        browser = Browser()
        for _ in range(2):
            url, kept = await archive.begin("/")
            done = await archive.finish(kept, await browser.sign_in(url, "anna"))
            assert done.user.subject == "oidc:test:anna"

    async def test_more_parameters_than_ours_do_not_matter(self, archive: OidcProvider) -> None:
        kept, query = await there_and_back(archive)
        more = [*query, ("session_state", "x"), ("session_state", "y")]
        assert (await archive.finish(kept, more)).user.subject == "oidc:test:anna"

    async def test_another_process_finishes_it(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        kept, query = await there_and_back(archive)
        async with archive_of(provider, clock) as other:
            assert (await other.finish(kept, query)).user.subject == "oidc:test:anna"

    @pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil", "x"])
    async def test_it_leads_back_here_only(self, archive: OidcProvider, path: str) -> None:
        with pytest.raises(InvalidRequest, match="not a path of this archive"):
            await archive.begin(path)

    async def test_without_a_client_nobody_signs_in(self, provider: Provider, clock: Clock) -> None:
        async with archive_of(provider, clock, client_id="") as archive:
            with pytest.raises(InvalidRequest, match="no OpenID client"):
                await archive.begin("/")


class TestOut:
    async def test_the_providers_session_ends(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        url = await archive.signed_out_url()
        assert url is not None
        assert url.startswith(f"{provider.issuer}/session/end?client_id=pacs&post_logout")
        browser = Browser()
        begun, _ = await archive.begin("/")
        await browser.sign_in(begun, "anna")
        page = await browser.get(url)
        assert page.status_code == 200
        back = await browser.submit(page, logout="yes")
        assert back.headers["location"] == SIGNED_OUT
        begun, kept = await archive.begin("/")
        done = await archive.finish(kept, await browser.sign_in(begun, "rolf"))
        assert done.user.subject == "oidc:test:rolf"

    async def test_a_provider_without_such_an_end(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        await amend_document(provider, end_session_endpoint=None)
        assert await archive.signed_out_url() is None


async def amend_document(provider: Provider, **changes: Any) -> None:
    """Have the provider say something else of itself."""
    url = f"{provider.issuer}/.well-known/openid-configuration"
    said = (await provider.client.get(url)).json() | changes
    await provider.answer("/.well-known/openid-configuration", body=json.dumps(said))


class TestTamperedWith:
    async def test_a_code_counts_once(self, archive: OidcProvider) -> None:
        kept, query = await there_and_back(archive)
        await archive.finish(kept, query)
        assert await why(archive, kept, query) is SignInFault.CODE

    async def test_in_another_browser(self, archive: OidcProvider) -> None:
        """Login CSRF: a victim's browser is sent to the end of the attacker's sign-in."""
        _, query = await there_and_back(archive, "nina")
        _, victims = await archive.begin("/")
        assert await why(archive, victims, query) is SignInFault.FORGED
        for nothing in ("", "x", "x.y"):
            assert await why(archive, nothing, query) is SignInFault.STALE

    @pytest.mark.parametrize("state", [None, "", "x", "é"])
    async def test_another_state(self, archive: OidcProvider, state: str | None) -> None:
        kept, query = await there_and_back(archive)
        assert await why(archive, kept, changed(query, state=state)) is SignInFault.FORGED

    async def test_a_stolen_code_in_ones_own_sign_in(self, archive: OidcProvider) -> None:
        """Code injection: PKCE binds a code to the sign-in that it was asked for in."""
        _, victims = await there_and_back(archive, "anna")
        kept, mine = await there_and_back(archive, "nina")
        query = changed(mine, code=dict(victims)["code"])
        assert await why(archive, kept, query) is SignInFault.CODE

    @pytest.mark.parametrize("name", ["state", "code", "iss"])
    async def test_a_parameter_twice(self, archive: OidcProvider, name: str) -> None:
        kept, query = await there_and_back(archive)
        twice = [*query, (name, dict(query)[name])]
        assert await why(archive, kept, twice) is SignInFault.FORGED

    @pytest.mark.parametrize("code", [None, "", "x" * 5000])
    async def test_no_code(self, archive: OidcProvider, code: str | None) -> None:
        kept, query = await there_and_back(archive)
        assert await why(archive, kept, changed(query, code=code)) is SignInFault.FORGED

    async def test_a_code_that_the_provider_never_gave(self, archive: OidcProvider) -> None:
        kept, query = await there_and_back(archive)
        assert await why(archive, kept, changed(query, code="x" * 43)) is SignInFault.CODE

    @pytest.mark.parametrize("issuer", [None, "", "https://evil.example"])
    async def test_an_answer_of_another_provider(
        self, archive: OidcProvider, issuer: str | None
    ) -> None:
        kept, query = await there_and_back(archive)
        mixed_up = changed(query, iss=issuer)
        assert await why(archive, kept, mixed_up) is SignInFault.OTHER_PROVIDER
        error = changed(mixed_up, code=None, error="access_denied")
        assert await why(archive, kept, error) is SignInFault.OTHER_PROVIDER

    async def test_a_provider_that_never_names_itself(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        await amend_document(provider, authorization_response_iss_parameter_supported=False)
        kept, query = await there_and_back(archive)
        other = changed(query, iss="https://evil.example")
        assert await why(archive, kept, other) is SignInFault.OTHER_PROVIDER
        done = await archive.finish(kept, changed(query, iss=None))
        assert done.user.subject == "oidc:test:anna"

    async def test_two_providers_are_not_mixed_up(
        self, tmp_path_factory: pytest.TempPathFactory, archive: OidcProvider, clock: Clock
    ) -> None:
        """RFC 9207: an honest provider's answer to a sign-in that was begun at another."""
        async with (
            real_provider(tmp_path_factory.mktemp("other")) as other,
            archive_of(other, clock) as elsewhere,
        ):
            kept, query = await there_and_back(archive)
            begun, _ = await elsewhere.begin("/")
            state = parse_qs(urlsplit(begun).query)["state"][0]
            assert await why(elsewhere, kept, query) is SignInFault.STALE
            assert await why(archive, kept, changed(query, state=state)) is SignInFault.FORGED
            answered = await Browser().sign_in(begun, "anna")
            mixed = changed(answered, state=dict(query)["state"])
            assert await why(archive, kept, mixed) is SignInFault.OTHER_PROVIDER

    async def test_it_takes_too_long(self, archive: OidcProvider, clock: Clock) -> None:
        kept, query = await there_and_back(archive)
        clock.ahead_s = 601
        assert await why(archive, kept, query) is SignInFault.STALE

    async def test_a_secret_of_another_archive(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        async with archive_of(provider, clock, client_id="viewer") as other:
            _, kept = await other.begin("/")
        _, query = await there_and_back(archive)
        assert await why(archive, kept, query) is SignInFault.STALE


class TestRefused:
    async def test_somebody_declines(self, archive: OidcProvider) -> None:
        url, kept = await archive.begin("/")
        query = await Browser().sign_in(url, "anna", declines=True)
        assert dict(query)["error"] == "access_denied"
        assert await why(archive, kept, query) is SignInFault.DECLINED

    @pytest.mark.parametrize(
        ("error", "fault"),
        [
            ("login_required", SignInFault.AGAIN),
            ("invalid_scope", SignInFault.REFUSED),
            ("<script>", SignInFault.REFUSED),
            ("", SignInFault.REFUSED),
        ],
    )
    async def test_an_error_is_told_in_our_words(
        self, archive: OidcProvider, error: str, fault: SignInFault
    ) -> None:
        kept, query = await there_and_back(archive)
        told = changed(query, code=None, error=error)
        with pytest.raises(SignInRefused) as refusal:
            await archive.finish(kept, [*told, ("error_description", "call 555 & pay")])
        assert refusal.value.fault is fault
        assert str(refusal.value) == str(fault)
        assert "555" not in str(refusal.value)

    async def test_a_provider_that_cannot_now(self, archive: OidcProvider) -> None:
        kept, query = await there_and_back(archive)
        told = changed(query, code=None, error="temporarily_unavailable")
        with pytest.raises(Unavailable, match="cannot sign anybody in now"):
            await archive.finish(kept, told)

    async def test_an_error_without_our_state_is_not_believed(self, archive: OidcProvider) -> None:
        kept, _ = await there_and_back(archive)
        query = [("error", "access_denied"), ("state", "x")]
        assert await why(archive, kept, query) is SignInFault.FORGED

    async def test_a_user_whom_the_provider_has_disabled_meanwhile(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        kept, query = await there_and_back(archive)
        await provider.disable("anna")
        assert await why(archive, kept, query) is SignInFault.CODE

    async def test_a_wrong_secret(self, provider: Provider, clock: Clock) -> None:
        async with archive_of(provider, clock, client_secret="wrong") as archive:
            with pytest.raises(Unavailable, match="does not know this archive"):
                await archive.finish(*await there_and_back(archive))

    async def test_a_redirect_address_that_is_not_registered(
        self, provider: Provider, clock: Clock
    ) -> None:
        other = "http://127.0.0.1:8042/other"
        async with archive_of(provider, clock, redirect_uri=other) as archive:
            url, _ = await archive.begin("/")
            with pytest.raises(httpx.HTTPStatusError):
                await Browser().sign_in(url, "anna")


class TestWays:
    async def test_a_secret_in_the_form(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        await amend_document(provider, token_endpoint_auth_methods_supported=["client_secret_post"])
        done = await archive.finish(*await there_and_back(archive))
        assert done.user.subject == "oidc:test:anna"
        async with archive_of(provider, clock, client_secret="wrong") as wrong:
            with pytest.raises(Unavailable, match="does not know this archive"):
                await wrong.finish(*await there_and_back(wrong))

    async def test_no_way_to_send_a_secret(self, provider: Provider, archive: OidcProvider) -> None:
        await amend_document(provider, token_endpoint_auth_methods_supported=["private_key_jwt"])
        with pytest.raises(Unavailable, match="accepts no client secret"):
            await archive.finish(*await there_and_back(archive))

    @pytest.mark.parametrize(
        "changes",
        [
            {"code_challenge_methods_supported": ["plain"]},
            {"response_types_supported": ["id_token"]},
            {"token_endpoint": None},
            {"authorization_endpoint": None},
        ],
    )
    async def test_a_provider_without_what_is_needed(
        self, provider: Provider, archive: OidcProvider, changes: dict[str, Any]
    ) -> None:
        await amend_document(provider, **changes)
        with pytest.raises(Unavailable, match="offers no authorization code with PKCE"):
            await archive.begin("/")

    async def test_an_address_with_a_query_of_its_own(
        self, provider: Provider, archive: OidcProvider
    ) -> None:
        address = f"{provider.issuer}/auth?p=policy&state=x"
        await amend_document(provider, authorization_endpoint=address)
        url, _ = await archive.begin("/")
        asked = parse_qs(urlsplit(url).query)
        assert asked["p"] == ["policy"]
        assert len(asked["state"]) == 1
        assert asked["state"] != ["x"]

    @pytest.mark.parametrize(
        "options",
        [{"public": True}, *({"signs": one} for one in ("PS256", "ES256", "ES384", "EdDSA"))],
    )
    async def test_other_clients_and_signatures(
        self, tmp_path_factory: pytest.TempPathFactory, clock: Clock, options: dict[str, Any]
    ) -> None:
        secret = {} if "public" not in options else {"client_secret": ""}
        async with (
            real_provider(tmp_path_factory.mktemp("other"), **options) as provider,
            archive_of(provider, clock, **secret) as archive,
        ):
            done = await archive.finish(*await there_and_back(archive))
            assert done.user.subject == "oidc:test:anna"

    async def test_claims_that_only_the_user_info_has(
        self, tmp_path_factory: pytest.TempPathFactory, clock: Clock
    ) -> None:
        async with real_provider(tmp_path_factory.mktemp("slim"), slim=True) as provider:
            async with archive_of(provider, clock) as archive:
                done = await archive.finish(*await there_and_back(archive))
                assert done.user.grants == ()
            async with archive_of(provider, clock, asks_userinfo=True) as archive:
                done = await archive.finish(*await there_and_back(archive))
                assert done.user.grants == (Grant(Role.RADIOLOGIST),)
                assert done.user.display_name == "Anna Radiologist"
                kept, query = await there_and_back(archive)
                stranger = json.dumps({"sub": "rolf", "realm_access": {"roles": ["x"]}})
                await provider.answer("/me", body=stranger)
                assert await why(archive, kept, query) is SignInFault.UNPROVEN


class TestIdToken:
    """What comes back for a code, where the provider's own key signs something wrong."""

    async def given_back(
        self,
        provider: Provider,
        archive: OidcProvider,
        header: Any = None,
        *,
        access_token: object = "opaque",
        **claims: Any,
    ) -> tuple[str, Query]:
        """Return a sign-in whose code is answered with an ID token of these claims."""
        url, kept = await archive.begin("/")
        asked = parse_qs(urlsplit(url).query)
        now_s = Clock()() // 1_000_000
        said = {
            "iss": provider.issuer,
            "sub": "anna",
            "aud": "pacs",
            "iat": now_s,
            "exp": now_s + 300,
            "nonce": asked["nonce"][0],
        } | claims
        said = {name: value for name, value in said.items() if value is not None}
        algorithm = (header or {}).get("alg", "RS256")
        kind = {"ES256": "EC", "EdDSA": "OKP"}.get(algorithm, "RSA")
        name, key = await signing_key(provider, kind)
        head = {"kid": name} | (header or {})
        if algorithm == "HS256":
            key = PACS["client_secret"].encode()
        token = signed(said, algorithm, None if algorithm == "none" else key, head)
        if head.get("kid") == "mine":
            token = signed(said, "RS256", private_key("RS256"), head)
        await self.answer(provider, id_token=token, access_token=access_token)
        state, iss = asked["state"][0], provider.issuer
        return kept, [("code", "x"), ("state", state), ("iss", iss)]

    async def answer(self, provider: Provider, **said: Any) -> None:
        body = {"access_token": "opaque", "token_type": "Bearer", **said}
        await provider.answer("/token", body=json.dumps(body))

    @pytest.mark.parametrize(
        ("algorithm", "digest"),
        [("RS256", "sha256"), ("PS384", "sha384"), ("ES256", "sha256"), ("EdDSA", "sha512")],
    )
    async def test_one_that_is_right(
        self, provider: Provider, archive: OidcProvider, algorithm: str, digest: str
    ) -> None:
        half = hashlib.new(digest, b"opaque").digest()
        for claims in (
            {},
            {"aud": ["pacs", "other"], "azp": "pacs"},
            {"at_hash": text64(half[: len(half) // 2])},
        ):
            way = await self.given_back(provider, archive, {"alg": algorithm}, **claims)
            assert (await archive.finish(*way)).user.subject == "oidc:test:anna"

    @pytest.mark.parametrize(
        ("header", "claims"),
        [
            ({}, {"nonce": "another"}),
            ({}, {"nonce": None}),
            ({}, {"nonce": ["x"]}),
            ({}, {"nonce": "\ud800"}),
            ({}, {"iss": "https://evil.example"}),
            ({}, {"iss": None}),
            ({}, {"aud": "viewer"}),
            ({}, {"aud": None}),
            ({}, {"aud": ["pacs", "viewer"]}),
            ({}, {"aud": ["pacs", "viewer"], "azp": "viewer"}),
            ({}, {"azp": "viewer"}),
            ({}, {"exp": 1}),
            ({}, {"exp": None}),
            ({}, {"iat": 9_999_999_999}),
            ({}, {"nbf": 9_999_999_999}),
            ({}, {"sub": None}),
            ({}, {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}),
            ({}, {"at_hash": 7}),
            ({}, {"typ": "Bearer"}),
            ({"typ": "at+jwt"}, {}),
            ({"typ": "logout+jwt"}, {}),
            ({"alg": "none"}, {}),
            ({"alg": "HS256"}, {}),
            ({"crit": ["x"], "x": 1}, {}),
            ({"kid": "unknown"}, {}),
            ({"kid": "mine"}, {}),
        ],
    )
    async def test_one_that_proves_nothing(
        self, provider: Provider, archive: OidcProvider, header: Any, claims: Any
    ) -> None:
        kept, query = await self.given_back(provider, archive, header, **claims)
        assert await why(archive, kept, query) is SignInFault.UNPROVEN

    @pytest.mark.parametrize(
        "said",
        [{}, {"id_token": None}, {"id_token": 7}, {"id_token": "x"}, {"id_token": ["x"]}],
    )
    async def test_none(self, provider: Provider, archive: OidcProvider, said: Any) -> None:
        way = await self.given_back(provider, archive)
        await self.answer(provider, **said)
        assert await why(archive, *way) is SignInFault.UNPROVEN

    @pytest.mark.parametrize("access_token", [None, 7, "é", "a\r\nb", "\ud800"])
    async def test_no_access_token_with_it(
        self, provider: Provider, archive: OidcProvider, access_token: object
    ) -> None:
        way = await self.given_back(provider, archive, access_token=access_token)
        assert await why(archive, *way) is SignInFault.UNPROVEN

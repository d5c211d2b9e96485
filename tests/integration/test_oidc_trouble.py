"""A provider that is away, slow, hostile or another one: bounded, and nobody is let in."""

import asyncio
import datetime as dt
import gzip
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from oidc_house import Clock, archive_of, config_for, real_provider, said_in, signing_key

from oidc_forging import private_key, signed
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.identity.oidc import OidcProvider
from pacs_cloud.identity.oidc_http import ProviderHttp, open_client
from pacs_cloud.identity.oidc_jwt import Fault, TokenRefused
from servers.child import free_ports
from servers.oidc_provider import ACCOUNTS, PACS, Browser, Provider

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = "/.well-known/openid-configuration"


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


class TestAway:
    async def test_nobody_answers(self, provider: Provider, clock: Clock) -> None:
        token = await provider.program_token()
        claims = said_in(token)
        gone = f"http://127.0.0.1:{free_ports(1)[0]}"
        name, key = await signing_key(provider)
        token = signed(claims | {"iss": gone}, "RS256", key, {"kid": name})
        async with archive_of(provider, clock, issuer=gone) as archive:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await archive.caller(token, address="")
            with pytest.raises(Unavailable, match="cannot be reached"):
                await archive.begin("/")
            with pytest.raises(Unavailable, match="cannot be reached"):
                await archive.signed_out_url()
            assert await archive.caller("a.b.c", address="") is None

    async def test_keys_count_for_a_day_while_it_is_away(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        name, key = await signing_key(provider)
        claims = said_in(await provider.program_token()) | {"exp": 9_999_999_999}

        def token(number: int) -> str:
            return signed(claims | {"jti": str(number)}, "RS256", key, {"kid": name})

        assert await archive.caller(token(1), address="") is not None
        await provider.answer("/jwks", status=503)
        await provider.answer(DOCUMENT, status=503)
        clock.ahead_s = 23 * 3600
        assert await archive.caller(token(2), address="") is not None
        asked = await provider.asked("/jwks")
        clock.ahead_s += 50  # whoever asks waits: not for each token, nor each ten seconds
        assert await archive.caller(token(3), address="") is not None
        assert await provider.asked("/jwks") == asked
        clock.ahead_s = 25 * 3600
        with pytest.raises(Unavailable):
            await archive.caller(token(4), address="")
        await provider.reset()
        clock.ahead_s += 61
        assert await archive.caller(token(5), address="") is not None

    async def test_an_unknown_key_may_be_a_new_one(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        assert await archive.caller(await provider.program_token(), address="") is not None
        await provider.rotate()
        token = await provider.program_token()
        await provider.answer("/jwks", status=503)
        clock.ahead_s = 11
        with pytest.raises(Unavailable, match="answers 503"):
            await archive.caller(token, address="")
        await provider.reset()
        clock.ahead_s = 22
        assert await archive.caller(token, address="") is not None

    async def test_others_do_not_wait_while_one_freshens_the_keys(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        name, key = await signing_key(provider)
        claims = said_in(await provider.program_token()) | {"exp": 9_999_999_999}
        tokens = [
            signed(claims | {"jti": str(number)}, "RS256", key, {"kid": name})
            for number in range(3)
        ]
        assert await archive.caller(tokens[0], address="") is not None
        asked = await provider.asked("/jwks")
        await provider.answer("/jwks", after_s=60)
        clock.ahead_s = 601
        first = asyncio.create_task(archive.caller(tokens[1], address=""))
        while await provider.asked("/jwks") == asked:
            await asyncio.sleep(0.01)
        assert await archive.caller(tokens[2], address="") is not None
        assert not first.done()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    async def test_whoever_asked_first_was_cut_off(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        token, asked = await provider.program_token(), await provider.asked("/jwks")
        await provider.answer("/jwks", after_s=60)
        first = asyncio.create_task(archive.caller(token, address=""))
        while await provider.asked("/jwks") == asked:
            await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await provider.reset()
        with pytest.raises(Unavailable, match="not asked to the end"):
            await archive.caller(token, address="")
        clock.ahead_s = 11
        assert await archive.caller(token, address="") is not None

    async def test_it_comes_back(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        token = await provider.program_token()
        await provider.answer(DOCUMENT, status=503)
        with pytest.raises(Unavailable):
            await archive.caller(token, address="")
        await provider.reset()
        asked = await provider.asked(DOCUMENT)
        with pytest.raises(Unavailable):
            await archive.begin("/")
        assert await provider.asked(DOCUMENT) == asked, "not within half a minute"
        clock.ahead_s = 31
        assert await archive.caller(token, address="") is not None
        await archive.begin("/")

    async def test_its_document_counts_while_it_is_away(
        self, provider: Provider, archive: OidcProvider, clock: Clock
    ) -> None:
        await archive.begin("/")
        await provider.answer(DOCUMENT, status=500)
        asked = await provider.asked(DOCUMENT)
        await archive.begin("/")
        assert await provider.asked(DOCUMENT) == asked
        clock.ahead_s = 3601
        await archive.begin("/")
        await archive.begin("/")
        assert await provider.asked(DOCUMENT) == asked + 1

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (500, "answers 500"),
            (503, "answers 503"),
            (302, "answers 302"),
            (401, "does not know this archive"),
            (429, "too busy"),
        ],
    )
    async def test_a_code_cannot_be_redeemed(
        self, provider: Provider, archive: OidcProvider, status: int, words: str
    ) -> None:
        url, kept = await archive.begin("/")
        query = await Browser().sign_in(url, "anna")
        await provider.answer("/token", status=status)
        with pytest.raises(Unavailable, match=words):
            await archive.finish(kept, query)


class TestHostile:
    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ({"status": 301, "headers": {"location": "/elsewhere"}}, "answers 301"),
            ({"status": 302, "headers": {"location": "http://127.0.0.1:1/"}}, "answers 302"),
            ({"status": 307, "headers": {"location": "https://login.example/"}}, "answers 307"),
            ({"status": 204}, "answers 204"),
            ({"status": 404, "body": "{}"}, "answers 404"),
            ({"body": ""}, "not a JSON object"),
            ({"body": "[]"}, "not a JSON object"),
            ({"body": "<html>"}, "not a JSON object"),
            ({"body": "[" * 100_000}, "not a JSON object"),
            ({"body": " ", "repeat": 600 << 10}, "too large"),
            ({"body": " ", "repeat": 100 << 20}, "too large"),
            (
                {
                    "base64": True,
                    "body": b64encode(gzip.compress(bytes(50 << 20))).decode(),
                    "headers": {"content-encoding": "gzip"},
                },
                "compresses",
            ),
        ],
        ids=range(12),
    )
    @pytest.mark.parametrize("path", [DOCUMENT, "/jwks"])
    async def test_an_answer_that_is_none(
        self, provider: Provider, archive: OidcProvider, path: str, said: Any, words: str
    ) -> None:
        token = await provider.program_token()
        await provider.answer(path, **said)
        with pytest.raises(Unavailable, match=words):
            await archive.caller(token, address="")
        assert await provider.asked("/elsewhere") == 0

    @pytest.mark.parametrize(
        "changes",
        [
            {"issuer": "https://login.example"},
            {"jwks_uri": "http://169.254.169.254/latest"},
            {"jwks_uri": "https://169.254.169.254/latest"},
            {"token_endpoint": "http://login.example/token"},
            {"jwks_uri": None},
        ],
    )
    async def test_a_document_that_leads_astray(
        self, provider: Provider, archive: OidcProvider, changes: dict[str, Any]
    ) -> None:
        said = (await provider.client.get(provider.issuer + DOCUMENT)).json() | changes
        await provider.answer(DOCUMENT, body=json.dumps(said))
        with pytest.raises(Unavailable, match=r"another issuer|not trusted|malformed"):
            await archive.caller(await provider.program_token(), address="")
        with pytest.raises(Unavailable):
            await archive.begin("/")

    @pytest.mark.parametrize("said", [{"after_s": 60, "body": "{}"}, {"drips": True}])
    async def test_an_answer_that_takes_too_long(
        self, provider: Provider, said: dict[str, Any]
    ) -> None:
        await provider.answer("/slow", **said)
        async with open_client() as client:
            http = ProviderHttp(client, provider.issuer, limit_s=0.2)
            with pytest.raises(Unavailable, match="cannot be reached"):
                await http.get(f"{provider.issuer}/slow")

    async def test_no_other_address_is_ever_asked(self, provider: Provider) -> None:
        asked = await provider.asked("/jwks")
        async with open_client() as client:
            http = ProviderHttp(client, "https://login.example")
            for ask in (http.get, lambda url: http.post(url, {}, headers={})):
                with pytest.raises(Unavailable, match="not trusted"):
                    await ask(f"{provider.issuer}/jwks")
        assert await provider.asked("/jwks") == asked

    async def test_no_proxy_of_the_environment_is_used(
        self, provider: Provider, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, nowhere)
            monkeypatch.setenv(name.lower(), nowhere)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with archive_of(provider, clock) as archive:
            assert await archive.caller(await provider.program_token(), address="") is not None


async def test_nothing_of_anybody_is_logged(
    provider: Provider, archive: OidcProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pacs_cloud")
    url, kept = await archive.begin("/")
    query = await Browser().sign_in(url, "rolf")
    await archive.finish(kept, query)
    with pytest.raises(Exception, match="begin again"):
        await archive.finish(kept, query)
    token = (await provider.app_tokens("rolf"))["access_token"]
    assert await archive.caller(token, address="") is not None
    assert await archive.caller(token + "A", address="") is None
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "oidc_keys_read" in said
    assert "bearer_refused" in said
    secrets = [token, kept, dict(query)["code"], PACS["client_secret"], *ACCOUNTS["rolf"].values()]
    for secret in secrets:
        assert str(secret) not in said
        assert str(secret) not in repr(archive)
    assert "rolf" not in said.lower()
    assert PACS["client_secret"] not in repr(config_for(provider))


def certificate(folder: Path) -> Path:
    """Write a certificate for `localhost` that vouches for itself, with its key."""
    key, file = private_key("ES256"), folder / "localhost.pem"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


async def test_over_tls_its_certificate_has_to_be_vouched_for(tmp_path: Path, clock: Clock) -> None:
    file = certificate(tmp_path)
    async with real_provider(tmp_path, tls=file) as provider:
        token = await provider.program_token()
        async with archive_of(provider, clock) as archive:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await archive.caller(token, address="")
        async with open_client(file) as client:
            archive = OidcProvider(config_for(provider), client, [b"s" * 32], clock)
            assert await archive.caller(token, address="") is not None
            url, _ = await archive.begin("/")
            assert url.startswith(f"{provider.issuer}/auth?")


async def test_explaining_says_why(provider: Provider, archive: OidcProvider) -> None:
    token = await provider.program_token()
    assert (await archive.explain(token)).subject == "oidc:test:gateway"
    with pytest.raises(TokenRefused, match=f"^token refused: {Fault.MALFORMED}$"):
        await archive.explain("x")


async def test_who_has_no_client_begins_nothing(provider: Provider, clock: Clock) -> None:
    async with archive_of(provider, clock, redirect_uri="") as archive:
        with pytest.raises(InvalidRequest):
            await archive.begin("/")

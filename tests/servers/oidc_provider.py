"""A real OpenID provider (panva's oidc-provider under Node), and a browser that signs in to it."""

import html
import json
import re
import shutil
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

from patience import PATIENCE_S
from servers.child import free_ports, running, until_ready
from servers.node_clients import installed

START_SECONDS = PATIENCE_S
REDIRECT = "http://127.0.0.1:8042/oidc/callback"
SIGNED_OUT = "http://127.0.0.1:8042/sign-in"
APP_REDIRECT = "http://127.0.0.1:9999/app"
API = "https://pacs.example/api"
OTHER_API = "https://billing.example/api"

ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "anna": {
        "name": "Anna Radiologist",
        "preferred_username": "anna",
        "email": "anna@hospital.example",
        "email_verified": True,
        "realm_access": {"roles": ["pacs-radiologist", "offline_access"]},
    },
    "rolf": {
        "name": "Rolf Referrer",
        "preferred_username": "rolf",
        "realm_access": {"roles": ["pacs-referrer"]},
        "dicom_name": "REFERRER^ROLF",
        "hospital": ["St. Elsewhere", "Sacred Heart"],
    },
    "nina": {"name": "Nina Nobody", "preferred_username": "nina", "realm_access": {"roles": []}},
}
PACS: Mapping[str, Any] = {
    "client_id": "pacs",
    "client_secret": "a secret: with/odd characters+ and 32 more of them",
    "redirect_uris": [REDIRECT],
    "post_logout_redirect_uris": [SIGNED_OUT],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
}
APP: Mapping[str, Any] = {
    "client_id": "viewer",
    "token_endpoint_auth_method": "none",
    "redirect_uris": [APP_REDIRECT],
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
}
PROGRAM: Mapping[str, Any] = {
    "client_id": "gateway",
    "client_secret": "the gateway's secret, which is long enough",
    "redirect_uris": [],
    "grant_types": ["client_credentials"],
    "response_types": [],
}


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that runs.

    Attributes:
        issuer: what it calls itself.
        client: for requests to it, which follow no redirect.
    """

    issuer: str
    client: httpx.AsyncClient = field(repr=False)

    async def rotate(self, *, keep: bool = False) -> None:
        """Sign with new keys from now on; publish the old ones still if `keep`."""
        await self._control("rotate", keep=keep)

    async def disable(self, account: str) -> None:
        """Let a user sign in no more."""
        await self._control("disable", account=account)

    async def answer(self, path: str, **said: Any) -> None:
        """Have a path answer with `status`, `headers`, `body`, `repeat` (bytes) or `after_s`.

        `drips`: a byte at a time, without an end.
        """
        await self._control("answer", path=path, **said)

    async def reset(self) -> None:
        """Answer as it should again, and let everybody in."""
        await self._control("reset")

    async def keys(self) -> list[dict[str, Any]]:
        """Return its keys with their private parts, the newest set first."""
        return (await self._control("show"))["keys"]

    async def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return (await self._control("show"))["asked"].get(path, 0)

    async def program_token(self, audience: str = API) -> str:
        """Return an access token of a program that acts for nobody (RFC 6749 4.4)."""
        form = {"grant_type": "client_credentials", "scope": "pacs", "resource": audience}
        identity = (PROGRAM["client_id"], PROGRAM["client_secret"])
        answer = await self.client.post(f"{self.issuer}/token", data=form, auth=identity)
        answer.raise_for_status()
        return answer.json()["access_token"]

    async def app_tokens(self, account: str, audience: str = API) -> dict[str, Any]:
        """Return what an app gets that signs a user in to use an API for them."""
        verifier = "v" * 43
        url = httpx.URL(
            f"{self.issuer}/auth",
            params={
                "client_id": APP["client_id"],
                "redirect_uri": APP_REDIRECT,
                "response_type": "code",
                "scope": "openid profile pacs",
                "resource": audience,
                "code_challenge": "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM",
                "code_challenge_method": "S256",
            },
        )
        back = dict(await Browser().sign_in(str(url), account))
        form = {
            "grant_type": "authorization_code",
            "client_id": APP["client_id"],
            "code": back["code"],
            "redirect_uri": APP_REDIRECT,
            "code_verifier": verifier,
            "resource": audience,
        }
        answer = await self.client.post(f"{self.issuer}/token", data=form)
        answer.raise_for_status()
        return answer.json()

    async def _control(self, what: str, **said: Any) -> dict[str, Any]:
        answer = await self.client.post(f"{self.issuer}/control/{what}", json=said)
        answer.raise_for_status()
        return answer.json()


class Browser:
    """As much of a browser as a sign-in needs: cookies, redirects and forms."""

    def __init__(self) -> None:
        self._cookies = httpx.Cookies()

    async def sign_in(
        self, url: str, account: str, *, declines: bool = False
    ) -> Sequence[tuple[str, str]]:
        """Return the query with which the provider sends a user back who has signed in."""
        async with httpx.AsyncClient(trust_env=False, cookies=self._cookies) as client:
            answer = await client.get(url)
            for _ in range(20):
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["location"])
                    if not _is_same_place(url, answer.url):
                        self._cookies = client.cookies
                        return parse_qsl(urlsplit(url).query, keep_blank_values=True)
                    answer = await client.get(url)
                    continue
                answer.raise_for_status()
                page = answer.text
                if declines:
                    url = urljoin(url, html.unescape(_found(r'href="([^"]*/abort)"', page)))
                    answer = await client.get(url)
                    continue
                url = urljoin(url, html.unescape(_found(r'action="([^"]+)"', page)))
                prompt = _found(r'name="prompt" value="([^"]+)"', page)
                form = {"prompt": prompt, "login": account, "password": "any"}
                answer = await client.post(url, data=form)
        raise AssertionError("the provider goes round in circles")

    async def get(self, url: str) -> httpx.Response:
        """Return a page."""
        async with httpx.AsyncClient(trust_env=False, cookies=self._cookies) as client:
            answer = await client.get(url)
            self._cookies = client.cookies
            return answer

    async def submit(self, page: httpx.Response, **more: str) -> httpx.Response:
        """Return what the only form of a page is answered with."""
        url = urljoin(str(page.url), html.unescape(_found(r'action="([^"]+)"', page.text)))
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        async with httpx.AsyncClient(trust_env=False, cookies=self._cookies) as client:
            answer = await client.post(url, data={**hidden, **more})
            while answer.is_redirect and _is_same_place(answer.headers["location"], page.url):
                answer = await client.get(answer.headers["location"])
            self._cookies = client.cookies
            return answer


def _is_same_place(url: str, page: httpx.URL) -> bool:
    return urlsplit(url).netloc == page.netloc.decode()


def _found(pattern: str, page: str) -> str:
    match = re.search(pattern, page)
    assert match is not None, f"the page has no {pattern}"
    return match[1]


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    slim: bool = False,
    signs: str = "RS256",
    public: bool = False,
    tls: Path | None = None,
) -> AsyncGenerator[Provider, None]:
    """Run a provider with two clients for people and one for programs until the block ends.

    Args:
        directory: for its log.
        slim: its ID tokens hold no claims but those of the sign-in.
        signs: how it signs ID tokens and access tokens.
        public: our client has no secret.
        tls: a certificate for `localhost` and its key, PEM; it vouches for itself.

    Raises:
        servers.node_clients.Absent: Node or the package cannot be had here.
        ServerFailed: it ended, or does not answer within START_SECONDS.
    """
    program = installed() / "oidc_provider.mjs"
    node = shutil.which("node")
    assert node is not None
    port = free_ports(1)[0]
    pacs = {**PACS, "id_token_signed_response_alg": signs}
    if public:
        del pacs["client_secret"]
        pacs["token_endpoint_auth_method"] = "none"
    told = {
        "port": port,
        "accounts": ACCOUNTS,
        "clients": [pacs, APP, PROGRAM],
        "audiences": {API: signs, OTHER_API: signs},
        "slim": slim,
        "tls": str(tls) if tls else "",
    }
    log = directory / f"oidc-provider-{port}.log"
    trust = ssl.create_default_context(cafile=tls)
    async with (
        httpx.AsyncClient(trust_env=False, verify=trust) as client,
        running([node, program, json.dumps(told)], log=log, cwd=directory) as process,
    ):
        issuer = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            try:
                answer = await client.get(f"{issuer}/.well-known/openid-configuration")
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        await until_ready(process, answers, seconds=START_SECONDS, log=log)
        yield Provider(issuer, client)

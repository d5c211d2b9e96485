"""Every HTTP route by everything that somebody may show to be somebody: the whole stack, wired.

The pages are listed here as the other routes are in `test_access_matrix`: one that is served and
not listed fails the test.
"""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route, Router

from integration.dicomweb_archive import BOUNDARY, multipart
from integration.test_access_matrix import (
    ANYBODY,
    BASE,
    CALLERS,
    SECRETS,
    STUDY,
    WANTED,
    _judge,
    _may,
    _status_of_storing,
    instance_file,
)
from oidc_forging import jwk, private_key, signed
from pacs_cloud.bootstrap.services import Stores, now_us, open_intake, open_stores
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.dicomweb.resource import methods_of
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.identity.shares import LinkOver, MadeShare, Shares
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.security.caller import Action, Caller, Grant, Role, system
from pacs_cloud.settings import Settings
from web_site import CHEAP, GOOD

SITE = "http://127.0.0.1:8080"
OTHER_HOST = "other.example.org"
"""Where the other tenant's archive is."""
SECRET, OTHER_SECRET = b"s" * 32, b"o" * 32
ISSUER, API = "https://id.example.org", "pacs-api"
FOREIGN = "1.2.826.0.2.77"
"""A study of another tenant, with names of its own."""
FOREIGN_WORDS = ("OTHERS^NAME", "OTHERS-ID", "OTHERS DESCRIPTION")
DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000

_BOUNDED = {role: {"rules": [{"institutions": ["Elsewhere"]}]} for role in access.BOUNDED}

SESSION, LINK = "whoever is signed in", "whoever came by that link"
SEEN = "whoever is signed in and sees the study"
PAGES: Mapping[tuple[str, str], str] = {
    ("GET", "/"): SEEN,
    ("GET", "/studies/asides"): SEEN,
    ("GET", "/studies/{study}"): SEEN,
    ("GET", "/studies/{study}/labels"): SEEN,
    ("POST", "/studies/{study}/labels"): SEEN,
    ("GET", "/light/"): SEEN,
    **{("GET", f"/viewer{end}"): SESSION for end in ("", "/", "/{path}")},
    ("POST", "/light/studies/{study}/keys"): SESSION,
    **{("GET", f"/light/{end}"): ANYBODY for end in ("away", "manifest.webmanifest", "worker.js")},
    ("GET", "/static/{version}/{path}"): ANYBODY,
    ("GET", "/sign-in"): ANYBODY,
    ("POST", "/sign-in"): ANYBODY,
    ("GET", "/oidc/start"): ANYBODY,
    ("GET", "/oidc/callback"): ANYBODY,
    ("GET", "/oidc/end"): ANYBODY,
    ("GET", "/welcome"): ANYBODY,
    ("POST", "/welcome"): ANYBODY,
    ("GET", "/sign-out"): SESSION,
    ("POST", "/sign-out"): SESSION,
    ("GET", "/account"): SESSION,
    **{
        (method, f"/account/{end}"): SESSION
        for end in ("password", "codes", "codes/confirm", "codes/drop", "keys", "keys/revoke")
        for method in ("GET", "POST")
    },
    **{
        (method, f"/break-glass{end}"): SESSION
        for end in ("", "/end")
        for method in ("GET", "POST")
    },
    **{(method, f"/shares{end}"): SESSION for end in ("", "/revoke") for method in ("GET", "POST")},
    **{
        (method, path): SESSION
        for path in ("/send", "/recall", "/recall/pin")
        for method in ("GET", "POST")
    },
    ("GET", "/download"): SESSION,
    ("GET", "/upload"): SESSION,
    ("POST", "/upload"): SESSION,
    **{
        ("GET", f"/ops/{end}"): SESSION
        for end in ("audit", "audit/who", "audit/{file}", "holds", "conflicts")
    },
    ("GET", "/ops/conflicts/{conflict}/{picture}"): SESSION,
    ("GET", "/ops/corrections"): SESSION,
    **{
        ("GET", f"/ops{end}"): SESSION
        for end in ("", "/ingest", "/tiers", "/cost", "/cost/prices", "/what-if", "/recalls")
    },
    **{
        (method, f"/ops/{end}"): SESSION
        for end in ("queue/redrive", "devices")
        for method in ("GET", "POST")
    },
    ("GET", "/ops/queue"): SESSION,
    ("GET", "/ops/ae-titles"): SESSION,
    **{
        (method, f"/ops/{end}"): SESSION
        for end in (
            *("audit/chain", "integrity", "trash", "conflicts/{conflict}", "users", "users/{name}"),
            *("keys", "ae-titles/one", "shares", "corrections/{correction}"),
            *(f"corrections/{what}" for what in ("merge", "move", "attributes")),
        )
        for method in ("GET", "POST")
    },
    ("GET", "/share/{share}"): LINK,
    ("POST", "/share/{share}"): LINK,
    ("GET", "/share/{share}/leave"): LINK,
    ("POST", "/share/{share}/leave"): LINK,
    ("GET", "/share/{share}/reply"): LINK,
    ("POST", "/share/{share}/reply"): LINK,
    ("GET", "/share/{share}/studies/{study}/series/{series}"): LINK,
}
"""Every page, and who gets more of it than a form or a way to the sign-in."""

VIEWED: Mapping[tuple[str, str], Action | str] = {
    ("GET", f"/light/studies/{{study}}{end}"): Action.READ
    for end in ("", "/keys", "/series/{series}/frames", "/series/{series}/volume")
}
"""Pages that are for whoever may see the study, by whatever credential."""

SHAPED: Mapping[tuple[str, str], Action | str] = {
    ("GET", f"/light/studies/{{study}}/series/{{series}}/volume/{end}"): Action.READ
    for end in ("plane", "view", "point")
}
"""Likewise, of volumes: for whoever may see the study there is none of its single image."""

NUMBERS: Mapping[tuple[str, str], Action | str] = {("GET", "/metrics"): Action.OPERATE}
"""What `serve` adds to what the DICOMweb application serves by itself."""


@dataclass(frozen=True)
class Credential:
    """What is shown, and what it is worth.

    Attributes:
        name: for messages.
        fields: the request's header fields.
        caller: as whom it lets in; None: as nobody.
        share: the link that a guest came by, "" for others.
    """

    name: str
    fields: tuple[tuple[str, str], ...] = ()
    caller: Caller | None = None
    share: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether it is turned away even where anybody may come in."""
        return self.caller is None and any(name == "authorization" for name, _ in self.fields)


def by_header(name: str, *values: str, caller: Caller | None = None) -> Credential:
    return Credential(name, tuple(("authorization", value) for value in values), caller)


def by_cookie(
    name: str, token: str, caller: Caller | None = None, *, share: str = ""
) -> Credential:
    return Credential(name, (("cookie", f"pacs={token}"), ("origin", SITE)), caller, share)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def changed(text: str, at: int) -> str:
    """Return a text with one character exchanged for another of its alphabet."""
    other = "A" if text[at] != "A" else "B"
    return text[:at] + other + text[at:][1:]


@dataclass
class House:
    """An archive of one tenant beside another's data, wired as a web process wires it."""

    app: Any
    client: httpx.AsyncClient
    settings: Settings
    stores: Stores
    file: bytes

    def accounts(self, tenant: str = "default") -> Accounts:
        return Accounts(self.stores.objects, tenant, now_us, keep_s=0, argon2id=CHEAP)

    async def user(self, name: str, *grants: Grant, tenant: str = "default") -> Accounts:
        accounts = self.accounts(tenant)
        await accounts.redeem(await accounts.create(name, grants), GOOD)
        return accounts

    async def session(
        self,
        name: str,
        *grants: Grant,
        tenant: str = "default",
        ago_us: int = 0,
        secret: bytes = SECRET,
    ) -> str:
        """Return the token of a session that somebody began some time ago."""
        accounts = await self.user(name, *grants, tenant=tenant)
        user = await accounts.sign_in(name, GOOD, address="")
        sessions = Sessions(accounts, [secret], lambda: now_us() - ago_us)
        return sessions.issue(user, address="")

    async def key(
        self, *grants: Grant, tenant: str = "default", ago_us: int = 0, by: str = ""
    ) -> str:
        """Return the secret of a key that was made some time ago, for one day."""
        then_us = now_us() - ago_us
        keys = ApiKeys(self.stores.objects, tenant, lambda: then_us, keep_s=0)
        _, secret = await keys.create(grants, until_us=then_us + DAY_US, note="a test", by=by)
        return secret

    async def revoked(self, secret: str) -> str:
        keys = ApiKeys(self.stores.objects, "default", now_us, keep_s=0)
        await keys.revoke(secret.split("_")[1])
        return secret

    async def guest(
        self, *, ago_us: int = 0, uses: int = 2, **wish: Any
    ) -> tuple[MadeShare, str, Shares]:
        """Return a link, a session that it began, and what keeps links; of some time ago."""

        async def record(event: AuditEvent) -> None:
            del event

        objects, catalogue, then_us = self.stores.objects, self.stores.catalogue, now_us() - ago_us
        shares = Shares(objects, catalogue, "default", lambda: then_us, record)
        maker = Caller("default", "user:maker", (Grant(Role.RADIOLOGIST),))
        made = await shares.create(maker, ShareWish((STUDY,), "x", uses=uses, **wish), door="x")
        guest = await shares.redeem(made.share.share_id, made.secret, address="")
        # By itself the session would go on.
        lasting = replace(guest, until_us=now_us() + DAY_US)
        sessions = Sessions(self.accounts(), [SECRET], now_us)
        return made, await sessions.issue_external(lasting, address=""), shares

    async def ask(self, shown: Credential, method: str, path: str) -> httpx.Response:
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        body = multipart(self.file) if method == "POST" and path.startswith(BASE) else None
        more = [("content-type", kind)] if body else []
        return await self.client.request(method, path, headers=[*shown.fields, *more], content=body)


def provider(request: httpx.Request) -> httpx.Response:
    """Answer as an OpenID provider does that signs with one key."""
    if request.url.path == "/.well-known/openid-configuration":
        said: dict[str, Any] = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        said["authorization_endpoint"] = said["token_endpoint"] = f"{ISSUER}/token"
    else:
        assert request.url.path == "/keys"
        said = {"keys": [jwk(private_key("ES256"), kid="k", use="sig")]}
    return httpx.Response(200, stream=httpx.ByteStream(json.dumps(said).encode()))


@asynccontextmanager
async def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(
        "pacs_cloud.bootstrap.oidc.open_client",
        lambda _: httpx.AsyncClient(transport=httpx.MockTransport(provider)),
    )
    settings = Settings(
        data=folder,
        no_auth=False,
        session_secret=SECRET.decode(),
        http_sign_ins_per_minute=0,
        http_tenants={OTHER_HOST: "other"},
        oidc_issuer=ISSUER,
        oidc_client_id="pacs",
        oidc_audiences=(API,),
        oidc_grants=[
            {"claim": "groups", "value": f"{role}", "role": f"{role}"} | _BOUNDED.get(role, {})
            for role in Role
        ],
    )
    own, theirs = instance_file(), foreign_file()
    async with open_stores(settings, create=True) as stores:
        async with open_intake(settings, stores) as intake:
            for tenant, data in (("default", own), ("other", theirs)):
                session = intake.session(system(tenant), Source(Door.IMPORT))
                reception = session.begin_file()
                reception.write(data)
                await reception.finish()
                await session.commit()
        async with open_application(settings, stores, stores.ready) as app:
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 40000))
            async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
                yield House(app, client, settings, stores, own)


def foreign_file() -> bytes:
    data = instance_file()
    for mine, other in zip((*SECRETS, STUDY), (*FOREIGN_WORDS, FOREIGN), strict=True):
        # As long as it was, so that nothing else has to change.
        assert len(mine) == len(other)
        data = data.replace(mine.encode(), other.encode())
    return data


# What is shown


async def good(house: House) -> AsyncIterator[Credential]:
    """Yield what lets somebody in: keys for every kind of caller, and each other way once."""
    for name, caller in CALLERS.items():
        if caller is not None and caller.tenant == "default":
            key = await house.key(*caller.grants)
            yield by_header(f"a key: {name}", f"Bearer {key}", caller=caller)
    for name in ("radiologist", "clinician-here", "clinician-elsewhere", "ops"):
        grants = CALLERS[name].grants
        caller = Caller("default", f"user:{name}", grants)
        yield by_cookie(f"a session: {name}", await house.session(name, *grants), caller)
    for role in (Role.CLINICIAN, Role.REFERRER, Role.AUDITOR):
        # A referrer's rule is about studies elsewhere: to this one it is as good as none.
        caller = Caller("default", "oidc:oidc:anna", (Grant(role),))
        yield by_header(f"a token: {role}", f"Bearer {token(groups=[role])}", caller=caller)
    caller = Caller("default", "oidc:oidc:x", ())
    yield by_header("a token: no role", f"Bearer {token(groups=['x'])}", caller=caller)
    clinician = CALLERS["clinician"]
    key = await house.key(*clinician.grants)
    yield by_header("a key as Basic's password", basic("any", key), caller=clinician)
    for wish in ({}, {"may_download": True}, {"may_reply": True}):
        made, session, shares = await house.guest(uses=1, **wish)
        with pytest.raises(LinkOver):  # used up: that ends no session
            await shares.redeem(made.share.share_id, made.secret, address="")
        guest = Caller("default", made.share.subject, made.share.grants)
        name = f"a guest: {wish}"
        yield by_cookie(name, session, guest, share=made.share.share_id)


async def worthless(house: House) -> AsyncIterator[Credential]:
    """Yield what lets nobody in."""
    admin = Grant(Role.ADMIN)
    yield Credential("nothing")
    good = await house.key(admin)
    _, key_id, secret = good.split("_", 2)
    yield by_header("a key that is over", f"Bearer {await house.key(admin, ago_us=2 * DAY_US)}")
    revoked = await house.revoked(await house.key(admin))
    yield by_header("a revoked key", f"Bearer {revoked}")
    yield by_header("a revoked key as a password", basic("x", revoked))
    await house.user("leaver", admin)
    theirs = await house.key(admin, by="user:leaver")
    await house.accounts().disable("leaver", even_last=True)
    yield by_header("a key whose maker is disabled", f"Bearer {theirs}")
    foreign = await house.key(admin, tenant="other")
    yield by_header("another tenant's key", f"Bearer {foreign}")
    for at in (len("pacs_"), len("pacs_") + 16, len("pacs_") + 17, len(good) - 2):
        yield by_header(f"a key, character {at} changed", f"Bearer {changed(good, at)}")
    yield by_header("a key's id and another's secret", f"Bearer pacs_{key_id}_{foreign[-43:]}")
    yield by_header("a key without its end", f"Bearer {good[:-1]}")
    yield by_header("a key with more", f"Bearer {good}A")
    yield by_header("a key's id alone", f"Bearer pacs_{key_id}")
    yield by_header("a key's secret alone", f"Bearer {secret}")
    yield by_header("a key with a blank inside", f"Bearer {good[:9]} {good[9:]}")
    yield by_header("a key without a scheme", good)
    yield by_header("a key by an unknown scheme", f"Digest {good}")
    yield by_header("a key as Basic's name", basic(good, ""))
    yield by_header("a key as Basic, not encoded", f"Basic {good}")
    yield by_header("a user's password", basic("admin", GOOD))
    yield by_header("a scheme and nothing", "Bearer", "Bearer ")
    yield by_header("an empty field", "")
    yield by_header("a key twice", f"Bearer {good}", f"Bearer {good}")
    yield by_header("a key, and something else", f"Bearer {good}", basic("a", "b"))
    yield Credential("a key in another field", (("x-api-key", good), ("proxy-authorization", good)))
    yield Credential("a name that a proxy would give", (("x-forwarded-user", "admin"),))
    async for one in worthless_sessions(house, good):
        yield one
    for one in worthless_tokens():
        yield one
    async for one in worthless_guests(house):
        yield one


async def worthless_sessions(house: House, key: str) -> AsyncIterator[Credential]:
    admin = Grant(Role.ADMIN)
    fresh = await house.session("fresh", admin)
    sessions = Sessions(house.accounts(), [SECRET], now_us)
    for hours in (1, 13):
        old = await house.session(f"old{hours}", admin, ago_us=hours * HOUR_US)
        yield by_cookie(f"a session that nobody used for {hours} h", old)
    left = await house.session("left", admin)
    await sessions.end(left)
    yield by_cookie("a session that was signed out", left)
    gone = await house.session("gone", admin)
    await sessions.end_all("gone")
    yield by_cookie("a session that was signed out elsewhere", gone)
    disabled = await house.session("disabled", admin)
    await house.accounts().disable("disabled")
    yield by_cookie("a disabled user's session", disabled)
    before = await house.session("before", admin)
    await house.accounts().change_password("before", GOOD, "lamp staple horse", address="")
    yield by_cookie("a session from before the password was changed", before)
    forged = await house.session("forged", admin, secret=OTHER_SECRET)
    yield by_cookie("a session that somebody else has signed", forged)
    for tenant in ("other", "default"):  # a user of the same name is here, too
        same = await house.session("same", admin, tenant=tenant)
        if tenant == "other":
            yield by_cookie("another tenant's session", same)
    head, claims, signature = fresh.split(".")
    for at in (0, len(head) + 1, len(head) + len(claims) // 2, len(fresh) - 3):
        yield by_cookie(f"a session, character {at} changed", changed(fresh, at))
    yield by_cookie("a session without its signature", f"{head}.{claims}.")
    yield by_cookie("a session of two halves", f"{head}.{forged.split('.')[1]}.{signature}")
    none = signed({"sub": "user:fresh", "ten": "default"}, "none", None)
    yield by_cookie("a session signed by nobody", none)
    yield by_cookie("a key as a session", key)
    yield by_cookie("nothing as a session", "")
    yield Credential("a session by another name", (("cookie", f"__Host-pacs={fresh}"),))
    yield Credential("a session in no cookie", (("pacs", fresh),))
    yield by_header("a session as a token", f"Bearer {fresh}")
    wrong = (("cookie", f"pacs={fresh}"), ("authorization", "Bearer wrong"))
    yield Credential("a session, and a wrong token", wrong)


def token(key: Any = None, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """Return an access token of the provider's; `claims` and `key` make it another's."""
    now_s = int(time.time())
    said = {"iss": ISSUER, "aud": API, "sub": "anna", "iat": now_s, "exp": now_s + 600}
    said = {name: one for name, one in {**said, **claims}.items() if one is not None}
    header = {"kid": "k", "typ": "at+jwt"} | dict(header or {})
    return signed(said, "ES256", key or private_key("ES256"), header)


def worthless_tokens() -> Iterable[Credential]:
    admin = ["admin"]
    now_s = int(time.time())
    nobodys = {"iss": ISSUER, "aud": API, "sub": "anna", "exp": now_s + 600, "groups": admin}
    public = jwk(private_key("ES256"))["x"].encode()
    for name, text in {
        "signed by nobody": signed(nobodys, "none", None),
        "signed with the public key": signed(nobodys, "HS256", public, {"kid": "k"}),
        "forged": token(private_key("ES256", 1), groups=admin),
        "forged, with its key": token(
            private_key("ES256", 1), {"jwk": jwk(private_key("ES256", 1))}, groups=admin
        ),
        "expired": token(exp=now_s - 120, groups=admin),
        "without an end": token(exp=None, groups=admin),
        "not begun": token(nbf=now_s + 600, groups=admin),
        "for somebody else": token(aud="another-api", groups=admin),
        "for nobody": token(aud=None, groups=admin),
        "another provider's": token(iss="https://elsewhere.example.org", groups=admin),
        "an ID token": token(header={"typ": "JWT"}, nonce="n", groups=admin),
        "changed": changed(token(groups=admin), 60),
    }.items():
        yield by_header(f"a token, {name}", f"Bearer {text}")
        yield by_cookie(f"a token as a session, {name}", text)


async def worthless_guests(house: House) -> AsyncIterator[Credential]:
    made, session, _ = await house.guest(ago_us=2 * DAY_US, days=1)
    yield by_cookie("a guest whose link has expired", session, share=made.share.share_id)
    made, session, shares = await house.guest()
    maker = Caller("default", "user:maker", (Grant(Role.RADIOLOGIST),))
    await shares.revoke(maker, made.share.share_id, door="x")
    yield by_cookie("a guest whose link is revoked", session, share=made.share.share_id)
    made, _, _ = await house.guest(uses=1)
    link = made.share.share_id
    yield by_cookie("a link's secret as a session", made.secret, share=link)
    yield by_header("a link's secret as a token", f"Bearer {made.secret}")
    stranger = Sessions(house.accounts(), [OTHER_SECRET], now_us)
    guest = ExternalUser("default", made.share.subject, "x", made.share.grants, now_us() + DAY_US)
    forged = await stranger.issue_external(guest, address="")
    yield by_cookie("a guest's session that somebody else has signed", forged, share=link)


# Every route


async def test_at_another_tenants_host_whoever_is_somebody_here_is_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch) as house:
        shown = [one async for one in good(house) if one.name in _SOME or one.share]
        assert len(shown) == len(_SOME) + 3
        theirs = await house.key(Grant(Role.ADMIN), tenant="other")
        key = by_header("their key", f"Bearer {theirs}")
        for one in shown:
            there = replace(one, caller=None, fields=tuple(_also_over_tls(one)))
            for (method, path), wanted in {**WANTED, **VIEWED}.items():
                answer = await house.ask(there, method, f"http://{OTHER_HOST}{url(path, STUDY)}")
                judge(there, method, path, wanted, answer, f"{one.name}: {method} {path}")
        for (method, path), wanted in {**WANTED, **VIEWED}.items():
            if wanted != ANYBODY and method == "GET":
                case = f"their key: {method} {path}"
                # There the other study is the one that is seen, and ours is not there.
                answer = await house.ask(key, method, f"http://{OTHER_HOST}{url(path, FOREIGN)}")
                assert answer.status_code in {200, 206}, case
                said = answer.content + repr(answer.headers).encode()
                assert [word for word in SECRETS if word.encode() in said] == [], case


_SOME = frozenset({"a key: admin", "a session: radiologist", "a token: clinician"})


def _also_over_tls(one: Credential) -> Iterable[tuple[str, str]]:
    """Yield the fields, with a session by both of its cookie's names, as from a page there."""
    for name, value in one.fields:
        if name == "cookie":
            yield name, f"{value}; __Host-{value}"
        else:
            yield name, value.replace(SITE, f"http://{OTHER_HOST}")


def routes_of(app: Any) -> list[Route]:
    """Return the routes that an application serves, whatever stands before its router."""
    while not isinstance(app, Router):
        app = app._app
    return list(_below(app.routes, ""))


def _below(routes: Iterable[Any], prefix: str) -> Iterable[Route]:
    for one in routes:
        if isinstance(one, Route):
            path = prefix + one.path.replace(":path}", "}")
            yield Route(path, one.endpoint, methods=methods_of(one))
        else:
            yield from _below(one.app.routes, prefix + one.path)


async def test_every_route_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as house:
        served = {(method, one.path) for one in routes_of(house.app) for method in one.methods}
        assert {one for one in served if one[0] != "HEAD"} == {
            *(*WANTED, *NUMBERS, *PAGES, *VIEWED, *SHAPED)
        }


def _would_change(caller: Caller | None, method: str, wanted: Action | str, path: str) -> bool:
    """Say whether somebody may do it, and it is none of this test's: the other matrix does."""
    if caller is None or method not in {"DELETE", "POST"}:
        return False
    if method == "POST":
        return _status_of_storing(caller, to_study="{study}" in path) == 200
    return access.may(caller, Action(wanted))


def judge(
    one: Credential, method: str, path: str, wanted: Action | str, answer: httpx.Response, case: str
) -> None:
    if one.is_refused:
        assert answer.status_code == 401, case
    elif one.caller is not None and method == "POST":
        expected = _status_of_storing(one.caller, to_study="{study}" in path)
        assert answer.status_code == expected, case
    else:
        _judge(one.caller, wanted, answer, case)
    sees = one.caller is not None and wanted != ANYBODY and _may(one.caller, Action(wanted))
    tells_nothing(answer, case, own=sees)


def judge_foreign(one: Credential, wanted: Action | str, answer: httpx.Response, case: str) -> None:
    """Check an answer about another tenant's study: it is as one that is not there."""
    if one.caller is None:
        assert answer.status_code == 401, case
    elif not access.may(one.caller, Action(wanted)):
        assert answer.status_code == 403, case
    else:
        assert answer.status_code == (204 if wanted is Action.SEARCH else 404), case
    tells_nothing(answer, case)


def tells_nothing(answer: httpx.Response, case: str, *, own: bool = False) -> None:
    """Check that an answer has none of the planted words; `own`: but those of the own study."""
    said = answer.content + repr(sorted(answer.headers.items())).encode()
    planted = (*FOREIGN_WORDS, *FOREIGN_WORDS[0].split("^")[:1], *(() if own else SECRETS))
    assert [word for word in planted if word.encode() in said] == [], case


def url(path: str, study: str, share: str = "0" * 32) -> str:
    below = {"study": study, "series": f"{study}.1", "instance": f"{study}.1.1"}
    below |= {"conflict": "0" * 32, "picture": "newcomer", "correction": "0" * 32}
    below |= {"name": "clinician-here", "file": "events.csv"}
    filled = path.format(**below, frames="1", path="7FE00010", share=share, version="x")
    if path.endswith("/wado"):
        uids = f"studyUID={study}&seriesUID={study}.1&objectUID={study}.1.1"
        filled += f"?requestType=WADO&{uids}"
    if path in {path for _, path in SHAPED}:
        filled += "" if path.endswith("view") else "?plane=axial&at=0"
        filled += "&x=1&y=1" if path.endswith("point") else ""
    if path == "/studies/asides":
        filled += f"?of={study}"
    return filled


async def test_nobody_gets_more_than_their_credentials_are_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch) as house:
        shown = [one for made in (good, worthless) async for one in made(house)]
        for one in shown:
            for (method, path), wanted in {**WANTED, **VIEWED}.items():
                if not _would_change(one.caller, method, wanted, path):
                    answer = await house.ask(one, method, url(path, STUDY))
                    case = f"{one.name}: {method} {path}"
                    judge(one, method, path, wanted, answer, case)
                    if "{study}" in path or path.endswith("/wado"):
                        answer = await house.ask(one, method, url(path, FOREIGN))
                        judge_foreign(one, wanted, answer, case)
            for (method, path), wanted in SHAPED.items():
                answer = await house.ask(one, method, url(path, STUDY))
                case = f"{one.name}: {method} {path}"
                if one.caller is not None and _may(one.caller, Action.READ):
                    assert answer.status_code == 406, case
                    tells_nothing(answer, case)
                else:
                    judge(one, method, path, wanted, answer, case)
                judge_foreign(one, wanted, await house.ask(one, method, url(path, FOREIGN)), case)
            for (method, path), wanted in NUMBERS.items():
                answer = await house.ask(one, method, path)
                status = 401 if one.caller is None or one.is_refused else 403
                if status == 403 and access.opens(one.caller, Action(wanted)):
                    status = 200  # as of pages: what is of all studies is not for who has some
                assert answer.status_code == status, f"{one.name}: {path}"
                tells_nothing(answer, f"{one.name}: {path}")


async def test_pages_are_for_whoever_they_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, monkeypatch) as house:
        shown = [one async for one in good(house) if one.name in _SOME or one.share]
        shown += [one async for one in worthless(house)]
        links = {one.share for one in shown if one.share}
        keys = ApiKeys(house.stores.objects, "default", now_us, keep_s=0)
        there = {(key.key_id, key.revoked_us) for key in await keys.list()}
        for one in shown:
            page = replace(one, fields=(*one.fields, ("accept", "text/html")))
            is_guest = one.caller is not None and bool(one.share)
            has_session = one.caller is not None and one.name.startswith("a session")
            for (method, path), wanted in PAGES.items():
                for share in {one.share or "0" * 32, min(links)} if wanted == LINK else {""}:
                    if path.endswith("/leave") and share == one.share:
                        continue
                    case = f"{one.name}: {method} {path} {share}"
                    answer = await house.ask(page, method, url(path, STUDY, share))
                    is_own = is_guest and wanted == LINK and share == one.share
                    own = is_own or (wanted == SEEN and has_session)
                    tells_nothing(answer, case, own=own)
                    if method == "POST":
                        # A form without what is this session's own does nothing.
                        assert answer.status_code in {303, 400, 401, 403, 404}, case
                    elif one.is_refused:
                        assert answer.status_code in {303, 401}, case
                    elif wanted in {SESSION, SEEN} and answer.status_code == 200:
                        assert has_session, case
                    elif is_own and path.endswith(("{share}", "{series}")):
                        assert answer.status_code == 200, case
                        assert SECRETS[0].split("^")[0] in answer.text, case
                    else:
                        assert answer.status_code in {200, 204, 303, 403, 404}, case
        assert {(key.key_id, key.revoked_us) for key in await keys.list()} == there

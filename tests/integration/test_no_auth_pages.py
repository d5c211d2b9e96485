"""`no_auth`: whoever uses this machine sees each page, and a stranger's page has it do nothing."""

import html
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from integration.dicomweb_archive import BOUNDARY, multipart
from integration.share_house import SHARED, instance_file
from pacs_cloud.audit.reading import events
from pacs_cloud.bootstrap.services import Stores, open_stores
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.settings import Settings, load_settings
from web_site import HTML, hidden, visible

HERE = "http://localhost:8042"
STUDY = f"/studies/{SHARED}"
DICOM = f"/dicom-web/studies/{SHARED}/metadata"
PAGES = ("/", "/upload", "/light/", f"/light/studies/{SHARED}", STUDY, "/ops", "/ops/ae-titles")
_LINK = re.compile(r'(?:href|\baction|src)="(/[^"#]*)')
_OF_CHOSEN = re.compile(r'formaction="(/[^"#]*)')


@dataclass(frozen=True)
class Place:
    """An archive with one study, whose pages are asked for from this machine."""

    app: Any
    settings: Settings
    stores: Stores

    async def ask(
        self, path: str, *, host: str = HERE, data: dict[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        """Ask as a browser does that shows what it gets; POST what is `data`."""
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 1))
        said = {**HTML, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with httpx.AsyncClient(transport=transport, base_url=host, headers=said) as client:
            if data is None:
                return await client.get(path)
            return await client.post(path, data=data)

    async def on_record(self) -> list[AuditEvent]:
        found = events(self.stores.objects, self.settings.audit_journals, "default")
        return [event async for event, _ in found]


@asynccontextmanager
async def opened(folder: Path, **more: Any) -> AsyncGenerator[Place]:
    settings = load_settings({"data": folder, "no_auth": True, **more})
    async with (
        open_stores(settings, create=True) as stores,
        open_application(settings, stores, stores.ready) as app,
    ):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            stored = await client.post(
                "/dicom-web/studies",
                headers={"content-type": kind},
                content=multipart(instance_file(SHARED)),
            )
            assert stored.status_code == 200
        yield Place(app, settings, stores)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncGenerator[Place]:
    async with opened(tmp_path) as made:
        yield made


async def test_each_page_is_served_and_says_that_nobody_signs_in(place: Place) -> None:
    for path in PAGES:
        page = await place.ask(path)
        assert page.status_code == 200, path
        assert visible(page.text).count("No sign-in") == 1, path
        assert "Sign out" not in page.text
        assert "set-cookie" not in page.headers


async def test_a_refusal_says_so_too_and_leads_to_the_studies(place: Place) -> None:
    lost = await place.ask("/studies/1.2.3")
    assert lost.status_code == 404
    assert "No sign-in" in visible(lost.text)
    assert "/account" not in lost.text
    assert 'href="/">Go to the studies' in lost.text


async def test_what_is_of_people_is_not_there(place: Place) -> None:
    for path in (
        *("/sign-in", "/sign-out", "/welcome", "/account", "/account/keys", "/break-glass"),
        *("/shares", "/share/x", "/ops/users", "/ops/users/anna", "/ops/keys", "/ops/shares"),
    ):
        assert (await place.ask(path)).status_code == 404, path


async def test_no_link_is_dead(place: Place) -> None:
    seen, ahead = {"/"}, ["/"]
    while ahead:
        path = ahead.pop()
        answer = await place.ask(path, accept="text/html, */*")
        # What takes forms only is asked for by none of its own links.
        assert answer.status_code in {200, 303, 405}, f"{path}: {answer.status_code}"
        if answer.headers.get("content-type", "").startswith("text/html"):
            found = {html.unescape(link) for link in _LINK.findall(answer.text)}
            found = {link for link in found if link not in _OF_CHOSEN.findall(answer.text)}
            found |= {f"{link}?study={SHARED}" for link in _OF_CHOSEN.findall(answer.text)}
            fresh = {one for one in found if one.partition("?")[0] not in seen}
            seen |= {one.partition("?")[0] for one in fresh}
            ahead += fresh
    assert {STUDY, f"/light/studies/{SHARED}", "/ops/audit", "/ops/queue"} <= seen


async def test_a_form_is_taken_from_a_page_of_this_origin_alone(place: Place) -> None:
    csrf = hidden((await place.ask(STUDY)).text)["csrf"]
    form = {"csrf": csrf, "label": "teaching", "reason": "a lesson", "change": "add"}
    for headers, data in (
        ({"origin": HERE}, {**form, "csrf": ""}),
        ({"origin": HERE}, {**form, "csrf": csrf[:-1]}),
        ({"origin": "http://evil.example"}, form),
        ({"origin": "http://localhost:3000", "sec_fetch_site": "same-site"}, form),
        ({"origin": "null", "sec_fetch_site": "cross-site"}, form),
        ({}, form),
    ):
        refused = await place.ask(f"{STUDY}/labels", data=data, **headers)
        assert refused.status_code == 403, (headers, data)
    assert (await place.ask(f"{STUDY}/labels", data=form, origin=HERE)).status_code == 303
    (labelled,) = [event for event in await place.on_record() if event.action == "label add"]
    assert (labelled.subject, labelled.address) == ("local", "127.0.0.1")


async def test_a_page_that_is_open_goes_on_after_a_restart(tmp_path: Path) -> None:
    tokens: set[str] = set()
    for _ in range(2):
        async with opened(tmp_path) as place:
            tokens.add(hidden((await place.ask(STUDY)).text)["csrf"])
    assert len(tokens) == 1


async def test_only_this_machines_own_names_lead_here(tmp_path: Path) -> None:
    async with opened(tmp_path, host_names=("known.example",)) as place:
        for name in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]", "known.example"):
            assert (await place.ask("/", host=f"http://{name}:8042")).status_code == 200, name
        for name in (
            *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example"),
            *("192.0.2.1", "0.0.0.0", "[2001:db8::1]"),
        ):
            for path in ("/", "/ops", DICOM):
                refused = await place.ask(path, host=f"http://{name}:8042")
                assert refused.status_code == 421, (name, path)
                assert "ask at localhost or 127.0.0.1" in visible(refused.text)
                assert "SUSAN" not in refused.text


async def test_another_origins_page_may_link_here_and_embed_nothing(place: Place) -> None:
    for site in ("cross-site", "same-site"):
        for path in ("/", f"/light/studies/{SHARED}", DICOM):
            for target in ("image", "empty", "iframe", "script"):
                answer = await place.ask(path, sec_fetch_site=site, sec_fetch_dest=target)
                assert answer.status_code == 403, (site, path, target)
        linked = await place.ask("/", sec_fetch_site=site, sec_fetch_dest="document")
        assert linked.status_code == 200


async def test_scripts_that_may_read_dicomweb_read_no_page(tmp_path: Path) -> None:
    async with opened(tmp_path, cors_origins=("*",)) as place:
        strange: dict[str, Any] = {"origin": "http://evil.example", "sec_fetch_site": "cross-site"}
        read = await place.ask(DICOM, accept="application/dicom+json", **strange)
        assert read.headers["access-control-allow-origin"] == "*"
        for path in PAGES:
            page = await place.ask(path, **strange)
            assert "access-control-allow-origin" not in page.headers, path


def test_no_secret_is_asked_for_where_one_machine_serves_a_bucket(tmp_path: Path) -> None:
    settings = load_settings({"objects": "s3://bucket", "data": tmp_path, "no_auth": True})
    assert session_secrets(settings) == session_secrets(settings)

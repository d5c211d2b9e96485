"""The pages inside the whole HTTP application, beside DICOMweb, and one session for both."""

from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute

from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.errors import Unidentified
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import Caller
from pacs_cloud.security.witness import NOBODY
from pacs_cloud.web.cookies import session_cookie_of
from pacs_cloud.web.navigation import PagesForBrowsers
from pacs_cloud.web.routes import OPEN_FOLDERS, open_paths
from web_site import GOOD, Browser, Site, site


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Site]:
    made: list[Site] = []

    async def identify(scope: Mapping[str, Any]) -> Caller | None:
        if any(name == b"authorization" for name, _ in scope["headers"]):
            raise Unidentified("nobody is known by that")
        token = session_cookie_of(scope)
        sessions = made[0].services.sessions
        return await sessions.caller(token, address="") if token else None

    async def ready() -> None:
        pass

    folder = tmp_path / "archive"
    async with (
        LocalObjectStore(folder / "objects") as objects,
        SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        Intake(folder / "spool", objects, catalogue, IntakeOptions()) as intake,
    ):
        with closing(Archive(catalogue, objects)) as archive:
            search = Search(catalogue, archive.tables)

            def make_app(found: list[BaseRoute]) -> Any:
                app = create_app(
                    Services(intake, search, archive, ready, identify, NOBODY),
                    HttpOptions(host_names=()),
                    found,
                    open_paths=open_paths(found),
                    open_folders=OPEN_FOLDERS,
                )
                return PagesForBrowsers(app)

            async with site(tmp_path / "people", make_app=make_app) as running:
                made.append(running)
                await running.user("anna")
                yield running


@pytest.fixture
async def browser(pages: Site) -> AsyncIterator[Browser]:
    async with pages.browser() as one:
        yield one


async def test_one_session_opens_pages_and_dicomweb(browser: Browser) -> None:
    studies = "/dicom-web/studies"
    assert (await browser.get(studies, accept="application/dicom+json")).status_code == 401
    assert (await browser.get("/account")).headers["location"].startswith("/sign-in")
    assert (await browser.sign_in()).status_code == 303
    assert (await browser.get(studies, accept="application/dicom+json")).status_code in {200, 204}
    assert (await browser.get("/account")).status_code == 200
    await browser.post("/sign-out", {"where": "here"}, csrf=True)
    assert (await browser.get(studies, accept="application/dicom+json")).status_code == 401


async def test_pages_and_files_come_to_whoever_asks(browser: Browser) -> None:
    page = await browser.get("/sign-in")
    assert page.status_code == 200
    assert page.headers["x-content-type-options"] == "nosniff"
    for part in page.text.split('"'):
        if part.startswith("/static/"):
            answer = await browser.get(part)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_forms_pass_the_guard_against_strange_pages(browser: Browser) -> None:
    fields = {"name": "anna", "password": GOOD}
    assert (
        await browser.post("/sign-in", fields, origin="https://evil.example")
    ).status_code == 403
    assert (await browser.post("/sign-in", fields)).status_code == 303


async def test_what_is_not_there_is_not_there(browser: Browser) -> None:
    await browser.sign_in()
    for path in (
        "/static/x/../../accounts.py",
        "/static/x/",
        "/account/",
        "/accounts",
        "/sign-in/x",
    ):
        assert (await browser.get(path)).status_code == 404


async def test_a_browser_is_shown_where_to_go(browser: Browser) -> None:
    series = "/dicom-web/studies/1.2.3/series/1.2.4/metadata"
    asked = await browser.get(series)
    assert (asked.status_code, asked.headers["location"]) == (303, f"/sign-in?next={series}")
    assert (await browser.sign_in(next=series)).headers["location"] == series
    for path, status in ((series, 406), ("/nothing", 404), ("/dicom-web/studies/%2f", 400)):
        answer = await browser.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["x-request-id"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert '<a class="button" href="/">' in answer.text


async def test_programs_and_scripts_get_problems_as_ever(browser: Browser) -> None:
    for headers in ({"accept": "*/*"}, {"sec-fetch-mode": "cors"}):
        answer = await browser.get("/dicom-web/studies", **headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    await browser.sign_in()
    found = await browser.get("/dicom-web/studies", **{"sec-fetch-mode": "navigate"})
    assert found.status_code in {200, 204, 406}


async def test_wrong_credentials_do_not_go_round_in_circles(browser: Browser) -> None:
    answer = await browser.get("/sign-in", authorization="Basic YTpi")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"

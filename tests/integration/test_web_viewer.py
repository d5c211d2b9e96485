"""/viewer/ as the archive serves it: to whom, what headers, which bytes; and its commands."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import imagecodecs
import pytest
import pytest_asyncio

from e2e.house import House, house
from integration.share_house import instance_file
from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.identity.shares import Shares
from pacs_cloud.identity.shares_record import share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.web.viewer.build import opened_build
from pacs_cloud.web.viewer.installed import MANIFEST, Installed, ViewerFiles
from pacs_cloud.web.viewer.installing import install, remove
from viewer_samples import APP, package
from web_site import Browser

STUDY = "1.2.826.0.1.81"
DEEP = f"/viewer/viewer?StudyInstanceUIDs={STUDY}"
SCRIPT = {"accept": "*/*", "sec-fetch-mode": "cors"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("build"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(build: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    """An archive with OHIF."""
    async with opened(tmp_path_factory.mktemp("archive"), build) as one:
        yield one


@asynccontextmanager
async def opened(folder: Path, build: Path | None) -> AsyncGenerator[House]:
    if build is not None:
        put(build, folder / "viewer")
    async with house(folder, viewer=folder / "viewer") as served:
        yield served


def put(source: Path, folder: Path) -> Installed:
    with opened_build(source) as one:
        return install(one, folder, lambda _: None)


@asynccontextmanager
async def signed_in(served: House, *roles: Role) -> AsyncGenerator[Browser]:
    name = f"user-{'-'.join(roles)}"
    await served.user(name, *roles)
    async with Browser(served.url) as browser:
        assert (await browser.sign_in(name)).status_code == 303
        yield browser


def installed_in(served: House) -> Installed:
    found = ViewerFiles(served.settings.viewer_folder).installed
    assert found is not None
    return found


async def test_a_deep_link_leads_through_the_sign_in_and_back(served: House) -> None:
    async with Browser(served.url) as browser:
        to = await browser.get(f"/viewer/?StudyInstanceUIDs={STUDY}")
        assert to.status_code == 303
        assert to.headers["location"].startswith("/sign-in?next=/viewer/%3FStudyInstanceUIDs")
        await served.user("anna", Role.CLINICIAN)
        back = await browser.sign_in(next=DEEP)
        assert back.headers["location"] == DEEP
        page = await browser.get(DEEP)
        assert page.status_code == 200
        assert APP in page.text
        script = await browser.get(f"/viewer/{installed_in(served).release}/{APP}", **SCRIPT)
        assert script.status_code == 200
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_nobody_gets_a_file_without_having_signed_in(served: House) -> None:
    async with Browser(served.url) as browser:
        answer = await browser.get(f"/viewer/{installed_in(served).release}/{APP}", **SCRIPT)
        assert answer.status_code == 401


async def test_the_page_is_locked_down_and_isolated(served: House) -> None:
    async with signed_in(served, Role.RADIOLOGIST) as browser:
        page = await browser.get(DEEP)
        policy = page.headers["content-security-policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert rules["connect-src"] == "'self' blob: data:"
        assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
        assert "http" not in policy
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cross-origin-embedder-policy"] == "require-corp"
        assert page.headers["cache-control"] == "no-store"
        assert "data-reads-only" not in page.text
        # Nobody else's page has such a policy.
        other = await browser.get("/account")
        assert "wasm" not in other.headers["content-security-policy"]


async def test_files_last_for_ever_and_come_packed_or_in_parts(served: House) -> None:
    async with signed_in(served, Role.REFERRER) as browser:
        installed = installed_in(served)
        url = f"/viewer/{installed.release}/{APP}"
        content = ViewerFiles(served.settings.viewer_folder).path_of(installed, APP).read_bytes()
        whole = await browser.get(url, **SCRIPT, **{"accept-encoding": "gzip"})
        assert whole.content == content
        assert whole.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert "content-encoding" not in whole.headers
        async with browser.client.stream(
            "GET", url, headers={**SCRIPT, "accept-encoding": "gzip, br"}
        ) as packed:
            raw = b"".join([part async for part in packed.aiter_raw()])
        assert packed.headers["content-encoding"] == "br"
        assert packed.headers["vary"] == "accept-encoding"
        assert len(raw) < len(content) / 2
        assert bytes(imagecodecs.brotli_decode(raw)) == content
        assert packed.headers["etag"] != whole.headers["etag"]
        again = await browser.get(
            url, **SCRIPT, **{"if-none-match": whole.headers["etag"], "accept-encoding": "gzip"}
        )
        assert (again.status_code, again.content) == (304, b"")
        part = await browser.get(url, **SCRIPT, range="bytes=10-19", **{"accept-encoding": "br"})
        assert (part.status_code, part.content) == (206, content[10:20])
        refused = await browser.get(url, **SCRIPT, **{"accept-encoding": "br;q=0"})
        assert "content-encoding" not in refused.headers


async def test_nothing_else_of_the_folder_is_served(served: House) -> None:
    async with signed_in(served, Role.ADMIN) as browser:
        release = installed_in(served).release
        for path in ("sw.js", "../manifest.json", "%2e%2e/manifest.json", "LICENSE", f"{APP}.br"):
            answer = await browser.get(f"/viewer/{release}/{path}", **SCRIPT)
            assert answer.status_code == 404, path


async def test_whoever_sees_no_images_does_not_open_it(served: House) -> None:
    async with signed_in(served, Role.OPS) as browser:
        for path in (DEEP, "/viewer/", f"/viewer/{installed_in(served).release}/{APP}"):
            assert (await browser.get(path)).status_code == 403


async def test_its_own_list_is_ours(served: House) -> None:
    async with signed_in(served, Role.CLINICIAN) as browser:
        for path in ("/viewer", "/viewer/"):
            assert (await browser.get(path)).headers["location"] == "/"
        two = await browser.get(f"/viewer/?StudyInstanceUIDs={STUDY},1.2&StudyInstanceUIDs=1.3")
        assert two.headers["location"] == f"{DEEP},1.2&StudyInstanceUIDs=1.3"
        page = await browser.get(DEEP)
        assert 'data-start="/"' in page.text
        assert "data-reads-only" in page.text
        for mode in ("segmentation", "tmtv", "microscopy", "viewer/dicomweb"):
            assert (await browser.get(f"/viewer/{mode}")).status_code == 200
        for lost in ("notfoundstudy", "local", "debug", "no/such/page"):
            gone = await browser.get(f"/viewer/{lost}")
            assert gone.status_code == 404
            assert "There is nothing to show here" in gone.text


async def test_where_it_is_absent_a_page_says_so_and_leads_to_the_light_viewer(
    tmp_path: Path, build: Path
) -> None:
    async with opened(tmp_path, None) as served, signed_in(served, Role.CLINICIAN) as browser:
        assert (await browser.get("/viewer/")).status_code == 404
        for path in (DEEP, f"/viewer/?StudyInstanceUIDs={STUDY}"):
            page = await browser.client.get(path, follow_redirects=True)
            assert page.status_code == 404
            assert "The full viewer is not installed" in page.text
            assert f'href="/light/studies/{STUDY}"' in page.text
            assert "pacs-cloud viewer install" not in page.text
        said = "Studies open in the light viewer: the full viewer is not installed here"
        listed = (await browser.get("/")).text
        assert said in listed
        assert "pacs-cloud viewer install" not in listed
        async with signed_in(served, Role.ADMIN) as administrator:
            for path in (DEEP, "/"):
                assert "pacs-cloud viewer install" in (await administrator.get(path)).text
        # A process that serves finds it, and misses it, without being told.
        put(build, tmp_path / "viewer")
        assert (await browser.get(DEEP)).status_code == 200
        assert said not in (await browser.get("/")).text
        remove(tmp_path / "viewer")
        assert (await browser.get(DEEP)).status_code == 404


async def test_a_page_that_is_open_finds_its_files_after_another_was_installed(
    tmp_path: Path, build: Path
) -> None:
    async with opened(tmp_path, build) as served, signed_in(served, Role.CLINICIAN) as browser:
        old = f"/viewer/{installed_in(served).release}/136.bundle.aa.js"
        other = package(tmp_path / "other", **{"136.bundle.aa.js": "__webpack_require__.p = '/';"})
        new = put(other, tmp_path / "viewer")
        page = await browser.get(DEEP)
        assert f"/viewer/{new.release}/{APP}" in page.text
        chunk = await browser.get(old, **SCRIPT)
        assert (chunk.status_code, chunk.text) == (200, f'__webpack_require__.p = "{old[:-16]}";\n')
        put(package(tmp_path / "third", **{"font.woff2": "x"}), tmp_path / "viewer")
        assert (await browser.get(old, **SCRIPT)).status_code == 404


async def test_what_is_there_and_cannot_be_read_is_not_called_absent(
    tmp_path: Path, build: Path
) -> None:
    async with opened(tmp_path, build) as served, signed_in(served, Role.CLINICIAN) as browser:
        file = ViewerFiles(tmp_path / "viewer").path_of(installed_in(served), "font.woff2")
        url = f"/viewer/{installed_in(served).release}/font.woff2"
        file.unlink()
        assert (await browser.get(url, **SCRIPT)).status_code == 404
        file.mkdir()  # which nobody reads, not even root
        assert (await browser.get(url, **SCRIPT)).status_code == 503
        manifest = tmp_path / "viewer" / MANIFEST
        manifest.unlink()
        manifest.mkdir()
        page = await browser.get(DEEP)
        assert page.status_code == 404
        assert "The full viewer cannot be opened" in page.text
        assert "cannot be read" not in page.text
        async with signed_in(served, Role.ADMIN) as administrator:
            text = (await administrator.get(DEEP)).text
            assert f"{manifest} cannot be read: Is a directory" in text


async def test_a_guest_opens_it_and_comes_back_to_their_link(served: House) -> None:
    await served.store([instance_file(STUDY), instance_file("1.2.826.0.1.82")])
    shares = Shares(
        *(served.stores.objects, served.stores.catalogue, "default", now_us, _unrecorded)
    )
    anna = Caller("default", "user:anna", (Grant(Role.RADIOLOGIST),))
    made = await shares.create(anna, ShareWish((STUDY,), "a second opinion"), door="page")
    here, _, _ = share_path(made.share.share_id, made.secret).partition("#")
    async with Browser(served.url) as guest:
        await guest.post(here, {"secret": made.secret, "open": "1", "code": ""})
        page = await guest.get(DEEP)
        assert page.status_code == 200
        assert f'data-start="{here}"' in page.text
        assert (await guest.get("/viewer/")).headers["location"] == here
        seen = await guest.get("/dicom-web/studies", accept="application/dicom+json")
        assert [one["0020000D"]["Value"] for one in seen.json()] == [[STUDY]]
        other = await guest.get(
            "/dicom-web/studies/1.2.826.0.1.82/metadata", accept="application/dicom+json"
        )
        assert other.status_code == 404


async def _unrecorded(event: object) -> None:
    del event


async def test_a_program_with_a_key_is_told_what_there_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as served:
        _, secret = await api_keys_of(served.settings, served.stores.objects).create(
            [Grant(Role.RADIOLOGIST)], until_us=now_us() + 3_600_000_000, note="test"
        )
        async with httpx.AsyncClient(base_url=served.url, trust_env=False) as client:
            answer = await client.get(
                "/viewer/x/y.js", headers={"authorization": f"Bearer {secret}", "accept": "*/*"}
            )
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

"""Whatever URL a guest crafts, they see what was shared with them, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.routing import Route

from integration.share_house import (
    ELSEWHERE,
    OTHER,
    SECRET_WORDS,
    SHARED,
    Archived,
    GuestBrowser,
    instance_file,
    shared_archive,
    text_of,
)
from integration.test_access_matrix import ANYBODY, BASE, WANTED
from pacs_cloud.security.caller import Action
from pacs_cloud.web.routes import routes

ALL = (SHARED, OTHER, ELSEWHERE)


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        yield made


def url(path: str, study: str, series_of: str = "") -> str:
    """Return a path of the matrix, about a study, below it with UIDs of perhaps another one."""
    below = series_of or study
    filled = path.format(
        study=study, series=f"{below}.1", instance=f"{below}.1.1", frames="1", path="7FE00010"
    )
    if path.endswith("/wado"):
        uids = f"studyUID={study}&seriesUID={below}.1&objectUID={below}.1.1"
        return f"{filled}?requestType=WADO&{uids}"
    return filled


def names_a_study(path: str) -> bool:
    return "{study}" in path or path.endswith("/wado")


@pytest.mark.parametrize(
    "wish",
    [{}, {"may_download": True}, {"may_reply": True}, {"may_download": True, "may_reply": True}],
)
async def test_every_route(archive: Archived, wish: dict[str, bool]) -> None:
    may = {ANYBODY, Action.SEARCH, Action.READ}
    may |= {Action.DOWNLOAD} if wish.get("may_download") else set()
    may |= {Action.STORE} if wish.get("may_reply") else set()
    made = await archive.made(**wish)
    async with archive.guest(made) as guest:
        for (method, path), wanted in WANTED.items():
            for study in ALL:
                answer = await guest.ask(method, url(path, study), instance_file(study))
                case = f"{method} {path} {study}: {answer.status_code}"
                if wanted not in may:
                    assert answer.status_code == 403, case
                elif wanted == ANYBODY or (method == "GET" and not names_a_study(path)):
                    assert answer.status_code == 200, case
                elif method == "POST" and not names_a_study(path):
                    assert answer.status_code == 403, case
                elif study == SHARED:
                    assert answer.status_code in {200, 206, 409}, case
                else:
                    assert answer.status_code == (204 if wanted is Action.SEARCH else 404), case
                assert SECRET_WORDS.search(text_of(answer)) is None, case
                assert study == SHARED or study not in answer.text, case


async def test_the_shared_study_above_is_no_way_into_another(archive: Archived) -> None:
    made = await archive.made(may_download=True, may_reply=True)
    async with archive.guest(made) as guest:
        for method, path in WANTED:
            if not names_a_study(path) or method == "POST":
                continue
            for above, below in ((SHARED, OTHER), (OTHER, SHARED), (SHARED, ELSEWHERE)):
                answer = await guest.ask(method, url(path, above, below))
                case = f"{method} {path} {above}/{below}: {answer.status_code}"
                assert SECRET_WORDS.search(text_of(answer)) is None, case
                if "{series}" in path or "wado" in path:
                    assert answer.status_code in {204, 403, 404}, case


@pytest.mark.parametrize(
    "query",
    [
        "", "?limit=1", "?limit=1&offset=1", "?PatientName=HIDDEN*", "?PatientName=*",
        "?PatientID=ID-82", "?PatientID=ID-8*", f"?StudyInstanceUID={OTHER}",
        f"?StudyInstanceUID={SHARED}\\{OTHER}", f"?StudyInstanceUID={ELSEWHERE}",
        f"?SeriesInstanceUID={OTHER}.1", f"?SOPInstanceUID={OTHER}.1.1",
        "?includefield=all", "?PatientName=HIDDEN^HUGO&fuzzymatching=true",
        "?StudyDescription=STUDY*", "?ModalitiesInStudy=CT", "?StudyDate=19000101-29991231",
        "?00080090=*&includefield=00100010",
    ],
)  # fmt: skip
async def test_no_search_tells_of_another(archive: Archived, query: str) -> None:
    async with archive.guest(await archive.made()) as guest:
        for level in ("studies", "series", "instances"):
            answer = await guest.ask("GET", f"{BASE}/{level}{query}")
            assert answer.status_code in {200, 204, 400}, answer.text
            assert SECRET_WORDS.search(text_of(answer)) is None
            assert answer.status_code != 200 or SHARED in answer.text
            # Neither rows nor warnings say that there would be more.
            assert "warning" not in answer.headers or "offset" in query or "limit" in query
            found = answer.json() if answer.status_code == 200 else []
            assert len(found) <= (2 if level == "instances" else 1)


async def test_every_page(archive: Archived) -> None:
    made = await archive.made(may_download=True, may_reply=True)
    another = await archive.made(OTHER)
    pages = [route for route in routes(archive.services) if isinstance(route, Route)]
    ids = (made.share.share_id, another.share.share_id, "0" * 32, "..", "%2e%2e", "x")
    async with archive.guest(made) as guest:
        csrf = await guest.csrf()
        for route in pages:
            for share in ids:
                for study in ALL:
                    path = (
                        route.path.replace("{share}", share)
                        .replace("{study}", study)
                        .replace("{series}", f"{study}.1")
                        .replace("{version}", "x")
                        .replace("{path:path}", "pacs.css")
                    )
                    if not path.endswith(("/leave", "/reply", "/sign-in")):
                        sent = await guest.post(path, {"csrf": csrf, "role": "admin", "days": "7"})
                        assert sent.status_code in {200, 303, 400, 401, 403, 404, 405}, path
                        assert SECRET_WORDS.search(text_of(sent)) is None, path
                    answer = await guest.get(path)
                    assert SECRET_WORDS.search(text_of(answer)) is None, path
                    if answer.status_code == 200 and path.startswith("/share/"):
                        assert ("SUSAN" in answer.text) == (share == ids[0]), path
        assert await guest.is_in()
        assert await archive.services.keys.list() == []


async def test_pages_of_whoever_signs_in_take_a_guest_for_nobody(archive: Archived) -> None:
    async with archive.guest(await archive.made()) as guest:
        answer = await guest.get("/account")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/account")
        made = await guest.post("/account/keys", {"csrf": await guest.csrf(), "label": "x"})
        assert made.status_code == 401
        assert (await guest.get("/sign-in")).status_code == 200


async def test_no_cookie_no_images(archive: Archived) -> None:
    made = await archive.made(may_download=True)
    async with GuestBrowser(archive.url, made) as nobody:
        for path in (
            f"{BASE}/studies/{SHARED}",
            f"{BASE}/studies/{SHARED}/thumbnail?share={made.share.share_id}",
            f"{BASE}/studies/{SHARED}/metadata?secret={made.secret}",
        ):
            assert (await nobody.ask("GET", path)).status_code == 401
        series = await nobody.get(f"{nobody.page}/studies/{SHARED}/series/{SHARED}.1")
        assert (series.status_code, series.headers["location"]) == (303, nobody.page)
        assert "SUSAN" not in (await nobody.get(nobody.page)).text

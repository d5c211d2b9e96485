"""Broken glass by its page, over a whole archive: what is seen before it, by it and after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from integration.share_house import OTHER, SHARED, Archived, instance_file, shared_archive, text_of
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.errors import NotFound
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from web_site import GOOD, Browser, visible

PAGE = "/break-glass"
STUDIES = "/dicom-web/studies"
NAMED = Grant(Role.RADIOLOGIST, (StudyRule(labels=frozenset({"vip"})),))
WHY = "collapsed in the corridor"


async def label(house: Archived, study: str, *labels: str, add: bool = True) -> None:
    await change_labels(
        *(house.objects, house.catalogue, "default", study, labels),
        is_added=add,
        reason="asked for",
        who="test",
        now_us=now_us(),
    )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        await label(made, OTHER, "vip")
        yield made


@asynccontextmanager
async def browser(house: Archived, name: str, *grants: Grant) -> AsyncIterator[Browser]:
    accounts = house.services.accounts
    await accounts.redeem(await accounts.create(name, grants), GOOD)
    async with Browser(house.url) as one:
        assert (await one.sign_in(name)).status_code == 303
        yield one


async def seen(browser: Browser) -> set[str]:
    """Which of the two studies a search shows; each is read, or not, accordingly."""
    answer = await browser.get(STUDIES, accept="application/dicom+json")
    found = {study for study in (SHARED, OTHER) if study in answer.text}
    for study in (SHARED, OTHER):
        read = await browser.get(f"{STUDIES}/{study}/metadata", accept="application/dicom+json")
        assert read.status_code == (200 if study in found else 404)
        picture = await browser.get(
            f"{STUDIES}/{study}/series/{study}.1/instances/{study}.1.1/frames/1/rendered",
            accept="image/jpeg",
        )
        assert picture.status_code == read.status_code
    return found


async def test_a_radiologist_opens_the_one_study_and_ends_it(house: Archived) -> None:
    async with browser(house, "anna", Grant(Role.RADIOLOGIST)) as anna:
        assert await seen(anna) == {SHARED}
        assert PAGE in (await anna.get("/account")).text
        page = await anna.get(PAGE)
        assert page.status_code == 200
        assert "no-store" in page.headers["cache-control"]
        opened = await anna.post(PAGE, {"patient": "ID-82", "reason": WHY}, csrf=True)
        assert (opened.status_code, opened.headers["location"]) == (303, f"{PAGE}?done=open#main")
        assert await seen(anna) == {SHARED, OTHER}
        shown = visible((await anna.get(PAGE)).text)
        assert WHY in shown
        assert "1 study" in shown
        # It is to be seen, not taken away.
        file = await anna.get(
            f"{STUDIES}/{OTHER}", accept="multipart/related; type=application/dicom"
        )
        assert file.status_code == 404
        with pytest.raises(NotFound):
            await house.made(OTHER)
        async with browser(house, "berta", Grant(Role.RADIOLOGIST)) as berta:
            assert await seen(berta) == {SHARED}
        glass = house.services.glass
        assert glass is not None
        (one,) = await glass.of(Caller("default", "user:anna", ()))
        ended = await anna.post(f"{PAGE}/end", {"override": one.override_id}, csrf=True)
        assert ended.headers["location"] == f"{PAGE}?done=ended#main"
        assert await seen(anna) == {SHARED}
        again = await anna.post(f"{PAGE}/end", {"override": one.override_id}, csrf=True)
        assert again.headers["location"] == PAGE
    told = [one for one in house.events if one.kind is Kind.BREAK_GLASS]
    assert [one.action for one in told] == ["override started", "override stopped"]
    assert all((one.studies, one.subject) == ((OTHER,), "user:anna") for one in told)
    assert all(dict(one.details)["reason"] == WHY for one in told)


async def test_what_is_asked_wrongly_opens_nothing_and_says_why(house: Archived) -> None:
    async with browser(house, "anna", Grant(Role.RADIOLOGIST)) as anna:
        for fields, status in (
            ({"patient": "ID-99", "reason": WHY}, 404),
            ({"patient": "ID-8", "reason": WHY}, 404),
            ({"patient": "ID-82", "reason": ""}, 422),
            ({"patient": "ID-82", "study": OTHER, "reason": WHY}, 422),
            ({"study": SHARED, "reason": WHY}, 422),
            ({"reason": WHY}, 422),
        ):
            answer = await anna.post(PAGE, fields, csrf=True)
            assert answer.status_code == status, fields
            assert "Nothing was opened" in answer.text
            assert "hugo" not in text_of(answer)
        bare = await anna.post(PAGE, {"patient": "ID-82", "reason": WHY})
        assert bare.status_code == 403
        assert await seen(anna) == {SHARED}
    refused = [one for one in house.events if one.kind is Kind.BREAK_GLASS]
    assert {one.outcome for one in refused} == {Outcome.MINOR}
    assert len(refused) == 3


async def test_who_may_not_is_refused(house: Archived) -> None:
    async with browser(house, "tim", Grant(Role.TECHNOLOGIST)) as tim:
        assert PAGE not in (await tim.get("/account")).text
        assert (await tim.get(PAGE)).status_code == 403
        sent = await tim.post(PAGE, {"study": OTHER, "reason": WHY}, csrf=True)
        assert sent.status_code == 403
        assert (await tim.post(f"{PAGE}/end", {"override": "1"}, csrf=True)).status_code == 303
        assert await seen(tim) == {SHARED}
    assert [one.kind for one in house.events if one.action == "break-glass"] == [Kind.REFUSAL] * 2
    async with Browser(house.url) as nobody:
        for path in (PAGE, f"{PAGE}/end"):
            assert (await nobody.get(path)).headers["location"].startswith("/sign-in?next=")
            assert (await nobody.post(path, {"reason": WHY})).status_code == 401
    async with house.guest(await house.made()) as guest:
        assert (await guest.get(PAGE)).headers["location"].startswith("/sign-in")


async def test_who_is_named_and_who_administers_see_it_without(house: Archived) -> None:
    async with browser(house, "vera", Grant(Role.RADIOLOGIST), NAMED) as vera:
        assert await seen(vera) == {SHARED, OTHER}
    async with browser(house, "ada", Grant(Role.ADMIN)) as ada:
        assert await seen(ada) == {SHARED, OTHER}
    async with browser(house, "only", NAMED) as only:
        assert await seen(only) == {OTHER}


VERA = Caller("default", "user:vera", (Grant(Role.RADIOLOGIST), NAMED))
BOTH = ShareWish((SHARED, OTHER), "look")


async def test_a_link_opens_what_its_maker_is_named_for(house: Archived) -> None:
    made = await house.shares.create(VERA, BOTH, door="page")
    async with house.guest(made) as guest:
        assert await seen(guest) == {SHARED, OTHER}


async def test_what_becomes_sensitive_later_is_nobody_s_by_a_link(house: Archived) -> None:
    made = await house.shares.create(VERA, BOTH, door="page")
    plain = await house.made(SHARED)
    await label(house, OTHER, "sensitive")
    async with house.guest(made) as guest:
        assert await seen(guest) == {SHARED}
    async with house.guest(plain) as guest:
        await label(house, SHARED, "vip")
        found = await guest.get(STUDIES, accept="application/dicom+json")
        assert SHARED not in found.text


async def test_labels_leave_in_no_answer(house: Archived) -> None:
    await house.store(instance_file(OTHER, 2))
    await label(house, OTHER, "label-of-ours")
    async with browser(house, "ada", Grant(Role.ADMIN)) as ada:
        for path in (
            f"{STUDIES}?includefield=all",
            f"{STUDIES}/{OTHER}/series?includefield=all",
            f"{STUDIES}/{OTHER}/metadata",
        ):
            answer = await ada.get(path, accept="application/dicom+json")
            assert OTHER in answer.text
            assert "label-of-ours" not in answer.text
            assert "vip" not in answer.text.lower()

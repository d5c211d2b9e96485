"""The page of whoever shares: links are made, seen and ended in a browser."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from integration.share_house import OTHER, SHARED, Archived, GuestBrowser, shared_archive
from pacs_cloud.identity.shares import MadeShare
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action, Grant, Role, system
from pacs_cloud.security.rules import StudyRule
from web_site import GOOD, Browser, hidden, visible

WISH = {"studies": SHARED, "reason": "a second opinion", "days": "14"}
LINK = re.compile(r'id="link">(.*?)</code>')


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        yield made


@asynccontextmanager
async def signed_in(archive: Archived, name: str, *grants: Grant) -> AsyncIterator[Browser]:
    secret = await archive.services.accounts.create(name, grants)
    await archive.services.accounts.redeem(secret, GOOD)
    async with Browser(archive.url) as browser:
        await browser.sign_in(name)
        yield browser


async def test_a_link_from_its_making_to_its_end(archive: Archived) -> None:
    async with signed_in(archive, "anna", Grant(Role.RADIOLOGIST)) as anna:
        assert "/shares" in (await anna.get("/account")).text
        page = await anna.get(f"/shares?study={SHARED}")
        assert hidden(page.text)["studies"] == SHARED
        more = {"name": "Dr. Eve", "code": "1", "uses": "2", "download": "1"}
        made = await anna.post("/shares", {**WISH, **more}, csrf=True)
        assert made.status_code == 200
        link = html.unescape(LINK.findall(made.text)[0])
        assert link.startswith(f"{archive.url}/share/")
        codes = re.findall(r'class="secret">(\d{4} \d{4})<', made.text)
        assert len(codes) == 2
        (share,) = await archive.shares.list(system("default"))
        opened = MadeShare(share, link.partition("#")[2])
        async with archive.guest(opened, codes[0]) as guest:
            assert await guest.is_in()
            listed = visible((await anna.get("/shares")).text)
            assert "Dr. Eve" in listed
            assert "opened 1 of 2 times" in listed
            assert "from 127.0.0.1" in listed
            assert link.partition("#")[2] not in (await anna.get("/shares")).text
            ended = await anna.post("/shares/revoke", {"share": share.share_id}, csrf=True)
            assert ended.status_code == 303
            assert not await guest.is_in()
        assert "Those that are over" in (await anna.get("/shares?done=ended")).text
    actions = [one.action for one in archive.events if one.kind is Kind.SHARE]
    assert actions == ["link made", "link revoked"]


async def test_copies_tell_what_was_left_out(archive: Archived) -> None:
    async with signed_in(archive, "anna", Grant(Role.RADIOLOGIST)) as anna:
        made = await anna.post("/shares", {**WISH, "deidentify": "1"}, csrf=True)
        assert "Faces are not recognised" in made.text
        (share,) = await archive.shares.list(system("default"))
        assert share.deidentify
        assert "without who the patient is" in visible((await anna.get("/shares")).text)


async def test_a_form_that_cannot_be_met_is_shown_again(archive: Archived) -> None:
    rule = StudyRule(studies=frozenset({SHARED}))
    async with signed_in(archive, "carl", Grant(Role.CLINICIAN, (rule,))) as carl:
        for fields, status in (
            ({"studies": OTHER}, 404),
            ({"studies": "../x"}, 422),
            ({"reason": " "}, 422),
            ({"days": "400"}, 422),
            ({"uses": "9999999999"}, 422),
            ({"project": "TRIAL"}, 422),
            ({"deidentify": "1", "project": "TRIAL"}, 403),
            ({"series": "1.2.3"}, 404),
        ):
            answer = await carl.post("/shares", {**WISH, **fields}, csrf=True)
            assert answer.status_code == status, fields
            assert "Nothing was shared" in answer.text
            assert "HUGO" not in answer.text
        assert hidden(answer.text)["reason"] == WISH["reason"]
    assert await archive.shares.list(system("default")) == []
    refused = [one for one in archive.events if one.kind is Kind.REFUSAL]
    assert [dict(one.details)["studies"] for one in refused] == [OTHER, SHARED, SHARED]


async def test_a_form_tells_whose_the_studies_are(archive: Archived) -> None:
    rule = StudyRule(studies=frozenset({SHARED}))
    only_shares = Grant(Role.RADIOLOGIST, actions=frozenset({Action.SHARE}))
    whose = "SHARED, SUSAN ID-81 2004-01-19 · CT · STUDY 81"
    async with signed_in(archive, "carl", Grant(Role.CLINICIAN, (rule,))) as carl:
        page = await carl.get(f"/shares?study={SHARED}")
        assert whose in visible(page.text)
        assert " readonly" in page.text  # what is shown and what is sent are the same
        page = await carl.get(f"/shares?study={OTHER}&study={SHARED}")
        assert whose in visible(page.text)
        assert "HUGO" not in page.text
        assert " readonly" not in page.text
        again = await carl.post("/shares", {**WISH, "reason": ""}, csrf=True)
        assert whose in visible(again.text)
        assert " readonly" in again.text
        assert (await carl.get("/shares?study=../x")).status_code == 200
    async with signed_in(archive, "sam", only_shares) as sam:
        page = await sam.get(f"/shares?study={SHARED}")
        assert (page.status_code, "SUSAN" in page.text) == (200, False)
    assert not [one for one in archive.events if one.kind is Kind.REFUSAL and one.studies]


async def test_everybody_sees_their_own_and_administrators_all(archive: Archived) -> None:
    made = await archive.made()
    async with (
        signed_in(archive, "ada", Grant(Role.ADMIN)) as ada,
        signed_in(archive, "carl", Grant(Role.CLINICIAN)) as carl,
    ):
        assert "made by user:anna" in (await ada.get("/shares")).text
        assert SHARED not in (await carl.get("/shares")).text
        refused = await carl.post("/shares/revoke", {"share": made.share.share_id}, csrf=True)
        assert refused.status_code == 404
        await ada.post("/shares/revoke", {"share": made.share.share_id}, csrf=True)
    (share,) = await archive.shares.list(system("default"))
    assert share.revoked_by == "user:ada"


async def test_it_is_for_whoever_may_share(archive: Archived) -> None:
    async with signed_in(archive, "theo", Grant(Role.TECHNOLOGIST)) as theo:
        assert "/shares" not in (await theo.get("/account")).text
        assert (await theo.get("/shares")).status_code == 403
        assert (await theo.post("/shares", WISH, csrf=True)).status_code == 403
    assert len([one for one in archive.events if one.kind is Kind.REFUSAL]) == 2
    async with GuestBrowser(archive.url, await archive.made()) as guest:
        await guest.open()
        assert (await guest.get("/shares")).status_code in {303, 401}
        assert (await guest.post("/shares", WISH)).status_code in {303, 401, 403}
    async with signed_in(archive, "anna", Grant(Role.RADIOLOGIST)) as anna:
        for fields in (WISH, {**WISH, "csrf": "x"}):
            assert (await anna.post("/shares", fields)).status_code == 403
    assert len(await archive.shares.list(system("default"))) == 1

"""Opening links: what they ask for, what they show, and when they open nothing any more."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydicom import dcmread

from integration.share_house import (
    ANNA,
    OTHER,
    SHARED,
    Archived,
    GuestBrowser,
    instance_file,
    shared_archive,
)
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.identity.shares_record import MOST_WRONG, Guest
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import system
from web_site import GOOD, visible

BASE = "/dicom-web"
IMAGE = f"{BASE}/studies/{SHARED}/series/{SHARED}.1/instances/{SHARED}.1.1/rendered"
NO_LINK, OVER = "This link cannot be opened", "This link opens nothing any more"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        yield made


class TestOpening:
    async def test_it_is_shown_then_opened(self, archive: Archived) -> None:
        made = await archive.made(uses=2, guest=Guest("Dr. Eve", "eve@example.org"))
        async with GuestBrowser(archive.url, made) as browser:
            asked = await browser.get(browser.page)
            assert asked.status_code == 200
            assert "secret.js" in asked.text
            shown = await browser.post(browser.page, {"secret": made.secret})
            text = visible(shown.text)
            assert shown.status_code == 200
            assert "Shared with Dr. Eve" in text
            assert "opened 2 times more" in text
            assert "SUSAN" not in shown.text
            assert "set-cookie" not in shown.headers
            assert (await archive.shares.read(ANNA, made.share.share_id)).uses == ()
            answer = await browser.open()
            assert (answer.status_code, answer.headers["location"]) == (303, browser.page)
            page = await browser.get(browser.page)
            text = visible(page.text)
            assert "SHARED, SUSAN" in text
            assert "STUDY 81" in text
            assert "AXIAL" in text
            assert "2 instances" in text
            assert "Download ZIP" not in text
            assert "Send a reply" not in text
        (use,) = (await archive.shares.read(ANNA, made.share.share_id)).uses
        assert use.address == "127.0.0.1"

    async def test_a_whole_link_may_be_pasted(self, archive: Archived) -> None:
        made = await archive.made()
        async with GuestBrowser(archive.url, made) as browser:
            link = f" {archive.url}{browser.page}#{made.secret} "
            assert (await browser.open(secret=link)).status_code == 303

    async def test_its_images_are_seen(self, archive: Archived) -> None:
        async with archive.guest(await archive.made()) as guest:
            series = await guest.get(f"{guest.page}/studies/{SHARED}/series/{SHARED}.1")
            assert series.status_code == 200
            assert "1 of 2" in visible(series.text)
            thumbnails = [
                part.split('"')[0].replace("&amp;", "&")
                for page in (series, await guest.get(guest.page))
                for part in page.text.split('src="')[1:]
                if part.startswith(BASE)
            ]
            assert len(thumbnails) == 3
            for path in (*thumbnails, IMAGE):
                answer = await guest.get(path, accept="image/avif,image/webp,*/*;q=0.8")
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("image/")

    async def test_pages_are_kept_by_nobody_and_framed_by_nobody(self, archive: Archived) -> None:
        made = await archive.made()
        async with archive.guest(made) as guest:
            series = f"{guest.page}/studies/{SHARED}/series/{SHARED}.1"
            shown = await guest.post(guest.page, {"secret": made.secret})
            for answer in (shown, await guest.get(guest.page), await guest.get(series)):
                assert answer.headers["cache-control"] == "no-store"
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["referrer-policy"] == "same-origin"

    async def test_it_is_downloaded_where_that_was_wished(self, archive: Archived) -> None:
        async with archive.guest(await archive.made(may_download=True)) as guest:
            page = (await guest.get(guest.page)).text
            path = f"{BASE}/studies/{SHARED}?accept=application/zip"
            assert f'href="{path}"' in page
            answer = await guest.get(path)
            assert answer.status_code == 200
            with ZipFile(BytesIO(answer.content)) as files:
                assert len(files.namelist()) == 2

    @pytest.mark.parametrize("wrong", ["", "A" * 43, "x", "ü"])
    async def test_a_wrong_secret_says_nothing(self, archive: Archived, wrong: str) -> None:
        made, over = await archive.made(), await archive.made()
        await archive.shares.revoke(ANNA, over.share.share_id, door="page")
        texts = set[str]()
        async with GuestBrowser(archive.url, made) as browser:
            for share_id in (made.share.share_id, over.share.share_id, "0" * 32, "x"):
                for more in ({}, {"open": "1"}):
                    fields = {"secret": wrong, **more}
                    answer = await browser.post(f"/share/{share_id}", fields)
                    assert answer.status_code == 403
                    assert NO_LINK in answer.text
                    texts.add(visible(answer.text))
        assert len(texts) == 1

    async def test_a_secret_opens_no_other_link(self, archive: Archived) -> None:
        made, other = await archive.made(), await archive.made(OTHER)
        async with GuestBrowser(archive.url, made) as browser:
            answer = await browser.open(page=f"/share/{other.share.share_id}")
            assert answer.status_code == 403
            assert NO_LINK in answer.text

    async def test_another_site_opens_none(self, archive: Archived) -> None:
        made = await archive.made()
        async with GuestBrowser(archive.url, made) as browser:
            fields = {"secret": made.secret, "open": "1"}
            for headers in ({"origin": "https://evil.example"}, {"origin": "null"}):
                answer = await browser.client.post(browser.page, data=fields, headers=headers)
                assert answer.status_code == 403
        assert (await archive.shares.read(ANNA, made.share.share_id)).uses == ()

    async def test_it_takes_the_place_of_who_was_signed_in(self, archive: Archived) -> None:
        secret = await archive.services.accounts.create("carl", ANNA.grants)
        await archive.services.accounts.redeem(secret, GOOD)
        made = await archive.made()
        async with GuestBrowser(archive.url, made) as browser:
            await browser.sign_in("carl")
            assert await browser.is_signed_in()
            shown = await browser.post(browser.page, {"secret": made.secret})
            assert "You are signed in as carl" in visible(shown.text)
            await browser.open()
            assert not await browser.is_signed_in()
            assert await browser.is_in()
            await browser.sign_in("carl")
            assert not await browser.is_in()

    async def test_a_guest_leaves(self, archive: Archived) -> None:
        made = await archive.made()
        async with archive.guest(made) as guest, archive.guest(made) as other:
            before = guest.client.cookies["pacs"]
            assert (await guest.post(f"{guest.page}/leave", {"csrf": "x"})).status_code == 403
            csrf = {"csrf": await guest.csrf()}
            answer = await guest.post(f"{guest.page}/leave", csrf)
            assert answer.headers["location"] == f"{guest.page}?done=left"
            assert "You have left" in visible((await guest.get(answer.headers["location"])).text)
            stolen = await guest.get(IMAGE, cookie=f"pacs={before}")
            assert stolen.status_code == 401
            assert await other.is_in()
        assert archive.events[-1].kind is Kind.LOGOUT


class TestCode:
    async def test_it_is_asked_for_and_good_once(self, archive: Archived) -> None:
        made = await archive.made(with_codes=True, uses=2)
        code = made.codes[0]
        async with GuestBrowser(archive.url, made) as browser:
            shown = await browser.post(browser.page, {"secret": made.secret})
            assert 'name="code"' in shown.text
            missing = await browser.open()
            assert (missing.status_code, "A code is needed" in missing.text) == (403, True)
            wrong = await browser.open("00000000x")
            assert (wrong.status_code, "This code is not right" in wrong.text) == (403, True)
            assert (await browser.open(f"{code[:4]} {code[4:]}")).status_code == 303
            assert await browser.is_in()
        async with GuestBrowser(archive.url, made) as replayed:
            assert (await replayed.open(code)).status_code == 403
            assert not await replayed.is_in()

    async def test_few_are_tried(self, archive: Archived) -> None:
        made = await archive.made(with_codes=True)
        async with GuestBrowser(archive.url, made) as browser:
            for number in range(MOST_WRONG):
                assert (await browser.open(f"{number}")).status_code == 403
            answer = await browser.open(made.codes[0])
            assert answer.status_code == 410
            assert "Too many codes were wrong" in visible(answer.text)


class TestOver:
    async def test_used_up(self, archive: Archived) -> None:
        made = await archive.made(uses=1)
        async with archive.guest(made) as guest, GuestBrowser(archive.url, made) as late:
            answer = await late.open()
            assert (answer.status_code, OVER in answer.text) == (410, True)
            assert await guest.is_in()

    async def test_two_at_once_and_one_use(self, archive: Archived) -> None:
        made = await archive.made(uses=1)
        async with GuestBrowser(archive.url, made) as one, GuestBrowser(archive.url, made) as two:
            answers = await asyncio.gather(one.open(), two.open())
            assert sorted(answer.status_code for answer in answers) == [303, 410]
            assert [await one.is_in(), await two.is_in()].count(True) == 1

    async def test_expired(self, archive: Archived) -> None:
        made = await archive.made(days=0.01)
        async with archive.guest(made) as guest:
            archive.clock.go(0.01 * 86_400 - 60)
            assert await guest.is_in()
            archive.clock.go(61)
            assert not await guest.is_in()
            assert (await guest.get(IMAGE)).status_code == 401
            answer = await guest.open()
            assert (answer.status_code, OVER in answer.text) == (410, True)

    async def test_revoked_and_at_once(self, archive: Archived) -> None:
        made, other = await archive.made(), await archive.made()
        async with archive.guest(made) as guest, archive.guest(other) as untouched:
            assert (await guest.ask("GET", IMAGE)).status_code == 200
            await archive.shares.revoke(ANNA, made.share.share_id, door="page")
            assert (await guest.get(IMAGE)).status_code == 401
            assert (await guest.ask("GET", f"{BASE}/studies")).status_code == 401
            page = await guest.get(guest.page)
            assert page.status_code == 200
            assert "SUSAN" not in page.text
            answer = await guest.open()
            assert (answer.status_code, OVER in answer.text) == (410, True)
            assert await untouched.is_in()

    async def test_a_study_that_is_gone_is_said_to_be(self, archive: Archived) -> None:
        made = await archive.made(SHARED, OTHER)
        async with archive.guest(made) as guest:
            assert "HIDDEN, HUGO" in (await guest.get(guest.page)).text
            await archive.trash.delete(Scope("default", OTHER))
            page = visible((await guest.get(guest.page)).text)
            assert "A study that is gone" in page
            assert "HUGO" not in page
            assert "SHARED, SUSAN" in page
            series = await guest.get(f"{guest.page}/studies/{OTHER}/series/{OTHER}.1")
            assert series.status_code == 404

    async def test_it_is_on_record(self, archive: Archived) -> None:
        made = await archive.made(uses=1)
        async with archive.guest(made) as guest:
            await guest.open()
        subject = made.share.subject
        assert [(one.kind, one.subject, one.outcome, one.address) for one in archive.events] == [
            (Kind.SHARE, "user:anna", Outcome.SUCCESS, ""),
            (Kind.LOGIN, subject, Outcome.SUCCESS, "127.0.0.1"),
            (Kind.LOGIN, subject, Outcome.MINOR, "127.0.0.1"),
        ]


class TestReply:
    PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"

    async def test_a_report_becomes_part_of_the_study(self, archive: Archived) -> None:
        made = await archive.made(may_reply=True)
        async with archive.guest(made) as guest:
            answer = await guest.reply(("report.pdf", self.PDF))
            assert answer.status_code == 200
            assert "1 file was received" in visible(answer.text)
            assert "Second opinion" in visible((await guest.get(guest.page)).text)
        stored = await archive.archive.instances.locate(system("default"), SHARED)
        pdf = [one for one in stored if one.instance.sop_class_uid.endswith("104.1")]
        assert len(pdf) == 1
        assert archive.events[-1].kind is Kind.STORE
        assert archive.events[-1].subject == made.share.subject

    async def test_it_is_a_document_that_others_read(self, archive: Archived) -> None:
        made = await archive.made(may_reply=True, may_download=True)
        async with archive.guest(made) as guest:
            await guest.reply(("report.pdf", self.PDF))
            answer = await guest.get(f"{BASE}/studies/{SHARED}?accept=application/zip")
        with ZipFile(BytesIO(answer.content)) as files:
            read = [dcmread(BytesIO(files.read(name))) for name in files.namelist()]
        (document,) = [one for one in read if one.Modality == "DOC"]
        length = document.EncapsulatedDocumentLength
        assert document.EncapsulatedDocument[:length] == self.PDF
        assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
        assert (str(document.PatientName), document.PatientID) == ("SHARED^SUSAN", "ID-81")
        assert document.StudyInstanceUID == SHARED
        assert document.StudyDate == read[0].StudyDate

    async def test_dicom_files_of_the_study_are_taken_and_no_others(
        self, archive: Archived
    ) -> None:
        async with archive.guest(await archive.made(may_reply=True)) as guest:
            answer = await guest.reply(
                ("a.dcm", instance_file(SHARED, 9)),
                ("C:\\x\\b.dcm", instance_file(OTHER, 9)),
                ("notes.txt", b"hello"),
                ("empty", b""),
                ("d.dcm", instance_file(SHARED, 1)),
                ("cut.dcm", instance_file(SHARED, 8)[:600]),
            )
            text = visible(answer.text)
            assert answer.status_code == 200
            assert "1 file was received" in text
            for name in ("b.dcm", "notes.txt", "empty", "d.dcm", "cut.dcm"):
                assert f"{name} :" in text.replace(f"{name}:", f"{name} :")
            assert "a.dcm" not in text
            assert "C:" not in text
        for study, count in ((SHARED, 3), (OTHER, 1)):
            found = await archive.archive.instances.locate(system("default"), study)
            assert len(found) == count

    async def test_what_came_before_it_broke_off_is_received_and_on_record(
        self, archive: Archived
    ) -> None:
        async with archive.guest(await archive.made(may_reply=True)) as guest:
            parts: list[Any] = [("csrf", (None, await guest.csrf())), ("study", (None, SHARED))]
            parts += [("files", (f"{end}.dcm", instance_file(SHARED, end))) for end in (21, 22)]
            path = f"{guest.page}/reply"
            made = guest.client.build_request("POST", path, files=parts)
            await made.aread()
            headers = {"origin": guest.origin, "content-type": made.headers["content-type"]}
            answer = await guest.client.post(path, content=made.content[:-400], headers=headers)
            text = visible(answer.text)
            assert "1 file was received" in text
            assert "What came after: The form ends in the middle" in text
        (event,) = [one for one in archive.events if one.action == "reply"]
        assert (event.kind, event.instances, event.studies) == (Kind.STORE, 1, (SHARED,))
        found = await archive.archive.instances.locate(system("default"), SHARED)
        assert len(found) == 3

    async def test_it_replaces_nothing(self, archive: Archived) -> None:
        async with archive.guest(await archive.made(may_reply=True)) as guest:
            forged = instance_file(SHARED, 1, PatientName="FORGED^NAME")
            answer = await guest.reply(("a.dcm", forged))
            assert answer.status_code == 422
            assert "kept aside" in visible(answer.text)
            assert "FORGED" not in (await guest.get(guest.page)).text

    async def test_not_where_it_was_not_wished(self, archive: Archived) -> None:
        async with archive.guest(await archive.made()) as guest:
            assert (await guest.reply(("a.pdf", self.PDF))).status_code == 403

    @pytest.mark.parametrize("study", [OTHER, "", "x", "1.2.826.0.1.83"])
    async def test_not_to_another_study(self, archive: Archived, study: str) -> None:
        async with archive.guest(await archive.made(may_reply=True)) as guest:
            answer = await guest.reply(("a.pdf", self.PDF), study=study)
            assert answer.status_code == 404

    async def test_only_from_its_own_page(self, archive: Archived) -> None:
        made = await archive.made(may_reply=True)
        async with archive.guest(made) as guest, archive.guest(made) as other:
            theirs = await other.csrf()
            assert (await guest.reply(("a.pdf", self.PDF), csrf=theirs)).status_code == 403
            guest.origin = "https://evil.example"
            assert (await guest.reply(("a.pdf", self.PDF))).status_code == 403
        found = await archive.archive.instances.locate(system("default"), SHARED)
        assert len(found) == 2

    @pytest.mark.parametrize(
        ("kind", "body"),
        [
            ("application/x-www-form-urlencoded", b"a=b"),
            ("multipart/form-data", b""),
            ("multipart/form-data; boundary=b", b""),
            ("multipart/form-data; boundary=b", b"--b\r\n"),
            ("multipart/form-data; boundary=b", b"--b--\r\n"),
            ("multipart/form-data; boundary=b", b"garbage"),
            ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n"),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
                + b"y" * 5000
                + b"\r\n--b--\r\n",
            ),
        ],
    )
    async def test_what_is_no_form_is_told_so(
        self, archive: Archived, kind: str, body: bytes
    ) -> None:
        async with archive.guest(await archive.made(may_reply=True)) as guest:
            answer = await guest.client.post(
                f"{guest.page}/reply",
                content=body,
                headers={"content-type": kind, "origin": guest.origin},
            )
            assert answer.status_code == 400

    async def test_a_revoked_guest_sends_nothing(self, archive: Archived) -> None:
        made = await archive.made(may_reply=True)
        async with archive.guest(made) as guest:
            csrf = await guest.csrf()
            await archive.shares.revoke(ANNA, made.share.share_id, door="page")
            answer = await guest.client.post(
                f"{guest.page}/reply",
                data={"csrf": csrf, "study": SHARED},
                files={"files": ("a.pdf", self.PDF)},
                headers={"origin": guest.origin},
            )
            assert (answer.status_code, answer.headers["location"]) == (303, guest.page)

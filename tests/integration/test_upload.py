"""Uploads over HTTP: who may, to what, what is said of each file, and what goes on record."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.house import House, house
from integration.house_visitors import visitor
from integration.share_house import instance_file
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.catalogue.visibility import Admission
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.query.walk import Budget
from pacs_cloud.security.caller import Action, Caller, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.upload import page as upload_page
from patience import PATIENCE_S
from web_site import Browser, hidden, visible
from wrapping_samples import PDF, jpeg, mov, mp4, png

STUDY, OTHER = "1.2.826.0.1.61", "1.2.826.0.1.62"
PATIENT: dict[str, Any] = {
    "family": "New",
    "given": "Nora",
    "patient_id": "N-1",
    "birth_date": "1980-02-03",
}
JSON = {"accept": "application/json"}


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        await made.store([instance_file(STUDY), instance_file(OTHER)])
        yield made


class Bringer(Browser):
    """A browser in which somebody is signed in who brings files."""

    upload = ""

    async def bring(
        self, *files: tuple[str, bytes], script: bool = True, **fields: Any
    ) -> httpx.Response:
        page = hidden((await self.get("/upload")).text)
        self.upload = self.upload or page["upload"]
        sent = {"csrf": page["csrf"], "upload": self.upload, **fields}
        # In one list, so that the files stand behind all others, as in a browser.
        parts: list[Any] = [(name, (None, text)) for name, text in sent.items()]
        parts += [("files", (name, data)) for name, data in files]
        headers = {"origin": self.origin, **(JSON if script else {})}
        return await self.client.post("/upload", files=parts, headers=headers)


async def signed_in(archive: House, name: str, *grants: Grant) -> Bringer:
    return await visitor(archive, Bringer(archive.url), name, *grants)


def said(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["name"], one["state"]) for one in answer.json()["files"]]


async def classes(archive: House, study: str) -> list[str]:
    """Return the ends of the SOP classes in a study."""
    packs = await archive.stores.catalogue.packs("default", study)
    study_now = await archive.stores.catalogue.study("default", study)
    assert packs
    assert study_now is not None
    return sorted(study_now.study.sop_classes)


async def test_each_file_is_told_of(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        files = (
            ("dir/a.dcm", instance_file(STUDY, 7)),
            ("again.dcm", instance_file(STUDY)),
            ("other.dcm", instance_file(STUDY, PatientName="ELSE")),
            ("photo.jpg", jpeg()),
            ("letter.pdf", PDF),
            ("gait.mp4", mp4()),
            ("cut.jpg", jpeg(exif=False)[:300]),
            ("x.heic", b"\0\0\0\x18ftypheic" + bytes(40)),
            ("empty", b""),
            ("junk", b"junk"),
            ("walk.mov", mov()),
            ("slow.mov", mov(b"hvc1")),
        )
        answer = await browser.bring(*files, **PATIENT)
        assert said(answer) == [
            *(("a.dcm", "stored"), ("again.dcm", "there"), ("other.dcm", "failed")),
            *(("photo.jpg", "stored"), ("letter.pdf", "stored"), ("gait.mp4", "stored")),
            *(("cut.jpg", "failed"), ("x.heic", "failed"), ("empty", "failed"), ("junk", "failed")),
            *(("walk.mov", "stored"), ("slow.mov", "failed")),
        ]
        for place in (7, 11):
            assert "Most Compatible" in answer.json()["files"][place]["why"]
        made = {one["study"] for one in answer.json()["files"][3:6]}
        assert len(made) == 1
        assert await classes(archive, made.pop()) == [
            "1.2.840.10008.5.1.4.1.1.104.1",
            "1.2.840.10008.5.1.4.1.1.77.1.4",
            "1.2.840.10008.5.1.4.1.1.77.1.4.1",
        ]
        # An answer that was lost on its way makes nothing twice.
        again = said(await browser.bring(*files, **PATIENT))
        assert [state for _, state in again[:6]] == ["there"] * 2 + ["failed"] + ["there"] * 3


async def test_what_is_no_dicom_needs_a_patient(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        answer = await browser.bring(("photo.jpg", jpeg()), ("a.dcm", instance_file(STUDY, 8)))
        assert said(answer) == [("photo.jpg", "failed"), ("a.dcm", "stored")]
        wrong: dict[str, Any]
        for wrong in (
            {"given": "Nora"},
            {**PATIENT, "birth_date": "3.2.1980"},
            {**PATIENT, "birth_date": day_from_now(3)},
            {**PATIENT, "sex": "X"},
            {**PATIENT, "family": "A^B"},
            {**PATIENT, "patient_id": "A\\B"},
            {**PATIENT, "description": "x" * 65},
            {**PATIENT, "upload": "x"},
            {**PATIENT, "upload": new_pack_id(now_us() - 2 * 86_400_000_000)},
            {**PATIENT, "upload": str(uuid.uuid4())},
        ):
            refused = await browser.bring(("photo.jpg", jpeg()), **wrong)
            assert refused.status_code == 400, wrong
            page = await browser.bring(("photo.jpg", jpeg()), script=False, **wrong)
            assert page.status_code == 422
            assert "Nothing was stored" in page.text


async def test_who_is_born_today_is_taken_wherever_the_day_begins(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        born: dict[str, Any] = {**PATIENT, "birth_date": day_from_now(1)}
        assert said(await browser.bring(("a.jpg", jpeg()), **born)) == [("a.jpg", "stored")]


def day_from_now(days: int) -> str:
    """Return the date so many days from today, by UTC."""
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


async def test_a_study_that_is_not_there_is_no_new_one(archive: House) -> None:
    gone = "is not there, or you may not add to it"
    one = Grant(Role.TECHNOLOGIST, (StudyRule(studies=frozenset({STUDY})),))
    for name, grant in (("tina", Grant(Role.TECHNOLOGIST)), ("bea", one)):
        async with await signed_in(archive, name, grant) as browser:
            assert gone in (await browser.get("/upload?study=1.2.3")).text
            for path in (f"/upload?study={STUDY}", "/upload"):
                assert gone not in (await browser.get(path)).text


async def test_what_is_tried_again_is_there_and_what_is_chosen_twice_no_conflict(
    archive: House,
) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        for state in ("stored", "there"):
            answer = await browser.bring(("a.jpg", jpeg()), ("again.jpg", jpeg()), **PATIENT)
            assert said(answer) == [("a.jpg", state), ("again.jpg", state)]


async def test_a_study_that_is_there_gets_more(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        answer = await browser.bring(("x.png", png()), script=False, study=STUDY, family="Wrong")
        assert f'href="/studies/{STUDY}"' in answer.text
        found = await archive.stores.catalogue.study("default", STUDY)
        assert found is not None
        assert "XC" in found.study.modalities
        assert (await browser.bring(("x.png", png()), study="1.2.3")).status_code == 404
        assert (await browser.bring(("x.png", png()), study="x")).status_code == 400


async def test_a_patient_who_is_here_gets_a_new_study(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        files = ("x.png", png()), ("y.jpg", jpeg())
        answer = await browser.bring(*files, study=STUDY, fresh="1", description="Follow-up")
        (made,) = {one["study"] for one in answer.json()["files"]}
        assert made != STUDY
        found = await archive.stores.catalogue.study("default", made)
        before = await archive.stores.catalogue.study("default", STUDY)
        assert found is not None
        assert before is not None
        theirs, ours = found.study.attributes, before.study.attributes
        assert all(theirs[tag] == ours[tag] for tag in ("00100010", "00100020", "00100030"))
        assert theirs["00081030"]["Value"] == ["Follow-up"]
        assert theirs["00080020"] != ours["00080020"]


async def test_who_may_add_to_some_studies_adds_to_these_only(archive: House) -> None:
    one = Grant(Role.TECHNOLOGIST, (StudyRule(studies=frozenset({STUDY})),))
    sees = Grant(Role.CLINICIAN, (StudyRule(studies=frozenset({OTHER})),))
    async with await signed_in(archive, "bea", one, sees) as browser:
        page = (await browser.get("/upload?q=ID-61")).text + (await browser.get("/upload")).text
        assert STUDY in page
        assert OTHER not in page + (await browser.get(f"/upload?study={OTHER}&q=ID-62")).text
        assert "A new study" not in page
        both = ("mine.dcm", instance_file(STUDY, 9)), ("other.dcm", instance_file(OTHER, 9))
        answer = await browser.bring(*both, ("x.png", png()), study=STUDY)
        assert [state for _, state in said(answer)] == ["stored", "failed", "stored"]
        assert (await browser.bring(*both)).status_code == 403
        assert (await browser.bring(("x.png", png()), **PATIENT)).status_code == 403
        assert (await browser.bring(*both, study=OTHER)).status_code == 404
    assert len(await archive.stores.catalogue.packs("default", OTHER)) == 1


async def test_no_more_is_asked_than_is_offered(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def allows(_: Admission, __: Caller, ___: Action, uid: str) -> bool:
        asked.append(uid)
        return uid == OTHER

    monkeypatch.setattr(Admission, "allows", allows)
    monkeypatch.setattr(upload_page, "_OFFERED", 1)
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        page = (await browser.get("/upload?q=X")).text
        assert f'value="{OTHER}"' in page
        assert f'value="{STUDY}"' not in page
        # The other may come before it.
        assert (asked[-1], len(asked)) == (OTHER, 1 + (STUDY in asked))
        monkeypatch.setattr(upload_page, "_LOOKED_AT", 1)
        monkeypatch.setattr(Admission, "allows", never)
        page = visible((await browser.get("/upload?q=X")).text)
        assert "to none of the newest that are found" in page


async def never(*_: object) -> bool:
    return False


async def test_what_was_not_looked_through_is_said(
    archive: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Budget.__init__
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        page = visible((await browser.get("/upload?q=Nobody")).text)
        assert "No study is found to which you may add." in page
        monkeypatch.setattr(Budget, "__init__", lambda self, limit: first(self, min(limit, 0)))
        page = visible((await browser.get("/upload?q=X")).text)
        assert "No study is found" not in page
        assert "search would read more" in page


async def test_others_bring_nothing(archive: House) -> None:
    async with await signed_in(archive, "cleo", Grant(Role.CLINICIAN)) as browser:
        assert (await browser.get("/upload")).status_code == 403
        csrf = await browser.csrf()
        for fields in ({"csrf": csrf}, {}):
            answer = await browser.client.post(
                "/upload",
                data=fields,
                files={"files": ("a.dcm", instance_file(STUDY, 5))},
                headers={"origin": browser.origin},
            )
            assert answer.status_code == 403
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        await browser.bring(("a.dcm", instance_file(STUDY, 6)))
        for headers in ({"origin": "https://evil.example"}, {"origin": browser.origin}):
            strange = await browser.client.post(
                "/upload", files={"files": ("a.dcm", instance_file(STUDY, 5))}, headers=headers
            )
            assert strange.status_code == 403


async def test_a_form_without_files_says_so(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        page = hidden((await browser.get("/upload")).text)
        parts: list[Any] = [(name, (None, page[name])) for name in ("csrf", "upload")]
        for more in ([], [("files", ("", b""))]):
            answer = await browser.client.post(
                "/upload", files=[*parts, *more], headers={"origin": browser.origin}
            )
            assert "Choose files first" in answer.text
            assert answer.status_code == (422 if more else 400)


@pytest.mark.parametrize("is_gone", [False, True])
async def test_what_came_before_it_broke_off_is_stored_told_and_on_record(
    archive: House, *, is_gone: bool
) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        page = hidden((await browser.get("/upload")).text)
        parts: list[Any] = [(name, (None, page[name])) for name in ("csrf", "upload")]
        parts += [("files", (f"{end}.dcm", instance_file(STUDY, end))) for end in (21, 22)]
        made = browser.client.build_request("POST", "/upload", files=parts)
        await made.aread()

        async def half() -> AsyncIterator[bytes]:
            yield made.content[:-400]
            if is_gone:
                raise ConnectionError

        headers = {"origin": browser.origin, "content-type": made.headers["content-type"]}
        sending = browser.client.post("/upload", content=half(), headers=headers)
        if is_gone:
            with pytest.raises(ConnectionError):
                await sending
        else:
            answer = await sending
            assert answer.status_code == 422
            text = visible(answer.text)
            assert "Not everything was stored" in text
            assert "21.dcm Stored" in text
            assert "22.dcm" not in text
        async with asyncio.timeout(PATIENCE_S):
            while not (lines := recorded(archive)):
                await asyncio.sleep(0.02)
        assert STUDY in lines[0]
        assert '"instances":1' in lines[0].replace(" ", "")
        packs = await archive.stores.catalogue.packs("default", STUDY)
        assert sum(one.instance_count for one in packs) == 2


def recorded(archive: House) -> list[str]:
    """Return what the trail says of uploads."""
    files = [path for path in archive.settings.audit_journals.rglob("*") if path.is_file()]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return [line for text in texts for line in text.splitlines() if '"upload"' in line]


async def test_it_is_on_record(archive: House) -> None:
    async with await signed_in(archive, "tina", Grant(Role.TECHNOLOGIST)) as browser:
        await browser.bring(("a.dcm", instance_file(STUDY, 6)), ("junk", b"junk"))
    (line,) = recorded(archive)
    assert "user:tina" in line
    assert STUDY in line

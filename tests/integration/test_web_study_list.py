"""The study list and a study's page, for each who looks: nothing of what they do not see."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dicomweb_samples import make_instance
from e2e.house import House, house
from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.backwards import Span, newest
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.errors import Unavailable
from pacs_cloud.query.walk import Budget
from pacs_cloud.security.audit_event import Outcome
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.studies import labelling
from recall_samples import chill
from study_samples import documents, made, study_uid, written_names
from web_site import GOOD, Browser, visible

pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDIES = 100
VIP = study_uid(4)
"""A sensitive study of the same patient as the third and the fifth."""
STRANGE = "1.2.826.0.1.3680043.9.7433.9.900"
PART = {"hx-request": "true", "accept": "application/problem+json"}
EVIL = "</td><script>alert(1)</script>"
LIKE_STRANGE = "1.2.826.0.1.3680043.9.7433.9.902"
FOREIGN_ISSUER = "1.2.826.0.1.3680043.9.7433.9.901"
_ROW = re.compile(r'<tr class="study">.*?</tr>', re.DOTALL)


def strange() -> Iterator[bytes]:
    """Yield what nobody expects: markup in a description, an ID that another hospital gave."""
    yield make_instance(
        f"{STRANGE}.1.1", study=STRANGE, series=f"{STRANGE}.1", PatientName="Evil^Eve",
        PatientID="EVE*", StudyDescription=EVIL, StudyDate="20200101",
    )  # fmt: skip
    yield make_instance(
        f"{LIKE_STRANGE}.1.1", study=LIKE_STRANGE, series=f"{LIKE_STRANGE}.1",
        PatientName="Other^Olga", PatientID="EVE1", StudyDate="20180101",
    )  # fmt: skip
    yield make_instance(
        f"{FOREIGN_ISSUER}.1.1", study=FOREIGN_ISSUER, series=f"{FOREIGN_ISSUER}.1",
        PatientName="Elsewhere^Else", PatientID="P00001", IssuerOfPatientID="ELSEWHERE",
        StudyDate="20190101",
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("house")) as served:
        files = [*made(STUDIES), *documents(), *written_names(), *strange()]
        await served.store(files)
        stores = served.stores
        await change_labels(
            *(stores.objects, stores.catalogue, "default", VIP, ("vip",)),
            is_added=True,
            reason="a test",
            who="",
            now_us=now_us(),
        )
        yield served


async def outcomes(archive: House, action: str, study: str) -> list[Outcome]:
    """Return how a deed with a study ended by what is on record, the newest first."""
    found = await newest(
        *(archive.stores.objects, archive.settings.audit_journals, "default", Wanted(study=study)),
        Span(0, now_us() + 1),
        limit=100,
    )
    return [one.event.outcome for one in found.events if one.event.action == action]


_SESSIONS: dict[tuple[str, tuple[Grant, ...]], str] = {}
"""Of each archive's users: proving a password takes its time."""


@asynccontextmanager
async def signed_in(archive: House, *grants: Grant) -> AsyncGenerator[Browser]:
    """Give a browser in which somebody is signed in: of the same grants the same user."""
    key = archive.url, grants
    async with Browser(archive.url) as browser:
        if key in _SESSIONS:
            browser.client.cookies.set("pacs", _SESSIONS[key])
        else:
            name = f"user{len(_SESSIONS)}"
            await archive.accounts.redeem(await archive.accounts.create(name, grants), GOOD)
            assert (await browser.sign_in(name)).headers["location"] == "/"
            _SESSIONS[key] = browser.client.cookies["pacs"]
        yield browser


RADIOLOGIST, ADMIN = Grant(Role.RADIOLOGIST), Grant(Role.ADMIN)
NAMED = Grant(Role.RADIOLOGIST, (StudyRule(labels=frozenset({"vip"})), StudyRule()))
REFERRER = Grant(Role.REFERRER, (StudyRule(studies=frozenset({study_uid(3), study_uid(9)})),))


def listed(answer: httpx.Response) -> list[str]:
    """Return the UIDs of the studies on a page of the list, in order."""
    assert answer.status_code == 200, answer.text
    return re.findall(r'name="study" value="([\d.]+)"', answer.text)


async def ask(browser: Browser, path: str, **fields: str) -> httpx.Response:
    return await browser.client.get(path, headers=fields)


class TestWhoSeesWhat:
    async def test_nobody_is_sent_to_sign_in_and_comes_back(self, archive: House) -> None:
        async with Browser(archive.url) as browser:
            asked = await browser.get("/?name=smith")
            assert asked.headers["location"] == "/sign-in?next=/%3Fname%3Dsmith"
            # A script is told so, and may not take the sign-in page for an answer.
            assert (await ask(browser, "/?name=smith", **PART)).status_code == 401
            assert (await browser.get(f"/studies/{VIP}")).headers["location"].startswith("/sign-in")

    async def test_who_may_not_search_is_sent_to_where_they_start(self, archive: House) -> None:
        for role, start in (
            (Role.OPS, "/ops"),
            (Role.AUDITOR, "/ops"),
            (Role.RESEARCHER, "/account"),
        ):
            async with signed_in(archive, Grant(role)) as browser:
                answer = await browser.get("/")
                assert (answer.status_code, answer.headers["location"]) == (303, start)
                assert (await browser.get(f"/studies/{study_uid(1)}")).status_code == 403
                asides = await browser.get(f"/studies/asides?of={study_uid(1)}")
                assert asides.status_code == 403

    async def test_the_newest_come_first_and_then_the_others(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            first = await browser.get("/")
            assert listed(first) == [study_uid(n) for n in range(1, 41)]
            more = re.search(r'<a class="button" href="([^"]+)"', first.text)
            assert more is not None
            assert more[1] == "/?from=40"
            second = await browser.get(more[1])
            assert listed(second)[:2] == [study_uid(41), study_uid(42)]
            assert 'href="/"' in second.text
            part = await ask(browser, more[1], **PART)
            assert listed(part) == listed(second)
            assert "<html" not in part.text
            assert len(listed(await browser.get("/?rows=97"))) == 97

    async def test_a_sensitive_study_is_in_no_list_count_or_prior(self, archive: House) -> None:
        third, fifth = study_uid(3), study_uid(5)
        for grant, sees in ((RADIOLOGIST, False), (ADMIN, True), (NAMED, True)):
            async with signed_in(archive, grant) as browser:
                assert (VIP in listed(await browser.get("/"))) is sees
                found = await browser.get("/?id=P00001&date=&modality=")
                assert (VIP in listed(found)) is sees
                assert ("3 studies" in visible(found.text)) is not sees
                page = await browser.get(f"/studies/{third}")
                assert fifth in page.text
                assert (VIP in page.text) is sees
                asides = await browser.get(f"/studies/asides?of={third},{VIP}")
                assert f"+{2 if sees else 1}<" in asides.text
                assert (VIP in asides.text) is sees
                hidden_page = await browser.get(f"/studies/{VIP}")
                assert hidden_page.status_code == (200 if sees else 404)
                assert ("vip" in visible(hidden_page.text)) is sees

    async def test_a_referrer_sees_theirs_and_is_told_of_no_other(self, archive: House) -> None:
        async with signed_in(archive, REFERRER) as browser:
            whole = await browser.get("/")
            assert listed(whole) == [study_uid(3), study_uid(9)]
            assert "2 studies" in visible(whole.text)
            # The patient has two more studies: not for them.
            page = await browser.get(f"/studies/{study_uid(3)}")
            assert "No other study that you may see" in page.text
            assert (await browser.get(f"/studies/asides?of={study_uid(3)}")).status_code == 204
            assert (await browser.get(f"/studies/{study_uid(5)}")).status_code == 404
            assert listed(await browser.get("/?id=P00001")) == [study_uid(3)]

    async def test_another_issuers_patient_is_another_patient(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            assert FOREIGN_ISSUER in listed(await browser.get("/?id=P00001"))
            assert FOREIGN_ISSUER not in (await browser.get(f"/studies/{study_uid(3)}")).text
            assert (await browser.get(f"/studies/asides?of={FOREIGN_ISSUER}")).status_code == 204

    async def test_who_may_not_look_is_offered_no_picture(self, archive: House) -> None:
        finds = Grant(Role.RADIOLOGIST, actions=frozenset({Action.SEARCH}))
        async with signed_in(archive, finds) as browser:
            assert "<img src=" not in (await browser.get("/")).text.partition("<table")[2]
        async with signed_in(archive, ADMIN) as browser:
            assert "<img src=" in (await browser.get("/")).text.partition("<table")[2]

    async def test_buttons_are_there_for_who_may(self, archive: House) -> None:
        page = f"/studies/{study_uid(3)}"
        async with signed_in(archive, REFERRER) as browser:
            text = (await browser.get(page)).text
            assert "application/zip" in text
            assert f"/light/studies/{study_uid(3)}" in text
            assert f"/shares?study={study_uid(3)}" not in text
            assert "/labels" not in text
        looks = Grant(Role.RADIOLOGIST, None, frozenset({Action.SEARCH}))
        async with signed_in(archive, looks) as browser:
            text = (await browser.get(page)).text
            assert not re.search("thumbnail|application/zip|/light/|/shares.study", text)
        takes = Grant(REFERRER.role, (StudyRule(studies=frozenset({study_uid(9)})),))
        sees = Grant(Role.RADIOLOGIST, None, frozenset({Action.SEARCH, Action.READ}))
        async with signed_in(archive, takes, sees) as browser:
            assert "application/zip" not in (await browser.get(page)).text
            assert "application/zip" in (await browser.get(f"/studies/{study_uid(9)}")).text
        async with signed_in(archive, ADMIN) as browser:
            text = (await browser.get(page)).text
            assert f"/shares?study={study_uid(3)}" in text
            assert f"{page}/labels" in text


class TestSearching:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("name=anna+mull", {"Müller, Anna"}),
            ("name=anna+o%27br", {"O'Brien, Anna"}),
            ("name=王小东", {"Wang, XiaoDong"}),
            ("name=やまだ&id=h31", {"Yamada, Tarou"}),
            ("name=דבורה", {"שרון, דבורה"}),
            ("name=قباني", {"قباني, لنزار"}),
            ("name=schmitt&sounds=1", {"Schmidt, Anna", "Smith, Anna", "Smith, John"}),
            ("accession=a7000", {"Smith, Anna", "Schmidt, Anna", "Garcia, Anna", "Müller, Anna"}),
            ("accession=A70001", {"Smith, Anna"}),
            ("description=BRAIN+mri", set[str]()),
            ("description=mri+brain&since=2026-11-27&until=2026-11-29", {"Smith, Anna"}),
            ("modality=sr", {"Smith, Anna"}),
        ],
    )
    async def test_a_study_is_found(self, archive: House, query: str, names: set[str]) -> None:
        async with signed_in(archive, ADMIN) as browser:
            answer = await browser.get(f"/?{query}")
            found = {
                visible(re.findall(r'<td class="who"><a[^>]*>.*?</a>', row, re.DOTALL)[0])
                for row in _ROW.findall(answer.text)
            }
            assert found >= names if "schmitt" in query else found == names
            if not names:
                assert "No study matches" in answer.text

    async def test_the_script_gets_the_part_and_the_url_to_keep(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            fields = "name=yam&id=&accession=&date=&since=&until=&modality=&description="
            answer = await ask(browser, f"/?{fields}", **PART)
            assert answer.headers["hx-push-url"] == "/?name=yam"
            assert answer.text.lstrip().startswith('<div id="results" ')
            assert '<p id="told" role="status" hx-swap-oob="innerHTML">' in answer.text

    async def test_what_cannot_be_asked_is_told(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            for query in (
                "since=yesterday",
                "date=never",
                "from=-1",
                "rows=x",
                f"name={'x' * 200}",
            ):
                answer = await browser.get(f"/?{query}")
                assert answer.status_code == 400, query
                problem = await ask(browser, f"/?{query}", **PART)
                assert problem.json()["detail"]
            assert (await browser.get("/studies/asides?of=x")).status_code == 400
            assert (await browser.get("/studies/x")).status_code == 404

    async def test_what_is_too_broad_is_told_in_words(
        self, archive: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with signed_in(archive, ADMIN) as browser:
            first = Budget.__init__
            monkeypatch.setattr(Budget, "__init__", lambda self, limit: first(self, min(limit, 50)))
            answer = await browser.get("/?description=nothing+of+this")
            assert "Not everything was looked through" in answer.text
            assert "would read more than 50 records" in answer.text
            # What an index finds is found all the same.
            assert listed(await browser.get("/?accession=A70001")) == [study_uid(1)]

    async def test_what_was_to_follow_and_is_gone_asks_for_nothing(
        self, archive: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with signed_in(archive, ADMIN) as browser:
            part = (await ask(browser, "/?from=4000", **PART)).text
            assert "/studies/asides" not in part
            assert "Not everything" not in part
            page = visible((await browser.get("/?from=4000")).text)
            assert "No further study" in page
            assert "There is no study here yet" not in page
            first = Budget.__init__
            monkeypatch.setattr(Budget, "__init__", lambda self, limit: first(self, min(limit, 50)))
            part = (await ask(browser, "/?description=nothing+of+this&from=40", **PART)).text
            assert "Not everything was looked through" in part

    async def test_no_url_is_longer_than_proxies_take(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            page = (await browser.get("/?rows=300")).text
            asked = re.findall(r'hx-get="(/studies/asides\?of=[^"]*)"', page)
            assert sum(one.count(",") + 1 for one in asked) == len(_ROW.findall(page)) > STUDIES
            assert all(one.count(",") < 40 for one in asked)  # UIDs of 64 characters each

    async def test_a_patient_of_too_many_studies_is_told_with_no_number(
        self, archive: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with signed_in(archive, ADMIN) as browser:
            asked = f"/studies/asides?of={study_uid(3)}"
            assert "+2" in (await browser.get(asked)).text
            first = Budget.__init__
            monkeypatch.setattr(Budget, "__init__", lambda self, limit: first(self, min(limit, 3)))
            assert (await browser.get(asked)).status_code == 204

    async def test_nothing_in_a_study_becomes_markup(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            for path in ("/?name=eve", f"/studies/{STRANGE}", "/?name=%22%3E%3Cscript%3E"):
                text = (await browser.get(path)).text
                assert "<script>" not in text
            assert "&lt;script&gt;alert(1)" in (await browser.get("/?name=eve")).text
            # An ID that is a pattern finds no others.
            text = (await browser.get(f"/studies/{STRANGE}")).text
            assert LIKE_STRANGE not in text
            assert "No other study" in text


class TestStudy:
    async def test_reports_and_documents_open_as_what_they_are(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            page = await browser.get(f"/studies/{study_uid(1)}")
            papers = re.findall(r'href="(/dicom-web/[^"]+/rendered)"', page.text)
            assert len(papers) == 2
            accept = "text/html,application/xhtml+xml,*/*;q=0.8"
            kinds = {
                (await ask(browser, one, accept=accept)).headers["content-type"] for one in papers
            }
            assert {one.partition(";")[0] for one in kinds} == {"text/html", "application/pdf"}
            # They are no tiles beside that.
            assert page.text.count('class="tile"') == 1

    async def test_one_is_counted_as_one(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            assert "1 series, 1 instance<" in (await browser.get(f"/studies/{STRANGE}")).text
            assert "instances<" in (await browser.get(f"/studies/{study_uid(1)}")).text

    async def test_labels_are_changed_by_who_administers_and_on_record(
        self, archive: House
    ) -> None:
        path = f"/studies/{study_uid(20)}"
        async with signed_in(archive, RADIOLOGIST) as browser:
            fields = {"label": "teaching", "reason": "x", "change": "add"}
            refused = await browser.post(f"{path}/labels", fields, csrf=True)
            assert refused.status_code == 403
        async with signed_in(archive, ADMIN) as browser:
            assert (await browser.post(f"{path}/labels", fields)).status_code == 403
            for wrong in ({"label": "no label"}, {"reason": ""}, {"change": ""}):
                answer = await browser.post(f"{path}/labels", {**fields, **wrong}, csrf=True)
                assert answer.status_code == 422
                assert "The label was not changed" in answer.text
                for name, text in ({**fields, **wrong}).items():
                    if name != "change":
                        assert f'name="{name}" value="{text}"' in answer.text, wrong
            done = await browser.post(f"{path}/labels", fields, csrf=True)
            assert done.headers["location"] == f"{path}#labels"
            assert "teaching" in visible(_ROW.findall((await browser.get("/")).text)[19])
            assert "teaching" in visible((await browser.get(path)).text)
            gone = await browser.post(f"{path}/labels", {**fields, "change": "remove"}, csrf=True)
            assert gone.status_code == 303
            again = await browser.post(f"{path}/labels", {**fields, "change": "remove"}, csrf=True)
            assert again.status_code == 303
            assert "teaching" not in visible((await browser.get(path)).text)
            assert 'name="label" value=""' in (await browser.get(path)).text
        for deed in ("label add", "label remove"):
            ended = await outcomes(archive, deed, study_uid(20))
            assert set(ended) == {Outcome.SUCCESS}, deed

    async def test_a_label_is_on_record_before_it_is_changed(
        self, archive: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uid, nobody = study_uid(21), "1.2.826.0.1.999"
        fields = {"label": "teaching", "reason": "x", "change": "add"}

        async def change(*args: Any, **options: Any) -> frozenset[str]:
            assert await outcomes(archive, "label add", uid) == [Outcome.SUCCESS]
            raise Unavailable("the study keeps changing")

        async with signed_in(archive, ADMIN) as browser:
            answer = await browser.post(f"/studies/{nobody}/labels", fields, csrf=True)
            assert answer.status_code == 404
            assert await outcomes(archive, "label add", nobody) == []
            monkeypatch.setattr(labelling, "change_labels", change)
            answer = await browser.post(f"/studies/{uid}/labels", fields, csrf=True)
            assert answer.status_code == 503
        assert await outcomes(archive, "label add", uid) == [Outcome.MINOR, Outcome.SUCCESS]

    async def test_a_page_weighs_little(self, archive: House) -> None:
        async with signed_in(archive, ADMIN) as browser:
            page = await browser.get("/")
            assert len(_ROW.findall(page.text)) == 40
            parts = set(re.findall(r'"(/static/[^"]+\.(?:css|js))"', page.text))
            assert len(parts) >= 5
            plain = {"accept-encoding": "identity"}
            weights = [len((await ask(browser, one, **plain)).content) for one in parts]
            assert sum(weights) + len(page.content) <= 150_000


async def test_a_cold_study_says_so_and_when_it_comes(tmp_path: Path) -> None:
    objects = f"file://{tmp_path}/objects?recall_delay_s=3600"
    async with house(tmp_path, objects=objects) as archive:
        await archive.store(made(3))
        await chill(
            archive.stores.objects, archive.stores.catalogue, study_uid(1), tenant="default"
        )
        page, asides = f"/studies/{study_uid(1)}", f"/studies/asides?of={study_uid(1)}"
        async with signed_in(archive, ADMIN) as browser:
            rows = _ROW.findall((await browser.get("/")).text)
            assert ["Archived" in row for row in rows] == [True, False, False]
            text = visible((await browser.get(page)).text)
            assert "In the archive" in text
            assert "GLACIER" in text
            assert "Coming back" not in (await browser.get(asides)).text
            # Whoever opens it has it brought back.
            opened = await browser.get(f"/dicom-web/studies/{study_uid(1)}/rendered")
            assert opened.status_code == 503
            text = visible((await browser.get(page)).text)
            assert "On its way back" in text
            assert re.search(r"0 of 1 parts have come; the last one is expected 20\d\d-", text)
            assert "Coming back" in (await browser.get(asides)).text


async def test_today_is_that_of_whoever_looks(tmp_path: Path) -> None:
    first, last = timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))
    day = datetime.now(first)  # at any hour it is another day where days begin last
    assert f"{day:%d}" != f"{day.astimezone(last):%d}"
    async with house(tmp_path) as served:
        await served.store([make_instance("1.2.3", study=VIP, StudyDate=f"{day:%Y%m%d}")])
        async with signed_in(served, ADMIN) as browser:
            for zone, uids in (("+1400", [VIP]), ("-1100", [])):
                browser.client.cookies.set("zone", zone)
                assert listed(await browser.get("/?date=today")) == uids

"""The pages about custody: who may see them, what they do, and what goes on record of it."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest

from e2e.house import House
from integration.custody_site import GONE, lived_in
from integration.share_house import OTHER, SHARED
from pacs_cloud.audit.asking import Wanted
from pacs_cloud.audit.backwards import Span, newest
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.custody.checks.record import CheckKind, CheckState, read_checks
from pacs_cloud.custody.labels import change_labels
from pacs_cloud.custody.trash.listing import Deleted
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import AuditEvent, Kind, Outcome
from pacs_cloud.security.caller import Action, Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.web.ops import holds_trash
from patience import PATIENCE_S
from web_site import GOOD, Browser, hidden, visible

DAY_US = 86_400_000_000
PAGES = {
    "/ops/audit": {Role.AUDITOR},
    "/ops/audit/chain": {Role.AUDITOR},
    "/ops/audit/who": {Role.AUDITOR},
    "/ops/audit/events.csv": {Role.AUDITOR},
    "/ops/integrity": {Role.OPS},
    "/ops/holds": {Role.OPS},
    "/ops/trash": {Role.TECHNOLOGIST},
    "/ops/conflicts": {Role.TECHNOLOGIST},
    "/ops/corrections": {Role.TECHNOLOGIST},
    "/ops/corrections/merge": {Role.TECHNOLOGIST},
    "/ops/users": set[Role](),
    "/ops/users/admin": set[Role](),
    "/ops/keys": set[Role](),
    "/ops/ae-titles": set[Role](),
    "/ops/ae-titles/one": set[Role](),
    "/ops/shares": set[Role](),
}
"""Each page, and who may see it besides administrators."""
_WANTED = (*(Action.AUDIT, Action.OPERATE, Action.DELETE), *(Action.CORRECT, Action.ADMINISTER))


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[House]:
    async with lived_in(tmp_path) as house:
        yield house


@asynccontextmanager
async def browser(made: House, name: str, *grants: Grant) -> AsyncIterator[Browser]:
    accounts = made.accounts
    await accounts.redeem(await accounts.create(name, grants or (Grant(Role.ADMIN),)), GOOD)
    async with Browser(made.url) as one:
        assert (await one.sign_in(name)).status_code == 303
        yield one


async def recorded(made: House, who: str = "") -> list[AuditEvent]:
    """Return what is on record, the newest first."""
    found = await newest(
        *(made.stores.objects, made.settings.audit_journals, "default", Wanted(who)),
        Span(0, now_us() + DAY_US),
        limit=10_000,
    )
    return [one.event for one in found.events]


async def deeds(made: House) -> list[tuple[str, str, Outcome]]:
    """Return what was changed by pages, oldest first."""
    kinds = {Kind.CHANGE, Kind.ADMINISTER, Kind.SHARE}
    every = await recorded(made)
    return [
        (one.subject, one.action, one.outcome)
        for one in reversed(every)
        if one.kind in kinds and one.door == "page"
    ]


async def sent(one: Browser, path: str, **fields: str) -> httpx.Response:
    return await one.post(path, fields, csrf=True)


async def test_each_page_is_for_whom_it_is_for(made: House) -> None:
    roles = (Role.ADMIN, Role.OPS, Role.AUDITOR, Role.TECHNOLOGIST, Role.RADIOLOGIST)
    async with browser(made, "admin"):
        pass
    for role in roles:
        name = f"the-{role}"
        async with browser(made, name, Grant(role)) as one:
            for path, may in PAGES.items():
                expected = 200 if role in {Role.ADMIN, *may} else 403
                assert (await one.get(path)).status_code == expected, (role, path)
            refused = {
                event.action
                for event in await recorded(made, who=f"user:{name}")
                if event.kind is Kind.REFUSAL
            }
            assert refused == {one for one in _WANTED if one not in access.ALLOWED[role]}, role
    # What is of the whole archive is for nobody who may something with some studies only.
    some = (StudyRule(modalities=frozenset({"CT"})),)
    async with browser(made, "some", *(Grant(one, some) for one in (Role.ADMIN, Role.OPS))) as one:
        for path in (*PAGES, "/ops/queue"):
            is_theirs = PAGES.get(path) == {Role.TECHNOLOGIST} and "merge" not in path
            expected = 200 if is_theirs else 403
            assert (await one.get(path)).status_code == expected, path
        fields = {"name": "mallory", "role-admin": "1"}
        assert (await one.post("/ops/users", fields, csrf=True)).status_code == 403
        assert (await one.get("/ops")).headers["location"] == "/ops/conflicts"
    assert "mallory" not in {one.name for one in await made.accounts.users()}
    async with Browser(made.url) as nobody:
        for path in PAGES:
            answer = await nobody.get(path, **{"sec-fetch-mode": "navigate"})
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in"), path


async def test_what_was_done_is_found_and_taken_away(made: House) -> None:
    async with browser(made, "anna") as anna, browser(made, "eve", Grant(Role.AUDITOR)) as eve:
        for path in ("/ops/holds", "/ops/trash"):
            await anna.get(path)
        await anna.post("/sign-in", {"name": "anna", "password": "wrong"})
        page = await eve.get("/ops/audit?who=anna")
        assert "Signed in" in visible(page.text)
        assert "user:eve" not in visible(page.text)
        assert "trash list" in visible((await eve.get(f"/ops/audit?study={GONE}")).text)
        refused = visible((await eve.get("/ops/audit?outcome=minor&kind=login")).text)
        assert "Could not sign in" in refused
        assert "user:eve" not in refused
        for span in ("since=2031-01-01", "until=1969-12-31"):
            nothing = visible((await eve.get(f"/ops/audit?{span}")).text)
            assert "Nothing of the kind is on record" in nothing
        for wrong in ("since=yesterday", "kind=love", "before=x", f"who={'x' * 300}"):
            answer = await eve.get(f"/ops/audit?{wrong}")
            assert answer.status_code in {200, 400}, wrong
            assert "Nothing was looked for" in answer.text or answer.status_code == 400, wrong

        looked = await recorded(made, who="user:eve")
        asked = [dict(one.details) | {"studies": one.studies} for one in looked]
        assert {"who": "anna", "studies": ()} in asked
        assert {"studies": (GONE,)} in asked

        lines = (await eve.get("/ops/audit/events.jsonl?who=anna")).text.splitlines()
        assert {orjson.loads(line)["subject"] for line in lines} == {"user:anna"}
        file = await eve.get("/ops/audit/events.csv")
        assert "attachment" in file.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(file.text.removeprefix("\ufeff"))))
        assert {row["kind"] for row in rows} >= {"login", "read", "audit"}
        await anna.get(f"/dicom-web/studies/{SHARED}/metadata", accept="application/dicom+json")
        page = await eve.get("/ops/audit/who?patient=ID-81")
        assert "user:anna Saw 1" in visible(page.text)
        assert "user:anna Saw 1" not in visible((await eve.get("/ops/audit/who?patient=X")).text)
        assert "who=user%3Aanna&amp;patient=ID-81&amp;kind=read" in page.text
        wrong = await eve.get("/ops/audit/who?patient=X&since=never")
        assert "Nothing was looked for" in wrong.text
        assert (await eve.get("/ops/audit/events.xml")).status_code == 404
        actions = [event.action for event in await recorded(made, who="user:eve")]
        assert actions[:4] == ["who", "who", "export", "export"]


async def test_two_contents_are_compared_and_chosen_between(made: House) -> None:
    async with browser(made, "anna", Grant(Role.TECHNOLOGIST)) as anna:
        shown = await anna.get("/ops/conflicts")
        assert "SHARED SUSAN (ID-81)" in visible(shown.text)
        to_it = f'href="/studies/{SHARED}"'
        assert to_it in shown.text
        path = shown.text.partition('href="/ops/conflicts/')[2].partition('"')[0]
        path = f"/ops/conflicts/{path}"
        text = (await anna.get(path)).text
        assert to_it in text
        page = visible(text)
        assert "SHARED^SUSANNE" in page
        assert "2,400 pixels" in page
        for name, kind in {"newcomer": "jpeg", "other": "jpeg", "difference": "png"}.items():
            picture = await anna.get(f"{path}/{name}")
            assert picture.headers["content-type"] == f"image/{kind}"
            assert len(picture.content) > 100
        for nothing in ("nobody", "difference?frame=2", "newcomer?frame=x"):
            assert (await anna.get(f"{path}/{nothing}")).status_code == 404
        stale = await sent(anna, path, do="promote", shown="newcomer")
        assert stale.status_code == 400
        done = await sent(anna, path, do="promote", shown="other")
        assert "Shown is now the one that came later" in visible(done.text)
        assert "Chosen" in visible(done.text)
        back = await sent(anna, path, do="undo", shown="newcomer")
        assert "Taken back" in visible(back.text)
        again = await sent(anna, path, do="undo", shown="other")
        assert again.status_code == 404
        who = "user:anna"
        assert await deeds(made) == [
            (who, "conflicts promote", Outcome.SUCCESS),
            (who, "conflicts undo", Outcome.SUCCESS),
            (who, "conflicts undo", Outcome.SUCCESS),
            (who, "conflicts undo", Outcome.MINOR),
        ]
        # Hidden from them, there is nothing that a page tells of it.
        await change_labels(
            *(made.stores.objects, made.stores.catalogue, "default", SHARED, ("vip",)),
            is_added=True,
            reason="asked for",
            who="test",
            now_us=now_us(),
        )
        assert "SUSAN" not in (await anna.get("/ops/conflicts")).text
        for hidden_one in (path, f"{path}/newcomer"):
            assert (await anna.get(hidden_one)).status_code == 404
        assert (await sent(anna, path, do="promote", shown="other")).status_code == 404
    elsewhere = StudyRule(institutions=frozenset({"Elsewhere"}))
    async with browser(made, "bob", Grant(Role.TECHNOLOGIST, (elsewhere,))) as bob:
        assert "Nothing contradicts each other" in (await bob.get("/ops/conflicts")).text
        assert (await bob.get(path)).status_code == 404
        assert "that you could restore" in (await bob.get("/ops/trash")).text
        assert (await sent(bob, "/ops/trash", study=GONE)).status_code == 404


async def test_patients_are_merged_after_a_look_and_unmerged(made: House) -> None:
    merge = "/ops/corrections/merge"
    fields = {"source": "ID-82", "target": "ID-81", "reason": "one person"}
    async with browser(made, "anna", Grant(Role.TECHNOLOGIST)) as anna:
        look = await sent(anna, merge, do="preview", **fields)
        text = visible(look.text)
        assert "Patient ID-82 is given up" in text
        assert "山田^太郎" in text
        assert "1 study, 1 instance" in text
        mark = hidden(look.text)["mark"]
        for wrong in ({"do": "apply", "mark": "another"}, {"do": "apply"}):
            again = await sent(anna, merge, **fields, **wrong)
            assert "Look at it first" in again.text
        assert (await deeds(made)) == []
        for given, words in {
            "source": "There is no such patient",
            "reason": "A correction needs a reason",
        }.items():
            refused = await sent(anna, merge, **{**fields, given: "" if given == "reason" else "X"})
            assert refused.status_code == 422
            assert words in visible(refused.text)
        done = await sent(anna, merge, do="apply", mark=mark, **fields)
        assert done.status_code == 303
        path = done.headers["location"].partition("#")[0]
        page = await anna.get(path)
        assert f'href="/studies/{OTHER}"' in page.text
        assert "ID-82 → ID-81" in visible(page.text)
        assert "stands" in visible(page.text)
        record = (await made.stores.catalogue.studies_by_uid("default", [OTHER]))[0]
        assert {one.patient_id for one in record.patients} == {"ID-81"}
        assert "one person" in (await anna.get("/ops/corrections")).text
        unsaid = await sent(anna, path, reason="")
        assert unsaid.status_code == 422
        assert "Say why" in visible(unsaid.text)
        assert "no patient’s name belongs here" in visible(unsaid.text)
        unseen = await sent(anna, path, reason="two after all", mark="another")
        assert unseen.status_code == 422
        assert "Look again" in visible(unseen.text)
        assert "stands" in visible(unseen.text)
        mark = hidden(unseen.text)["mark"]
        rules = (StudyRule(studies=frozenset({SHARED, OTHER})),)
        async with browser(made, "bob", Grant(Role.TECHNOLOGIST, rules)) as bob:
            for answer in (await bob.get(merge), await sent(bob, merge, **fields)):
                assert answer.status_code == 403
                assert "those that come later" in visible(answer.text)
            assert merge not in (await bob.get("/ops/corrections")).text
            assert "mark" not in hidden((await bob.get(path)).text)
            refused = await sent(bob, path, reason="mine", mark=mark)
            assert refused.status_code == 403
        undone = await sent(anna, path, reason="two after all", mark=mark)
        assert "Taken back in 1 study" in visible(undone.text)
        assert (await sent(anna, path, reason="again")).status_code == 409
        record = (await made.stores.catalogue.studies_by_uid("default", [OTHER]))[0]
        assert {one.patient_id for one in record.patients} == {"ID-82"}
        wrong = {"study": OTHER, "reason": "x", "attributes": "Nonsense=1"}
        refused = await sent(anna, "/ops/corrections/attributes", **wrong)
        assert refused.status_code == 422
        given = {**wrong, "attributes": "StudyDescription=HEAD\r\nReferringPhysicianName="}
        look = await sent(anna, "/ops/corrections/attributes", **given)
        assert "StudyDescription STUDY 82 HEAD" in visible(look.text)
        # What was looked at was a series, not the study.
        (pack,) = await made.stores.catalogue.packs("default", OTHER)
        given = {**wrong, "attributes": "SeriesDescription=HEAD"}
        series = {"series": pack.series_instance_uid}
        look = await sent(anna, "/ops/corrections/attributes", **given, **series)
        mark = hidden(look.text)["mark"]
        whole = await sent(anna, "/ops/corrections/attributes", do="apply", mark=mark, **given)
        assert "Look at it first" in whole.text
    actions = [(action, outcome) for _, action, outcome in await deeds(made)]
    assert actions[:2] == [
        ("patient merge", Outcome.SUCCESS),
        ("corrections undo", Outcome.SUCCESS),
    ]


async def test_what_was_deleted_is_brought_back(made: House) -> None:
    async with browser(made, "anna", Grant(Role.TECHNOLOGIST)) as anna:
        shown = visible((await anna.get("/ops/trash")).text)
        assert "2 instances" in shown
        assert GONE in shown
        back = await sent(anna, "/ops/trash", study=GONE)
        assert "2 instances are back" in visible(back.text)
        assert (await sent(anna, "/ops/trash", study=GONE)).status_code == 404
        assert (await sent(anna, "/ops/trash", study="nonsense")).status_code == 400
    assert (await deeds(made))[0] == ("user:anna", "trash restore", Outcome.SUCCESS)
    async with browser(made, "olaf", Grant(Role.OPS)) as olaf:
        held = visible((await olaf.get("/ops/holds")).text)
        assert "Legal hold" in held
        assert "not shown" in held
        assert "a complaint" not in held
        assert f"/studies/{OTHER}" not in (await olaf.get("/ops/holds")).text
        async with asyncio.timeout(PATIENCE_S):
            while "Counted" not in (overview := (await olaf.get("/ops")).text):
                await asyncio.sleep(0.05)
        assert '<a href="/ops/holds">1 study is on hold</a>' in overview
    async with browser(made, "rita") as rita:
        held = (await rita.get("/ops/holds")).text
        assert "a complaint" in held
        assert f'href="/studies/{OTHER}"' in held
    some = Grant(Role.OPS), Grant(Role.RADIOLOGIST, (StudyRule(studies=frozenset({OTHER})),))
    async with browser(made, "bob", *some) as bob:
        assert "a complaint" not in (await bob.get("/ops/holds")).text


async def test_a_full_trash_is_read_no_further_than_it_is_shown(
    made: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    async def full(*_: object, **__: object) -> AsyncIterator[Deleted]:
        for number in range(500):
            read.append(number)
            yield Deleted(Scope("default", f"1.2.9.{number}", "", ""), number, 1)

    monkeypatch.setattr(holds_trash, "list_trash", full)
    async with browser(made, "ada") as ada:
        page = visible((await ada.get("/ops/trash")).text)
    assert page.count("1 instance") == 50
    assert len(read) == 51


async def test_a_check_is_begun_from_the_page_and_done_by_a_worker(made: House) -> None:
    path = "/ops/integrity"
    async with browser(made, "olaf", Grant(Role.OPS)) as olaf:
        assert "Nobody has checked it" in (await olaf.get(path)).text
        begun = await sent(olaf, path, do="begin", kind="archive")
        assert begun.status_code == 303
        assert "Waits for a worker" in (await olaf.get(path)).text
        assert (await sent(olaf, path, do="begin", kind="archive")).status_code == 409
        for wrong in ({"do": "begin", "kind": "trail"}, {"do": "repair", "kind": "archive"}):
            assert (await sent(olaf, path, **wrong)).status_code == 400
        async with serve_worker(made.settings, made.stores), asyncio.timeout(PATIENCE_S):
            while (await state(made)) is not CheckState.DONE:
                await asyncio.sleep(0.05)
        text = visible((await olaf.get(path)).text)
        assert "no faults in 3 studies" in text
        assert "asked for by user:olaf" in text
    actions = [(action, outcome) for _, action, outcome in await deeds(made)]
    began = ("check archive", Outcome.SUCCESS)
    assert actions == [began, began, ("check archive", Outcome.MINOR)]


async def state(made: House) -> CheckState | None:
    known = await read_checks(made.stores.objects, "default", CheckKind.ARCHIVE)
    return known.last.state(now_us()) if known.last else None

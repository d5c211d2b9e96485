"""Links that leave out who the patient is: what they open are copies, in a tenant of their own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
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
from integration.test_access_matrix import BASE, WANTED
from integration.test_share_urls import url
from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.bootstrap.share_copies import CopiesTending
from pacs_cloud.custody.deid.projects import KeptProject, add_project
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.deid.option import Option
from pacs_cloud.dicom.deid.project import KEY_BYTES, Project
from pacs_cloud.errors import Denied, InvalidRequest, NotFound, Unavailable
from pacs_cloud.identity.shares import MadeShare, Shares
from pacs_cloud.identity.shares_making import Copying
from pacs_cloud.identity.shares_record import ShareState, copies_tenant
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.audit_event import AuditEvent, Kind
from pacs_cloud.security.caller import Caller, Grant, Role, system
from pacs_cloud.settings import Settings
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from web_site import hidden

NAMES = ("susan", "id-81", SHARED, "ct1 abdomen")
"""What says who it is."""
PDF = b"%PDF-1.4 a report\n%%EOF"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archived]:
    async with shared_archive(tmp_path) as made:
        yield made


def only_copy(made: MadeShare) -> str:
    ((copy,)) = made.share.opens
    return copy


def tenant_of(made: MadeShare) -> str:
    return copies_tenant(made.share.share_id)


async def left_of(archive: Archived, tenant: str) -> list[str]:
    """The keys of all objects of a tenant, and the UIDs of its studies."""
    keys = [one.key async for one in archive.objects.list("") if f"/{tenant}/" in one.key]
    rows = [state.study.study_instance_uid async for state in archive.catalogue.export(tenant)]
    return [*keys, *rows]


async def tend(archive: Archived, tmp_path: Path) -> None:
    stores = Stores(archive.objects, archive.catalogue, SqliteWorkQueue(tmp_path / "q.sqlite"))
    await CopiesTending(Settings(data=tmp_path), stores)(None)  # type: ignore[arg-type]


def says_nobody(text: str) -> bool:
    return not any(name in text.casefold() for name in NAMES)


class TestWhatIsSeen:
    async def test_pages_and_files_are_of_a_copy(self, archive: Archived) -> None:
        made = await archive.made(deidentify=True, may_download=True)
        copy = only_copy(made)
        assert made.report is not None
        assert (made.report.written, made.report.withheld) == (2, 0)
        async with archive.guest(made) as guest:
            page = (await guest.get(guest.page)).text
            assert copy in page
            assert says_nobody(page)
            zipped = await guest.get(f"{BASE}/studies/{copy}?accept=application/zip")
            with ZipFile(BytesIO(zipped.content)) as files:
                read = [files.read(name) for name in files.namelist()]
            assert len(read) == 2
            for data in read:
                dataset = dcmread(BytesIO(data))
                assert dataset.PatientIdentityRemoved == "YES"
                assert dataset.StudyInstanceUID == copy
                assert b"SUSAN" not in data
                assert SHARED.encode() not in data
            series = page.split(f"{guest.page}/studies/{copy}/series/")[1].split('"')[0]
            shown = await guest.get(f"{guest.page}/studies/{copy}/series/{series}")
            assert shown.status_code == 200
            assert says_nobody(shown.text)

    async def test_no_url_leads_to_the_study_itself(self, archive: Archived) -> None:
        made = await archive.made(deidentify=True, may_download=True, may_reply=True)
        async with archive.guest(made) as guest:
            for method, path in WANTED:
                if "{study}" not in path and not path.endswith("/wado"):
                    continue
                for study in (SHARED, OTHER):
                    answer = await guest.ask(method, url(path, study), instance_file(study))
                    assert answer.status_code in {204, 403, 404}, (method, path, study)
            for query in ("studies", "series", "instances", "studies?PatientName=*SUSAN*"):
                answer = await guest.ask("GET", f"{BASE}/{query}")
                assert says_nobody(answer.text)
            page = f"{guest.page}/studies/{SHARED}/series/{SHARED}.1"
            assert (await guest.get(page)).status_code == 404

    async def test_nor_where_a_project_keeps_uids(self, archive: Archived) -> None:
        project = Project("TRIAL", b"k" * KEY_BYTES, frozenset({Option.UIDS}))
        await add_project(archive.objects, "default", KeptProject(project, 1, "root"))
        made = await archive.made(deidentify=True, project="TRIAL", may_download=True)
        assert only_copy(made) == SHARED
        async with archive.guest(made) as guest:
            page = (await guest.get(guest.page)).text
            assert "TRIAL-" in page
            assert "susan" not in page.casefold()
            answer = await guest.ask("GET", f"{BASE}/studies/{SHARED}/metadata")
            assert answer.status_code == 200
            assert "susan" not in answer.text.casefold()

    async def test_only_some_series(self, archive: Archived) -> None:
        more = {"SeriesInstanceUID": f"{SHARED}.2", "SOPInstanceUID": f"{SHARED}.2.1"}
        await archive.store(instance_file(SHARED, **more))
        made = await archive.made(deidentify=True, series=(f"{SHARED}.2",))
        assert made.report is not None
        assert made.report.written == 1

    async def test_whoever_uses_a_project_may_deidentify(self, archive: Archived) -> None:
        clinician = Caller("default", "user:carl", (Grant(Role.CLINICIAN),))
        wish = ShareWish((SHARED,), "x", deidentify=True)
        await archive.shares.create(clinician, wish, door="page")
        named = ShareWish((SHARED,), "x", deidentify=True, project="TRIAL")
        with pytest.raises(Denied):
            await archive.shares.create(clinician, named, door="page")
        with pytest.raises(NotFound):
            await archive.shares.create(ANNA, named, door="page")
        with pytest.raises(InvalidRequest):
            await archive.made(project="TRIAL")

    async def test_what_cannot_be_cleaned_is_left_out_and_said(self, archive: Archived) -> None:
        burned = instance_file(SHARED, 3, BurnedInAnnotation="YES")
        await archive.store(burned)
        made = await archive.made(deidentify=True)
        assert made.report is not None
        assert (made.report.written, made.report.withheld) == (2, 1)
        assert made.share.withheld == 1
        await archive.store(instance_file("1.2.826.0.1.99", BurnedInAnnotation="YES"))
        with pytest.raises(InvalidRequest, match="nothing is left"):
            await archive.made("1.2.826.0.1.99", deidentify=True)

    async def test_the_making_is_on_record_with_the_studies(self, archive: Archived) -> None:
        made = await archive.made(deidentify=True)
        (event,) = [one for one in archive.events if one.kind is Kind.SHARE]
        assert (event.tenant, event.studies) == ("default", (SHARED,))
        assert ("without", "identity") in event.details
        assert made.share.state(archive.clock()) is ShareState.OPEN


class TestReplies:
    async def test_a_report_goes_to_the_study_itself(self, archive: Archived) -> None:
        made = await archive.made(deidentify=True, may_reply=True)
        async with archive.guest(made) as guest:
            answer = await guest.reply(
                ("report.pdf", PDF), ("x.dcm", instance_file(SHARED, 9)), study=only_copy(made)
            )
            assert answer.status_code == 200
            assert "1 file was received" in answer.text
            assert "send a report as PDF" in answer.text
            assert says_nobody(answer.text)
            for study in (SHARED, OTHER):
                refused = await guest.reply(("report.pdf", PDF), study=study)
                assert refused.status_code == 404
            assert says_nobody((await guest.get(guest.page)).text)
        found = await archive.archive.instances.locate(system("default"), SHARED)
        reports = [one for one in found if one.instance.sop_class_uid.endswith(".104.1")]
        assert len(reports) == 1
        stored = [one for one in archive.events if one.kind is Kind.STORE]
        assert [(one.tenant, one.studies) for one in stored] == [("default", (SHARED,))]

    async def test_none_where_none_are_taken(self, archive: Archived) -> None:
        made = await archive.made(deidentify=True)
        async with archive.guest(made) as guest:
            answer = await guest.reply(("report.pdf", PDF), study=only_copy(made))
            assert answer.status_code == 403


class TestTheEnd:
    async def test_revoking_leaves_nothing(self, archive: Archived) -> None:
        made, kept = await archive.made(deidentify=True), await archive.made(deidentify=True)
        assert await left_of(archive, tenant_of(made))
        async with archive.guest(made) as guest:
            await guest.get(guest.page)
            await archive.shares.revoke(ANNA, made.share.share_id, door="page")
            answer = await guest.ask("GET", f"{BASE}/studies/{only_copy(made)}/metadata")
            assert answer.status_code == 401
        assert await left_of(archive, tenant_of(made)) == []
        async with archive.guest(kept) as guest:
            assert only_copy(kept) in (await guest.get(guest.page)).text
        found = await archive.archive.instances.locate(system("default"), SHARED)
        assert len(found) == 2

    async def test_a_worker_clears_up_behind_its_time(
        self, archive: Archived, tmp_path: Path
    ) -> None:
        made, kept = await archive.made(deidentify=True), await archive.made(deidentify=True)
        # The worker has the real time.
        await archive.shares._states.change(
            made.share.share_id, lambda one: one and replace(one, until_us=1)
        )
        await tend(archive, tmp_path)
        assert await left_of(archive, tenant_of(made)) == []
        assert await left_of(archive, tenant_of(kept))
        share = await archive.shares.read(ANNA, made.share.share_id)
        assert share.removed_us
        await tend(archive, tmp_path)
        # What was in a spool comes late.
        await archive.store(instance_file("2.25.1"), tenant=tenant_of(made))
        await tend(archive, tmp_path)
        assert await left_of(archive, tenant_of(made)) == []

    async def test_copies_that_cannot_be_removed_keep_no_others(
        self, archive: Archived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        all_made = [await archive.made(deidentify=True) for _ in range(3)]
        for made in all_made:
            await archive.shares._states.change(
                made.share.share_id, lambda one: one and replace(one, until_us=1)
            )
        stuck, *others = sorted(map(tenant_of, all_made))
        delete = LocalObjectStore.delete

        async def refusing(store: LocalObjectStore, key: str) -> None:
            if f"/{stuck}/" in key:
                raise Denied("it is locked")
            await delete(store, key)

        monkeypatch.setattr(LocalObjectStore, "delete", refusing)
        with pytest.raises(Denied):
            await tend(archive, tmp_path)
        assert [await left_of(archive, one) for one in others] == [[], []]

    async def test_copies_of_no_link_are_cleared_up(
        self, archive: Archived, tmp_path: Path
    ) -> None:
        await archive.store(instance_file("2.25.1"), tenant=copies_tenant("0" * 32))
        await tend(archive, tmp_path)
        assert await left_of(archive, copies_tenant("0" * 32)) == []

    async def test_a_link_ends_with_what_it_copies(self, archive: Archived, tmp_path: Path) -> None:
        made, other = await archive.made(deidentify=True), await archive.made(OTHER)
        await archive.trash.delete(Scope("default", SHARED))
        await archive.trash.delete(Scope("default", OTHER))
        await tend(archive, tmp_path)
        share = await archive.shares.read(ANNA, made.share.share_id)
        assert (share.revoked_by, await left_of(archive, tenant_of(made))) == ("system", [])
        assert not (await archive.shares.read(ANNA, other.share.share_id)).revoked_us

    async def test_a_failure_leaves_nothing(self, archive: Archived) -> None:
        real = archive.shares._copying
        assert real is not None

        async def failing(*what: object) -> None:
            assert real.make is not None
            await real.make(*what)  # type: ignore[arg-type]
            raise Unavailable("out of order")

        shares = _shares(archive, Copying(real.remove, failing))  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            await shares.create(ANNA, ShareWish((SHARED,), "x", deidentify=True), door="page")
        (share,) = await archive.shares.list(ANNA)
        assert share.state(archive.clock()) is ShareState.REVOKED
        assert await left_of(archive, copies_tenant(share.share_id)) == []

    async def test_a_crash_leaves_nothing_for_ever(self, archive: Archived, tmp_path: Path) -> None:
        real = archive.shares._copying
        assert real is not None
        at_work = asyncio.Event()

        async def stopped(*what: object) -> None:
            assert real.make is not None
            await real.make(*what)  # type: ignore[arg-type]
            at_work.set()
            await asyncio.Event().wait()

        async def nothing(_: str) -> None:
            raise Unavailable("the process is dead")

        shares = _shares(archive, Copying(nothing, stopped))  # type: ignore[arg-type]
        shares._making._give_up = nothing  # type: ignore[method-assign]
        wish = ShareWish((SHARED,), "x", deidentify=True)
        making = asyncio.create_task(shares.create(ANNA, wish, door="page"))
        await at_work.wait()
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        (share,) = await archive.shares.list(ANNA)
        assert share.state(archive.clock()) is ShareState.PREPARING
        assert await left_of(archive, copies_tenant(share.share_id))
        await tend(archive, tmp_path)  # it may be at work still
        assert await left_of(archive, copies_tenant(share.share_id))
        await archive.shares._states.change(
            share.share_id, lambda one: one and replace(one, made_us=1)
        )
        await tend(archive, tmp_path)
        assert await left_of(archive, copies_tenant(share.share_id)) == []


async def test_it_opens_nothing_before_its_copies_are_there(archive: Archived) -> None:
    made = await archive.made(deidentify=True)
    await archive.shares._states.change(
        made.share.share_id, lambda one: one and replace(one, copies=())
    )
    async with GuestBrowser(archive.url, made) as guest:
        answer = await guest.open()
        assert answer.status_code == 410
        assert hidden(answer.text).get("secret") is None


def _shares(archive: Archived, copying: Copying) -> Shares:
    async def record(event: AuditEvent) -> None:
        archive.events.append(event)

    return Shares(
        archive.objects, archive.catalogue, "default", archive.clock, record, copying=copying
    )

"""A whole archive with pages, DICOMweb and links, wired as a server wires them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from pydicom.data import get_testdata_file

from integration.dicomweb_archive import BOUNDARY, multipart
from pacs_cloud.bootstrap.authenticating import Authentication
from pacs_cloud.bootstrap.services import Reading, Stores, now_us
from pacs_cloud.bootstrap.share_copies import copying
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.dicomweb.app import Services, create_app
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.break_glass import BreakGlass
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.identity.shares import MadeShare, Shares
from pacs_cloud.identity.shares_record import share_path
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.source import Door, Source
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.audit_event import AuditEvent
from pacs_cloud.security.caller import Caller, Grant, Role, system
from pacs_cloud.security.witness import NOBODY
from pacs_cloud.settings import Settings
from pacs_cloud.web.routes import OPEN_FOLDERS, open_paths, routes
from pacs_cloud.web.services import WebServices
from pacs_cloud.web.share_services import ShareServices
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from web_site import CHEAP, SECRETS, Browser, Clock, hidden, serving

SHARED, OTHER, ELSEWHERE = "1.2.826.0.1.81", "1.2.826.0.1.82", "1.2.826.0.1.83"
"""Studies: the one that is shared, another of the tenant, and one of another tenant."""
NAMES = {SHARED: "SHARED^SUSAN", OTHER: "HIDDEN^HUGO", ELSEWHERE: "FOREIGN^FRED"}
ANNA = Caller("default", "user:anna", (Grant(Role.RADIOLOGIST),))


def instance_file(study: str, number: int = 1, **given: str) -> bytes:
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientName, dataset.PatientID = NAMES.get(study, "X"), f"ID-{study[-2:]}"
    dataset.StudyDescription, dataset.SeriesDescription = f"STUDY {study[-2:]}", "AXIAL"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    uid = f"{study}.1.{number}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.InstanceNumber = number
    for name, value in given.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written = BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


@dataclass
class Archived:
    """An archive that is served, with three studies of two tenants."""

    url: str
    objects: LocalObjectStore
    catalogue: SqliteCatalogue
    intake: Intake
    archive: Archive
    trash: Trash
    services: WebServices
    shares: Shares
    clock: Clock
    events: list[AuditEvent] = field(default_factory=list[AuditEvent])

    async def store(self, *files: bytes, tenant: str = "default") -> None:
        session = self.intake.session(system(tenant), Source(Door.IMPORT))
        for data in files:
            reception = session.begin_file()
            reception.write(data)
            await reception.finish()
        await session.commit()

    async def made(self, *studies: str, **wish: Any) -> MadeShare:
        wished = ShareWish(studies or (SHARED,), "a second opinion", **wish)
        return await self.shares.create(ANNA, wished, door="page")

    @asynccontextmanager
    async def guest(self, made: MadeShare, code: str = "") -> AsyncIterator["GuestBrowser"]:
        """A browser in which a link was opened."""
        async with GuestBrowser(self.url, made) as browser:
            answer = await browser.open(code)
            assert answer.status_code == 303, answer.text
            yield browser


class GuestBrowser(Browser):
    """A browser of whoever holds a link."""

    def __init__(self, url: str, made: MadeShare) -> None:
        super().__init__(url)
        self.made = made
        self.page, _, _ = share_path(made.share.share_id, made.secret).partition("#")

    async def open(self, code: str = "", *, secret: str = "", page: str = "") -> httpx.Response:
        fields = {"secret": secret or self.made.secret, "open": "1", "code": code}
        return await self.post(page or self.page, fields)

    async def csrf(self) -> str:
        return hidden((await self.get(self.page)).text)["csrf"]

    async def is_in(self) -> bool:
        """Whether what was shared is seen."""
        return "SUSAN" in (await self.get(self.page)).text

    async def ask(self, method: str, path: str, data: bytes = b"") -> httpx.Response:
        """Ask for anything, as a program that has this browser's cookie."""
        headers = {"accept": "*/*"}
        content: bytes | None = None
        if method == "POST":
            kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
            headers |= {"content-type": kind, "origin": self.origin}
            content = multipart(data)
        return await self.client.request(method, path, headers=headers, content=content)

    async def reply(
        self, *files: tuple[str, bytes], study: str = SHARED, **more: str
    ) -> httpx.Response:
        fields = {"csrf": await self.csrf(), "study": study, **more}
        return await self.client.post(
            f"{self.page}/reply",
            data=fields,
            files=[("files", (name, data)) for name, data in files],
            headers={"origin": self.origin},
        )


@asynccontextmanager
async def shared_archive(
    folder: Path, *, policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST
) -> AsyncIterator[Archived]:
    """Serve an archive in `folder`, with links."""
    clock = Clock()
    events: list[AuditEvent] = []

    async def record(event: AuditEvent) -> None:
        events.append(event)

    async def ready() -> None:
        await asyncio.sleep(0)

    async with AsyncExitStack() as stack:
        objects = await stack.enter_async_context(LocalObjectStore(folder / "objects"))
        catalogue = await stack.enter_async_context(SqliteCatalogue(folder / "catalogue.sqlite"))
        intake = await stack.enter_async_context(
            Intake(
                folder / "spool", objects, catalogue, IntakeOptions(linger_s=0.05), policy=policy
            )
        )
        archive = stack.enter_context(closing(Archive(catalogue, objects)))
        search = Search(catalogue, archive.tables)
        trash = Trash(objects, catalogue, archive.tables.table, now_us)
        accounts = Accounts(objects, "default", clock, keep_s=0, argon2id=CHEAP)
        sessions = Sessions(accounts, SECRETS, clock)
        keys = ApiKeys(objects, "default", clock, keep_s=0)
        stores = Stores(objects, catalogue, SqliteWorkQueue(folder / "queue.sqlite"))
        reading = Reading(archive, search)
        copies = copying(Settings(data=folder), stores, reading, intake)
        shares = Shares(objects, catalogue, "default", clock, record, copying=copies)
        admission = archive.instances.admission
        sharing = ShareServices(shares, search, admission, intake)
        glass = BreakGlass(objects, catalogue, "default", clock, record, keep_s=0, lasts_s=3600)
        given = accounts, sessions, keys, SECRETS, clock, record
        services = WebServices("default", *given, sharing=sharing, glass=glass)
        identify = Authentication("default", keys, sessions, shares, glass)
        pages = routes(services)
        app = create_app(
            Services(intake, search, archive, ready, identify, NOBODY, trash),
            None,
            pages,
            open_paths=open_paths(pages),
            open_folders=OPEN_FOLDERS,
        )
        url = await stack.enter_async_context(serving(app))
        made = Archived(
            *(url, objects, catalogue, intake, archive, trash, services, shares, clock), events
        )
        await made.store(*(instance_file(SHARED, number) for number in (1, 2)))
        await made.store(instance_file(OTHER))
        await made.store(instance_file(ELSEWHERE), tenant="other")
        yield made


def text_of(answer: httpx.Response) -> str:
    """All that an answer says, in lower case."""
    return (answer.text + repr(sorted(answer.headers.items()))).casefold()


SECRET_WORDS = re.compile(r"hugo|foreign|fred|id-82|id-83|study 82|study 83")
"""What nobody may learn who came by a link to another study."""

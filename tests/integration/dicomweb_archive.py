"""A whole archive over embedded or cloud stores, behind a real uvicorn on a free port."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from catalogue_samples import config_of
from objectstore_samples import config_at
from pacs_cloud.bootstrap.http_limits import ConnectionLimits, Drain
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.web_role import server_config
from pacs_cloud.catalogue.dynamodb import DynamodbCatalogue
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.dicomweb.callers import Identify, everybody_is
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import system
from pacs_cloud.security.witness import NOBODY
from patience import PATIENCE_S
from servers.fixtures import Place

BOUNDARY = "a-boundary"


@dataclass(frozen=True)
class Running:
    """A served archive: its DICOMweb URL, a client, and the services behind."""

    url: str
    client: httpx.AsyncClient
    services: Services
    catalogue: Catalogue
    objects: ObjectStore
    server: uvicorn.Server

    async def store(self, *files: bytes, study: str = "", **headers: str) -> httpx.Response:
        return await self.client.post(
            f"/studies{'/' + study if study else ''}",
            content=multipart(*files),
            headers={
                "content-type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                **headers,
            },
        )


def multipart(*files: bytes, content_type: str = "application/dicom") -> bytes:
    parts = [
        f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode() + file + b"\r\n"
        for file in files
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def related(content: str, syntax: str = "") -> str:
    """Return the media range of a multipart response with such parts."""
    wanted = f"; transfer-syntax={syntax}" if syntax else ""
    return f'multipart/related; type="{content}"{wanted}'


def accept_related(content: str, syntax: str = "") -> dict[str, str]:
    return {"accept": related(content, syntax)}


def parts_of(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Return the parts of a multipart response: Content-Type and content."""
    kind, _, rest = response.headers["content-type"].partition(";")
    assert kind == "multipart/related", response.headers["content-type"]
    boundary = rest.split("boundary=")[1].strip().strip('"')
    body = b"\r\n" + response.content
    _, *parts, epilogue = body.split(f"\r\n--{boundary}".encode())
    assert epilogue == b"--\r\n"
    found = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n") if line)
        found.append((headers["Content-Type"], content))
    return found


@asynccontextmanager
async def cloud_stores(bucket: Place, table: Place) -> AsyncIterator[tuple[ObjectStore, Catalogue]]:
    """Open the stores of an archive in the cloud."""
    async with (
        S3ObjectStore(config_at(bucket)) as objects,
        DynamodbCatalogue(config_of(table)) as catalogue,
    ):
        yield objects, catalogue


@asynccontextmanager
async def served(
    folder: Path,
    stores: tuple[ObjectStore, Catalogue] | None = None,
    *,
    policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST,
    options: HttpOptions | None = None,
    budget: int = 50_000,
    max_rows: int = 10_000,
    limits: ConnectionLimits | None = None,
    drain: Drain | None = None,
    may_delete: bool = True,
    identify: Identify | None = None,
) -> AsyncIterator[Running]:
    """Serve an archive whose spool, and stores where none are given, are in `folder`."""
    async with AsyncExitStack() as stack:
        if stores is None:
            stores = (
                await stack.enter_async_context(LocalObjectStore(folder / "objects")),
                await stack.enter_async_context(SqliteCatalogue(folder / "catalogue.sqlite")),
            )
        objects, catalogue = stores
        quick = IntakeOptions(linger_s=0.05)
        intake = await stack.enter_async_context(
            Intake(folder / "spool", objects, catalogue, quick, policy=policy)
        )
        archive = stack.enter_context(closing(Archive(catalogue, objects)))
        search = Search(catalogue, archive.tables, budget=budget, max_rows=max_rows)

        async def ready() -> None:
            await catalogue.ready()
            await objects.ready()

        trash = Trash(objects, catalogue, archive.tables.table, now_us)
        identify = identify or everybody_is(system("default"))
        services = Services(
            intake, search, archive, ready, identify, NOBODY, trash if may_delete else None
        )
        app = create_app(services, options)
        config = server_config(
            app, limits or ConnectionLimits(), drain or Drain(), host="127.0.0.1", port=0
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()
        url = f"http://{host}:{port}/dicom-web"
        try:
            # Plain HTTP: reading the system's certificates would take longer than many a test.
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, verify=False) as client:
                yield Running(url, client, services, catalogue, objects, server)
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def holding(
    folder: Path, files: Iterable[bytes], stores: tuple[ObjectStore, Catalogue] | None = None
) -> AsyncIterator[Running]:
    """Serve an archive that has taken all of `files`."""
    async with served(folder, stores) as running:
        response = await running.store(*files)
        assert response.status_code == 200, response.text
        yield running


async def found(archive: Running, url: str, tag: str = "0020000D") -> list[str]:
    """Return one attribute of each row that a search finds, the study's UID unless said."""
    response = await archive.client.get(url)
    assert response.status_code in {200, 204}, response.text
    if response.status_code == 204:
        assert response.content == b""
        return []
    return [row[tag]["Value"][0] for row in response.json()]

"""`import`: a folder, a file, a ZIP or a bucket's prefix into the archive, or one elsewhere."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.adapters import open_objects
from pacs_cloud.bootstrap.services import open_intake
from pacs_cloud.cli.on_record import concerns, open_stores
from pacs_cloud.cli.output import counted, print_json, stderr, stdout, weighing
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.ingest.import_sources import FolderSource, ImportSource, PrefixSource, ZipSource
from pacs_cloud.ingest.importer import ImportedFile, Verdict, import_files, measure
from pacs_cloud.remote.address import remote_of
from pacs_cloud.remote.connection import open_connection
from pacs_cloud.remote.storing import store_files
from pacs_cloud.security.audit_event import MOST_STUDIES
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings, StoreUrl, parse_store_url

REFUSED: Final = 1
_ZIP: Final = b"PK\3\4"


def import_path(settings: Settings, path: str, *, as_json: bool) -> int:
    """Import `path`; return the exit code.

    Args:
        settings: of the archive, which is made if it is not there, or of one elsewhere.
        path: a folder, a file, a ZIP, or `s3://bucket/prefix?endpoint=…`.
        as_json: print an object a line for each refusal, then one for the whole.

    Returns:
        1 if anything was refused, each listed with its reason.

    Raises:
        InvalidRequest: there is nothing at `path`.
        StorageFull: the disk is over its high-water mark.
        Unavailable: a store, or the archive elsewhere, cannot be used.
        Unidentified, Denied, …: as `remote.answers.refusal`.
    """
    work = _import_afar if settings.remote else _import
    counts = asyncio.run(work(settings, path, as_json=as_json))
    refused = counts[Verdict.REFUSED]
    if as_json:
        print_json(
            {"path": path, "files": counts.total(), **{one.value: counts[one] for one in Verdict}}
        )
    else:
        said = ", ".join(f"{counts[one]} {one}" for one in Verdict if counts[one])
        stdout.print(f"{counted(counts.total(), 'file')}: {said}" if said else "no files")
    return REFUSED if refused else 0


async def _import(settings: Settings, path: str, *, as_json: bool) -> Counter[Verdict]:
    counts: Counter[Verdict] = Counter()
    studies: Counter[str] = Counter()
    async with (
        _open_source(path) as source,
        open_stores(settings, create=True) as stores,
        open_intake(settings, stores) as intake,
    ):
        try:
            with weighing("importing") as progress:
                task = progress.add_task("", total=None)
                total = await measure(source)
                progress.update(task, total=total.length_bytes)
                async for file in import_files(intake, system(settings.tenant), source):
                    counts[file.verdict] += 1
                    if file.study_instance_uid:
                        studies[file.study_instance_uid] += 1
                    if len(studies) >= MOST_STUDIES:
                        await concerns(settings.tenant, studies, studies.total())
                        studies.clear()
                    progress.advance(task, file.length_bytes)
                    if file.verdict is Verdict.REFUSED:
                        _list(file, as_json=as_json)
        finally:
            await concerns(settings.tenant, studies, studies.total())
    return counts


async def _import_afar(settings: Settings, path: str, *, as_json: bool) -> Counter[Verdict]:
    counts: Counter[Verdict] = Counter()
    async with (
        _open_source(path) as source,
        open_connection(remote_of(settings)) as connection,
    ):
        with weighing("importing") as progress:
            total = await measure(source)
            task = progress.add_task("", total=total.length_bytes)
            done = store_files(connection, source, partial(progress.advance, task))
            async with aclosing(done) as files:
                async for file in files:
                    counts[file.verdict] += 1
                    if file.verdict is Verdict.REFUSED:
                        _list(file, as_json=as_json)
    return counts


def _list(file: ImportedFile, *, as_json: bool) -> None:
    if as_json:
        print_json({"file": file.name, "reason": file.reason, "message": file.message})
    else:
        stderr.print(f"{file.name}: refused, {file.reason}: {file.message}")


@asynccontextmanager
async def _open_source(path: str) -> AsyncGenerator[ImportSource]:
    if path.startswith("s3://"):
        url = _bucket_url(path)
        bucket, _, prefix = url.name.partition("/")
        # The bucket as a whole: the prefix is a part of names, not of an archive's keys.
        async with open_objects(url.model_copy(update={"name": bucket})) as objects:
            yield PrefixSource(objects, prefix, prefix.rpartition("/")[2] or bucket)
        return
    yield _local_source(Path(path))


def _local_source(path: Path) -> ImportSource:
    if not path.exists():
        raise InvalidRequest(f"no such file or folder: {path}")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_ZIP)) == _ZIP:
                return ZipSource(path)
    return FolderSource(path)


def _bucket_url(text: str) -> StoreUrl:
    try:
        url = parse_store_url(text)
    except ValueError as error:
        raise InvalidRequest(f"{text!r} is not s3://bucket/prefix?endpoint=…: {error}") from error
    if not isinstance(url, StoreUrl) or not url.name.strip("/"):
        raise InvalidRequest(f"{text!r} names no bucket")
    return url

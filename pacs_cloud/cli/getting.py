"""`get`: a study's files, as they were stored but for what was corrected since."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from rich.progress import Progress, TaskID

from pacs_cloud.bootstrap.services import open_reading
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, counting, print_json, stdout, weighing
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.remote.address import remote_of
from pacs_cloud.remote.connection import Connection, open_connection
from pacs_cloud.remote.retrieving import instance, zip_file
from pacs_cloud.remote.searching import Place, places
from pacs_cloud.remote.unfinished import Unfinished
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

_ZIP: Final = ".zip"
_AT_ONCE: Final = 4
"""Instances that are asked for at a time."""


def get_study(settings: Settings, study: str, output: Path, *, as_json: bool) -> None:
    """Write `output/{study}/{series}/{sop}.dcm` for every visible instance, or `output`, a ZIP.

    Args:
        settings: of the archive, or of one elsewhere.
        study: its Study Instance UID.
        output: a directory; a file where its name ends in ".zip".
        as_json: print an object instead of a sentence.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: there is no such study.
        Unavailable: a store, or the archive elsewhere, cannot be read, or `output` written.
        Unidentified, Denied, …: as `remote.answers.refusal`.
    """
    work = _get_from_afar if settings.remote else _get
    files, length_bytes = asyncio.run(work(settings, parse_uid(study), output))
    if as_json:
        print_json({"study": study, "files": files, "bytes": length_bytes, "output": str(output)})
    else:
        where = output if _is_zip(output) else output / study
        stdout.print(f"{counted(files, 'file')}, {length_bytes / 1e6:.1f} MB, in {where}")


async def _get(settings: Settings, study: str, output: Path) -> tuple[int, int]:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        archive = reading.archive
        located = await archive.readable.instances.locate(system(settings.tenant), study)
        written_bytes = 0
        with weighing("getting") as progress:
            task = progress.add_task("", total=sum(one.instance.length_bytes for one in located))
            if _is_zip(output):
                bundle = await archive.bundles.plain(located)
                progress.update(task, total=bundle.length_bytes)
                chunks = stream(stores.objects, bundle.pieces())
                return len(located), await _write(output, _counted(chunks, progress, task))
            for one in located:
                path = _path_of(one, output)
                pieces = await archive.files.file(one)
                written_bytes += await _write(path, stream(stores.objects, pieces))
                progress.advance(task, one.instance.length_bytes)
    return len(located), written_bytes


async def _get_from_afar(settings: Settings, study: str, output: Path) -> tuple[int, int]:
    async with open_connection(remote_of(settings)) as connection:
        found = await places(connection, study)
        if _is_zip(output):
            return len(found), await _zip_from_afar(connection, study, output)
        with closing(Unfinished(output / study)) as unfinished:
            written_bytes = await _files_from_afar(connection, study, found, unfinished)
            unfinished.forget()
    return len(found), written_bytes


async def _zip_from_afar(connection: Connection, study: str, output: Path) -> int:
    with weighing("getting") as progress:
        async with zip_file(connection, study) as sent:
            task = progress.add_task("", total=sent.length_bytes)
            return await _write(output, _counted(sent.chunks, progress, task))


async def _files_from_afar(
    connection: Connection, study: str, found: Sequence[Place], unfinished: Unfinished
) -> int:
    """Fetch what is not there yet, some at a time; return how many bytes all of it has."""
    waiting = iter(found)
    with counting("getting") as progress:
        task = progress.add_task("", total=len(found))

        async def work() -> int:
            length_bytes = 0
            for place in waiting:
                length_bytes += await _from_afar(connection, study, place, unfinished)
                progress.advance(task)
            return length_bytes

        try:
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(work()) for _ in range(_AT_ONCE)]
        except* PacsError as failed:
            # One is enough: it ends the others, and they would say the same.
            raise failed.exceptions[0] from None
    return sum(worker.result() for worker in workers)


async def _from_afar(
    connection: Connection, study: str, place: Place, unfinished: Unfinished
) -> int:
    path = unfinished.folder / place.series_instance_uid / f"{place.sop_instance_uid}.dcm"
    known = unfinished.known(path)
    async with instance(connection, study, place, etag=known.etag if known else "") as sent:
        if sent is None and known is not None:
            return known.length_bytes
        assert sent is not None
        length_bytes = await _write(path, sent.chunks)
        unfinished.note(path, sent.etag, length_bytes)
        return length_bytes


def _is_zip(output: Path) -> bool:
    return output.suffix.lower() == _ZIP and not output.is_dir()


async def _counted(
    chunks: AsyncIterator[bytes], progress: Progress, task: TaskID
) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        progress.advance(task, len(chunk))


def _path_of(one: Located, output: Path) -> Path:
    pack = one.pack
    folder = output / pack.study_instance_uid / pack.series_instance_uid
    return folder / f"{one.instance.sop_instance_uid}.dcm"


async def _write(path: Path, chunks: AsyncIterator[bytes]) -> int:
    """Write a file that is there whole or not at all; return how many bytes it has."""
    partial = path.with_suffix(".partial")
    written_bytes = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            async for chunk in chunks:
                written_bytes += file.write(chunk)
        partial.replace(path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    return written_bytes

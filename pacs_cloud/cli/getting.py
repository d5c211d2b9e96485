"""`get`: a study's files, as they were stored but for what was corrected since."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from pacs_cloud.bootstrap.services import open_reading, open_stores
from pacs_cloud.cli.output import counted, print_json, stdout, weighing
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import Unavailable
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings


def get_study(settings: Settings, study: str, output: Path, *, as_json: bool) -> None:
    """Write `output/{study}/{series}/{sop}.dcm` for every visible instance.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: there is no such study.
        Unavailable: a store cannot be read, or `output` cannot be written.
    """
    files, length_bytes = asyncio.run(_get(settings, parse_uid(study), output))
    if as_json:
        print_json({"study": study, "files": files, "bytes": length_bytes, "output": str(output)})
    else:
        stdout.print(f"{counted(files, 'file')}, {length_bytes / 1e6:.1f} MB, in {output / study}")


async def _get(settings: Settings, study: str, output: Path) -> tuple[int, int]:
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        located = await reading.archive.readable.instances.locate(system(settings.tenant), study)
        stored_bytes = sum(one.instance.length_bytes for one in located)
        written_bytes = 0
        with weighing("getting") as progress:
            task = progress.add_task("", total=stored_bytes)
            for one in located:
                path = _path_of(one, output)
                pieces = await reading.archive.files.file(one)
                written_bytes += await _write(path, stream(stores.objects, pieces))
                progress.advance(task, one.instance.length_bytes)
    return len(located), written_bytes


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

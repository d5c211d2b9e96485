"""What backups need of this machine: settings and their files, the spool, and where they lie."""

import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import orjson

from pacs_cloud.bootstrap.adapters import open_objects
from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.ingest.directory import (
    QUARANTINE,
    quarantine_folder,
    take_spool_directory,
)
from pacs_cloud.settings import Settings, StoreUrl, parse_store_url

_S3: Final = "s3://"


def settings_json(settings: Settings) -> bytes:
    """Return the settings in force; none of them is a secret: those stay in the environment."""
    return orjson.dumps(settings.model_dump(mode="json"), option=orjson.OPT_INDENT_2)


def config_files(settings: Settings) -> dict[str, bytes]:
    """Return the files that the settings name, by setting and name."""
    fields = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        f"{name}/{value.name}": value.read_bytes()
        for name, value in fields.items()
        if isinstance(value, Path) and value.is_file()
    }


def spool_files(settings: Settings) -> dict[str, Path]:
    """Return the files of packs that may not be committed, by their place below the spool."""
    spool = settings.spool
    return {str(path.relative_to(spool)): path for path in spool.glob("*/*.zip")}


def place_spool(settings: Settings, name: str, chunks: Iterator[bytes]) -> None:
    """Write a spool file, durably, where the next start finds it; it blocks.

    One that was put aside is put aside again.
    """
    file = name.rpartition("/")[2]
    if name.startswith(f"{QUARANTINE}/"):
        settings.spool.mkdir(parents=True, exist_ok=True)
        _write(quarantine_folder(settings.spool) / file, chunks)
        return
    directory = take_spool_directory(settings.spool)
    try:
        _write(directory.path / file, chunks)
    finally:
        directory.release()


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    if path.exists():
        return
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as target:
        for data in chunks:
            target.write(data)
        target.flush()
        os.fsync(target.fileno())
    part.rename(path)
    sync_directory(path.parent)


@asynccontextmanager
async def backup_target(text: str, name: str) -> AsyncGenerator[tuple[Path, str]]:
    """Yield where to write a backup that shall lie at `text`, and what `backup_source` takes.

    Args:
        text: a new file that ends in `.zip`, a folder that exists, or `s3://…`: a bucket and
            what keys there begin with.
        name: what it is called in a folder or a bucket.

    Raises:
        Conflict: there is one already.
        InvalidRequest: it is no place.
    """
    if not text.startswith(_S3):
        path = Path(text)
        if path.is_dir():
            path /= name
        elif path.suffix != ".zip":
            raise InvalidRequest(f"{text} is no folder: make it, or name a file that ends in .zip")
        yield path, str(path)
        return
    prefix, mark, options = text.partition("?")
    async with open_objects(_url(text)) as store:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            yield path, f"{prefix.rstrip('/')}/{name}{mark}{options}"
            await store.put_file(name, path)


@asynccontextmanager
async def backup_source(text: str) -> AsyncGenerator[Path]:
    """Yield where the file is that lies at `text`: a path, or `s3://bucket/…/name.zip`.

    Raises:
        NotFound: there is none.
        InvalidRequest: it is no place.
    """
    if not text.startswith(_S3):
        yield Path(text)
        return
    url = _url(text)
    folder, _, name = url.name.rpartition("/")
    if not folder:
        raise InvalidRequest(f"{text} names no object: s3://bucket/prefix/name.zip")
    async with open_objects(url.model_copy(update={"name": folder})) as store:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / name
            with closing(path.open("wb")) as target:
                async for data in store.stream(name):
                    target.write(data)
            yield path


def _url(text: str) -> StoreUrl:
    try:
        return StoreUrl.model_validate(parse_store_url(text))
    except ValueError as error:
        raise InvalidRequest(f"{text}: {error}") from error

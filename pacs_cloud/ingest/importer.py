"""Imports: the instances of a folder, a ZIP or a bucket prefix, through the same admission."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.errors import InvalidInstance
from pacs_cloud.ingest.import_sources import FoundFile, ImportSource, UnreadableFile
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.ingest.session import Session
from pacs_cloud.pack.index import Door, Source
from pacs_cloud.security.caller import Caller

FILES_AT_ONCE = 8
COMMIT_FILES = 1000
COMMIT_BYTES = 512 << 20
"""An import commits after so many files or bytes, so that little is repeated after a stop."""

_DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
HEAD_BYTES = 132  # PS3.10 7.1: the preamble, and "DICM"


class Verdict(StrEnum):
    """What became of a file."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    VARIANT = "variant"
    KEPT_FIRST = "kept-first"
    REPLACED = "replaced"
    QUARANTINED = "quarantined"
    SKIPPED = "skipped"
    """No instance: a DICOMDIR, or no DICOM file at all."""
    REFUSED = "refused"
    """An instance, as it seems, that cannot be admitted or read."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """One file of an import, done.

    Attributes:
        name: its path within the source.
        length_bytes: of the file.
        verdict: what became of it.
        reason: of a refusal (`errors.Refusal`'s values, "unreadable-file") or of a
            skip ("dicomdir", "not-dicom"); else "".
        message: of a refusal, for people; else "".
        study_instance_uid: of an instance that was taken in; else "".
    """

    name: str
    length_bytes: int
    verdict: Verdict
    reason: str = ""
    message: str = ""
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """How much there is to import."""

    files: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """A file whose instance waits for its commit."""

    file: FoundFile
    number: int
    study_instance_uid: str


async def measure(source: ImportSource) -> Total:
    """Return how much `source` holds, for a progress bar."""
    files = length_bytes = 0
    async for file in source.files():
        files += 1
        length_bytes += file.length_bytes
    return Total(files, length_bytes)


async def import_files(
    intake: Intake, caller: Caller, source: ImportSource, *, files_at_once: int = FILES_AT_ONCE
) -> AsyncIterator[ImportedFile]:
    """Import `source`, and yield each of its files when it is done.

    What is yielded as stored is committed. An import that was stopped may be run
    again: what is there already is a duplicate. Of a source of any size only some
    files are in memory at a time.

    Args:
        intake: where the instances go.
        caller: who imports them, and whose they are.
        source: where they come from.
        files_at_once: how many are read at a time.

    Raises:
        InvalidRequest: there is no such source.
        StorageFull: the disk is over its high-water mark.
        Unavailable: an instance could not be made durable, or the source is away.
    """
    committing: asyncio.Task[list[ImportedFile]] | None = None
    try:
        async for batch in _batches(source):
            session = intake.session(caller, Source(Door.IMPORT, calling=source.name))
            taken = await _take_all(session, batch, files_at_once)
            if committing is not None:
                for done in await committing:
                    yield done
            committing = asyncio.ensure_future(_commit(session, taken))
        if committing is not None:
            for done in await committing:
                yield done
    finally:
        if committing is not None and not committing.done():
            committing.cancel()
            await asyncio.wait([committing])


async def _batches(source: ImportSource) -> AsyncIterator[list[FoundFile]]:
    batch: list[FoundFile] = []
    length_bytes = 0
    async for file in source.files():
        batch.append(file)
        length_bytes += file.length_bytes
        if len(batch) >= COMMIT_FILES or length_bytes >= COMMIT_BYTES:
            yield batch
            batch, length_bytes = [], 0
    if batch:
        yield batch


async def _take_all(
    session: Session, batch: list[FoundFile], files_at_once: int
) -> list[_Taken | ImportedFile]:
    """Take a batch's files in, several at a time, and return what became of each, in order."""
    results: list[_Taken | ImportedFile | None] = [None] * len(batch)
    places = iter(range(len(batch)))

    failures: list[Exception] = []

    async def work() -> None:
        for place in places:
            if failures:
                return
            try:
                results[place] = await _take(session, batch[place])
            except Exception as error:  # noqa: BLE001  raised below, once nobody reads any more
                failures.append(error)

    await asyncio.gather(*(work() for _ in range(min(files_at_once, len(batch)))))
    if failures:
        raise failures[0]
    return [result for result in results if result is not None]


async def _take(session: Session, file: FoundFile) -> _Taken | ImportedFile:
    """Receive one file; StorageFull and Unavailable end the import."""
    reception = session.begin_file()
    pieces = file.read()
    try:
        head = b""
        async for piece in pieces:
            if len(head) < HEAD_BYTES:
                head += piece
                if len(head) < HEAD_BYTES:
                    continue
                if (reason := no_instance(file, head)) is not None:
                    return _skipped(file, reason)
                reception.write(head)
            else:
                reception.write(piece)
            await reception.drain()
        if len(head) < HEAD_BYTES:
            return _skipped(file, "not-dicom")
        receipt = await reception.finish()
    except InvalidInstance as error:
        return ImportedFile(
            file.name, file.length_bytes, Verdict.REFUSED, error.refusal.value, str(error)
        )
    except UnreadableFile as error:
        return ImportedFile(
            file.name, file.length_bytes, Verdict.REFUSED, "unreadable-file", str(error)
        )
    finally:
        reception.abort()
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
    return _Taken(file, receipt.number, receipt.study_instance_uid)


def _skipped(file: FoundFile, reason: str) -> ImportedFile:
    return ImportedFile(file.name, file.length_bytes, Verdict.SKIPPED, reason)


def no_instance(file: FoundFile, head: bytes) -> str | None:
    """Return why a file is no instance; a medium's directory tells by name or class (PS3.10 8)."""
    if file.name.rpartition("/")[2].upper() == "DICOMDIR":
        return "dicomdir"
    if head[HEAD_BYTES - 4 : HEAD_BYTES] != b"DICM":
        return "not-dicom"
    try:
        return "dicomdir" if read_file_meta(head).sop_class_uid == _DICOMDIR_CLASS else None
    except InvalidInstance:  # admission will say what is wrong with it
        return None


async def _commit(session: Session, taken: list[_Taken | ImportedFile]) -> list[ImportedFile]:
    outcomes = await session.commit_each()
    return [
        one
        if isinstance(one, ImportedFile)
        else ImportedFile(
            one.file.name,
            one.file.length_bytes,
            Verdict(outcomes[one.number].status),
            study_instance_uid=one.study_instance_uid,
        )
        for one in taken
    ]

"""Studies and files de-identified into a folder: read, cleaned, written, one at a time.

What is read lies in an unnamed file meanwhile, which ends with this process: originals leave
nothing behind, and an instance of any size takes little memory.
"""

import asyncio
import mmap
import tempfile
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from pacs_cloud.bootstrap.services import Reading, Stores
from pacs_cloud.custody.deid.escrow import Escrow
from pacs_cloud.dicom.deid.burned_in import Withheld
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.report import Report
from pacs_cloud.dicom.deid.result import Result
from pacs_cloud.errors import InvalidInstance, Unavailable
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream
from pacs_cloud.security.caller import Action, Caller
from pacs_cloud.settings import Settings


@dataclass(slots=True)
class DeidentifyingRun:
    """One run, into one folder.

    Attributes:
        deidentifier: of the project.
        to: where files are written, `{study}/{series}/{instance}.dcm` by their new UIDs; None
            to write none, and only say what would become of them.
        escrow: of the project, None where it has none.
        report: what was done so far.
    """

    deidentifier: Deidentifier
    to: Path | None
    escrow: Escrow | None
    report: Report = field(init=False)

    def __post_init__(self) -> None:
        self.report = Report.of(self.deidentifier)

    async def take(self, file: BinaryIO) -> Result:
        """De-identify one file; return what became of it.

        Raises:
            Unavailable: it cannot be read, or the output not be written.
        """
        result, written_bytes = await asyncio.to_thread(self._taken, file)
        self.report.add(len(self.report.instances) + 1, result, length_bytes=written_bytes)
        if self.escrow is not None and self.to is not None and result.withheld is None:
            await self.escrow.add(result.replaced)
        return result

    async def end(self) -> None:
        """Write what the escrow has not written yet."""
        if self.escrow is not None:
            await self.escrow.write()

    def _taken(self, file: BinaryIO) -> tuple[Result, int]:
        result = deidentified(self.deidentifier, file)
        written_bytes = 0
        if result.withheld is None:
            try:
                written_bytes = self._written(result)
            except InvalidInstance:
                result.withheld = broken(result)
        result.made = None
        return result, written_bytes

    def _written(self, result: Result) -> int:
        """Write a file that is there whole or not at all; return how many bytes it has."""
        if self.to is None:
            return sum(map(len, result.parts()))
        folder = self.to / result.study_instance_uid / result.series_instance_uid
        path = folder / f"{result.sop_instance_uid}.dcm"
        partial = path.with_suffix(".partial")
        written_bytes = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as out:
                    for part in result.parts():
                        written_bytes += out.write(part)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"the output cannot be written: {error.strerror}") from error
        return written_bytes


def deidentified(deidentifier: Deidentifier, file: BinaryIO) -> Result:
    """Return what becomes of a file; raises Unavailable where it cannot be read."""
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # empty
        return Result(Withheld.UNREADABLE)
    except OSError as error:
        raise Unavailable(f"a file cannot be read: {error.strerror}") from error
    # Nothing closes the map: views of it live as long as the result does.
    return deidentifier.file(mapped)


def broken(result: Result) -> Withheld:
    """Return why a file is withheld of which the parts cannot all be made."""
    return Withheld.CANNOT_BE_BLANKED if result.pixels == "blanked" else Withheld.UNREADABLE


async def located_of(reading: Reading, caller: Caller, studies: Iterable[str]) -> list[Located]:
    """Return the instances of studies, as they are shown.

    Raises:
        Denied: the caller may not de-identify; who may need not be let see originals.
        NotFound: there is no such study for them.
    """
    instances = reading.archive.readable.instances
    found: list[Located] = []
    for study in studies:
        found += await instances.locate(caller, study, to=Action.DEIDENTIFY)
    return found


async def stored_files(
    settings: Settings, stores: Stores, reading: Reading, located: Iterable[Located]
) -> AsyncGenerator[BinaryIO]:
    """Yield each instance's file, as corrections show it; it is gone when the next one is."""
    for one in located:
        pieces = await reading.archive.files.file(one)
        with _unnamed_file(settings.data) as file:
            await _spooled(stream(stores.objects, pieces), file)
            yield file


def _unnamed_file(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))
    except OSError as error:
        raise Unavailable(f"nothing can be written in {folder}: {error.strerror}") from error


async def _spooled(chunks: AsyncGenerator[bytes], file: BinaryIO) -> None:
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
        file.flush()
    except OSError as error:
        raise Unavailable(f"no room to read an instance: {error.strerror}") from error


async def given_files(paths: Iterable[Path]) -> AsyncGenerator[BinaryIO]:
    """Yield files that were named, and all within folders that were; raises Unavailable."""
    for path in _within(paths):
        try:
            file = path.open("rb")
        except OSError as error:
            raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
        with file:
            yield file


def count_of(paths: Iterable[Path]) -> int:
    """Return how many files `given_files` will yield."""
    return sum(1 for _ in _within(paths))


def _within(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.is_file())
        else:
            yield path

"""The files of one form, taken in one after the other at constant memory."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.dicom.wrapping.document import wrapped_pdf
from pacs_cloud.dicom.wrapping.photo import wrapped_photo
from pacs_cloud.dicom.wrapping.video import wrapped_video
from pacs_cloud.dicom.wrapping.wrapped import Belonging, Wrapped
from pacs_cloud.errors import InvalidInstance, InvalidRequest, Unavailable
from pacs_cloud.ingest.reception import Reception
from pacs_cloud.ingest.session import Session
from pacs_cloud.ingest.side_file import SideFile
from pacs_cloud.web.refusals import sentence
from pacs_cloud.web.upload.kinds import HEAD_BYTES, MOST_BYTES, Kind, kind_of
from pacs_cloud.web.upload.target import Target

MOST_FILES: Final = 1000
_ASIDE: Final = "The archive has something else under its identifier; it was kept aside."
_AGAIN: Final = "The archive cannot take it at the moment. Try again in a minute."
_WHOSE: Final = "Say which study, or which patient, it belongs to."
STORED, THERE, FAILED = "stored", "there", "failed"
_STATES: Final = {
    "stored": (STORED, ""),
    "replaced": (STORED, ""),
    "duplicate": (THERE, ""),
    "variant": (THERE, ""),
    "kept-first": (FAILED, _ASIDE),
    "quarantined": (FAILED, _ASIDE),
}
"""What outcomes (`catalogue.judging.Status`) mean to whoever brings a file."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file.

    Attributes:
        name: of it.
        state: STORED, THERE: the archive had it already, or FAILED.
        why: that failed, in words.
        study: the study that it is part of, "" where it is of none.
        again: whether it may go better another time.
    """

    name: str
    state: str
    why: str = ""
    study: str = ""
    again: bool = False


class Taking:
    """Takes files in by one session.

    Attributes:
        found: what became of each, in their order; of what is stored once `commit` returned.
    """

    def __init__(self, session: Session, target: Target, gate: asyncio.Semaphore) -> None:
        """Begin; `gate` lets in whoever wraps something, which takes memory."""
        self.found: list[Taken] = []
        self._session = session
        self._target = target
        self._gate = gate
        self._waiting: list[int] = []
        """Places in `found` of what is not committed, in the order of the session."""
        self._name = ""
        self._head: bytearray | None = None
        self._kind: Kind | None = None
        self._refused = ""
        self._reception: Reception | None = None
        self._file: SideFile | None = None

    def begin(self, name: str) -> None:
        """Begin a file; raises InvalidRequest."""
        if len(self.found) >= MOST_FILES:
            raise InvalidRequest(f"Send up to {MOST_FILES} files at once.")
        # Some browsers send the path, with slashes of either kind.
        self._name = name.replace("\\", "/").rpartition("/")[2] or f"file {len(self.found) + 1}"
        self._head, self._kind, self._refused = bytearray(), None, ""

    async def take(self, data: bytes) -> None:
        """Take the next bytes of a file; none of them: it ends."""
        try:
            await self._take(data)
        except InvalidInstance as error:
            self._refused = sentence(error)
            self.abort()
        except Unavailable:
            self._refused = _AGAIN
            self.abort()
        if not data and self._refused:
            again = self._refused == _AGAIN
            self.found.append(Taken(self._name, FAILED, self._refused, again=again))

    async def commit(self) -> list[Taken]:
        """Return what became of each file, once what was taken is part of its studies.

        Raises:
            Unavailable: it could not be made durable.
            Corrupt: it could not be committed, and was put aside.
        """
        outcomes = await self._session.commit_each() if self._waiting else []
        for place, outcome in zip(self._waiting, outcomes, strict=True):
            state, why = _STATES[outcome.status]
            self.found[place] = replace(self.found[place], state=state, why=why)
        return self.found

    def abort(self) -> None:
        """Forget the file that is under way."""
        reception, self._reception = self._reception, None
        if reception is not None:
            reception.abort()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def _take(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            if data and len(self._head) < HEAD_BYTES:
                return
            head, self._head = bytes(self._head), None
            self._told_apart(head)
            await self._more(head)
        else:
            await self._more(data)
        if not data and not self._refused:
            await self._end()

    def _told_apart(self, head: bytes) -> None:
        kind = kind_of(self._name, head[:HEAD_BYTES])
        target = self._target
        if not isinstance(kind, Kind):
            self._refused = kind
        elif kind is Kind.DICOM:
            self._reception = self._session.begin_file(
                study_instance_uid=target.study, series=target.series if target.study else None
            )
        elif target.where is None:
            self._refused = _WHOSE
        else:
            self._kind = kind
            self._file = self._session.side_file()

    async def _more(self, data: bytes) -> None:
        if self._refused or not data:
            return
        if self._reception is not None:
            self._reception.write(data)
            await self._reception.drain()
        elif self._file is not None and self._kind is not None:
            await self._file.append(data)
            if self._file.length_bytes > (most := MOST_BYTES[self._kind]):
                self._refused = f"A {self._kind} has up to {most >> 20} MB."
                self.abort()

    async def _end(self) -> None:
        if self._file is not None:
            await self._wrap(self._file)
        assert self._reception is not None
        reception, self._reception = self._reception, None
        try:
            receipt = await reception.finish()
        finally:
            reception.abort()
        self._waiting.append(len(self.found))
        self.found.append(Taken(self._name, STORED, study=receipt.study_instance_uid))

    async def _wrap(self, file: SideFile) -> None:
        where = self._target.where
        assert where is not None
        assert self._kind is not None
        await file.flush()
        where = replace(where, number=where.number + len(self.found))
        async with self._gate:
            wrapped = await asyncio.to_thread(_wrapped, self._kind, file, where)
            self._reception = self._session.begin_file(
                study_instance_uid=where.study_instance_uid, series=self._target.series
            )
            chunks = wrapped.chunks()
            while chunk := await asyncio.to_thread(_next, chunks):
                self._reception.write(chunk)
                await self._reception.drain()
        self._file = None
        file.close()


def _wrapped(kind: Kind, file: SideFile, where: Belonging) -> Wrapped:
    length = file.length_bytes
    if kind is Kind.PHOTO:
        return wrapped_photo(file.read(0, length), where)
    if kind is Kind.DOCUMENT:
        return wrapped_pdf(file.read, length, where)
    return wrapped_video(file.read, file.overwrite, length, where)


def _next(chunks: Iterator[bytes]) -> bytes:
    return next(chunks, b"")

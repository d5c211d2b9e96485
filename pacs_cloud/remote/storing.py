"""STOW-RS, asked (PS3.18 10.5): files of an import, many in a request, each with its outcome.

An answer names instances by their UIDs. A file that no answer names, or whose UID another one of
the request has, is sent again alone: then the answer is its own.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.dicomweb.media import DICOM, DICOM_JSON
from pacs_cloud.dicomweb.multipart import MultipartWriter
from pacs_cloud.errors import InvalidInstance, Refusal
from pacs_cloud.ingest.import_sources import FoundFile, ImportSource, UnreadableFile
from pacs_cloud.ingest.importer import HEAD_BYTES, ImportedFile, Verdict, no_instance
from pacs_cloud.remote.answers import detail_of
from pacs_cloud.remote.connection import PROBLEM_BYTES, Connection, Reply
from pacs_cloud.remote.store_answer import Reason, StoreAnswer, read_store_answer

REQUEST_FILES: Final = 500
REQUEST_BYTES: Final = 64 << 20
"""A request ends after so many files or bytes, so that little is repeated after a stop."""

_ANSWERED: Final = frozenset({200, 202, 409})
_OF_ONE_PART: Final = frozenset({400, 413, 415})
"""What one part may be to blame for: each is tried without the others."""
_META_BYTES: Final = 16 << 10
"""Of a file's beginning: its file meta information is in there."""
_UNKNOWN: Final = Reason("unknown", "The archive does not say what became of it.")

Told: TypeAlias = Callable[[int], None]
"""Is told how many more bytes are done; fewer than 0 where they have to go again."""


async def store_files(
    connection: Connection,
    source: ImportSource,
    told: Told,
    *,
    request_files: int = REQUEST_FILES,
    request_bytes: int = REQUEST_BYTES,
) -> AsyncGenerator[ImportedFile]:
    """Store `source`, and yield each of its files once the archive has answered for it.

    What is there already counts as stored: no answer tells it apart. Of a source of any size
    only a piece of one file is in memory at a time.

    Raises:
        InvalidRequest: there is no such source.
        Denied, Unavailable, …: as `Connection.ask`; what was yielded stays stored.
    """
    async for batch in _batches(source, request_files, request_bytes):
        waiting = [batch]
        while waiting:
            attempt = _Attempt(waiting.pop(), told)
            for file in await attempt.made(connection):
                yield file
            waiting += reversed(attempt.again)


async def _batches(
    source: ImportSource, request_files: int, request_bytes: int
) -> AsyncIterator[list[FoundFile]]:
    batch: list[FoundFile] = []
    length_bytes = 0
    async for file in source.files():
        if len(batch) >= request_files or (
            batch and length_bytes + file.length_bytes > request_bytes
        ):
            yield batch
            batch, length_bytes = [], 0
        batch.append(file)
        length_bytes += file.length_bytes
    if batch:
        yield batch


class _Attempt:
    """One request with some files, and what has to be tried again after it."""

    def __init__(self, files: Sequence[FoundFile], told: Told) -> None:
        self.again: list[list[FoundFile]] = []
        self._files = files
        self._told = told
        self._body: AsyncGenerator[bytes] | None = None
        self._sent_bytes = 0

    async def made(self, connection: Connection) -> list[ImportedFile]:
        """Make the request, if there is an instance for it; return the files that are done.

        Raises:
            Denied, Unavailable, …: as `Connection.ask`.
        """
        try:
            await self._begin()
            if self._first:
                await self._ask(connection)
            self._once_more(self._alone)
        except UnreadableFile as error:
            # The request broke off in the middle of this file: the others go again without it.
            torn = self._writing
            if torn is None:
                raise
            self._done = [_refused(torn, Reason("unreadable-file", str(error)))]
            others = [file for file in self._files if file is not torn]
            self.again = [others] if others else []
        finally:
            if self._body is not None:
                await self._body.aclose()
        self._told(sum(file.length_bytes for file in self._done) - self._sent_bytes)
        return self._done

    async def _begin(self) -> None:
        """Read as far as the first instance: `_first` is empty where there is none."""
        if self._body is not None:
            await self._body.aclose()
            self._told(-self._sent_bytes)
        self._writer = MultipartWriter(DICOM)
        self._done: list[ImportedFile] = []
        self._offered: dict[str, FoundFile] = {}
        self._alone: list[FoundFile] = []
        self._writing: FoundFile | None = None
        self._sent_bytes = 0
        self._body = self._pieces()
        self._first = await anext(self._body, b"")

    async def _ask(self, connection: Connection) -> None:
        fine = _ANSWERED | _OF_ONE_PART
        headers = {"accept": DICOM_JSON}
        async with connection.ask(
            "POST", "/studies", headers=headers, content=self._content, fine=fine
        ) as reply:
            await self._judge(reply)

    async def _content(self) -> tuple[str, AsyncIterator[bytes]]:
        if not self._first:  # it was asked before, and told to come again
            await self._begin()
        first, self._first = self._first, b""
        assert self._body is not None
        return self._writer.content_type, _chained(first, self._body)

    async def _judge(self, reply: Reply) -> None:
        is_alone = len(self._offered) == 1
        if reply.status in _OF_ONE_PART:
            if not is_alone:
                self._once_more(self._offered.values())
                return
            detail = detail_of(reply.headers, await reply.some(PROBLEM_BYTES))
            reason = Refusal.TOO_LARGE if reply.status == 413 else "refused"
            why = Reason(reason, detail or f"The archive answers {reply.status}.")
            self._done += [_refused(file, why) for file in self._offered.values()]
            return
        answer = read_store_answer(await reply.json())
        for uid, file in self._offered.items():
            outcome = _outcome(answer, uid, file, is_alone=is_alone)
            if outcome is None:
                self._once_more([file])
            else:
                self._done.append(outcome)

    def _once_more(self, files: Iterable[FoundFile]) -> None:
        self.again += [[file] for file in files]

    async def _pieces(self) -> AsyncGenerator[bytes]:
        for file in self._files:
            pieces = file.read()
            try:
                async with aclosing(self._part(file, pieces)) as part:
                    async for piece in part:
                        self._sent_bytes += len(piece)
                        self._told(len(piece))
                        yield piece
            finally:
                if isinstance(pieces, AsyncGenerator):
                    await pieces.aclose()
        if self._offered:
            yield self._writer.end()

    async def _part(self, file: FoundFile, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """Yield a file as a part of the request, if it is an instance that can go with it."""
        try:
            head = await _head_of(pieces)
        except UnreadableFile as error:
            self._done.append(_refused(file, Reason("unreadable-file", str(error))))
            return
        reason = no_instance(file, head) if len(head) >= HEAD_BYTES else "not-dicom"
        if reason is not None:
            self._done.append(ImportedFile(file.name, file.length_bytes, Verdict.SKIPPED, reason))
            return
        uid = _uid_in(head)
        if len(self._files) > 1 and (not uid or uid in self._offered):
            self._alone.append(file)
            return
        self._offered[uid] = self._writing = file
        yield self._writer.begin(DICOM) + head
        async for piece in pieces:
            yield piece
        self._writing = None


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _head_of(pieces: AsyncIterator[bytes]) -> bytes:
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= _META_BYTES:
            break
    return head


def _uid_in(head: bytes) -> str:
    try:
        return read_file_meta(head).sop_instance_uid
    except InvalidInstance:  # the archive will say what is wrong with it
        return ""


def _outcome(
    answer: StoreAnswer, uid: str, file: FoundFile, *, is_alone: bool
) -> ImportedFile | None:
    """Return what became of a file, None where the answer does not tell."""
    if uid in answer.refused:
        return _refused(file, answer.refused[uid])
    if uid in answer.stored:
        return ImportedFile(file.name, file.length_bytes, Verdict.STORED)
    if not is_alone:
        return None
    # Whatever it says, it says of this one: its data set may name another UID than its header.
    if whys := (*answer.refused.values(), *answer.others):
        return _refused(file, whys[0])
    if answer.stored:
        return ImportedFile(file.name, file.length_bytes, Verdict.STORED)
    return _refused(file, _UNKNOWN)


def _refused(file: FoundFile, why: Reason) -> ImportedFile:
    return ImportedFile(file.name, file.length_bytes, Verdict.REFUSED, why.reason, why.message)

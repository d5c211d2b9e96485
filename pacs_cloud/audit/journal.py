"""One chain as it is written: the part that is open, and those that wait to be sealed."""

import logging
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pacs_cloud.audit.chain_note import STATE, note_sealed, read_state
from pacs_cloud.audit.directory import OUTBOX, is_full, unavailable
from pacs_cloud.audit.leftover import cut, examine
from pacs_cloud.audit.names import LATE_US, PartName, day_of, part_of_file
from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Corrupt
from pacs_cloud.security.audit_line import (
    Line,
    Position,
    What,
    encode_line,
)

log = logging.getLogger(__name__)

SyncFile = Callable[[int], None]

_BACK_US: Final = LATE_US // 2


class Journal:
    """A tenant's chain in one directory; every call blocks on the disk, one at a time.

    A write or sync that failed is taken back before anything else is written: what it held
    was refused, and is not in the chain.
    """

    def __init__(self, folder: Path, tenant: str, *, sync_file: SyncFile = os.fdatasync) -> None:
        """Go on with the chain in `folder`, whose directory is locked; begin one without any.

        What a crash left open is ended.

        Raises:
            Unavailable: the folder cannot be read or written.
        """
        self.folder = folder
        self.tenant = tenant
        self._sync_file = sync_file
        self._open: PartName | None = None
        self._fd = -1
        self._length_bytes = 0
        self._is_doubtful = False
        self.opened_us = 0
        try:
            self._writer, self._next, self._before = self._recover()
        except OSError as error:
            raise unavailable(error) from error

    @property
    def length_bytes(self) -> int:
        """How much of the open part is durable; 0 where none is open."""
        return self._length_bytes if self._open is not None else 0

    @property
    def open_path(self) -> Path | None:
        """The open part's file, None where none is open."""
        return self.folder / self._open.file if self._open is not None else None

    @property
    def writer(self) -> str:
        """Which chain this is."""
        return self._writer

    def append(self, bodies: Sequence[Mapping[str, object]], now_us: int) -> None:
        """Write events to the end of the chain; return when they are durable.

        Raises:
            Unavailable: they are not on record; StorageFull: the disk is full.
        """
        try:
            self._mend()
            is_new = self._open is None
            after, lines = self._before, list[bytes]()
            if is_new:
                self._begin(now_us)
                assert self._open is not None
                line, after = encode_line(self._before, What.PART, self._open.body(), now_us)
                lines.append(line)
            for body in bodies:
                line, after = encode_line(after, What.EVENT, body, now_us)
                lines.append(line)
            self._write(b"".join(lines), sync_name=is_new)
        except OSError as error:
            self._take_back()
            raise unavailable(error) from error
        self._before = after

    def end_part(self, heads: Sequence[Mapping[str, object]], now_us: int) -> None:
        """End the open part: it waits to be sealed. Nothing happens where none is open.

        Args:
            heads: ends of other chains that this one shall know of.
            now_us: microseconds since 1970 UTC.

        Raises:
            Unavailable: the disk took nothing; the part stays open.
        """
        try:
            self._mend()
            if self._open is None:
                return
            line, after = encode_line(self._before, What.END, {"heads": [*heads]}, now_us)
            self._write(line, sync_name=False)
        except OSError as error:
            self._take_back()
            raise unavailable(error) from error
        self._before = after
        self._close()
        self._next += 1

    def ended(self) -> list[PartName]:
        """Return the parts that wait to be sealed, in order; not while anything is written."""
        return [part for part in parts_in(self.folder, self.tenant) if part != self._open]

    def path(self, part: PartName) -> Path:
        """Return where a part's file is until it is sealed."""
        return self.folder / part.file

    def forget(self, part: PartName, *, keep: bool) -> None:
        """Let go of a part that is sealed; with `keep` its file goes into the outbox.

        Raises:
            Unavailable: the disk refuses; the part is sealed again later, which changes nothing.
        """
        path = self.folder / part.file
        try:
            leftover = examine(path)
            if leftover.position is not None:
                try:
                    note_sealed(self.folder, part, leftover.position)
                except OSError as error:
                    # A later part tells where the chain goes on, and this one's end makes room.
                    if not is_full(error) or part == self._last_ended(part.writer):
                        raise
            if keep:
                path.rename(self.folder / OUTBOX / part.file)
            else:
                path.unlink()
        except OSError as error:
            raise unavailable(error) from error

    def set_aside(self, part: PartName) -> None:
        """Keep a part's file for an admin: the store holds something else in its place.

        Raises:
            Unavailable: the disk refuses.
        """
        path = self.folder / part.file
        try:
            path.rename(path.with_suffix(".differs"))
        except OSError as error:
            raise unavailable(error) from error

    def close(self) -> None:
        """Let go of the file; what is open stays so, for the next start to end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._open = None

    def _begin(self, now_us: int) -> None:
        # A clock that was put back: this chain would say for long that it is later.
        if now_us + _BACK_US < self._before.at_us:
            log.warning("audit_clock_back", extra={"note": "a new chain is begun"})
            self._writer, self._next, self._before = secrets.token_hex(8), 0, Position()
        # Days follow numbers, whatever the clock does: parts are listed by day.
        day = day_of(max(now_us, self._before.at_us))
        part = PartName(self.tenant, self._writer, self._next, day, secrets.token_hex(8))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        # Known as open before its file is there: whoever lists files first sees that.
        self._open, self._length_bytes, self.opened_us = part, 0, now_us
        try:
            self._fd = os.open(self.folder / part.file, flags, 0o600)
        except OSError:
            self._open = None
            raise

    def _write(self, data: bytes, *, sync_name: bool) -> None:
        self._is_doubtful = True
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._sync_file(self._fd)
        if sync_name:
            sync_directory(self.folder)
        self._length_bytes += len(data)
        self._is_doubtful = False

    def _take_back(self) -> None:
        """Take back what failed, at once where that can be: nobody shall read what was refused."""
        with suppress(OSError):
            self._mend()

    def _mend(self) -> None:
        """Take back what a failed write may have left; a new descriptor tells what fails now."""
        if not self._is_doubtful:
            return
        assert self._open is not None
        path, length_bytes, part = self.folder / self._open.file, self._length_bytes, self._open
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if length_bytes == 0:
            path.unlink(missing_ok=True)
            sync_directory(self.folder)
            self._open = None
        else:
            cut(path, length_bytes)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._open = part
        self._is_doubtful = False

    def _close(self) -> None:
        os.close(self._fd)
        self._fd, self._open, self._length_bytes = -1, None, 0

    def _recover(self) -> tuple[str, int, Position]:
        """Return whose chain, which part is next, and where it goes on."""
        goes_on: dict[str, tuple[int, Position]] = {}
        for part in parts_in(self.folder, self.tenant):
            position = self._end_leftover(part)
            if position is not None:
                goes_on[part.writer] = part.number + 1, position
        sealed: Line | None = None
        with suppress(Corrupt):
            sealed = read_state(self.folder / STATE)
        if goes_on:
            # Of several the one that is least ahead: the others a clock put back has left.
            writer = min(goes_on, key=lambda one: goes_on[one][1].at_us)
            return writer, *goes_on[writer]
        if sealed is not None:
            # Its own line has the number behind the one that it speaks of.
            seq, at_us = sealed.position.seq - 1, sealed.position.at_us
            position = Position(seq, sealed.prev, at_us)
            return str(sealed.body["writer"]), int(sealed.body["part"]) + 1, position
        if (self.folder / STATE).exists():
            log.error("audit_chain_lost", extra={"note": "a new one is begun"})
        return secrets.token_hex(8), 0, Position()

    def _end_leftover(self, part: PartName) -> Position | None:
        """End a part that a crash left open; return where its chain goes on, None: not there.

        Only the last part of a chain can be open: another one's end is missing for other reasons.
        """
        path = self.folder / part.file
        left = examine(path)
        if any(
            other.writer == part.writer and other.number > part.number
            for other in parts_in(self.folder, self.tenant)
        ):
            return left.position
        if left.torn_bytes:
            cut(path, left.length_bytes)
        if left.length_bytes == 0:
            path.unlink()
            sync_directory(self.folder)
        if left.position is None or left.is_ended:
            return left.position
        said = {"heads": [], "recovered": True, "cut_bytes": left.torn_bytes}
        line, after = encode_line(left.position, What.END, said, left.position.at_us)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            self._write(line, sync_name=True)
        finally:
            os.close(self._fd)
            self._fd, self._length_bytes, self._is_doubtful = -1, 0, False
        return after

    def _last_ended(self, writer: str) -> PartName:
        return [part for part in self.ended() if part.writer == writer][-1]


def parts_in(folder: Path, tenant: str) -> list[PartName]:
    """Return the parts whose files lie in a tenant's folder, chain by chain, in order."""
    named = [part_of_file(tenant, path.name) for path in folder.glob("*.jsonl")]
    return sorted(part for part in named if part is not None)

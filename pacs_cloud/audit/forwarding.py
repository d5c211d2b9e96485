"""Records go to a syslog server, in the order of their chain, each at least once.

How far each file was sent stands beside it, so that an outage of the server, or of us, loses
nothing: what is sealed meanwhile stays in the outbox until it is sent.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from pacs_cloud.audit.directory import OUTBOX, SENT, is_full
from pacs_cloud.audit.journal import Journal, parts_in
from pacs_cloud.audit.syslog_peer import SyslogPeer
from pacs_cloud.errors import Corrupt
from pacs_cloud.security.audit_event import event_from
from pacs_cloud.security.audit_line import What, read_line
from pacs_cloud.security.audit_message import AuditSource, audit_messages
from pacs_cloud.security.audit_syslog import syslog_frame

log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
_AGAIN_LIMIT_S: Final = 60.0
_BATCH_BYTES: Final = 64 << 10


class Forwarder:
    """Sends what one process has put on record."""

    def __init__(
        self,
        journals: Callable[[], Sequence[Journal]],
        folder: Path,
        peer: SyslogPeer,
        source: AuditSource,
        host: str,
    ) -> None:
        """Send to `peer`.

        Args:
            journals: returns those that are written now.
            folder: the process's directory of journals.
            peer: takes frames.
            source: who reports.
            host: this machine's name.
        """
        self._journals = journals
        self._folder = folder
        self._peer = peer
        self._source = source
        self._host = host

    async def run(self) -> None:
        """Send what there is, every second, until it is cancelled; less often in an outage."""
        pause_s = _EVERY_S
        try:
            while True:
                try:
                    await self.send()
                except OSError as error:
                    if pause_s == _EVERY_S:
                        log.error("audit_not_sent", extra={"reason": _reason(error)})
                    pause_s = min(2 * pause_s, _AGAIN_LIMIT_S)
                else:
                    if pause_s > _EVERY_S:
                        log.info("audit_sent_again")
                    pause_s = _EVERY_S
                await asyncio.sleep(pause_s)
        finally:
            self._peer.close()

    async def send(self) -> None:
        """Send all that is on record and was not sent yet.

        Raises:
            OSError: the server takes nothing, or the disk refuses.
        """
        # Files first: one that is open now is then known as such, and how much of it is durable.
        files = await asyncio.to_thread(self._files)
        durable = {
            journal.open_path: journal.length_bytes
            for journal in self._journals()
            if journal.open_path is not None
        }
        await asyncio.to_thread(self._send, files, durable)

    def _files(self) -> list[Path]:
        """Return the files of parts, tenant by tenant, oldest first."""
        return [
            within / part.file
            for folder in sorted(path for path in self._folder.iterdir() if path.is_dir())
            for within in (folder / OUTBOX, folder)
            for part in parts_in(within, folder.name)
        ]

    def _send(self, files: Sequence[Path], durable: Mapping[Path, int]) -> None:
        for path in files:
            # Sealed meanwhile: then it is in the outbox, and the next round sends it.
            with suppress(FileNotFoundError):
                self._send_part(path, durable.get(path, path.stat().st_size))
                if path.parent.name == OUTBOX:
                    path.unlink()
                    _note_of(path).unlink(missing_ok=True)

    def _send_part(self, path: Path, length_bytes: int) -> None:
        """Send a part's lines up to a length, from where it was sent to."""
        note = _note_of(path)
        sent = _read_note(note)
        with path.open("rb") as file:
            file.seek(sent)
            while sent < length_bytes:
                lines = _batch(file, length_bytes - sent)
                if not lines:
                    return
                frames = b"".join(self._frames(line) for line in lines)
                if frames:
                    self._peer.send(frames)
                sent += sum(len(line) for line in lines)
                try:
                    _write_note(note, sent)
                except OSError as error:
                    # What was sealed goes once all of it is sent: that makes room.
                    if not is_full(error) or path.parent.name != OUTBOX:
                        raise

    def _frames(self, raw: bytes) -> bytes:
        try:
            line = read_line(raw)
            if line.what is not What.EVENT:
                return b""
            event = event_from(line.body)
        except Corrupt:
            log.error("audit_line_not_sent", extra={"note": "pacs-cloud audit verify says more"})
            return b""
        return b"".join(
            syslog_frame(message, time_us=event.when_us, host=self._host, process=str(os.getpid()))
            for message in audit_messages(event, self._source)
        )


def _batch(file: BinaryIO, length_bytes: int) -> list[bytes]:
    """Return the next whole lines of a file, up to a length."""
    lines: list[bytes] = []
    size = 0
    while size < min(_BATCH_BYTES, length_bytes):
        line = file.readline()
        if not line.endswith(b"\n"):
            break
        lines.append(line)
        size += len(line)
    return lines


def _note_of(path: Path) -> Path:
    tenant = path.parent.parent if path.parent.name == OUTBOX else path.parent
    return tenant / SENT / path.name


def _read_note(note: Path) -> int:
    """Return how far a file was sent: 0, where that is not known, sends it again."""
    try:
        return int(note.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _write_note(note: Path, sent: int) -> None:
    new = note.with_suffix(".new")
    new.write_text(str(sent))
    new.rename(note)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or type(error).__name__

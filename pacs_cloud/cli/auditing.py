"""`audit list`, `audit who` and `audit export`."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

from pacs_cloud.audit.asked import Asked
from pacs_cloud.audit.asking import Wanted, who_did
from pacs_cloud.audit.reading import Unreadable, events
from pacs_cloud.bootstrap.auditing import open_trail, source_of
from pacs_cloud.bootstrap.services import Stores, now_us, open_stores
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.output import counted, print_json, print_rows, stderr
from pacs_cloud.cli.this_user import this_user
from pacs_cloud.errors import Conflict, InvalidRequest, Unavailable
from pacs_cloud.security.audit_event import AuditEvent, Kind, event_json
from pacs_cloud.security.audit_message import audit_messages
from pacs_cloud.settings import Settings

CLEAN, FINDINGS = 0, 1
_COLUMNS: Final = (
    *("when", "who", "kind", "action", "outcome", "count", "study", "patient"),
    *("door", "address"),
)
_WHO_COLUMNS: Final = ("who", "kind", "outcome", "count", "studies", "first", "last", "from")


class _Reading:
    """The trail, opened to be read; that it is read is on record already."""

    def __init__(self, settings: Settings, stores: Stores, asked: Asked, wanted: Wanted) -> None:
        self.wanted = wanted
        self.unreadable = Unreadable()
        self._settings = settings
        self._stores = stores
        self._asked = asked

    async def lines(self) -> AsyncIterator[tuple[AuditEvent, bytes]]:
        """Yield the events that are wanted, with their lines."""
        since_us, until_us = self._asked.span()
        found = events(
            self._stores.objects,
            self._settings.audit_journals,
            self._settings.tenant,
            since_us=since_us,
            until_us=until_us,
            unreadable=self.unreadable,
        )
        async for event, line in found:
            if self.wanted.fits(event):
                yield event, line

    def end(self) -> int:
        """Say what could not be read; return the exit code."""
        return FINDINGS if say_unreadable(self.unreadable) else CLEAN


def say_unreadable(missed: Unreadable) -> bool:
    """Say what could not be read; return whether there was any."""
    if missed.lines:
        stderr.print(
            f"At least {counted(missed.lines, 'record')} could not be read:"
            " `pacs-cloud audit verify` says where."
        )
    return missed.lines > 0


@asynccontextmanager
async def _opened(settings: Settings, asked: Asked, action: str) -> AsyncGenerator[_Reading]:
    asked.span()  # raises before anything is opened
    async with open_stores(settings) as stores:
        wanted = await asked.wanted(stores.catalogue, settings.tenant)
        event = AuditEvent(
            Kind.AUDIT,
            settings.tenant,
            f"system:{this_user()}",
            "cli",
            now_us(),
            action=action,
            details=asked.words(),
        )
        async with open_trail(settings, stores, brief=True) as trail:
            await trail.record(event)
        yield _Reading(settings, stores, asked, wanted)


def list_events(settings: Settings, asked: Asked, *, limit: int, as_json: bool) -> int:
    """Print events, oldest first; return the exit code.

    Raises:
        InvalidRequest: a moment, kind or outcome is none.
        Unavailable: the store cannot be reached, or that somebody looks not put on record.
    """
    return asyncio.run(_list(settings, asked, limit, as_json=as_json))


async def _list(settings: Settings, asked: Asked, limit: int, *, as_json: bool) -> int:
    async with _opened(settings, asked, "list") as reading:
        newest: deque[AuditEvent] = deque(maxlen=limit)
        seen = 0
        async for event, _ in reading.lines():
            seen += 1
            if as_json:
                print_json({"when": when(event.when_us), **event_json(event)})
            else:
                newest.append(event)
        if not as_json:
            print_rows(
                [_row(event) for event in newest],
                _COLUMNS,
                as_json=False,
                empty="Nothing is on record.",
            )
        if not as_json and seen > limit:
            stderr.print(f"The newest {limit} of {seen}: --limit shows more, --json all.")
        return reading.end()


def _row(event: AuditEvent) -> dict[str, object]:
    return {
        "when": when(event.when_us),
        "who": event.subject,
        "kind": event.kind,
        "action": event.action,
        "outcome": event.outcome,
        "count": event.count,
        "study": ", ".join(event.studies),
        "patient": ", ".join(one.patient_id or one.name for one in event.patients),
        "door": event.door,
        "address": event.address,
    }


def who_did_what(settings: Settings, asked: Asked, *, as_json: bool) -> int:
    """Print who has done what with a patient's data; return the exit code.

    Raises:
        InvalidRequest: no patient is named.
    """
    if not asked.patient.strip():
        raise InvalidRequest("a patient has an ID")
    return asyncio.run(_who(settings, asked, as_json=as_json))


async def _who(settings: Settings, asked: Asked, *, as_json: bool) -> int:
    async with _opened(settings, asked, "who") as reading:
        found = (event async for event, _ in reading.lines())
        done = await who_did(found, reading.wanted)
        rows = [
            {
                "who": subject,
                "kind": kind,
                "outcome": outcome,
                "count": deeds.count,
                "studies": sorted(deeds.studies) if as_json else len(deeds.studies),
                "first": when(deeds.first_us),
                "last": when(deeds.last_us),
                "from": sorted(deeds.addresses) if as_json else ", ".join(sorted(deeds.addresses)),
            }
            for (subject, kind, outcome), deeds in sorted(
                done.items(), key=lambda item: item[1].first_us
            )
        ]
        print_rows(
            rows, _WHO_COLUMNS, as_json=as_json, empty="Nothing is on record of this patient."
        )
        return reading.end()


def export(settings: Settings, asked: Asked, output: Path | None, *, dicom_xml: bool) -> int:
    """Write records to a new file or standard output; return the exit code.

    Raises:
        Conflict: there is such a file already.
        Unavailable: it cannot be written.
    """
    return asyncio.run(_export(settings, asked, output, dicom_xml=dicom_xml))


async def _export(settings: Settings, asked: Asked, output: Path | None, *, dicom_xml: bool) -> int:
    source = source_of(settings)

    def xml(event: AuditEvent, _: bytes) -> list[bytes]:
        return [message + b"\n" for message in audit_messages(event, source)]

    def sealed(_: AuditEvent, line: bytes) -> list[bytes]:
        return [line]

    shown: Callable[[AuditEvent, bytes], list[bytes]] = xml if dicom_xml else sealed
    async with _opened(settings, asked, "export") as reading, AsyncExitStack() as stack:
        file = stack.enter_context(_new_file(output)) if output else sys.stdout.buffer
        async for event, line in reading.lines():
            try:
                file.writelines(shown(event, line))
            except BrokenPipeError:
                raise
            except OSError as error:
                raise Unavailable(f"{output}: {error.strerror}") from error
        file.flush()
        return reading.end()


def _new_file(path: Path) -> BinaryIO:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Conflict(f"{path} exists") from error
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}") from error
    return os.fdopen(number, "wb")

"""Logs: an event name and fields, one line each, on stderr; never patient data.

    2026-05-04T10:11:12.345Z info pacs_cloud.ingest.spool pack_closed instances=120

Modules log by the standard library: `log.info("pack_closed", extra={"instances": 120})`.
UIDs may identify a patient by way of another archive, so they are logged hashed. Of an
exception nobody expected the place is logged and its name, not its words: they may quote what
was being read.
"""

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator
from typing import TextIO

from blake3 import blake3

ROOT = "pacs_cloud"
_UID = re.compile(r"(?<![\w.])[0-9]+(?:\.[0-9]+){4,}(?![\w]|\.[0-9])")
"""What looks like a UID: five components or more, so that IP addresses stay readable."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """`time level logger event field=value …`, values quoted where they hold spaces."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, an exception's traceback below it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        said = "".join(f" {name}={_shown(value)}" for name, value in fields.items())
        head = f"{stamp}.{int(record.msecs):03}Z {record.levelname.lower()} {record.name}"
        line = f"{head} {record.getMessage()}{said}"
        if record.exc_info:
            line += "\n" + "".join(_places(record.exc_info[1])).rstrip()
        return _UID.sub(lambda match: f"uid:{hashed(match[0])}", line)


def _places(error: BaseException | None) -> Iterator[str]:
    """Yield where an exception, what it came from, and those in it were raised."""
    if error is None:
        return
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _places(cause)
        yield "which led to\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    # What the system says is its own, and no one's data.
    words = f": {error.strerror}" if isinstance(error, OSError) and error.errno else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{words}\n"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _places(one)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is then: who calls a command in a process may put another there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        self.stream = sys.stderr
        super().emit(record)


def configure_logging(level: str) -> None:
    """Send every event of `level` ("debug" … "error") and above to stderr."""
    handler = _ToStderr()
    handler.setFormatter(EventFormatter())
    ours = logging.getLogger(ROOT)
    ours.handlers[:] = [handler]
    ours.setLevel(level.upper())
    ours.propagate = False
    # Libraries may log what they were given, patient data too: only their warnings pass,
    # and pydicom's, which quote values, do not.
    others = logging.getLogger()
    others.handlers[:] = [handler]
    others.setLevel(logging.WARNING)
    for name in ("pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def hashed(uid: str) -> str:
    """Return a short stand-in for a UID: the same for the same UID, and of no use elsewhere."""
    return blake3(uid.encode()).hexdigest(length=6)


def _shown(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    quoted = not text or any(c.isspace() or c in '"=' or not c.isprintable() for c in text)
    return repr(text) if quoted else text

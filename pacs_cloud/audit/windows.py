"""What comes many times a minute: the first is on record, further ones are a number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pacs_cloud.security.audit_event import AuditEvent, EventKey

WINDOW_US: Final = 60_000_000
MOST: Final = 20_000
"""So many are counted at a time, at some 1 KB each; the oldest then end early."""


@dataclass(slots=True)
class _Window:
    first: Sequence[AuditEvent]
    ends_us: int
    further: int = 0
    since_us: int = 0
    last_us: int = 0
    instances: int = 0


class Windows:
    """Counts events like one that is on record, for a minute each."""

    def __init__(self, window_us: int = WINDOW_US, most: int = MOST) -> None:
        """Count nothing yet."""
        self._window_us = window_us
        self._most = most
        # In the order of their ends: all last equally long.
        self._open: dict[EventKey, _Window] = {}
        self._closed: list[AuditEvent] = []

    def begin(self, key: EventKey, first: Sequence[AuditEvent]) -> None:
        """Count what is like an event, which is on record as `first`, from now on."""
        self._end(key)
        if len(self._open) >= self._most:
            self._end(next(iter(self._open)))
        self._open[key] = _Window(first, first[0].when_us + self._window_us)

    def count(self, key: EventKey, when_us: int, instances: int = 0) -> bool:
        """Count an event where one like it is on record; return whether it is counted."""
        window = self._open.get(key)
        if window is None or not self._is_open(window, when_us):
            return False
        if not window.further:
            window.since_us = when_us
        window.further += 1
        window.last_us = when_us
        window.instances += instances
        return True

    def take(self, now_us: int | None = None) -> list[AuditEvent]:
        """Return events that stand for what was counted in windows over by now; None: in all."""
        while self._open:
            key, window = next(iter(self._open.items()))
            if now_us is not None and self._is_open(window, now_us):
                break
            self._end(key)
        taken, self._closed = self._closed, []
        return taken

    def give_back(self, events: list[AuditEvent]) -> None:
        """Take back what could not be written, for the next `take`."""
        self._closed[:0] = events

    def _is_open(self, window: _Window, when_us: int) -> bool:
        """Return whether a window goes on: by a clock that was put back it would for long."""
        return window.ends_us - 2 * self._window_us < when_us < window.ends_us

    def _end(self, key: EventKey) -> None:
        window = self._open.pop(key, None)
        if window is not None and window.further:
            self._closed += [
                replace(
                    one,
                    when_us=window.since_us,
                    last_us=window.last_us,
                    count=window.further,
                    instances=window.instances,
                    further=True,
                    sop_classes=(),
                )
                for one in window.first
            ]

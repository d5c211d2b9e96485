"""pydicom without its voice: its warnings quote values, which may name patients."""

import logging
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager

_LOGGER = logging.getLogger("pydicom")


class _Silence:
    """The silence that all threads inside `quiet_pydicom` share.

    Python's warning filters belong to the process: the first to come in changes
    them, the last to leave restores them, and nobody waits in between.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters: warnings.catch_warnings[None] | None = None
        self._was_disabled = False

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
                self._was_disabled, _LOGGER.disabled = _LOGGER.disabled, True

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._filters is not None:
                self._filters.__exit__(None, None, None)
                self._filters = None
                _LOGGER.disabled = self._was_disabled


_SILENCE = _Silence()


@contextmanager
def quiet_pydicom() -> Generator[None]:
    """Silence pydicom's logger and all warnings inside the block."""
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()

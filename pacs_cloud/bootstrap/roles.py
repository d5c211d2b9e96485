"""One of the supervisor's processes, from its settings to its end."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import TypeAlias

from pacs_cloud.bootstrap.services import Stores, open_stores
from pacs_cloud.bootstrap.supervisor import READY, UPGRADING, Role
from pacs_cloud.errors import InvalidRequest, PacsError
from pacs_cloud.metric_files import counting_into
from pacs_cloud.settings import Settings
from pacs_cloud.telemetry import configure_logging

log = logging.getLogger(__name__)

FAILED, COULD_NOT_START = 1, 2
_COLLECT_EVERY = 20_000
"""Objects made and not freed between two looks for cycles; Python's own 700 look all the time."""

Serving: TypeAlias = Callable[[Settings, Stores], AbstractAsyncContextManager[None]]
"""Serves while it is entered."""


def run_role(settings: Settings, role: Role) -> None:
    """Be a process of `role` until SIGTERM, SIGINT or the end of standard input.

    Writes `READY` on standard output once it serves.

    Raises:
        SystemExit: it could not start; the reason is one line on stderr.
    """
    configure_logging(settings.log_level)
    try:
        asyncio.run(_run(settings, role))
    except PacsError as error:
        sys.stderr.write(f"pacs-cloud serve {role}: {error}\n")
        sys.exit(COULD_NOT_START)
    except Exception as error:  # the outermost edge: logged, then restarted
        log.error("process_failed", exc_info=error, extra={"role": role})
        sys.exit(FAILED)


async def _run(settings: Settings, role: Role) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stdin = sys.stdin.fileno()

    def parent_is_gone() -> None:
        # The parent has said all it has to say: what can be read now is its end.
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop.set()

    loop.add_reader(stdin, parent_is_gone)
    stores_open = open_stores(settings, create=True, upgrading=_Upgrading().say)
    with counting_into(settings.metrics_files, role), traced(settings, role):
        async with stores_open as stores, _serving(role)(settings, stores):
            # What is loaded by now stays for good: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            # An instance leaves no cycles, and dozens of objects until its pack is sealed.
            gc.set_threshold(_COLLECT_EVERY)
            sys.stdout.buffer.write(READY)
            sys.stdout.buffer.flush()
            await stop.wait()


def traced(settings: Settings, role: Role) -> AbstractContextManager[None]:
    """Return what sends traces while it is entered; raises InvalidRequest where nothing can."""
    if not settings.otlp:
        return nullcontext()
    try:
        from pacs_cloud.bootstrap.otlp import tracing_to
    except ImportError as error:
        raise InvalidRequest(
            "otlp: OpenTelemetry is not installed here: pip install 'pacs-cloud[otel]'"
        ) from error
    return tracing_to(settings.otlp, role, settings.otlp_ratio)


class _Upgrading:
    """Tells the supervisor, and once whoever reads the log, that an upgrade is going on."""

    def __init__(self) -> None:
        self._is_told = False

    def say(self) -> None:
        """Say it."""
        if not self._is_told:
            log.warning("catalogue_upgrading", extra={"note": "this may take minutes"})
            self._is_told = True
        sys.stdout.buffer.write(UPGRADING)
        sys.stdout.buffer.flush()


def _serving(role: Role) -> Serving:
    # Each process loads what its own role needs.
    if role is Role.DIMSE:
        from pacs_cloud.bootstrap.dimse_role import serve_dimse

        return serve_dimse
    if role is Role.WEB:
        from pacs_cloud.bootstrap.web_role import serve_web

        return serve_web
    from pacs_cloud.bootstrap.worker_role import serve_worker

    return serve_worker

"""`/metrics`: what was counted, with what is looked up when somebody asks."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp

from pacs_cloud import metrics
from pacs_cloud.bootstrap.overview import held_by_class
from pacs_cloud.bootstrap.services import Stores
from pacs_cloud.bootstrap.stalls import read_stalls
from pacs_cloud.dicomweb.resource import resource
from pacs_cloud.dicomweb.responses import Answer, Bytes
from pacs_cloud.errors import Denied, NotFound, PacsError
from pacs_cloud.metric_files import shared_processes
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, caller_in
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

METRICS: Final = "/metrics"
_SOON_S: Final = 5.0
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_AGAIN_S: Final = 60.0
"""After so long what could not be looked up is tried again."""
_LATE_S: Final = 2.0
"""A store that answers later leaves its numbers out: the others are told all the same."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Exposition:
    """Says all numbers of this host's processes, and some of the archive."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        """Look up what is not counted in `stores`, now and then."""
        self._stores = stores
        self._journals = settings.audit_journals
        self._queue = _Kept(self._queue_depth, _SOON_S)
        self._stalls = _Kept(self._stalled, 60.0)
        # The whole catalogue is read for it: of a table in a cloud every read has its price.
        self._holdings = _Kept(self._held, _HOUR_S if settings.is_embedded else _DAY_S)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """Return them as text for Prometheus, and its media type; OpenMetrics where `accept` is."""
        parts = await asyncio.gather(self._queue(), self._stalls(), self._holdings())
        more = [family for part in parts for family in part]
        return await asyncio.to_thread(self._text, accept, more)

    def _text(self, accept: str, more: list[Metric]) -> tuple[bytes, str]:
        unsealed = sum(1 for _ in self._journals.glob("*/*/*.jsonl"))
        more += [metrics.looked_up(metrics.AUDIT_UNSEALED, unsealed), *_processes()]
        return metrics.exposition(accept, more)

    async def _queue_depth(self) -> list[Metric]:
        depth = await self._stores.queue.depth()
        states = {"ready": depth.ready, "leased": depth.leased, "dead": depth.dead}
        return [metrics.looked_up(metrics.QUEUE_JOBS, states)]

    async def _stalled(self) -> list[Metric]:
        stalls = await read_stalls(self._stores.objects)
        return [metrics.looked_up(metrics.CHORES_STALLED, len(stalls))]

    async def _held(self) -> list[Metric]:
        packs, length_bytes = await held_by_class(self._stores, None)
        return [
            metrics.looked_up(metrics.STORED_PACKS, packs),
            metrics.looked_up(metrics.STORED_BYTES, length_bytes),
        ]


class _Kept:
    """What was looked up last; looked up again once it is old, and told when it has come."""

    def __init__(self, look: Callable[[], Awaitable[list[Metric]]], every_s: float) -> None:
        self._look = look
        self._every_s = every_s
        self._found: list[Metric] = []
        self._due_s = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def __call__(self) -> list[Metric]:
        now_s = time.monotonic()
        if self._looking is None and now_s >= self._due_s:
            self._due_s = now_s + self._every_s
            self._looking = asyncio.create_task(self._again())
        if self._looking is not None:
            # One that takes long goes on for whoever asks next.
            await asyncio.wait({self._looking}, timeout=_LATE_S)
        return self._found

    async def _again(self) -> None:
        try:
            self._found = await self._look()
        except PacsError as error:
            self._found = []
            self._due_s = min(self._due_s, time.monotonic() + _AGAIN_S)
            log.warning("metrics_not_looked_up", extra={"error": type(error).__name__})
        finally:
            self._looking = None


def metrics_route(exposition: Exposition, tenant: str) -> BaseRoute:
    """Return the resource for whoever operates the archive, by a key or a session of `tenant`.

    The numbers are those of all tenants: to the others it is not there.
    """

    async def answer(request: Request) -> Answer:
        caller = caller_in(request.scope)
        if caller.tenant != tenant:
            raise NotFound("There is nothing at this address.")
        if not access.opens(caller, Action.OPERATE):
            raise Denied(f"{caller.subject} may not {Action.OPERATE} the whole archive")
        return await _answer(exposition, request)

    return resource(METRICS, get=answer)


def open_metrics(exposition: Exposition) -> ASGIApp:
    """Return what answers at an address of its own, where nobody is asked who they are."""
    return Router([resource(METRICS, get=partial(_answer, exposition))])


async def _answer(exposition: Exposition, request: Request) -> Answer:
    body, media_type = await exposition.text(request.headers.get("accept", ""))
    return Bytes(body, media_type, headers={"cache-control": "no-store"})


def _processes() -> list[Metric]:
    """Return what the system says of each process: its memory, its time, its open files."""
    memory, cpu, files = dict[str, float](), dict[str, float](), dict[str, float]()
    for name, pid in shared_processes().items():
        found = Path("/proc") / str(pid)
        try:
            # Behind the name in brackets, which may hold anything: proc(5), fields 3 on.
            fields = (found / "stat").read_text("latin-1").rpartition(")")[2].split()
            cpu[name] = (int(fields[11]) + int(fields[12])) / _TICKS
            memory[name] = int(fields[21]) * _PAGE_BYTES
            files[name] = len(os.listdir(found / "fd"))  # noqa: PTH208 - only their number
        except OSError:
            continue  # it has just ended
    told: list[tuple[tuple[str, str, str], Mapping[str, float]]] = [
        (metrics.PROCESS_MEMORY, memory),
        (metrics.PROCESS_CPU, cpu),
        (metrics.PROCESS_FILES, files),
    ]
    return [metrics.looked_up(about, numbers) for about, numbers in told]

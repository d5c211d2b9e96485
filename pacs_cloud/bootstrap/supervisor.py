"""One parent, several processes: started, watched, restarted, stopped together."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from enum import StrEnum

from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.errors import Unavailable
from pacs_cloud.settings import Address, Settings

log = logging.getLogger(__name__)

READY = b"ready\n"
"""What a process writes on its standard output once it serves."""

UPGRADING = b"upgrading\n"
"""What it writes before, every now and then, while it upgrades the catalogue."""

START_LIMIT_S = 180
"""How long a process may take until it serves, or between two signs that it upgrades."""
RESTART_S = 1.0
RESTART_MAX_S = 30.0
HEALTHY_S = 60.0
"""A process that ran so long was well: its next restart does not wait long."""
KILL_AFTER_S = 5
"""How long beyond its own grace a stopping process is waited for."""
_FLAGS = frozenset({"http", "dimse"})
"""Addresses that the command line says, too."""


class Role(StrEnum):
    """What one process does."""

    DIMSE = "dimse"
    WEB = "web"
    WORKER = "worker"


async def supervise(
    settings: Settings,
    counts: Mapping[Role, int],
    on_ready: Callable[[Settings], None],
) -> None:
    """Run `counts` processes of each role until SIGTERM or SIGINT; returns once all have ended.

    Args:
        settings: what each process is told, on its standard input.
        counts: how many processes of each role; several share one port.
        on_ready: called once, when all serve, with the settings that name the real ports.

    Raises:
        Unavailable: a port is taken, or a process ended before it served.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        settings = _with_ports(settings, counts, stack)
        watchers = [
            _Watcher(settings, role, stop) for role, count in counts.items() for _ in range(count)
        ]
        tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
        serving = asyncio.gather(*(watcher.served.wait() for watcher in watchers))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                on_ready(settings)
                await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            serving.cancel()
            stopping.cancel()
            # Not `wait`: it would leave the cancellations for asyncio to complain about.
            await asyncio.gather(serving, stopping, *tasks, return_exceptions=True)
    for task in tasks:
        task.result()


def _with_ports(
    settings: Settings, counts: Mapping[Role, int], stack: contextlib.ExitStack
) -> Settings:
    """Reserve the ports the roles listen on; return settings that name them."""
    named: dict[str, Address] = {}
    for role, field, wanted in (
        (Role.WEB, "http", settings.http),
        (Role.WEB, "metrics", settings.metrics),
        (Role.DIMSE, "dimse", settings.dimse if settings.dimse_plain else None),
        (Role.DIMSE, "dimse_tls", settings.dimse_tls),
    ):
        if counts.get(role) and wanted is not None:
            try:
                reservation = Reservation(wanted)
            except Unavailable as error:
                by = f"--{field}" if field in _FLAGS else f"the setting {field}"
                raise Unavailable(f"{error}; {by} says where else") from error
            stack.callback(reservation.close)
            named[field] = reservation.address
    return settings.model_copy(update=named)


class _Watcher:
    """Keeps one process running."""

    def __init__(self, settings: Settings, role: Role, stop: asyncio.Event) -> None:
        self._settings = settings
        self._role = role
        self._stop = stop
        self.served = asyncio.Event()

    async def run(self) -> None:
        """Start the process again whenever it dies, until told to stop.

        Raises:
            Unavailable: it never came to serve.
        """
        pause_s = RESTART_S
        while not self._stop.is_set():
            begun_s = time.monotonic()
            code = await self._run_once()
            if self._stop.is_set():
                return
            if not self.served.is_set():
                raise Unavailable(f"the {self._role} process could not start (exit code {code})")
            if time.monotonic() - begun_s > HEALTHY_S:
                pause_s = RESTART_S
            log.error(
                "process_died",
                extra={"role": self._role, "code": code, "restart_in_s": pause_s},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)
            pause_s = min(pause_s * 2, RESTART_MAX_S)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pacs_cloud", "serve", "--supervised", self._role),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stopping = asyncio.create_task(self._stop.wait())
        ended = asyncio.create_task(process.wait())
        try:
            # The pipe stays open: its end tells the process that we are gone, however we died.
            process.stdin.write(self._settings.child_json().encode() + b"\n")
            while True:
                ready = asyncio.create_task(process.stdout.readline())
                async with asyncio.timeout(START_LIMIT_S):
                    await asyncio.wait(
                        {ready, stopping, ended}, return_when=asyncio.FIRST_COMPLETED
                    )
                said = ready.result() if ready.done() else b""
                if said != UPGRADING:
                    break
            if said == READY:
                self.served.set()
            ready.cancel()
            await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            log.error("process_never_ready", extra={"role": self._role, "limit_s": START_LIMIT_S})
            process.kill()
        finally:
            stopping.cancel()
            if process.returncode is None and not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._settings.stop_grace_s + KILL_AFTER_S):
                return await asyncio.shield(ended)
        except TimeoutError:
            log.error("process_killed", extra={"role": self._role})
            process.kill()
            return await ended

"""Find a running server, or start one that the whole test run shares.

`make services` leaves its servers' addresses in `.services.json`; they are
used while they answer. Otherwise the first test that needs a server starts
its keeper in the run's directory, and every xdist worker reads its record.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from patience import PATIENCE_S
from servers.child import ServerFailed
from servers.endpoint import Endpoint, Kind, read_record
from servers.keeper import SERVERS, record, running_lock

PROJECT = Path(__file__).parents[2]
SERVICES_FILE = PROJECT / ".services.json"
RUN_LOCK = "run.lock"
START_SECONDS = STOP_SECONDS = PATIENCE_S


@contextmanager
def locked(path: Path) -> Generator[None, None, None]:
    """Hold `path`'s lock; it is made when it does not exist."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def answers(endpoint: Endpoint) -> bool:
    """Return whether something listens where `endpoint` says."""
    address = urlsplit(endpoint.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), timeout=2).close()
    except OSError:
        return False
    return True


def from_services(kind: Kind) -> Endpoint | None:
    """Return the server of `kind` that `make services` started, if it answers."""
    try:
        entries = json.loads(SERVICES_FILE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if kind not in entries:
        return None
    endpoint = Endpoint(**entries[kind])
    return endpoint if answers(endpoint) else None


def start_keeper(
    kind: Kind, directory: Path, *, port: int = 0, while_locked: Path | None = None
) -> Endpoint:
    """Start a keeper of `kind` in a session of its own; return once its server answers.

    Raises:
        ServerFailed: it ended first, or START_SECONDS passed; quotes its log's end.
    """
    log = directory / f"{kind}.keeper.log"
    command = [sys.executable, "-m", "servers.keeper", kind, str(directory), "--port", str(port)]
    if while_locked is not None:
        command += ["--while-locked", str(while_locked)]
    # Not subprocess: a Popen that is dropped while its child runs warns, and
    # this child is meant to outlive the worker that started it.
    pid = os.posix_spawn(
        sys.executable,
        command,
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while (endpoint := read_record(record(directory, kind))) is None:
        if os.waitpid(pid, os.WNOHANG)[0]:
            raise ServerFailed(f"{kind} did not start: {_tail(log)}")
        if time.monotonic() > deadline:
            # Its server goes with it: see servers.child.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise ServerFailed(f"{kind} did not start in {START_SECONDS} s: {_tail(log)}")
        time.sleep(0.05)
    return endpoint


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1500:]


def shared(kind: Kind, run_directory: Path) -> Endpoint:
    """Return the server of `kind` that this run shares, started when it is the first call.

    Raises:
        ServerFailed: it does not start; a second call fails with the same words at once.
    """
    found = from_services(kind)
    if found is not None:
        return found
    failure = run_directory / f"{kind}.failed"
    with locked(run_directory / f"{kind}.start"):
        if failure.exists():
            raise ServerFailed(failure.read_text(encoding="utf-8"))
        found = read_record(record(run_directory, kind))
        if found is not None and answers(found):
            return found
        # A record that nobody answers for is a killed keeper's.
        record(run_directory, kind).unlink(missing_ok=True)
        try:
            return start_keeper(kind, run_directory, while_locked=run_directory / RUN_LOCK)
        except ServerFailed as error:
            failure.write_text(str(error), encoding="utf-8")
            raise


def await_keepers(directory: Path) -> None:
    """Return when no keeper lives in `directory` any more, at most STOP_SECONDS later."""
    deadline = time.monotonic() + STOP_SECONDS
    for kind in SERVERS:
        while is_kept(directory, kind) and time.monotonic() < deadline:
            time.sleep(0.05)


def is_kept(directory: Path, kind: Kind) -> bool:
    """Return whether a keeper of `kind` lives in `directory`."""
    try:
        with running_lock(directory, kind).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False

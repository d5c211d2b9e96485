"""The whole archive as its user runs it: started, killed with all its processes, stopped."""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import warm_start
from patience import PATIENCE_S

READY = re.compile(r"^ready http=(https?://\S+) dimse=(\S+):(\d+) aet=(\S+)(?: metrics=\S+)?$")
START_SECONDS = STOP_SECONDS = PATIENCE_S
ANY = "127.0.0.1:0"


class Archive:
    """A running `pacs-cloud up` on the data directory `data`."""

    def __init__(
        self,
        data: Path,
        *,
        log: Path,
        prefix: Sequence[str] = (),
        words: Sequence[str] = ("--no-auth",),
    ) -> None:
        """Start it with `words`, under the command `prefix` (strace); return before it serves."""
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    *prefix,
                    *_command("up", *words, "--data", data, "--dimse", ANY, "--http", ANY),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PACS_DIMSE_PROCESSES": "2"},
                # A session of its own: all it starts can be found, and killed, by it.
                start_new_session=True,
            )
        self._log = log
        self._traced = bool(prefix)
        self.http = self.host = self.aet = ""
        self.port = 0

    def wait_ready(self) -> None:
        """Return once it says that it serves; raises AssertionError when it does not."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not said.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"not ready in {START_SECONDS} s: {self.said()}")
                chunk = os.read(self._process.stdout.fileno(), 4096)
                if not chunk:
                    raise AssertionError(f"it ended before it was ready: {self.said()}")
                said += chunk
        found = READY.match(said.decode().strip())
        assert found, f"not a ready line: {said!r}"
        self.http, self.host, self.aet = found[1], found[2], found[4]
        self.port = int(found[3])

    @property
    def pids(self) -> list[int]:
        """The ids of its living processes."""
        return list(self._members())

    @property
    def web_pids(self) -> set[int]:
        """The ids of its processes that serve HTTP."""
        found = set[int]()
        for pid in self._members():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"--supervised" in words and b"web" in words:
                found.add(pid)
        return found

    def said(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """Kill every process of it at once, with SIGKILL; return when none is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while left := self._members():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < deadline, f"still alive: {left}"
            time.sleep(0.01)
        self._process.wait(PATIENCE_S)
        self._close()

    def stop(self) -> None:
        """Stop it in good order; raises AssertionError when it does not end well."""
        os.kill(self._leader(), signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop in {STOP_SECONDS} s: {self.said()}") from None
        self._close()
        assert code == 0, f"exit code {code}: {self.said()}"
        assert not self._members(), "processes were left behind"

    def _leader(self) -> int:
        """Return the id of the archive's own first process, which strace hides behind itself."""
        if not self._traced:
            return self._process.pid
        return next(pid for pid, parent in self._family() if parent == self._process.pid)

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _members(self) -> list[int]:
        """Return the ids of this session's living processes, its leader's included."""
        return [pid for pid, _ in self._family()]

    def _family(self) -> Iterator[tuple[int, int]]:
        """Yield each living process of this session, and its parent."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text().rpartition(") ")[2]
                    state, parent, _, session = stat.split()[:4]
                    if int(session) == self._process.pid and state not in {"Z", "X"}:
                        yield int(entry.name), int(parent)


@contextlib.contextmanager
def running(
    data: Path, *, log: Path, prefix: Sequence[str] = (), words: Sequence[str] = ("--no-auth",)
) -> Iterator[Archive]:
    """Run the archive for the block and stop it in good order; killed when the block fails."""
    archive = Archive(data, log=log, prefix=prefix, words=words)
    try:
        archive.wait_ready()
        yield archive
    except BaseException:
        archive.kill()
        raise
    archive.stop()


def fsck(data: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code and the findings of `pacs-cloud fsck`."""
    ended = warm_start.run("fsck", "--data", data, "--json", timeout_s=600)
    if ended.returncode not in {0, 1}:
        return ended.returncode, [{"error": ended.stderr[-3000:]}]
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines() if line]


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "pacs_cloud", *map(str, words)]

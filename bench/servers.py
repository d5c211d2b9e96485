"""Real servers to measure: ours, Orthanc, DCMTK storescp. Started on loopback, stopped at the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
NODELAY = {**os.environ, "TCP_NODELAY": "1"}
ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process, and where it answers."""

    name: str
    pid: int
    aet: str
    dimse_port: int
    web: str = ""

    def cpu_s(self, *, only: str = "") -> float:
        """Return the CPU seconds of the process tree so far.

        Args:
            only: words that a process's command line must hold; its children count too.
        """
        return sum(map(_cpu_s, self._processes(only)))

    def peak_mb(self, *, only: str = "") -> float:
        """Return the largest peak resident memory of its processes; `only` as `cpu_s`."""
        return max(map(_peak_mb, self._processes(only)), default=0)

    def _processes(self, only: str) -> set[int]:
        chosen = [pid for pid in tree(self.pid) if only in _command(pid)]
        return {pid for one in chosen for pid in tree(one)}

    def reset_peak(self) -> None:
        """Forget the peaks so far."""
        for pid in tree(self.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def pacs(work: Path, *, kept: Path | None = None, **environment: str) -> Iterator[Server]:
    """Run the whole of our PACS on the embedded default, on a fresh data directory or on `kept`."""
    data = kept or _fresh(work / "pacs")
    words = ["up", "--no-auth", "--dimse", "127.0.0.1:0"]
    with _ours(words, data, work / "pacs.log", environment) as (pid, said):
        port = int(said["dimse"].rsplit(":", 1)[1])
        yield Server("pacs_cloud", pid, said["aet"], port, said["http"] + "/dicom-web")


@contextmanager
def web(work: Path, data: Path, name: str, **environment: str) -> Iterator[Server]:
    """Run our web processes alone, beside others of the same archive."""
    with _ours(["serve", "web"], data, work / f"{name}.log", environment) as (pid, said):
        yield Server(name, pid, "", 0, said["http"] + "/dicom-web")


@contextmanager
def orthanc(work: Path) -> Iterator[Server]:
    """Run Orthanc with its defaults and its DICOMweb plugin, on a fresh directory."""
    home, (http, dimse) = _fresh(work / "orthanc"), _free_ports(2)
    plugin = next(Path("/usr").glob("**/libOrthancDicomWeb.so*"), None)
    (home / "orthanc.json").write_text(
        json.dumps(
            {
                "Name": "BENCH",
                "StorageDirectory": str(home / "storage"),
                "IndexDirectory": str(home / "storage"),
                "HttpPort": http,
                "DicomPort": dimse,
                "DicomAet": "ORTHANC",
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowGet": True,
                "DicomCheckCalledAet": False,
                "Plugins": [str(plugin)] if plugin else [],
                "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            }
        )
    )
    process = subprocess.Popen(
        [ORTHANC, str(home / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=NODELAY,
    )
    try:
        _wait_port(dimse, process)
        _wait_port(http, process)
        web = f"http://127.0.0.1:{http}/dicom-web"
        yield Server("Orthanc", process.pid, "ORTHANC", dimse, web)
    finally:
        _stop(process)


@contextmanager
def storescp(work: Path) -> Iterator[Server]:
    """Run DCMTK storescp, a process per association: no index, no sync."""
    home, (port,) = _fresh(work / "storescp"), _free_ports(1)
    process = subprocess.Popen(
        ["storescp", "--fork", "+xa", "-od", str(home), str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=NODELAY,
    )
    try:
        _wait_port(port, process)
        yield Server("storescp", process.pid, "ANY-SCP", port)
    finally:
        _stop(process)


@contextmanager
def _ours(
    words: list[str], data: Path, log: Path, environment: dict[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Run a command of ours that serves; yield its process and what its ready line says."""
    command = [sys.executable, "-m", "pacs_cloud", *words, "--data", str(data)]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--http", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**NODELAY, "PACS_LOG_LEVEL": "warning", **environment},
        )
        assert process.stdout is not None
        try:
            ready, *fields = process.stdout.readline().split() or [""]
            if ready != "ready":
                raise SystemExit(f"pacs-cloud did not start; see {log}")
            yield process.pid, dict(field.split("=", 1) for field in fields)
        finally:
            _stop(process)


def tree(pid: int) -> list[int]:
    """Return `pid` and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += tree(int(child))
    return found


def _fresh(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _wait_port(port: int, process: subprocess.Popen, limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{process.args} opened no port in {limit_s} s")


def _stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""

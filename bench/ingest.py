"""C-STORE: instances/s, server CPU and memory, beside Orthanc and DCMTK in the same run."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.datasets import made
from bench.servers import NODELAY, ORTHANC, Server, orthanc, pacs, storescp


@dataclass(frozen=True, slots=True)
class Case:
    """One way of sending one set."""

    name: str
    data: str
    client: str
    associations: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured; CPU in ms per instance, memory in MB."""

    rate: float
    cpu_ms: float
    receiver_cpu_ms: float
    receiver_mb: float


RECEIVER = "--supervised dimse"
"""Words of our receiving process's command line."""
CASES = (
    Case("CT storescu x4", "ct", "storescu", 4),
    Case("CT storescu x1", "ct", "storescu", 1),
    Case("CT raw x1", "ct", "raw", 1),
    Case("MR storescu x4", "mr", "storescu", 4),
    Case("MR storescu x1", "mr", "storescu", 1),
    Case("XR storescu x1", "xr", "storescu", 1),
)
Start = Callable[[Path], AbstractContextManager[Server]]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--only", default="", help="cases whose name holds this")
    asked.add_argument("--peers", default="Orthanc,storescp")
    options = asked.parse_args()
    servers: dict[str, Start] = {"pacs_cloud": pacs}
    if "Orthanc" in options.peers and Path(ORTHANC).exists():
        servers["Orthanc"] = orthanc
    if "storescp" in options.peers and shutil.which("storescp"):
        servers["storescp"] = storescp
    print(
        f"{'case':16} {'server':11} {'inst/s':>8} {'(runs)':22} {'CPU ms':>7} {'receiver':>8} "
        f"{'MB':>5} {'ratio':>6}"
    )
    for case in CASES:
        if options.only not in case.name or (
            case.client == "storescu" and not shutil.which("storescu")
        ):
            continue
        runs: dict[str, list[Run]] = {name: [] for name in servers}
        for _ in range(options.runs):  # in turn, so that a noisy minute hits all alike
            for name, start in servers.items():
                runs[name].append(_measure(case, start, options.work))
        ours = statistics.median(run.rate for run in runs["pacs_cloud"])
        for name, measured in runs.items():
            rate = statistics.median(run.rate for run in measured)
            print(
                f"{case.name:16} {name:11} {rate:8.0f} "
                f"{' '.join(f'{run.rate:.0f}' for run in measured):22} "
                f"{statistics.median(run.cpu_ms for run in measured):7.2f} "
                f"{statistics.median(run.receiver_cpu_ms for run in measured):8.2f} "
                f"{statistics.median(run.receiver_mb for run in measured):5.0f} "
                f"{ours / rate:5.2f}x",
                flush=True,
            )


def _measure(case: Case, start: Start, work: Path) -> Run:
    directories = _split(made(case.data, work), case.associations)
    count = sum(len(list(directory.glob("*.dcm"))) for directory in directories)
    warm = made("warm", work)
    os.sync()
    with start(work) as server:
        subprocess.run(
            _command("storescu" if shutil.which("storescu") else "raw", server, warm),
            check=True,
            capture_output=True,
            env=NODELAY,
        )
        time.sleep(1)
        server.reset_peak()
        cpu, receiver = server.cpu_s(), server.cpu_s(only=RECEIVER)
        begin = time.perf_counter()
        clients = [
            subprocess.Popen(
                _command(case.client, server, directory),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=NODELAY,
            )
            for directory in directories
        ]
        said = [client.communicate() for client in clients]
        wall = time.perf_counter() - begin
        if any(client.returncode for client in clients):
            raise SystemExit(f"{case.name} on {server.name}: {said[0][1][-400:]}")
        if case.client == "raw":
            wall = max(float(out.split()[0]) for out, _ in said)
        time.sleep(0.7)  # what the server does behind its answers counts too
        return Run(
            rate=count / wall,
            cpu_ms=(server.cpu_s() - cpu) / count * 1e3,
            receiver_cpu_ms=(server.cpu_s(only=RECEIVER) - receiver) / count * 1e3,
            receiver_mb=server.peak_mb(only=RECEIVER if server.name == "pacs_cloud" else ""),
        )


def _command(client: str, server: Server, directory: Path) -> list[str]:
    where = ["127.0.0.1", str(server.dimse_port)]
    if client == "raw":
        return [sys.executable, "-m", "bench.rawscu", *where, server.aet, str(directory)]
    return ["storescu", "+sd", "+r", "-aec", server.aet, *where, str(directory)]


def _split(directory: Path, parts: int) -> list[Path]:
    """Return `parts` directories of links that share the files of `directory` in order."""
    if parts == 1:
        return [directory]
    shares = [directory.with_name(f"{directory.name}.{parts}") / str(n) for n in range(parts)]
    if not shares[0].exists():
        files = sorted(directory.glob("*.dcm"))
        for n, share in enumerate(shares):
            share.mkdir(parents=True)
            for path in files[n * len(files) // parts : (n + 1) * len(files) // parts]:
                (share / path.name).hardlink_to(path)
    return shares


if __name__ == "__main__":
    main()

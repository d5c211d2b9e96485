"""DICOMweb reading: latency and rate, beside Orthanc in the same run."""

import argparse
import asyncio
import collections
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.datasets import KINDS, made, uid_of
from bench.servers import NODELAY, ORTHANC, Server, orthanc, pacs

SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Case:
    """One request, asked by `clients` at a time."""

    name: str
    path: str
    accept: str
    clients: int
    shows: str = "p50 ms"


@dataclass(frozen=True, slots=True)
class Run:
    """Latencies in ms, requests/s, MB/s, and how many answers had each status."""

    p50: float
    p95: float
    rate: float
    mb_s: float
    status: dict[int, int]


def _cases() -> tuple[Case, ...]:
    study, series = uid_of("ct200", 50), uid_of("ct200", 50, 0)
    of_series = f"/studies/{study}/series/{series}"
    json = "application/dicom+json"
    octets = 'multipart/related; type="application/octet-stream"'
    frame = f"{of_series}/instances/{uid_of('ct200', 50, 0, 100)}/frames/1"
    return (
        Case("/metadata of 200 slices", f"{of_series}/metadata", json, 1),
        Case("QIDO 200 instances", f"{of_series}/instances", json, 1),
        Case("QIDO studies SMITH*", "/studies?PatientName=SMITH*", json, 1),
        Case("QIDO studies by ID", "/studies?PatientID=TINY-001500", json, 1),
        Case("QIDO studies, one year", "/studies?StudyDate=20180101-20181231", json, 1),
        Case("QIDO studies limit=100", "/studies?limit=100", json, 1),
        Case("frame, 1 client", frame, octets, 1),
        Case("frame, 8 clients", frame, octets, 8, "req/s"),
        Case(
            "/rendered of a CT",
            f"{of_series}/instances/{uid_of('ct200', 50, 0, 100)}/rendered",
            "image/jpeg",
            1,
        ),
        Case(
            "whole series 105 MB",
            of_series,
            'multipart/related; type="application/dicom"',
            1,
            "MB/s",
        ),
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--only", default="", help="cases whose name holds this")
    options = asked.parse_args()
    starts: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {"pacs_cloud": pacs}
    if Path(ORTHANC).exists():
        starts["Orthanc"] = orthanc
    cases = [case for case in _cases() if options.only in case.name]
    results: dict[tuple[str, str], list[Run]] = collections.defaultdict(list)
    for name, start in starts.items():
        with start(options.work) as server:
            _load(server, options.work)
            for _ in range(options.runs):
                for case in cases:
                    results[name, case.name].append(asyncio.run(_ask(server.web, case)))
    print(f"{'case':26} {'server':11} {'p50 ms':>8} {'p95 ms':>8} {'req/s':>8} {'MB/s':>7}  ratio")
    for case in cases:
        ours = _shown(case, results["pacs_cloud", case.name])
        for name in starts:
            runs = results[name, case.name]
            theirs = _shown(case, runs)
            ratio = theirs / ours if case.shows == "p50 ms" else ours / theirs
            odd = {status for run in runs for status in run.status} - {200}
            print(
                f"{case.name:26} {name:11} {_median(runs, 'p50'):8.2f} {_median(runs, 'p95'):8.2f} "
                f"{_median(runs, 'rate'):8.1f} {_median(runs, 'mb_s'):7.1f}  "
                f"{ratio:.2f}x by {case.shows}{f'  STATUS {odd}' if odd else ''}",
                flush=True,
            )


def _load(server: Server, work: Path) -> None:
    """Store the 200-slice series and 2,000 small studies; wait until all can be found."""
    store(server, made("ct200", work), made("tiny", work))
    assert KINDS["tiny"].studies == 2000


def store(server: Server, *directories: Path) -> None:
    """Store all files of `directories`; wait until all can be found."""
    for directory in directories:
        command = ["storescu", "+sd", "-aec", server.aet, "127.0.0.1", str(server.dimse_port)]
        subprocess.run([*command, directory], check=True, capture_output=True, env=NODELAY)
    time.sleep(3)


async def _ask(web: str, case: Case) -> Run:
    """Ask over and over for `SECONDS`; identity encoding on both sides."""
    times: list[float] = []
    status: collections.Counter[int] = collections.Counter()
    received = 0
    headers = {"Accept": case.accept, "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=headers
    ) as session:

        async def client(end: float) -> None:
            nonlocal received
            while (begin := time.perf_counter()) < end:
                async with session.get(web + case.path) as answer:
                    async for chunk in answer.content.iter_any():
                        received += len(chunk)
                times.append(time.perf_counter() - begin)
                status[answer.status] += 1

        begin = time.perf_counter()
        await asyncio.gather(*(client(begin + SECONDS) for _ in range(case.clients)))
        wall = time.perf_counter() - begin
    times.sort()
    return Run(
        p50=statistics.median(times) * 1e3,
        p95=times[int(len(times) * 0.95)] * 1e3,
        rate=len(times) / wall,
        mb_s=received / wall / 1e6,
        status=dict(status),
    )


def _shown(case: Case, runs: list[Run]) -> float:
    return _median(runs, {"p50 ms": "p50", "req/s": "rate", "MB/s": "mb_s"}[case.shows])


def _median(runs: list[Run], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)


if __name__ == "__main__":
    main()

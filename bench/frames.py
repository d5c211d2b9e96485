"""Frames and rendered images a second, asked by wrk so that the client is not the limit.

Two web processes of ours beside Orthanc, in one run. Each request is for another slice of a
200-slice series; a rendered one has a window of its own, so that no cache can have it.
"""

import argparse
import collections
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from bench.datasets import made, uid_of
from bench.reading import store
from bench.servers import ORTHANC, Server, orthanc, pacs

SECONDS = 4
PROCESSES = "2"

_SCRIPT = """
local asked, base, uids = %(first)d, "%(base)s", { %(uids)s }
function init(args) math.randomseed(os.time()) end
request = function()
  asked = asked + 1
  local path = base .. uids[asked %% #uids + 1] .. "%(tail)s"
  if %(windows)s then
    path = path .. "?window=" .. math.random(-200, 400) .. "," .. math.random(100, 2000) .. ",linear"
  end
  return wrk.format("GET", path, { ["Accept"] = '%(accept)s', ["Accept-Encoding"] = "identity"%(fields)s })
end
"""
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_P50 = re.compile(r"50%\s+([0-9.]+)(us|ms|s)")
_ERRORS = re.compile(r"(Non-2xx or 3xx responses: [0-9]+|Socket errors: .*)")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request, over so many connections."""

    name: str
    tail: str
    accept: str
    clients: int
    has_window: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What wrk says: requests a second, the median in ms, and what went wrong."""

    rate: float
    p50_ms: float
    errors: str


_OCTETS = 'multipart/related; type="application/octet-stream"'
_JPEG = "image/jpeg"
CASES = (
    Case("frame, 8 clients", "/frames/1", _OCTETS, 8),
    Case("frame, 32 clients", "/frames/1", _OCTETS, 32),
    Case("rendered, 1 client", "/rendered", _JPEG, 1, has_window=True),
    Case("rendered, 8 clients", "/rendered", _JPEG, 8, has_window=True),
)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--only", default="", help="cases whose name holds this")
    options = asked.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk)")
    starts: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
        "pacs_cloud": partial(pacs, PACS_WEB_PROCESSES=PROCESSES)
    }
    if Path(ORTHANC).exists():
        starts["Orthanc"] = orthanc
    cases = [case for case in CASES if options.only in case.name]
    results: dict[tuple[str, str], list[Run]] = collections.defaultdict(list)
    for name, start in starts.items():
        with start(options.work) as server:
            store(server, made("ct200", options.work))
            for case in cases * options.runs:
                results[name, case.name].append(ask(server, case, options.work))
    print(f"{'case':22} {'server':11} {'req/s':>8} (runs) {'p50 ms':>14}  ratio")
    for case in cases:
        ours = statistics.median(run.rate for run in results["pacs_cloud", case.name])
        for name in starts:
            runs = results[name, case.name]
            rate = statistics.median(run.rate for run in runs)
            p50 = statistics.median(run.p50_ms for run in runs)
            each = " ".join(f"{run.rate:.0f}" for run in runs)
            wrong = "; ".join(sorted({run.errors for run in runs} - {""}))
            print(
                f"{case.name:22} {name:11} {rate:8.1f} ({each}) {p50:8.2f}  {ours / rate:.2f}x"
                f"{f'  {wrong}' if wrong else ''}",
                flush=True,
            )


def ask(
    server: Server,
    case: Case,
    work: Path,
    *,
    fields: Mapping[str, str] = MappingProxyType({}),
    seconds: int = SECONDS,
) -> Run:
    """Ask over and over, with more header fields."""
    study, series = uid_of("ct200", 50), uid_of("ct200", 50, 0)
    uids = [uid_of("ct200", 50, 0, number) for number in range(200)]
    script = work / "wrk.lua"
    script.write_text(
        _SCRIPT
        % {
            "first": 0,
            "base": f"/dicom-web/studies/{study}/series/{series}/instances/",
            "uids": ", ".join(f'"{uid}"' for uid in uids),
            "tail": case.tail,
            "windows": str(case.has_window).lower(),
            "accept": case.accept,
            "fields": "".join(f""", ["{name}"] = '{value}'""" for name, value in fields.items()),
        }
    )
    root = server.web.removesuffix("/dicom-web")
    command = ["wrk", "-t1", f"-c{case.clients}", f"-d{seconds}s", "--latency"]
    said = subprocess.run(
        [*command, "-s", str(script), root], check=True, capture_output=True, text=True
    ).stdout
    rate, p50, wrong = _RATE.search(said), _P50.search(said), _ERRORS.findall(said)
    assert rate is not None
    assert p50 is not None
    return Run(float(rate[1]), float(p50[1]) * _MS[p50[2]], "; ".join(wrong))


if __name__ == "__main__":
    main()

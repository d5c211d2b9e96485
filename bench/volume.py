"""A CT of 400 slices of 512 x 512 as a volume: time of planes, projections and views, and memory.

Over HTTP on loopback, one connection, to the last byte of the picture, each another one; the CPU
of all processes of the server for one tells more where others work on the machine. Memory is
what they all have beyond what they had before the volume was asked for.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from pydicom.dataset import Dataset

from bench.bars import Bar
from bench.servers import Server, pacs, tree, web
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.caller import Grant, Role
from volume_samples import STUDY, part10, series_of

SHAPE: Final = (400, 512, 512)
SPACING: Final = (0.8, 0.7, 0.7)
PATH: Final = f"/light/studies/{STUDY}/series/{STUDY}.1/volume"
BARS: Final = {"MPR": Bar(80, "ms"), "MIP": Bar(250, "ms")}
MEMORY_BAR: Final = Bar(600, "MB")
_DAY_US: Final = 86_400_000_000
_BOUNDARY: Final = "bench"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--times", type=int, default=40)
    asked.add_argument("--again", action="store_true", help="on what the last run has stored")
    options = asked.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if not options.again:
        with pacs(options.work) as server:
            store(server, phantom())
    secret = asyncio.run(_key(options.work / "pacs" / "objects"))
    known = {"PACS_SESSION_SECRET": "s" * 32, "PACS_WEB_PROCESSES": "1"}
    with web(options.work, options.work / "pacs", "volumes", **known) as server:
        headers = {"authorization": f"Bearer {secret}"}
        root = server.web.removesuffix("/dicom-web")
        with httpx.Client(base_url=root, headers=headers, trust_env=False, timeout=60) as client:
            measure(server, client, options.times)


def measure(server: Server, client: httpx.Client, times: int) -> None:
    """Load the volume, look at it in every way, and print what that took."""
    # A server that has served a picture: what it needs for any is none of the volume's.
    client.get(f"/dicom-web/studies/{STUDY}/thumbnail", headers={"accept": "image/jpeg"})
    before = memory_mb(server)
    begin = time.perf_counter()
    while (told := client.get(PATH).raise_for_status().json())["state"] == "loading":
        time.sleep(0.02)
    assert told["state"] == "ready", told
    print(f"load{'':32} {time.perf_counter() - begin:6.2f} s")
    print(f"memory of the volume{'':16} {memory_mb(server) - before:6.0f} MB")
    print(f"{'':36} {'p50':>9} {'p95':>9} {'CPU':>9}   bytes")
    worst = dict.fromkeys(BARS, 0.0)
    for name, path, queries in _cases():
        took_ms: list[float] = []
        size, cpu_s = 0, server.cpu_s()
        for query in itertools.islice(queries, times):
            begin = time.perf_counter()
            answer = client.get(f"{PATH}/{path}", params=query).raise_for_status()
            took_ms.append((time.perf_counter() - begin) * 1000)
            size = len(answer.content)
        p50, p95 = statistics.median(took_ms), statistics.quantiles(took_ms, n=20)[-1]
        cpu_ms = (server.cpu_s() - cpu_s) / len(took_ms) * 1000
        print(f"{name:36} {p50:6.1f} ms {p95:6.1f} ms {cpu_ms:6.1f} ms {size:7}", flush=True)
        for kind in BARS:
            if name.startswith(kind):
                worst[kind] = max(worst[kind], p50)
    for kind, bar in BARS.items():
        print(f"{kind}, the slowest median: {worst[kind]:.0f} ms, {bar.beside(worst[kind])}")
    used = memory_mb(server) - before
    print(f"memory with its views: {used:.0f} MB, {MEMORY_BAR.beside(used)}")


def _cases() -> Iterator[tuple[str, str, Iterator[Mapping[str, Any]]]]:
    for plane, count in zip(("axial", "coronal", "sagittal"), SHAPE, strict=True):
        yield f"MPR {plane}", "plane", _planes(plane, count)
        yield f"MPR {plane}, askew", "plane", _planes(plane, count, yaw=20, pitch=15)
    for plane, count in zip(("axial", "coronal", "sagittal"), SHAPE, strict=True):
        for mode in ("mip", "minip", "average"):
            yield f"{mode.upper()} {plane}, whole", "plane", _planes(plane, count, mode=mode)
        yield f"MIP {plane}, 20 mm", "plane", _planes(plane, count, mode="mip", slab=20)
    for preset in ("bone", "soft-tissue", "vessels", "lung", "mip"):
        for size in (256, 512):
            yield f"view {preset}, {size} px", "view", _views(preset, size)


def _planes(plane: str, count: int, **more: object) -> Iterator[Mapping[str, Any]]:
    """Yield planes all over the volume, none twice."""
    for n in itertools.count():
        at = (n * 37 + count // 2) % count
        yield {"plane": plane, "at": at, "window": f"{40 + n % 7},400", **more}


def _views(preset: str, size: int) -> Iterator[Mapping[str, Any]]:
    for n in itertools.count():
        yield {"preset": preset, "size": size, "yaw": n * 23 % 360, "pitch": n * 7 % 60 - 30}


def phantom() -> Iterator[Dataset]:
    """Yield a body with lungs, spine, ribs and noise, slice by slice."""
    noise = np.random.default_rng(1).normal(0, 15, (8, *SHAPE[1:]))
    heights = itertools.count()

    def field(points: Any) -> Any:
        n = next(heights)
        x, y, z = (points[..., axis] for axis in range(3))
        values = np.full(x.shape, -1000.0)
        values[(y / 120) ** 2 + (x / 155) ** 2 < 1] = 40
        for side in (-1, 1):
            lung = ((y + 10) / 70) ** 2 + ((x - 62 * side) / 50) ** 2 + ((z - 180) / 110) ** 2
            values[lung < 1] = -800
        values[((y - 80) / 20) ** 2 + (x / 20) ** 2 < 1] = 500
        values[((y - 45) / 10) ** 2 + ((x - 24) / 10) ** 2 < 1] = 300
        ring = np.abs(np.hypot(y / 105, x / 135) - 1) < 0.03
        values[ring & (np.abs((z - y * 0.15) % 20 - 10) < 4)] = 600
        return values + noise[n % len(noise)]

    whole = {"shape": SHAPE, "spacing": SPACING, "origin": (-179.2, -179.2, 0.0)}
    yield from series_of(field, **whole)


def store(server: Server, series: Iterator[Dataset]) -> None:
    """Store a series by STOW-RS."""
    content = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    with httpx.Client(trust_env=False, timeout=120) as client:
        while some := list(itertools.islice(series, 50)):
            body = BytesIO()
            for one in some:
                body.write(f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode())
                body.write(part10(one) + b"\r\n")
            body.write(f"--{_BOUNDARY}--\r\n".encode())
            headers = {"content-type": content}
            answer = client.post(f"{server.web}/studies", content=body.getvalue(), headers=headers)
            assert answer.status_code == 200, answer.text[:1000]


def memory_mb(server: Server) -> float:
    """Return the memory of all processes of a server, what they share counted once (PSS)."""
    total_kb = 0
    for pid in tree(server.pid):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


async def _key(folder: Path) -> str:
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000  # noqa: E731
    async with LocalObjectStore(folder) as objects:
        keys = ApiKeys(objects, "default", now_us, keep_s=0)
        grants = [Grant(Role.RADIOLOGIST)]
        _, secret = await keys.create(grants, until_us=now_us() + _DAY_US, note="bench")
    return secret


if __name__ == "__main__":
    main()

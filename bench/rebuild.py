"""How long `rebuild` takes as an archive grows, and whether what it makes is equal.

    python -m bench.rebuild --packs 2000 10000 30000 100000

Each archive is made first, by the archive's own code (`bench.archive_seed`), and kept for the
next run. Then the catalogue is made anew from its objects alone, in a process of its own, and
the logical exports are compared by their hash. Twice the packs should take twice the time, and
twice the processor's time, which other programs disturb less.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from bench.archive_seed import seed
from pacs_cloud.bootstrap.rebuild_shares import ShareTask, processes_for, rebuild_in_shares
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.rebuild import AT_ONCE, count_packs, rebuild
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.settings import StoreUrl, load_settings


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--packs", type=int, nargs="+", default=[2000, 10_000])
    asked.add_argument("--processes", type=int, default=0, help="as many as `rebuild` would take")
    asked.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.one:
        print(json.dumps(asyncio.run(_measure(options.one, options.processes))))
        return
    print(
        f"{'packs':>8}{'processes':>11}{'seconds':>10}{'packs/s':>10}{'to linear':>11}"
        f"{'CPU ms each':>13}{'to linear':>11}{'MiB':>7}  equal",
        flush=True,
    )
    first = first_cpu = 0.0
    for packs in options.packs:
        root = options.work / f"rebuild-{packs}"
        asyncio.run(_make(root, packs))
        command = [sys.executable, "-m", "bench.rebuild", "--one", str(root)]
        command += ["--processes", str(options.processes)]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        said = json.loads(answer)
        rate = said["packs"] / said["seconds"]
        cpu_ms = 1000 * said["cpu_seconds"] / said["packs"]
        first, first_cpu = first or rate, first_cpu or cpu_ms
        print(
            f"{said['packs']:>8}{said['processes']:>11}{said['seconds']:>10.1f}{rate:>10.0f}"
            f"{first / rate:>11.2f}"
            f"{cpu_ms:>13.2f}{cpu_ms / first_cpu:>11.2f}"
            f"{said['mib']:>7.0f}  {'yes' if said['equal'] else 'NO'}",
            flush=True,
        )


async def _make(root: Path, packs: int) -> None:
    done = root / "done"
    if done.exists():
        return
    async for made in seed(root, packs):
        if sys.stderr.isatty():
            print(f"\r{made} packs made", end="", file=sys.stderr, flush=True)
    done.touch()


async def _measure(root: Path, processes: int) -> dict[str, object]:
    for left in root.glob("again.sqlite*"):
        left.unlink()
    again = root / "again.sqlite"
    async with LocalObjectStore(root / "objects") as objects:
        async with SqliteCatalogue(root / "catalogue.sqlite") as catalogue:
            before = await digest(catalogue)
        processes = processes or processes_for(await count_packs(objects))
        async with SqliteCatalogue(again) as catalogue:
            began, cpu_began = time.perf_counter(), _cpu_seconds()
            if processes > 1:
                task = ShareTask(
                    StoreUrl(scheme="sqlite", name=str(again)), time.time_ns() // 1000, AT_ONCE
                )
                settings = load_settings({"data": root})
                done = await rebuild_in_shares(settings, task, processes, lambda _: None)
            else:
                done = await rebuild(
                    objects,
                    catalogue,
                    policy=ConflictPolicy.KEEP_FIRST,
                    now_us=time.time_ns() // 1000,
                )
            seconds, cpu = time.perf_counter() - began, _cpu_seconds() - cpu_began
            equal = await digest(catalogue) == before and not done.problems
    return {
        "packs": done.packs,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "equal": equal,
        "processes": processes,
        "mib": max(
            resource.getrusage(one).ru_maxrss / 1024
            for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ),
    }


def _cpu_seconds() -> float:
    """Return the processor's time of this process, and of those that it has waited for."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()

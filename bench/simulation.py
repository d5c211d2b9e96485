"""How long `cost simulate` takes for seven years of a hospital of 1,000,000 studies.

Under the three policies that `/ops/what-if` has to begin with, each in its three layouts, beside
the same where nothing moves: the whole command in a process of its own, once. The CPU tells more
where others work on the machine; the bar is on the seconds.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.bars import Bar
from pacs_cloud.tiering.examples import EXAMPLES

YEARS: Final = 7
STUDIES: Final = 1_000_000
BAR: Final = Bar(60, "s")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--studies", type=int, default=STUDIES, help="fewer have no bar")
    options = asked.parse_args()
    command = [sys.executable, "-m", "pacs_cloud", "cost", "simulate", "--json"]
    command += ["--years", str(YEARS), "--studies", str(options.studies)]
    options.work.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(EXAMPLES, 1):
        path = options.work / f"simulated-{number}.toml"
        path.write_text(example.text)
        command += ["--policies", str(path)]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took_s = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    beside = f", {BAR.beside(took_s)}" if options.studies == STUDIES else ""
    print(f"{options.studies:,} studies, {YEARS} years, {len(EXAMPLES)} files of policies")
    print(f"simulated in {took_s:.1f} s{beside}; CPU {cpu_s:.1f} s, {peak_mb:.0f} MB at the most")


if __name__ == "__main__":
    main()

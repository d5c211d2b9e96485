"""Every benchmark in turn: `python -m bench`."""

import subprocess
import sys

for module in ("ingest", "reading", "frames", "catalogue_seed", "searching", "cost"):
    print(f"\n== {module}", flush=True)
    subprocess.run([sys.executable, "-m", f"bench.{module}"], check=True)

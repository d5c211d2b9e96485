"""Benchmarks in turn: `python -m bench`, or `python -m bench ingest reading`."""

import argparse
import subprocess
import sys

MODULES = (
    "ingest",
    "reading",
    "frames",
    "volume",
    "access",
    "light",
    "catalogue_seed",
    "searching",
    "study_list",
    "cost",
    "simulation",
    "rebuild",
)

asked = argparse.ArgumentParser(prog="python -m bench", description="Run benchmarks in turn.")
asked.add_argument("modules", nargs="*", metavar="MODULE", help=f"{', '.join(MODULES)}; or all")
modules = asked.parse_args().modules or MODULES
if unknown := set(modules) - set(MODULES):
    asked.error(f"no such benchmark: {', '.join(sorted(unknown))}")

failed = []
for module in modules:
    print(f"\n== {module}", flush=True)
    # One that cannot run here, without its client or peer, does not keep the others from it.
    if subprocess.run([sys.executable, "-m", f"bench.{module}"], check=False).returncode:
        failed.append(module)
if failed:
    sys.exit(f"failed: {', '.join(failed)}")

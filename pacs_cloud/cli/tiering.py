"""What the `tier` commands do."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from pacs_cloud.cli.output import print_rows, stderr
from pacs_cloud.tiering.advice import Severity, advise, is_feasible
from pacs_cloud.tiering.lifecycle import configuration
from pacs_cloud.tiering.policy_file import read_policies

FEASIBLE, INFEASIBLE = 0, 1
_COLUMNS: Final = ("severity", "policy", "step", "sentence")


def check_policies(file: Path, *, as_json: bool) -> int:
    """Print what is to be said about a file's policies; return the exit code.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    advice = advise(read_policies(file))
    rows = [{**asdict(one), "severity": str(one.severity)} for one in advice]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Clean.")
    return FEASIBLE if is_feasible(advice) else INFEASIBLE


def print_lifecycle(
    file: Path, *, prefix: str, noncurrent_days: int, incomplete_upload_days: int
) -> int:
    """Print the lifecycle configuration that carries policies out; return the exit code.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    policies = read_policies(file)
    errors = [one for one in advise(policies) if one.severity is Severity.ERROR]
    for one in errors:
        place = f'policy "{one.policy}"' + (f", step {one.step}" if one.step else "")
        stderr.print(f"{place}: {one.sentence}")
    if errors:
        return INFEASIBLE
    made = configuration(
        policies,
        prefix=prefix,
        noncurrent_days=noncurrent_days,
        incomplete_upload_days=incomplete_upload_days,
    )
    sys.stdout.write(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode() + "\n")
    return FEASIBLE

"""What the `tier` commands do."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import orjson

from pacs_cloud.cli.output import print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.tiering.advice import Severity, advise, is_feasible
from pacs_cloud.tiering.lifecycle import configuration
from pacs_cloud.tiering.lifecycle_drift import drift
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import read_policies

FEASIBLE, INFEASIBLE, DRIFTED = 0, 1, 1
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
    file: Path,
    *,
    prefix: str,
    noncurrent_days: int,
    incomplete_upload_days: int,
    found: bytes | None = None,
) -> int:
    """Print the lifecycle configuration that carries policies out; return the exit code.

    Args:
        file: the policies'.
        prefix: what the store puts before every key.
        noncurrent_days: how long what was deleted can be brought back.
        incomplete_upload_days: how long an upload may take.
        found: what the bucket has, in JSON, "" for nothing: where it differs is printed.

    Raises:
        InvalidRequest: the file, or `found`, cannot be read or understood.
    """
    policies = feasible_policies(file)
    if policies is None:
        return INFEASIBLE
    made = configuration(
        policies,
        prefix=prefix,
        noncurrent_days=noncurrent_days,
        incomplete_upload_days=incomplete_upload_days,
    )
    if found is not None:
        differs = drift(made, _rules_of(found))
        stdout.print("\n".join(differs) or "As it should be.", soft_wrap=True)
        return DRIFTED if differs else FEASIBLE
    sys.stdout.write(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode() + "\n")
    return FEASIBLE


def _rules_of(text: bytes) -> Mapping[str, Any]:
    """Return a lifecycle configuration; a bucket that has none is told by an empty text."""
    try:
        found = orjson.loads(text) if text.strip() else {}
        if all(isinstance(rule, dict) for rule in found.get("Rules", ())):
            return cast("Mapping[str, Any]", found)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidRequest("this is no lifecycle configuration in JSON") from error
    raise InvalidRequest("this is no lifecycle configuration: its rules are no objects")


def feasible_policies(file: Path) -> Sequence[Policy] | None:
    """Return a file's policies; None when they cannot be carried out: stderr says why.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    policies = read_policies(file)
    errors = [one for one in advise(policies) if one.severity is Severity.ERROR]
    for one in errors:
        place = f'policy "{one.policy}"' + (f", step {one.step}" if one.step else "")
        stderr.print(f"{place}: {one.sentence}")
    return None if errors else policies

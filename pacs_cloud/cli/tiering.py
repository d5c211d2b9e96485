"""What the `tier` commands do."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

import orjson

from pacs_cloud.bootstrap.tier_checks import moved_by_rules, unreadable
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_rows, stderr, stdout
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.lifecycles import HasLifecycle
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.advice import Severity, advise, is_feasible
from pacs_cloud.tiering.lifecycle import AGE_RULE, configuration
from pacs_cloud.tiering.lifecycle_drift import drift
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import read_policies, read_prefetch
from pacs_cloud.tiering.prefetch_advice import advise_prefetch

FEASIBLE, INFEASIBLE, DRIFTED = 0, 1, 1
_COLUMNS: Final = ("severity", "policy", "step", "sentence")


def check_policies(file: Path, settings: Settings | None = None, *, as_json: bool) -> int:
    """Print what is to be said about a file's policies; return the exit code.

    Args:
        file: the policies'.
        settings: of the archive that they are for; None: one in a bucket, whose lifecycle
            moves packs.
        as_json: print JSON.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    policies = read_policies(file)
    by_rules = settings is None or moved_by_rules(settings)
    advice = (*advise(policies, by_rules=by_rules), *advise_prefetch(read_prefetch(file), policies))
    rows = [{**asdict(one), "severity": str(one.severity)} for one in advice]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Clean.")
    return FEASIBLE if is_feasible(advice) else INFEASIBLE


def print_lifecycle(
    file: Path,
    *,
    prefix: str,
    noncurrent_days: int,
    incomplete_upload_days: int,
    knows_sizes: bool = True,
    with_ages: bool = True,
    found: bytes | None = None,
    bucket_of: Settings | None = None,
) -> int:
    """Print the lifecycle configuration that carries policies out; return the exit code.

    Args:
        file: the policies'.
        prefix: what the store puts before every key.
        noncurrent_days: how long what was deleted can be brought back.
        incomplete_upload_days: how long an upload may take.
        knows_sizes: whether the server's rules may be for objects of some size alone.
        with_ages: whether there are rules by the age of objects.
        found: what the bucket has, in JSON, "" for nothing: where it differs is printed.
        bucket_of: the archive whose bucket is asked instead, and which knows its prefix.

    Raises:
        InvalidRequest: the file, or `found`, cannot be read or understood, or there is no
            bucket.
        Denied, Unavailable: the bucket's rules cannot be read.
    """
    policies = feasible_policies(file)
    if policies is None:
        return INFEASIBLE
    rules = None if found is None else _rules_of(found)
    if bucket_of is not None:
        prefix, rules = asyncio.run(_lifecycle_of(bucket_of))
    made = configuration(
        policies,
        prefix=prefix,
        noncurrent_days=noncurrent_days,
        incomplete_upload_days=incomplete_upload_days,
        knows_sizes=knows_sizes,
        with_ages=with_ages,
    )
    by_age = [rule["ID"] for rule in made["Rules"] if rule["ID"].startswith(AGE_RULE)]
    if by_age:
        stderr.print(
            f"{', '.join(by_age)}: by the age of objects, so pinned studies move, too;"
            " --no-ages leaves such rules out"
        )
    if rules is not None:
        differs = drift(made, rules)
        stdout.print("\n".join(differs) or "As it should be.", soft_wrap=True)
        return DRIFTED if differs else FEASIBLE
    sys.stdout.write(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode() + "\n")
    return FEASIBLE


async def _lifecycle_of(settings: Settings) -> tuple[str, Mapping[str, Any]]:
    async with open_stores(settings) as stores:
        objects = stores.objects
        if not isinstance(objects, HasLifecycle):
            raise InvalidRequest("this archive's objects lie in no bucket that has rules")
        return objects.key_prefix, await objects.lifecycle()


def _rules_of(text: bytes) -> Mapping[str, Any]:
    """Return a lifecycle configuration; a bucket that has none is told by an empty text."""
    try:
        found = orjson.loads(text) if text.strip() else {}
        if all(isinstance(rule, dict) for rule in found.get("Rules", ())):
            return cast("Mapping[str, Any]", found)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidRequest("this is no lifecycle configuration in JSON") from error
    raise InvalidRequest("this is no lifecycle configuration: its rules are no objects")


def movable_policies(settings: Settings, file: Path) -> Sequence[Policy] | None:
    """Return policies that can be carried out in this archive; None and why on stderr if not.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    policies = feasible_policies(file, by_rules=moved_by_rules(settings))
    if policies is not None and (words := unreadable(settings, policies)):
        stderr.print(words)
        return None
    return policies


def feasible_policies(file: Path, *, by_rules: bool = True) -> Sequence[Policy] | None:
    """Return a file's policies; None when they cannot be carried out: stderr says why.

    Args:
        file: which.
        by_rules: whether a bucket's lifecycle moves packs.

    Raises:
        InvalidRequest: the file cannot be read or understood.
    """
    policies = read_policies(file)
    errors = [one for one in advise(policies, by_rules=by_rules) if one.severity is Severity.ERROR]
    for one in errors:
        place = f'policy "{one.policy}"' + (f", step {one.step}" if one.step else "")
        stderr.print(f"{place}: {one.sentence}")
    return None if errors else policies

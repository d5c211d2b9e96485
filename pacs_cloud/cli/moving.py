"""`tier plan`, `tier apply` and `tier expired`: what is due to move or to go, and doing it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.services import open_reading, open_stores, trash_of
from pacs_cloud.bootstrap.tiers import due, expired, moved
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.cli.output import confirm, counting, print_json, print_rows, stderr, stdout
from pacs_cloud.cli.tiering import INFEASIBLE, feasible_policies
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import Conflict, Corrupt, NotFound
from pacs_cloud.query.planner import STUDY_DATE
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.bill import CENT
from pacs_cloud.tiering.cost.move_cost import MoveCost
from pacs_cloud.tiering.cost.prices import Region, load_prices
from pacs_cloud.tiering.mover import Fate
from pacs_cloud.tiering.planning import Move
from pacs_cloud.tiering.policy import Policy

LEFT: Final = 1
_COLUMNS: Final = ("policy", "from", "to", "packs", "bytes", "once", "saved_a_month", "currency")

Group = tuple[str, str, str]
"""A policy, the class its packs lie in, and the one they are due in."""


def show_plan(
    settings: Settings,
    file: Path,
    *,
    in_days: int,
    region_name: str,
    prices: Path | None,
    as_json: bool,
) -> int:
    """Print what is due, or will be in so many days; return the exit code.

    Raises:
        InvalidRequest: the policies or the prices cannot be read.
        NotFound: no archive, no price table, or no such region in it.
    """
    policies = feasible_policies(file)
    if policies is None:
        return INFEASIBLE
    region = load_prices(prices).region(region_name)
    costs = asyncio.run(_plan(settings, policies, region, in_days))
    rows = [_row(group, cost) for group, cost in sorted(costs.items())]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is due.")
    if rows and not as_json:
        saved = sum((cost.saved_a_month for cost in costs.values()), Decimal(0))
        once = sum((cost.once for cost in costs.values()), Decimal(0))
        stdout.print(
            f"{once.quantize(CENT)} {region.currency} once, {saved.quantize(CENT)} saved a month,"
            f" at list prices of {region.title}, {region.checked}."
        )
    return 0


async def _plan(
    settings: Settings, policies: Sequence[Policy], region: Region, in_days: int
) -> dict[Group, MoveCost]:
    costs: dict[Group, MoveCost] = defaultdict(lambda: MoveCost(region))
    async with open_stores(settings) as stores:
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            async for move in due(settings, stores, policies, in_days=in_days):
                costs[_group(move)].add(move)
                progress.advance(task)
    return costs


def _group(move: Move) -> Group:
    return move.policy, move.pack.storage_class, move.to.value


def _row(group: Group, cost: MoveCost) -> dict[str, object]:
    policy, lies_in, to = group
    return {
        "policy": policy,
        "from": lies_in,
        "to": to,
        "packs": cost.packs,
        "bytes": cost.length_bytes,
        "once": str(cost.once.quantize(CENT)),
        "saved_a_month": str(cost.saved_a_month.quantize(CENT)),
        "currency": cost.region.currency,
    }


def apply_policies(settings: Settings, file: Path, *, sure: bool, as_json: bool) -> int:
    """Move what is due; return the exit code.

    Raises:
        InvalidRequest: the policies cannot be read, or it was not confirmed.
        NotFound: there is no archive.
    """
    policies = feasible_policies(file)
    if policies is None:
        return INFEASIBLE
    confirm("Move every pack that is due?", sure=sure)
    fates = asyncio.run(_apply(settings, policies))
    if as_json:
        print_json({fate.value: fates[fate] for fate in Fate})
    else:
        stdout.print(
            f"{fates[Fate.MOVED]} packs moved, {fates[Fate.ASKED]} tagged for the bucket's"
            f" lifecycle, {fates[Fate.LEFT]} left."
        )
    return LEFT if fates[Fate.LEFT] else 0


async def _apply(settings: Settings, policies: Sequence[Policy]) -> Counter[Fate]:
    fates: Counter[Fate] = Counter()
    async with open_stores(settings) as stores:
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            async for one in moved(settings, stores, policies):
                fates[one.fate] += 1
                progress.advance(task)
                if one.fate is Fate.LEFT:
                    pack = one.move.pack
                    stderr.print(f"{pack.study_instance_uid} {pack.pack_id}: {one.reason}")
    return fates


def show_expired(settings: Settings, file: Path, *, delete: bool, sure: bool, as_json: bool) -> int:
    """Print the studies whose retention is over, deleted if that is asked; return the exit code.

    Raises:
        InvalidRequest: the policies cannot be read, or it was not confirmed.
        NotFound: there is no archive.
    """
    policies = feasible_policies(file)
    if policies is None:
        return INFEASIBLE
    if delete:
        confirm("Put every study whose retention is over into the trash?", sure=sure)
    rows = asyncio.run(_expired(settings, policies, delete=delete))
    columns = ("study", "date", "policy", "instances", "bytes", *(("deleted",) if delete else ()))
    print_rows(rows, columns, as_json=as_json, empty="No study's retention is over.")
    return LEFT if any(row["deleted"] is False for row in rows) else 0


async def _expired(
    settings: Settings, policies: Sequence[Policy], *, delete: bool
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    scopes: list[Scope] = []
    async with open_stores(settings) as stores, open_reading(settings, stores) as reading:
        # Of many studies nothing is kept but what is printed.
        async for study, policy in expired(settings, stores, policies):
            scopes.append(Scope(study.tenant, study.study_instance_uid))
            rows.append(_expired_row(study, policy))
        if delete:
            trash = trash_of(stores, reading.archive)
            for scope, row in zip(scopes, rows, strict=True):
                row["deleted"] = await _deleted(trash, scope)
    return rows


def _expired_row(study: StudyRecord, policy: Policy) -> dict[str, object]:
    return {
        "study": study.study_instance_uid,
        "date": first_text(study.attributes, STUDY_DATE),
        "policy": policy.name,
        "instances": study.instance_count,
        "bytes": study.length_bytes,
        "deleted": None,
    }


async def _deleted(trash: Trash, scope: Scope) -> bool:
    """Delete a study; where that cannot be, say why, and let the others go."""
    try:
        await trash.delete(scope)
    except (Conflict, Corrupt, NotFound) as error:
        stderr.print(f"{scope.study_instance_uid}: {error}")
        return False
    return True

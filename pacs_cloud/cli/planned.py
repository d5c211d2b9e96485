"""`tier plan`: what is due to move, and what will be."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.tier_plan import Plan, due_now, plain_plan, plan_of
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counting, print_rows, stderr, stdout
from pacs_cloud.cli.tiering import INFEASIBLE, movable_policies
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.cost.prices import Region, load_prices
from pacs_cloud.tiering.policy import Policy

_COLUMNS: Final = (
    *("policy", "from", "to", "when", "first", "kept_by", "packs", "bytes"),
    *("once", "saved_a_month", "currency"),
)


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
    policies = movable_policies(settings, file)
    if policies is None:
        return INFEASIBLE
    table = load_prices(prices)
    region = table.region(price_region(settings, table, region_name))
    plan = asyncio.run(_plan(settings, policies, region, in_days))
    begin = datetime.fromtimestamp(now_us() / 1e6, UTC).date() + timedelta(in_days)
    money = plan.money()
    rows = plain_plan(plan, money, begin)
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is due.")
    if money and not as_json:
        stdout.print(due_now(money, region))
    for word in plan.words:
        stderr.print(word)
    return 0


async def _plan(
    settings: Settings, policies: Sequence[Policy], region: Region, in_days: int
) -> Plan:
    async with open_stores(settings) as stores:
        with counting("packs") as progress:
            task = progress.add_task("", total=None)
            return await plan_of(
                settings,
                stores,
                policies,
                region,
                in_days=in_days,
                looked=lambda: progress.advance(task),
            )

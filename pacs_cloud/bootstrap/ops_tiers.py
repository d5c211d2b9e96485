"""What the operations pages show of tiers, and what they cost, as the settings say."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from pacs_cloud.bootstrap.held_report import held_report, prices_of
from pacs_cloud.bootstrap.services import Stores, now_us, reads_cold, wish_of
from pacs_cloud.bootstrap.simulating import OUTSIDE_PERCENT
from pacs_cloud.bootstrap.tier_checks import moved_by_rules, policies_in_force
from pacs_cloud.bootstrap.tier_plan import due_now, plain_plan, plan_of
from pacs_cloud.bootstrap.what_if import answer
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.objectstore.lifecycles import HasLifecycle
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.bringing_back_cost import recall_cost
from pacs_cloud.tiering.cost.figures import money
from pacs_cloud.tiering.lifecycle import configuration
from pacs_cloud.tiering.lifecycle_drift import drift
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.web.ops.errands import Steps
from pacs_cloud.web.ops.services import ShownPlan, TierServices

_WAYS: Final[Sequence[Mapping[str, bool]]] = ({}, {"with_ages": False}, {"knows_sizes": False})
"""In which `tier lifecycle` can be told to print rules: any of them may have been put."""


def tier_services(settings: Settings, stores: Stores) -> TierServices:
    """Return what the pages of one tenant need."""
    return TierServices(
        policies=partial(_own_policies, settings),
        drift=partial(_drift, settings, stores),
        plan=partial(_plan, settings, stores),
        report=partial(_report, settings, stores),
        prices=partial(prices_of, settings),
        recall_price=partial(_recall_price, settings),
        reads_cold=reads_cold(settings),
        answer=partial(answer, settings),
    )


def _policies(settings: Settings) -> tuple[Sequence[Policy], str] | None:
    """Return the policies in force; raises InvalidRequest where they cannot be carried out."""
    file = settings.tier_policies
    return None if file is None else (policies_in_force(settings, file), file.name)


def _own_policies(settings: Settings) -> tuple[Sequence[Policy], str] | None:
    """Return those of them that a tenant's studies may have; raises as `_policies`."""
    known = _policies(settings)
    if known is None:
        return None
    tenant = settings.tenant
    own = [one for one in known[0] if not one.match.tenants or tenant in one.match.tenants]
    return own, known[1]


async def _drift(settings: Settings, stores: Stores) -> Sequence[str] | None:
    """Return where the bucket's rules differ, None where none move packs; raises as its reading."""
    known = await asyncio.to_thread(_policies, settings)
    objects = stores.objects
    if known is None or not moved_by_rules(settings) or not isinstance(objects, HasLifecycle):
        return None
    found, prefix = await objects.lifecycle(), objects.key_prefix
    made = [configuration(known[0], prefix=prefix, **way) for way in _WAYS]
    return min((drift(wanted, found) for wanted in made), key=len)


async def _plan(settings: Settings, stores: Stores, steps: Steps) -> ShownPlan:
    known = await asyncio.to_thread(_own_policies, settings)
    if known is None:
        raise InvalidRequest("there are no tier policies")
    _, _, region = await asyncio.to_thread(prices_of, settings)
    plan = await plan_of(settings, stores, known[0], region, looked=steps.step)
    money_of = plan.money()
    today = datetime.fromtimestamp(now_us() / 1e6, UTC).date()
    return ShownPlan(
        plain_plan(plan, money_of, today),
        due_now(money_of, region) if money_of else "",
        tuple(plan.words),
    )


async def _report(settings: Settings, stores: Stores, steps: Steps) -> Mapping[str, Any]:
    def looked(studies: int) -> None:
        steps.done = studies

    report = await held_report(
        settings,
        stores,
        await asyncio.to_thread(prices_of, settings),
        outside_percent=OUTSIDE_PERCENT,
        looked=looked,
    )
    return report.plain()


def _recall_price(settings: Settings, packs: Sequence[PackRecord]) -> str:
    try:
        _, _, region = prices_of(settings)
        cost = recall_cost(packs, region, wish_of(settings))
    except (InvalidRequest, NotFound):  # nobody knows this store's prices
        return ""
    return f"{money(cost)} {region.currency}"

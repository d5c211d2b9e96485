"""`/ops/cost`: what is held, and a month's bill of it, as `cost report` prints it."""

import asyncio
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.security.caller import Action
from pacs_cloud.tiering.cost.bill import ELECTRICITY
from pacs_cloud.tiering.cost.explanation import explained
from pacs_cloud.tiering.cost.figures import money, price, quantity
from pacs_cloud.tiering.cost.holdings import UNNAMED, Dimension
from pacs_cloud.tiering.cost.prices import Region
from pacs_cloud.web.cookies import UNATTENDED
from pacs_cloud.web.local_paths import OPS, STUDIES
from pacs_cloud.web.ops.frame import LIVE_S, OpsFrame
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit

PATH: Final = f"{OPS}/cost"
PRICES: Final = f"{PATH}/prices"
_KEEP_S: Final = 3600
_NAMES: Final = {
    Dimension.CLASS: "By storage class",
    Dimension.MODALITY: "By modality",
    Dimension.DEPARTMENT: "By department",
    Dimension.AGE: "By age, in whole years",
}


class CostPage:
    """The bill, and what its lines mean."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Show what `services.tiers` tells."""
        self._kit = kit
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the page; the bill is reckoned meanwhile."""
        entered = await self._frame.enter(request, Action.OPERATE)
        report = await self._services.errands.ask(
            ("report", self._kit.services.tenant),
            self._services.tiers.report,
            keep_s=_KEEP_S,
            again=UNATTENDED not in request.headers,
        ).soon()
        told: Mapping[str, Any] | None = report.outcome
        lines: list[dict[str, str]] = []
        if told is not None:
            region: Region
            _, _, region = await asyncio.to_thread(self._services.tiers.prices)
            priced = {row["line"] for row in explained(region)}
            lines = [_line(one, priced) for one in told["lines"]]
        return self._frame.page(
            request,
            entered,
            "cost.html",
            section=PATH,
            every_s=LIVE_S,
            now_us=self._kit.services.now_us(),
            report=report,
            told=told,
            dimensions={one.value: name for one, name in _NAMES.items()},
            studies_of=_studies_of,
            lines=lines,
            money=lambda text: money(Decimal(text)),
        )

    async def prices(self, request: Request) -> Response:
        """Return the page of what each line of a bill is, and costs here; raises NotFound."""
        entered = await self._frame.enter(request, Action.OPERATE)
        region: Region
        _, name, region = await asyncio.to_thread(self._services.tiers.prices)
        return self._frame.page(
            request,
            entered,
            "prices.html",
            section=PATH,
            name=name,
            region=region,
            rows=list(explained(region)),
            kwh_price=price(region.energy.kwh_price) if region.energy.kwh_price else "",
        )


def _studies_of(dimension: str, value: str) -> str:
    """Return the path of the list of the studies that a share is of; "" where none lists them."""
    if dimension != Dimension.MODALITY or value == UNNAMED or "+" in value:
        return ""
    return f"{STUDIES}?{urlencode({'modality': value})}"


def explained_at(line: str, explained_lines: Collection[str]) -> str:
    """Return where a line of the bill is explained: its own row of the prices, if it has one."""
    if line == ELECTRICITY:
        return f"{PRICES}#energy"
    # What costs nothing, however much it is, is not among the prices.
    return f"{PRICES}#{quote(line)}" if line in explained_lines else PRICES


def _line(one: Mapping[str, Any], explained_lines: Collection[str]) -> dict[str, str]:
    """Return a line of the bill with its figures as people read them, and where it is explained."""
    return {
        "line": one["line"],
        "href": explained_at(one["line"], explained_lines),
        "class": one["class"] or "",
        "speed": one["speed"] or "",
        "quantity": quantity(Decimal(one["quantity"])),
        "unit": one["unit"],
        "price": price(Decimal(one["price"])),
        "amount": money(Decimal(one["amount"])),
    }

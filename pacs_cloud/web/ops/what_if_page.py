"""`/ops/what-if`: what years of studies would cost under other policies.

A question is in the page's address: whoever is sent it sees the same answer.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from markupsafe import Markup
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.caller import Action
from pacs_cloud.tiering.advice import Advice, Severity, advise
from pacs_cloud.tiering.cost.figures import money, price, quantity
from pacs_cloud.tiering.cost.prices import PriceTable, Speed
from pacs_cloud.tiering.cost.report import GROUPS
from pacs_cloud.tiering.cost.report_html import COLOURS
from pacs_cloud.tiering.examples import EXAMPLES
from pacs_cloud.tiering.policy import Policy
from pacs_cloud.tiering.policy_file import parse_policies
from pacs_cloud.web.cookies import UNATTENDED
from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops.cost_page import PATH as COST
from pacs_cloud.web.ops.errands import Errand
from pacs_cloud.web.ops.frame import OpsFrame
from pacs_cloud.web.ops.policy_words import words_of
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.ops.what_if import Question
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.refusals import Failure

PATH: Final = f"{OPS}/what-if"
_KEEP_S: Final = 86_400
_LOOK_S: Final = 2
_MOST_TEXT: Final = 6000
"""Characters of policies: they stand in the address."""
_YEARS: Final = (1, 3, 5, 10, 20)
_MOST_YEARS: Final = 30
_STUDIES: Final = (10_000, 100_000, 1_000_000)
_DIGITS: Final = 8
_FIELDS: Final = ("example", "policies", "of", "studies", "years", "region", "speed")


class WhatIfPage:
    """Asks, waits, and shows the answer."""

    def __init__(self, kit: PageKit, services: OpsServices, frame: OpsFrame) -> None:
        """Have questions answered by `services.tiers`."""
        self._kit = kit
        self._services = services
        self._frame = frame

    async def show(self, request: Request) -> Response:
        """Return the page; where its address has a question it is answered meanwhile."""
        entered = await self._frame.enter(request, Action.OPERATE)
        table, own_region, _ = await asyncio.to_thread(self._services.tiers.prices)
        given = request.query_params
        question, failure, errand = None, None, None
        asked: Sequence[Policy] = ()
        notes: list[str] = []
        if "years" in given:
            try:
                question = _question(given, table, own_region)
                asked = parse_policies(question.policies)
                notes = _notes(asked, by_rules=table.region(question.region).service_rules)
            except InvalidRequest as error:
                failure = Failure("That cannot be reckoned", str(error))
            else:
                errand = await self._ask(request, question).soon()
        return self._frame.page(
            request,
            entered,
            "what_if.html",
            section=COST,
            every_s=_LOOK_S if errand is not None and not errand.is_over else 0,
            now_us=self._kit.services.now_us(),
            failure=failure,
            example=given.get("example", "0"),
            examples=EXAMPLES,
            given={name: given.get(name, "") for name in _FIELDS},
            region=given.get("region", own_region),
            regions={name: one.title for name, one in table.regions.items()},
            years=_YEARS,
            studies=_STUDIES,
            speeds=[one.value for one in Speed],
            most=_MOST_TEXT,
            asked=[words_of(one) for one in asked],
            notes=notes,
            errand=errand,
            groups=[(name, COLOURS[name]) for name in GROUPS],
            drawn=Markup,  # our own SVG, whose every name is escaped
            money=lambda text: money(Decimal(text)),
            price=lambda text: price(Decimal(text)),
            quantity=lambda text: quantity(Decimal(text)),
        )

    def _ask(self, request: Request, question: Question) -> Errand:
        return self._services.errands.ask(
            ("what-if", self._kit.services.tenant, question),
            partial(self._services.tiers.answer, question),
            keep_s=_KEEP_S,
            again=UNATTENDED not in request.headers,
        )


def _question(given: QueryParams, table: PriceTable, own_region: str) -> Question:
    """Return what is asked; raises InvalidRequest, in words."""
    name, text = _policies(given)
    if len(text) > _MOST_TEXT:
        raise InvalidRequest(
            f"Policies of more than {_MOST_TEXT:,} characters are for the command line:"
            " pacs-cloud cost simulate --policies FILE"
        )
    region = given.get("region", own_region)
    if region not in table.regions:
        raise InvalidRequest(f"There are no prices for {region[:64]!r}.")
    speed = given.get("speed", Speed.STANDARD.value)
    if speed not in {one.value for one in Speed}:
        raise InvalidRequest("Restores are bulk, standard or expedited.")
    years = _number(given.get("years", ""), "years", _MOST_YEARS)
    studies = _number(given.get("studies", str(_STUDIES[-1])), "studies", _STUDIES[-1])
    is_replay = given.get("of") == "own"
    return Question(name, text, years, is_replay, 0 if is_replay else studies, region, speed)


def _policies(given: QueryParams) -> tuple[str, str]:
    """Return the policies that are pasted, or those of the example, and what they are called."""
    pasted = given.get("policies", "").replace("\r\n", "\n")
    number = given.get("example", "0")
    if number == "own" or pasted.strip():
        return "these policies", pasted
    chosen = {str(place): one for place, one in enumerate(EXAMPLES)}
    example = chosen.get(number, EXAMPLES[0])
    return example.name.lower(), example.text


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < _DIGITS):
        raise InvalidRequest(f"How many {what}? A number of 1 to {most:,}.")
    if not 1 <= int(text) <= most:
        raise InvalidRequest(f"How many {what}? 1 to {most:,}, not {int(text):,}.")
    return int(text)


def _notes(policies: Sequence[Policy], *, by_rules: bool) -> list[str]:
    """Return what is to be said about policies; raises InvalidRequest where they cannot be."""
    advice = advise(policies, by_rules=by_rules)
    wrong = [_sentence(one) for one in advice if one.severity is Severity.ERROR]
    if wrong:
        raise InvalidRequest("\n".join(wrong))
    return [_sentence(one) for one in advice]


def _sentence(one: Advice) -> str:
    return f"{one.policy}: {one.sentence}"

"""`tier pin`, `tier unpin` and `tier pins`: studies that stay as warm as they are."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pacs_cloud.bootstrap.pinning import brought_back, moved_all_the_same
from pacs_cloud.bootstrap.price_region import price_region
from pacs_cloud.bootstrap.services import now_us, wish_of
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.cli.moments import end_of, last_day, when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import confirm, print_json, print_rows, stderr, stdout
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.bringing_back import Brought, elsewhere
from pacs_cloud.tiering.bringing_back_cost import bringing_back_cost
from pacs_cloud.tiering.cost.bill import CENT
from pacs_cloud.tiering.cost.prices import Region, load_prices
from pacs_cloud.tiering.pins import Pin, pin_of, pins, write_pin
from pacs_cloud.tiering.staying import stay_all

LEFT: Final = 1
_COLUMNS: Final = ("study", "until", "recall", "since", "by", "reason")


def pin_study(
    settings: Settings,
    study: str,
    *,
    until: str,
    recall: bool,
    reason: str,
    by: str,
    region_name: str,
    prices: Path | None,
    sure: bool,
    as_json: bool,
) -> int:
    """Pin a study, and with `recall` bring it back; return the exit code.

    Raises:
        InvalidUid: `study` is no UID.
        InvalidRequest: `until` is no day to come, or it was not confirmed.
        NotFound: there is no such study, price table or region.
        Unavailable: a store cannot be reached.
    """
    study = parse_uid(study)
    until_us = end_of(until, now_us()) if until else 0
    pin = Pin(settings.tenant, study, True, until_us, recall, reason, by)
    table = load_prices(prices)
    region = table.region(price_region(settings, table, region_name)) if recall else None
    entry, brought, left = asyncio.run(_pin(settings, pin, region, sure=sure))
    row = _plain(entry)
    if as_json:
        print_json({**row, "moved": brought.moved, "waiting": brought.waiting, "left": left})
    else:
        stdout.print(f"The study is pinned until {row['until']}." if until else "It is pinned.")
        if recall:
            stdout.print(
                f"{brought.moved} packs are back, {brought.waiting} are being recalled first: the"
                " worker brings them back as they come."
            )
    if said := moved_all_the_same(settings):
        stderr.print(said)
    if left:
        stderr.print(f"{left} packs could not be looked at or moved: the log says why.")
    return LEFT if left else 0


async def _pin(
    settings: Settings, pin: Pin, region: Region | None, *, sure: bool
) -> tuple[Pin, Brought, int]:
    names = pin.tenant, pin.study_instance_uid
    async with open_stores(settings) as stores:
        packs = await stores.catalogue.packs(*names)
        if not packs:
            raise NotFound("There is no such study.")
        if region is not None and (away := elsewhere(packs)):
            confirm(_question(settings, away, region), sure=sure)
        entry = await write_pin(stores.objects, pin, now_us=now_us())
        left = await stay_all(stores.objects, stores.catalogue, *names, now_us=now_us())
        if not pin.brings_back:
            return entry, Brought(), left
        brought = await brought_back(settings, stores, entry)
        return entry, brought, left + brought.left


def _question(settings: Settings, away: Sequence[PackRecord], region: Region) -> str:
    try:
        cost = bringing_back_cost(away, region, wish_of(settings), now_us=now_us())
    except InvalidRequest as error:  # a class that the region has no price of
        return f"Bring {len(away)} packs back to STANDARD, at what price nobody knows ({error})?"
    return (
        f"Bringing {cost.packs} packs, {cost.length_bytes} bytes, back to STANDARD costs about"
        f" {cost.once.quantize(CENT)} {region.currency} once, and"
        f" {cost.more_a_month.quantize(CENT)} a month more, at list prices of {region.title},"
        f" {region.checked}. Do it?"
    )


def unpin_study(settings: Settings, study: str, *, reason: str, by: str, as_json: bool) -> None:
    """Unpin a study: the next plan sees it again.

    Raises:
        InvalidUid: `study` is no UID.
        NotFound: it is not pinned.
        Unavailable: a store cannot be reached.
    """
    entry = asyncio.run(_unpin(settings, parse_uid(study), reason, by))
    if as_json:
        print_json(_plain(entry))
    else:
        stdout.print("It is not pinned any more; what is due of it moves with the next run.")


async def _unpin(settings: Settings, study: str, reason: str, by: str) -> Pin:
    async with open_stores(settings) as stores:
        if await pin_of(stores.objects, settings.tenant, study, now_us=now_us()) is None:
            raise NotFound("The study is not pinned.")
        pin = Pin(settings.tenant, study, is_set=False, reason=reason, who=by)
        return await write_pin(stores.objects, pin, now_us=now_us())


def show_pins(settings: Settings, *, as_json: bool) -> None:
    """Print what is pinned now."""
    rows = [_plain(pin) for pin in asyncio.run(_list(settings))]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing is pinned.")


async def _list(settings: Settings) -> list[Pin]:
    async with open_stores(settings) as stores:
        return [pin async for pin in pins(stores.objects, settings.tenant, now_us=now_us())]


def _plain(pin: Pin) -> dict[str, object]:
    return {
        "study": pin.study_instance_uid,
        "pinned": pin.is_set,
        "until": last_day(pin.until_us),
        "recall": pin.brings_back,
        "since": when(pin.entered_us),
        "by": pin.who,
        "reason": pin.reason,
    }

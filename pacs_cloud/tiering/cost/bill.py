"""A month's bill, line by line, from what was counted in it: exact decimals, no rounding."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import StorageClass
from pacs_cloud.tiering.cost.prices import GB, HOURS_A_MONTH, TB, Ladder, Region, Speed
from pacs_cloud.tiering.cost.tariffs import TARIFFS, Unit, per
from pacs_cloud.tiering.cost.usage import Counted, Measure, Usage

CENT: Final = Decimal("0.01")
_NOTHING: Final = Decimal(0)

ELECTRICITY: Final = "electricity"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill.

    Attributes:
        what: in words.
        storage_class: whose price it is, or which class caused it; None: neither.
        speed: of a restore.
        quantity: in `unit`s.
        unit: what the price is for.
        price: of one unit on the highest rung that was reached.
        amount: in the bill's currency.
    """

    what: str
    storage_class: StorageClass | None
    speed: Speed | None
    quantity: Decimal
    unit: Unit
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be paid, in one currency."""

    currency: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Return the sum of all lines, unrounded."""
        return sum((line.amount for line in self.lines), _NOTHING)


def bill(usage: Usage, region: Region, days: int) -> Bill:
    """Return the bill of one month of `days` days.

    Raises:
        InvalidRequest: something was counted in a class, or at a speed, that the
            region has no price for.
    """
    lines: list[Line] = []
    reached: dict[str, Decimal] = {}
    for counted in sorted(usage, key=_order):
        if not usage[counted]:
            continue
        tariff = TARIFFS[counted.measure]
        quantity = usage[counted] / per(tariff.unit, days)
        ladder = tariff.ladder(region, counted)
        rung = tariff.climbs(counted)
        amount, price = _climb(ladder, reached.get(rung, _NOTHING), quantity)
        reached[rung] = reached.get(rung, _NOTHING) + quantity
        lines.append(
            Line(
                counted.measure.value,
                counted.storage_class,
                counted.speed,
                quantity,
                tariff.unit,
                price,
                amount,
            )
        )
    lines += _electricity(lines, region)
    return Bill(region.currency, tuple(lines))


def total_of(bills: Iterable[Bill]) -> Bill:
    """Return one bill for several months, equal lines added; raises InvalidRequest for none."""
    added: dict[tuple[str, StorageClass | None, Speed | None], Line] = {}
    currency = ""
    for one in bills:
        currency = one.currency
        for line in one.lines:
            key = (line.what, line.storage_class, line.speed)
            before = added.get(key)
            added[key] = line if before is None else _sum(before, line)
    if not currency:
        raise InvalidRequest("there is no month to add up")
    # A line that a later month has first comes where a single month would have it.
    return Bill(currency, tuple(sorted(added.values(), key=_line_order)))


def _sum(one: Line, other: Line) -> Line:
    return Line(
        one.what,
        one.storage_class,
        one.speed,
        one.quantity + other.quantity,
        one.unit,
        other.price,
        one.amount + other.amount,
    )


def _climb(ladder: Ladder, start: Decimal, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """Return what `quantity` costs from `start` upwards, and the last rung's price."""
    amount, at, end, price = _NOTHING, start, start + quantity, ladder[-1].price
    for rung in ladder:
        top = end if rung.up_to is None else min(end, rung.up_to)
        if top > at:
            amount += (top - at) * rung.price
            at, price = top, rung.price
    return amount, price


def _electricity(lines: Iterable[Line], region: Region) -> list[Line]:
    """Return what disks of one's own draw; a cloud's price has it in it."""
    made: list[Line] = []
    price = region.energy.kwh_price
    for line in lines:
        if line.what != Measure.STORED or line.storage_class is None:
            continue
        hardware = region.of(line.storage_class).hardware
        if hardware is None or not price:
            continue
        terabytes = line.quantity * GB / TB * hardware.copies
        watts = terabytes * hardware.watts_tb * region.energy.pue
        kwh = watts * HOURS_A_MONTH / 1000
        made.append(Line(ELECTRICITY, line.storage_class, None, kwh, Unit.KWH, price, kwh * price))
    return made


_WHATS: Final = (*(measure.value for measure in Measure), ELECTRICITY)
_CLASSES: Final = tuple(StorageClass)
_SPEEDS: Final = tuple(Speed)


def _order(counted: Counted) -> tuple[int, int, int]:
    return _places(counted.measure.value, counted.storage_class, counted.speed)


def _line_order(line: Line) -> tuple[int, int, int]:
    return _places(line.what, line.storage_class, line.speed)


def _places(
    what: str, storage_class: StorageClass | None, speed: Speed | None
) -> tuple[int, int, int]:
    return (
        _WHATS.index(what),
        -1 if storage_class is None else _CLASSES.index(storage_class),
        -1 if speed is None else _SPEEDS.index(speed),
    )

"""Stacked charts as SVG text: drawn by any browser, without a script."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 92, 8, 10, 24
_STEPS: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_MOST_LABELS: Final = 8


def nice_top(highest: Decimal) -> Decimal:
    """Return the end of an axis: a round number, not below `highest`."""
    if highest <= 0:
        return Decimal(1)
    power = Decimal(10) ** highest.adjusted()
    return next(power * step for step in _STEPS if power * step >= highest)


def stacked(
    title: str,
    months: Sequence[str],
    layers: Mapping[str, Sequence[Decimal]],
    colours: Mapping[str, str],
    top: Decimal,
    unit: str,
) -> str:
    """Return a chart with one step for each month, layers one above the other.

    Args:
        title: for those who cannot see it.
        months: along the bottom, as "2027-01".
        layers: from the bottom up; one value for each month.
        colours: of each layer, a CSS colour.
        top: where the axis ends.
        unit: of the values.
    """
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
        *_grid(top, unit),
    ]
    floor = [Decimal(0)] * len(months)
    for name, values in layers.items():
        ceiling = [low + value for low, value in zip(floor, values, strict=True)]
        if any(values):
            colour = escape(colours[name], quote=True)
            path = _band(floor, ceiling, top)
            parts.append(f'<path d="{path}" fill="{colour}"><title>{escape(name)}</title></path>')
        floor = ceiling
    return "".join([*parts, *_labels(months), "</svg>"])


def _band(floor: Sequence[Decimal], ceiling: Sequence[Decimal], top: Decimal) -> str:
    """Return the outline of one layer, month by month and back."""
    edges = [_x(month, len(floor)) for month in range(len(floor) + 1)]
    there: list[str] = []
    back: list[str] = []
    for month, (low, high) in enumerate(zip(floor, ceiling, strict=True)):
        left, right = edges[month], edges[month + 1]
        there.append(f"{left} {_y(high, top)}L{right} {_y(high, top)}")
        back.append(f"{right} {_y(low, top)}L{left} {_y(low, top)}")
    return f"M{'L'.join([*there, *reversed(back)])}Z"


def _grid(top: Decimal, unit: str) -> list[str]:
    parts: list[str] = []
    steps = _steps(top)
    for line in range(steps + 1):
        value = top * line / steps
        y = _y(value, top)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        said = f"{value.normalize():,f}" + (f" {unit}" if line == steps else "")
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end">{escape(said)}</text>')
    return parts


def _steps(top: Decimal) -> int:
    """Return into how many parts an axis is divided, so that each ends at a round number."""
    return 4 if top.scaleb(-top.adjusted()) == _STEPS[1] else 5


def _labels(months: Sequence[str]) -> list[str]:
    every = max(1, -(-len(months) // _MOST_LABELS))
    # Years are labelled at their beginnings, where there are years.
    every = max(12, -(-every // 12) * 12) if len(months) > 12 else every
    return [
        f'<text x="{_x(month, len(months))}" y="{_HEIGHT - 7}">{escape(name)}</text>'
        for month, name in enumerate(months)
        if month % every == 0
    ]


def _x(month: int, months: int) -> int:
    return _LEFT + round((_WIDTH - _LEFT - _RIGHT) * month / months)


def _y(value: Decimal, top: Decimal) -> int:
    return _HEIGHT - _BOTTOM - round((_HEIGHT - _TOP - _BOTTOM) * value / top)

"""Rows laid out so that what people copy stays whole: UIDs, keys and numbers never fold.

Text folds at its spaces only, and a UID has none. Where the columns do not fit beside each
other even so, each row becomes a record: a line for each field.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len
from rich.text import Text

_GAP: Final = 2
_READABLE: Final = 24
"""A column of sentences is not made narrower: a word on each line is no table any more."""

Row = Mapping[str, object]


def laid_out(rows: Sequence[Row], columns: Sequence[str], width: int | None) -> Text:
    """Return `rows` as a table of `columns`, or where that does not fit as records.

    Args:
        rows: what to show.
        columns: which fields of it, in order; also the headings.
        width: of the terminal, in cells; None: as wide as it gets.
    """
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = _widths([columns, *cells], width)
    if widths is None:
        assert width is not None
        return Text("\n\n".join(_record(columns, row, width) for row in cells))
    heading = Text(_line(columns, widths), style="bold")
    return Text("\n").join([heading, *(Text(_lines(row, widths)) for row in cells)])


def _lines(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return a row of a table: a line, or more where a cell folds."""
    folded = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
    return "\n".join(_line(some, widths) for some in zip_longest(*folded, fillvalue=""))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(map(_padded, cells, widths)).rstrip()


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - cell_len(cell))


def _widths(lines: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
    """Return how wide each column is, None where they do not fit."""
    columns = list(zip(*lines, strict=True))
    wanted = [max(_longest(cell.splitlines()) for cell in column) for column in columns]
    if width is None:
        return wanted
    least = [
        max(min(most, _READABLE), *(_longest(cell.split()) for cell in column))
        if any(" " in cell for cell in column)
        else most
        for column, most in zip(columns, wanted, strict=True)
    ]
    left = width - _GAP * (len(columns) - 1) - sum(least)
    if left < 0:
        return None
    # The narrowest is served first: it is content with the least.
    widths = list(least)
    narrowest = sorted(range(len(columns)), key=lambda at: wanted[at] - least[at])
    for behind, at in enumerate(narrowest):
        more = min(wanted[at] - least[at], left // (len(columns) - behind))
        widths[at] += more
        left -= more
    return widths


def _record(columns: Sequence[str], row: Sequence[str], width: int) -> str:
    """Return one row as a line for each field that says something."""
    margin = max(map(cell_len, columns)) + _GAP
    lines: list[str] = []
    for column, cell in zip(columns, row, strict=True):
        if not cell:
            continue
        if " " not in cell and margin + cell_len(cell) > width:
            # It is whole on a line of its own.
            lines += [column, " " * _GAP + cell]
            continue
        first, *more = _folded(cell, max(width - margin, _READABLE))
        lines += [_padded(column, margin) + first, *(" " * margin + line for line in more)]
    return "\n".join(lines)


def _folded(text: str, width: int) -> list[str]:
    """Return `text` in lines; a word that is longer than `width` cells stays whole."""
    lines: list[str] = []
    for part in text.splitlines() or [""]:
        line = part
        if cell_len(part) > width:
            line, *words = part.split() or [""]
            for word in words:
                if cell_len(line) + 1 + cell_len(word) > width:
                    lines.append(line)
                    line = word
                else:
                    line += f" {word}"
        lines.append(line)
    return lines


def _longest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)

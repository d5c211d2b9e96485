"""Tables that people read, JSON that programs read, progress on long work."""

import sys
from collections.abc import Iterable, Mapping, Sequence

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from pacs_cloud.errors import InvalidRequest

PIPED_WIDTH = 250
"""Piped tables are not folded: what reads them is a program or a pager."""

# What is printed is data: "[contrast]" in a description is no style, ":heart:" no picture.
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
stdout = Console(
    highlight=False,
    markup=False,
    emoji=False,
    width=None if sys.stdout.isatty() else PIPED_WIDTH,
)


def print_json(value: object) -> None:
    """Print one JSON document on one line."""
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


def print_rows(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str
) -> None:
    """Print `rows` as a table of `columns`, or one JSON object a line.

    Args:
        rows: what to print; in JSON with all their fields.
        columns: which fields the table shows, in order; also its headings.
        as_json: JSON lines instead of a table.
        empty: the sentence that stands for a table without rows.
    """
    if as_json:
        for row in rows:
            print_json(row)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # What is cut off cannot be copied: everything is shown, folded where it must be.
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    stdout.print(table if table.row_count else empty)


def confirm(question: str, *, sure: bool) -> None:
    """Return when somebody at the terminal says yes; raises InvalidRequest."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest("not done: --yes says that it is meant, where nobody can be asked")
    stderr.print(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InvalidRequest("not done")


def counting(what: str) -> Progress:
    """Return a progress bar on stderr for work counted in pieces."""
    return _progress(what, MofNCompleteColumn(), TimeRemainingColumn())


def weighing(what: str) -> Progress:
    """Return a progress bar on stderr for work counted in bytes."""
    return _progress(what, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())


def _progress(what: str, *columns: ProgressColumn) -> Progress:
    shown = (SpinnerColumn(), TextColumn(what), BarColumn(), *columns)
    # Piped output stays clean: the bar is drawn on a terminal only.
    return Progress(*shown, console=stderr, transient=True, disable=not stderr.is_terminal)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)

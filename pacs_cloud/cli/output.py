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

from pacs_cloud.cli.tables import laid_out
from pacs_cloud.errors import InvalidRequest

# What is printed is data: "[contrast]" in a description is no style, ":heart:" no picture.
# Nothing is wrapped here: what a terminal wraps by itself can be copied whole.
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
stdout = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


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
    shown = list(rows)
    if not shown:
        stdout.print(empty)
        return
    # What reads a pipe is a program or a pager: a row is a line there.
    stdout.print(laid_out(shown, columns, stdout.width if stdout.is_terminal else None))


def confirm(question: str, *, sure: bool) -> None:
    """Return when somebody at the terminal says yes; raises InvalidRequest."""
    if sure:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest("not done: --yes says that it is meant, where nobody can be asked")
    stderr.print(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InvalidRequest("not done")


def counted(count: int, one: str, many: str = "") -> str:
    """Return how many of a thing there are, in words: `1 pack`, `2 packs`, `2 studies`.

    `many` is said where it is not just `one` in the plural: `packs are` for `pack is`.
    """
    if count == 1:
        return f"{count} {one}"
    return f"{count} {many or (f'{one[:-1]}ies' if one.endswith('y') else f'{one}s')}"


def counting(what: str, *more: ProgressColumn) -> Progress:
    """Return a progress bar on stderr for work counted in pieces, with `more` columns."""
    return _progress(what, MofNCompleteColumn(), *more, TimeRemainingColumn())


def weighing(what: str) -> Progress:
    """Return a progress bar on stderr for work counted in bytes."""
    return _progress(what, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())


def _progress(what: str, *columns: ProgressColumn) -> Progress:
    shown = (SpinnerColumn(), TextColumn(what), BarColumn(), *columns)
    # Piped output stays clean: the bar is drawn on a terminal only.
    return Progress(*shown, console=stderr, transient=True, disable=not stderr.is_terminal)

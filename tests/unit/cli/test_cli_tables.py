"""At 80 columns a UID can be copied from every table, and no number is torn."""

import importlib
import io
import pkgutil
from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from rich.console import Console

from pacs_cloud import cli
from pacs_cloud.cli import output
from pacs_cloud.cli.finding import COLUMNS

UID = "1.2.840.113619.2.55.3.604688119.971.1234567890.12345678901.12345"
assert len(UID) == 64
UIDS = ("study", "series", "instance", "note", "newcomer", "other")
TIME = "2026-01-02T03:04:05Z"
PROSE = {
    "detail": f"the object of {UID} is 12345 bytes long, and the catalogue says 123456",
    "reason": "a trial before the regional court, file 12 O 345/26, asked for by counsel",
    "repair": "restore it from a copy of the bucket, or rebuild the catalogue without it",
    "sentence": "S3 moves nothing to STANDARD_IA within 30 days of its arrival",
    "why": "wanted, prior",
    "what": "a byte of what is stored, by the day, as the service bills it",
}
KNOWN = ("holding", "deleting", "recalling", "corrected", "rejecting", "erasing", "pinning")


def tables() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the columns of every table that a command prints."""
    for info in pkgutil.iter_modules(cli.__path__):
        for name, value in vars(importlib.import_module(f"{cli.__name__}.{info.name}")).items():
            if isinstance(value, tuple) and value and all(isinstance(one, str) for one in value):
                yield f"{info.name}.{name}", value
    for level, columns in COLUMNS.items():
        yield f"find.{level}", columns
    yield "explain", ("line", "class", "speed", "price", "per", "what")
    yield "fsck", ("severity", "kind", "pack_id", "outcome", "detail", "action")


TABLES = dict(tables())


def value(column: str) -> object:
    if column in UIDS or column.endswith("UID"):
        return UID
    if column in PROSE:
        return PROSE[column]
    return TIME if column in {"since", "until", "deleted", "found"} else 123_456_789_012


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 80 columns."""
    file = io.StringIO()
    console = Console(
        file=file, width=80, force_terminal=True, color_system=None, soft_wrap=True, highlight=False
    )
    monkeypatch.setattr(output, "stdout", console)
    return file


def test_every_table_is_known() -> None:
    modules = {name.partition(".")[0] for name in TABLES}
    assert modules >= set(KNOWN)


@pytest.mark.parametrize("name", TABLES)
def test_nothing_that_is_copied_is_folded(name: str, screen: io.StringIO) -> None:
    row = {column: value(column) for column in TABLES[name]}
    output.print_rows([row, row], TABLES[name], as_json=False, empty="")
    shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    words = [word for one in row.values() for word in str(one).split()]
    for word in words:
        assert shown.split().count(word) >= 2, word


def test_sentences_fold_at_their_spaces(screen: io.StringIO) -> None:
    rows = [{"kind": "size", "bytes": 1234567, "repair": PROSE["repair"]}]
    output.print_rows(rows, ("kind", "bytes", "repair"), as_json=False, empty="")
    heading, first, *_ = screen.getvalue().splitlines()
    assert heading.split() == ["kind", "bytes", "repair"]
    assert first.startswith("size  1234567  restore it from")


def test_a_row_that_does_not_fit_is_a_record(screen: io.StringIO) -> None:
    rows = [{"deleted": TIME, "study": UID, "series": None, "reason": "on\npurpose"}] * 2
    output.print_rows(rows, ("deleted", "study", "series", "reason"), as_json=False, empty="")
    record = f"deleted  {TIME}\nstudy    {UID}\nreason   on\n         purpose\n"
    assert screen.getvalue() == f"{record}\n{record}"


def test_a_name_too_long_leaves_the_uid_a_line_of_its_own(screen: io.StringIO) -> None:
    rows = [{"StudyInstanceUID": UID, "PatientID": "7", "StudyDate": "20260102"}]
    output.print_rows(rows, tuple(rows[0]), as_json=False, empty="")
    record = f"StudyInstanceUID\n  {UID}\nPatientID         7\nStudyDate         20260102\n"
    assert screen.getvalue() == record


def test_wide_characters_are_counted_as_cells(screen: io.StringIO) -> None:
    rows = [{"name": "山田 太郎 " * 10, "size": 1}]
    output.print_rows(rows, ("name", "size"), as_json=False, empty="")
    assert max(map(cell_len, screen.getvalue().splitlines())) <= 80


def test_a_pipe_gets_one_line_for_a_row() -> None:
    rows = [{"detail": "x " * 200, "key": "k" * 300}]
    with output.stdout.capture() as captured:
        output.print_rows(rows, ("key", "detail"), as_json=False, empty="")
    assert len(captured.get().splitlines()) == 2

"""`deid study`: studies or files, de-identified into a folder; and what a pseudonym stands for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from pacs_cloud.bootstrap.deidentifying import (
    DeidentifyingRun,
    count_of,
    given_files,
    located_of,
    stored_files,
)
from pacs_cloud.bootstrap.services import open_reading
from pacs_cloud.cli.deid_projects import rules_in
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import counted, counting, print_json, print_rows, stdout
from pacs_cloud.custody.deid.escrow import Escrow, revealed
from pacs_cloud.custody.deid.projects import project_named
from pacs_cloud.dicom.deid.deidentifier import Deidentifier
from pacs_cloud.dicom.deid.option import Option, checked_options
from pacs_cloud.dicom.deid.report import Report, reason_text
from pacs_cloud.dicom.deid.rules import Rules
from pacs_cloud.dicom.uid import parse_uid
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.security.caller import system
from pacs_cloud.settings import Settings

DONE: Final = 0
LEFT: Final = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run shall do.

    Attributes:
        project: its name.
        studies: Study Instance UIDs; or
        files: files and folders.
        to: folder to write to, None for a preview.
        options: instead of the project's; None for these.
        rules: a file of rules that go before the project's.
        report: where to write the report, as JSON; None for nowhere.
    """

    project: str
    studies: Sequence[str]
    files: Sequence[Path]
    to: Path | None
    options: Sequence[Option] | None
    rules: Path | None
    report: Path | None


def deidentify(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """De-identify what is wanted, print what was done; return the exit code.

    Raises:
        InvalidRequest: nothing is named, or studies and files at once; options or rules are none.
        NotFound: there is no such project, study or file of rules.
        Unavailable: something cannot be read or written.
    """
    if bool(wanted.studies) == bool(wanted.files):
        raise InvalidRequest("name studies, or files with --file")
    options = None if wanted.options is None else checked_options(wanted.options)
    report = asyncio.run(_run(settings, wanted, options, rules_in(wanted.rules)))
    said = report.as_json()
    if wanted.report is not None:
        write_report(wanted.report, said)
    if as_json:
        print_json(said)
    else:
        _print(report, said, is_preview=wanted.to is None)
    return LEFT if report.withheld else DONE


def reveal(settings: Settings, project: str, value: str, *, as_json: bool) -> None:
    """Print what a pseudonym or UID stands for; raises NotFound."""

    async def read() -> str:
        async with open_stores(settings) as stores:
            await project_named(stores.objects, settings.tenant, project)
            return await revealed(stores.objects, settings.tenant, project, value)

    found = asyncio.run(read())
    if as_json:
        print_json({"project": project, "value": value, "stands_for": found})
    else:
        stdout.print(found)


async def _run(
    settings: Settings, wanted: Wanted, options: frozenset[Option] | None, rules: Rules | None
) -> Report:
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, looks=wanted.to is None))
        kept = await project_named(stores.objects, settings.tenant, wanted.project)
        project = kept.project
        escrow = Escrow(stores.objects, settings.tenant, project.name) if project.escrow else None
        run = DeidentifyingRun(Deidentifier(project, options, rules), wanted.to, escrow)
        if wanted.files:
            total, files = count_of(wanted.files), given_files(wanted.files)
        else:
            reading = await stack.enter_async_context(open_reading(settings, stores))
            studies = [parse_uid(study) for study in wanted.studies]
            located = await located_of(reading, system(settings.tenant), studies)
            total, files = len(located), stored_files(settings, stores, reading, located)
        async with aclosing(files):
            await _all(run, files, total)
        return run.report


async def _all(run: DeidentifyingRun, files: AsyncIterator[BinaryIO], total: int) -> None:
    with counting("de-identifying") as progress:
        task = progress.add_task("", total=total)
        try:
            async for file in files:
                await run.take(file)
                progress.advance(task)
        finally:
            await run.end()


def write_report(path: Path, said: dict[str, Any]) -> None:
    """Write what was done, as JSON; raises Unavailable."""
    try:
        path.write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise Unavailable(f"the report cannot be written: {error.strerror}") from error


def _print(report: Report, said: dict[str, Any], *, is_preview: bool) -> None:
    rows = [
        {"what": deed, "elements": sum(names.values()), "of": _most(names)}
        for deed, names in said["elements"].items()
    ]
    print_rows(rows, ("what", "elements", "of"), as_json=False, empty="Nothing was changed.")
    for reason, count in said["withheld"].items():
        stdout.print(f"withheld: {counted(count, 'instance')}, {reason_text(reason)}")
    verb = "would be written" if is_preview else "written"
    stdout.print(f"{counted(report.written, 'instance')} {verb}, {report.withheld} withheld")
    for sentence in said["not_done"]:
        stdout.print(sentence)


def _most(names: dict[str, int]) -> str:
    by_count = sorted(names, key=lambda name: (-names[name], name))
    return ", ".join(by_count[:4]) + (", …" if len(by_count) > 4 else "")

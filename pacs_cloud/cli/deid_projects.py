"""`deid project`: made, listed, shown; never their keys."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.cli.moments import when
from pacs_cloud.cli.on_record import open_stores
from pacs_cloud.cli.output import print_json, print_rows, stdout
from pacs_cloud.custody.deid.projects import KeptProject, add_project, project_named, projects
from pacs_cloud.dicom.deid.option import checked_options
from pacs_cloud.dicom.deid.project import KEY_BYTES, Project, checked_name
from pacs_cloud.dicom.deid.rules import Rules, parse_rules
from pacs_cloud.errors import NotFound
from pacs_cloud.settings import Settings

_COLUMNS: Final = ("project", "options", "rules", "escrow", "created", "by", "note")


@dataclass(frozen=True, slots=True)
class NewProject:
    """What a new project shall be.

    Attributes:
        name: of it.
        options: of the profile, by name.
        rules: a file of rules, None for none.
        escrow: whether to keep what is replaced.
        note: for people.
        by: who makes it.
    """

    name: str
    options: Sequence[str]
    rules: Path | None
    escrow: bool
    note: str
    by: str


def add(settings: Settings, wanted: NewProject, *, as_json: bool) -> None:
    """Make a project.

    Raises:
        Conflict: there is one of this name.
        InvalidRequest: name, options or rules are none.
        NotFound: there is no such file of rules.
    """
    project = Project(
        checked_name(wanted.name),
        secrets.token_bytes(KEY_BYTES),
        checked_options(wanted.options),
        rules_in(wanted.rules) or Rules(),
        wanted.escrow,
    )
    kept = KeptProject(project, now_us(), wanted.by, wanted.note)

    async def keep() -> None:
        async with open_stores(settings) as stores:
            await add_project(stores.objects, settings.tenant, kept)

    asyncio.run(keep())
    _print(kept, as_json=as_json)


def show(settings: Settings, name: str, *, as_json: bool) -> None:
    """Print a project; raises NotFound."""

    async def read() -> KeptProject:
        async with open_stores(settings) as stores:
            return await project_named(stores.objects, settings.tenant, name)

    _print(asyncio.run(read()), as_json=as_json)


def show_all(settings: Settings, *, as_json: bool) -> None:
    """Print all projects, by name."""

    async def read() -> list[KeptProject]:
        async with open_stores(settings) as stores:
            return [one async for one in projects(stores.objects, settings.tenant)]

    found = asyncio.run(read())
    rows = [row_of(one) if as_json else _short(one) for one in found]
    empty = "There are no projects: `deid project add NAME` makes one."
    print_rows(rows, _COLUMNS, as_json=as_json, empty=empty)


def rules_in(path: Path | None) -> Rules | None:
    """Return the rules in a file, None without one; raises NotFound or InvalidRequest."""
    if path is None:
        return None
    try:
        return parse_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the rules {path} cannot be read: {error}") from error


def row_of(kept: KeptProject) -> dict[str, Any]:
    """Return a project as JSON values, but for its key."""
    project = kept.project
    return {
        "project": project.name,
        "options": sorted(project.options),
        "rules": project.rules.file.model_dump(mode="json"),
        "escrow": project.escrow,
        "created": when(kept.created_us),
        "by": kept.who,
        "note": kept.note,
    }


def _short(kept: KeptProject) -> dict[str, Any]:
    file = kept.project.rules.file
    return row_of(kept) | {
        "options": ", ".join(sorted(kept.project.options)) or "none but the basic profile",
        "rules": f"{len(file.pixels)} for pixels, {len(file.private)} for private attributes",
        "escrow": "kept" if kept.project.escrow else "none",
    }


def _print(kept: KeptProject, *, as_json: bool) -> None:
    if as_json:
        print_json(row_of(kept))
        return
    short = _short(kept)
    for column in _COLUMNS:
        stdout.print(f"{column:8} {short[column]}")

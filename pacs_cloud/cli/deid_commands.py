"""`deid`: the commands that take studies out without what identifies their patients."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, settings_of
from pacs_cloud.dicom.deid.option import Option

deid = typer.Typer(
    no_args_is_help=True, help="De-identification (PS3.15 Annex E), consistent by project."
)
project = typer.Typer(no_args_is_help=True, help="Projects: a key, options and rules each.")
deid.add_typer(project, name="project")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits and hyphens.")]
Options = Annotated[
    list[Option] | None,
    typer.Option("--option", help="An option of the profile, beside the basic one; repeat it."),
]
Rules = Annotated[
    Path | None,
    typer.Option(help="TOML: regions to blank, private attributes to keep; before the project's."),
]


@deid.command("study")
def deid_study(
    name: Annotated[str, typer.Option("--project", metavar="NAME", help="Which project.")],
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Study Instance UIDs.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", metavar="PATH", help="A file or a folder instead; repeat it."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write to; none: only a preview.")
    ] = None,
    options: Options = None,
    rules: Rules = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole report there, as JSON.")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write studies as DIR/{study}/{series}/{instance}.dcm, de-identified.

    Options here stand instead of the project's. Exits 1 if anything is withheld.
    """
    from pacs_cloud.cli.deidentifying import Wanted, deidentify

    wanted = Wanted(
        name, studies or [], files or [], to, None if options is None else options, rules, report
    )
    raise typer.Exit(deidentify(settings_of(config, data=data), wanted, as_json=as_json))


@deid.command("reveal")
def deid_reveal(
    value: Annotated[str, typer.Argument(help="A pseudonym or a UID that was given out.")],
    name: Annotated[str, typer.Option("--project", metavar="NAME", help="Which project.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what a pseudonym or UID stands for, where the project keeps an escrow."""
    from pacs_cloud.cli.deidentifying import reveal

    reveal(settings_of(config, data=data), name, value, as_json=as_json)


@project.command("add")
def project_add(
    name: Name,
    options: Options = None,
    rules: Rules = None,
    escrow: Annotated[
        bool,
        typer.Option("--escrow", help="Keep what is replaced, so that it can be re-identified."),
    ] = False,
    note: Annotated[str, typer.Option(help="For people. No patient data.")] = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a project, with a key of its own; nothing of it changes afterwards."""
    from pacs_cloud.cli.deid_projects import NewProject, add

    wanted = NewProject(name, options or [], rules, escrow=escrow, note=note, by=by)
    add(settings_of(config, data=data), wanted, as_json=as_json)


@project.command("list")
def project_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show all projects."""
    from pacs_cloud.cli.deid_projects import show_all

    show_all(settings_of(config, data=data), as_json=as_json)


@project.command("show")
def project_show(
    name: Name, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show one project, but for its key."""
    from pacs_cloud.cli.deid_projects import show

    show(settings_of(config, data=data), name, as_json=as_json)

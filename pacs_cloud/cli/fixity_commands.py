"""`fixity`: the commands about the rolling re-read."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

fixity = typer.Typer(
    no_args_is_help=True, help="Read every pack again, and see that it is what was stored."
)


@fixity.command("run")
def fixity_run(
    study: Annotated[str, typer.Option(metavar="UID", help="Only the packs of this study.")] = "",
    limit: Annotated[
        str, typer.Option(metavar="SIZE", help="Read about so much, e.g. 100GiB; else all.")
    ] = "",
    rate: Annotated[
        str, typer.Option(metavar="SIZE", help="Read no more than this in a second, e.g. 50MB.")
    ] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read on from where the re-read has come to; beside a running archive, too.

    What had findings is read first. Exits 0 when all of it is as it was stored, 1 with
    findings, 2 when it could not run.
    """
    from pacs_cloud.cli.rereading import run

    settings = settings_of(config, data=data)
    raise typer.Exit(run(settings, study, limit=limit, rate=rate, as_json=as_json))


@fixity.command("status")
def fixity_status(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show how far the re-read is, and what it has found that is not mended yet.

    Exits 1 with findings.
    """
    from pacs_cloud.cli.rereading import show_fixity

    raise typer.Exit(show_fixity(settings_of(config, data=data), as_json=as_json))

"""`trash`: the commands about what was deleted."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Instance, Series, Study, Sure, settings_of

trash = typer.Typer(no_args_is_help=True, help="What was deleted: list it, restore it, purge it.")


@trash.command("list")
def trash_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what was deleted and can be restored, and until when."""
    from pacs_cloud.cli.deleting import show_trash

    show_trash(settings_of(config, data=data), as_json=as_json)


@trash.command("restore")
def trash_restore(
    study: Study,
    series: Series = "",
    instance: Instance = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bring back what was deleted of a study, exactly as it was.

    Exits 1 if something stays in the trash, because its UID was stored again, or was
    purged meanwhile.
    """
    from pacs_cloud.cli.deleting import restore

    settings = settings_of(config, data=data)
    raise typer.Exit(restore(settings, study, series, instance, as_json=as_json))


@trash.command("purge")
def trash_purge(
    study: Annotated[
        str, typer.Argument(help="All that is deleted of this study, at once.", metavar="STUDY")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Everything in the trash, at once.")
    ] = False,
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove for good what was deleted longer ago than trash_days.

    A running archive does that by itself, every hour. Exits 1 if studies were left
    because they cannot be read, or are on hold.
    """
    from pacs_cloud.cli.deleting import purge

    settings = settings_of(config, data=data)
    raise typer.Exit(purge(settings, study, everything=everything, sure=sure, as_json=as_json))

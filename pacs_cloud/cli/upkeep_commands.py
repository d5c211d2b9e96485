"""The commands that look after the archive as a whole."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

upkeep = typer.Typer()


@upkeep.command()
def status(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what waits: spool, commits, jobs, conflicts; and whether the stores answer."""
    from pacs_cloud.cli.upkeep import show_status

    show_status(settings_of(config, data=data), as_json=as_json)


@upkeep.command()
def fsck(
    data: Data = None,
    config: Config = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every byte and check every digest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check packs against the catalogue, both ways; changes nothing.

    Exits 0 when clean, 1 with findings, 2 when it could not run.
    """
    from pacs_cloud.cli.upkeep import check

    raise typer.Exit(check(settings_of(config, data=data), deep=deep, as_json=as_json))


@upkeep.command()
def repack(
    study: Annotated[
        str, typer.Argument(help="Only this study, quiet or not.", metavar="STUDY")
    ] = "",
    quiet_days: Annotated[
        float, typer.Option(min=0, help="Only series into which nothing came for so long.")
    ] = 7,
    htj2k: Annotated[
        bool,
        typer.Option(
            "--htj2k",
            help="Also encode native pixels as HTJ2K, without loss: each frame is decoded"
            " again and compared first. The received bytes of these instances go.",
        ),
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Merge the small packs of quiet series; beside the running archive.

    The old packs go an hour later. Exits 1 if packs cannot be read.
    """
    from pacs_cloud.cli.repacking import repack as repack_
    from pacs_cloud.custody.repack.plan import RepackTerms

    settings = settings_of(config, data=data)
    terms = RepackTerms(
        quiet_days=0 if study else quiet_days,
        max_bytes=settings.pack_bytes,
        max_instances=settings.pack_instances,
        encode=htj2k,
    )
    raise typer.Exit(repack_(settings, study, terms=terms, as_json=as_json))


@upkeep.command()
def rebuild(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Make the catalogue anew from the objects alone, also when its file is gone.

    Exits 1 if an object could not be used; each is listed with its reason.
    """
    from pacs_cloud.cli.upkeep import rebuild_catalogue

    raise typer.Exit(rebuild_catalogue(settings_of(config, data=data), as_json=as_json))

"""The commands that look after the archive as a whole."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of
from pacs_cloud.errors import InvalidRequest

upkeep = typer.Typer()


@upkeep.command()
def status(
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Leave out what takes long in a large archive: packs by storage class, and"
            " studies on hold.",
        ),
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what lies where, what waits, what is wrong; and whether the stores answer."""
    from pacs_cloud.cli.upkeep import show_status

    show_status(settings_of(config, data=data), quick=quick, as_json=as_json)


@upkeep.command()
def fsck(
    data: Data = None,
    config: Config = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every byte and check every digest.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Say of each finding what would be done about it; with --yes, do it.",
        ),
    ] = False,
    sure: Annotated[
        bool, typer.Option("--yes", "-y", help="With --repair: do it, and check again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check packs against the catalogue, both ways; changes nothing without --repair --yes.

    A repair loses nothing, may be stopped at any moment and repeated, and never forgets: what
    is lost is named, and stays a finding. Exits 0 when clean, 1 with findings (or when
    something is left after a repair), 2 when it could not run.
    """
    from pacs_cloud.cli import checking

    settings = settings_of(config, data=data)
    if sure and not repair:
        raise InvalidRequest("--yes does nothing without --repair")
    if repair:
        code = checking.repair(settings, deep=deep, sure=sure, as_json=as_json)
    else:
        code = checking.check(settings, deep=deep, as_json=as_json)
    raise typer.Exit(code)


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
    least_saving: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="With --htj2k: give up a pack's received bytes only where that saves so much;"
            " 0: whatever it saves. Else 64KiB, and a twentieth of each instance.",
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Change nothing, and tell what would be saved. All that would be merged or"
            " encoded is read and encoded for it.",
        ),
    ] = False,
    sure: Annotated[
        bool, typer.Option("--yes", "-y", help="With --htj2k: do not ask whether it is meant.")
    ] = False,
    include_warm: Annotated[
        bool,
        typer.Option(
            "--include-warm",
            help="Also merge packs that a policy has moved where they are read at once:"
            " reading them, and leaving their class early, is billed.",
        ),
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Merge the small packs of quiet series; beside the running archive.

    The old packs go an hour later. Exits 1 if packs cannot be read.
    """
    from pacs_cloud.bootstrap.services import home_class
    from pacs_cloud.cli.repacking import repack as repack_
    from pacs_cloud.cli.rereading import parse_size
    from pacs_cloud.custody.repack.plan import LEAST_SAVED_BYTES, RepackTerms

    settings = settings_of(config, data=data)
    terms = RepackTerms(
        quiet_days=0 if study else quiet_days,
        max_bytes=settings.pack_bytes,
        max_instances=settings.pack_instances,
        encode=htj2k,
        least_saved_bytes=parse_size(least_saving) if least_saving else LEAST_SAVED_BYTES,
        dry=dry_run,
        home_class=home_class(settings),
        include_warm=include_warm,
    )
    raise typer.Exit(repack_(settings, study, terms=terms, sure=sure, as_json=as_json))


@upkeep.command()
def rebuild(
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a rebuild that was interrupted, at whatever moment: what it has"
            " made is kept. Where there was none, begin one.",
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Tell whether the new catalogue is equal to the one it replaces, where that"
            " can be read.",
        ),
    ] = True,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make the catalogue anew from the objects alone, also when its file is gone or torn.

    No pack is read, so that all of them may lie in a cold tier. A catalogue in a file stays
    in use until the new one is whole; a table is emptied first. The archive must be stopped.

    Exits 1 if an object could not be used; each is listed with its reason, and what to do.
    """
    from pacs_cloud.cli.rebuilding import rebuild_catalogue

    settings = settings_of(config, data=data)
    code = rebuild_catalogue(settings, resume=resume, compare=compare, as_json=as_json)
    raise typer.Exit(code)

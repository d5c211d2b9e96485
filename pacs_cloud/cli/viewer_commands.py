"""`viewer`: the commands about OHIF, the full viewer at `/viewer/`."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

viewer = typer.Typer(no_args_is_help=True, help="The full viewer, OHIF: install, check, remove.")


@viewer.command("install")
def viewer_install(
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE|FOLDER",
            help="What `npm pack` wrote, or a build of your own; else npm fetches it.",
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(metavar="X.Y.Z", help="Another version than the one that we know to work."),
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Install OHIF for `/viewer/`, in place of what is there. Nothing needs to be restarted.

    Without --from, npm fetches it (Node.js brings npm); no other command needs a network.
    """
    from pacs_cloud.cli.viewer_installing import install

    install(settings_of(config, data=data), source, version, as_json=as_json)


@viewer.command("status")
def viewer_status(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Say what is installed, and whether it is whole. Exits 1 if it is not, or nothing is."""
    from pacs_cloud.cli.viewer_installing import status

    raise typer.Exit(status(settings_of(config, data=data), as_json=as_json))


@viewer.command("remove")
def viewer_remove(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Remove it; studies open in the light viewer then."""
    from pacs_cloud.cli.viewer_installing import remove

    remove(settings_of(config, data=data), as_json=as_json)

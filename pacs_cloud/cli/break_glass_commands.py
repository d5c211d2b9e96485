"""`break-glass`: the commands that show who sees what in an emergency, and end it."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, settings_of

break_glass = typer.Typer(
    no_args_is_help=True,
    help="Broken glass: who opened restricted studies in an emergency, why, until when; end it.",
)


@break_glass.command("list")
def break_glass_list(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are over, the latest of each person.")
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show who has broken the glass, why, and until when, the newest first."""
    from pacs_cloud.cli.breaking_glass import list_overrides

    list_overrides(settings_of(config, data=data), everything=everything, as_json=as_json)


@break_glass.command("end")
def break_glass_end(
    override: Annotated[
        list[str], typer.Argument(help="As `break-glass list` gives them.", metavar="ID...")
    ],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End it before its time: within two seconds, five where the archive is in a bucket."""
    from pacs_cloud.cli.breaking_glass import end_overrides

    end_overrides(settings_of(config, data=data), override, by=by, as_json=as_json)

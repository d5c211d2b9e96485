"""`recall`: the commands about what comes back from a cold class."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Series, Study, settings_of
from pacs_cloud.objectstore.storage_classes import RecallSpeed

recall = typer.Typer(no_args_is_help=True, help="Bring studies back from a cold class.")

Speed = Annotated[
    RecallSpeed | None,
    typer.Option(help="How fast, and how dear.", show_default="recall_speed of the settings"),
]
Days = Annotated[
    int | None,
    typer.Option(
        min=1, help="How long they stay readable.", show_default="recall_days of the settings"
    ),
]


@recall.command("start")
def recall_start(
    study: Study,
    series: Series = "",
    speed: Speed = None,
    days: Days = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a study, or one series of it; what is under way goes on as it was asked for."""
    from pacs_cloud.cli.recalling import start

    settings = settings_of(config, data=data, recall_speed=speed, recall_days=days)
    start(settings, study, series, as_json=as_json)


@recall.command("list")
def recall_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what is coming back, since when and until when it is expected, and what has come."""
    from pacs_cloud.cli.recalling import show

    show(settings_of(config, data=data), as_json=as_json)


@recall.command("wait")
def recall_wait(
    study: Study, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Wait until all of a study can be read.

    Exits 1 where some of it is cold and nobody has asked for that.
    """
    from pacs_cloud.cli.recalling import wait

    raise typer.Exit(wait(settings_of(config, data=data), study, as_json=as_json))


@recall.command("priors")
def recall_priors(
    study: Study,
    newest: Annotated[int, typer.Option(min=1, help="How many studies at most.")] = 3,
    same_modality: Annotated[
        bool, typer.Option("--same-modality", help="Only studies with a modality that it has.")
    ] = False,
    speed: Speed = None,
    days: Days = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the newest other studies of a study's patient."""
    from pacs_cloud.cli.recalling import start_priors

    settings = settings_of(config, data=data, recall_speed=speed, recall_days=days)
    start_priors(settings, study, newest, same_modality=same_modality, as_json=as_json)

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
    """Show what is coming back, why, since when and until when, and what has come."""
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
    modality: Annotated[
        list[str] | None, typer.Option(help="Only studies with this modality; repeat it.")
    ] = None,
    same_body_part: Annotated[
        bool, typer.Option("--same-body-part", help="Only studies of a body part that it is of.")
    ] = False,
    body_part: Annotated[
        list[str] | None, typer.Option(help="Only studies of this body part; repeat it.")
    ] = None,
    max_age_days: Annotated[
        int | None, typer.Option(min=1, help="Only studies that are no older.")
    ] = None,
    speed: Speed = None,
    days: Days = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the newest other studies of a study's patient."""
    from pacs_cloud.cli.recalling import start_priors, wanted_of

    wanted = wanted_of(
        newest=newest,
        modalities=modality or (),
        body_parts=body_part or (),
        same_modality=same_modality,
        same_body_part=same_body_part,
        max_age_days=max_age_days,
    )
    settings = settings_of(config, data=data, recall_speed=speed, recall_days=days)
    start_priors(settings, study, wanted, as_json=as_json)


@recall.command("worklist")
def recall_worklist(
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="AET@HOST:PORT", help="The RIS.", show_default="worklist"),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=1, max=30, help="Of appointments, from today.", show_default="worklist_days"
        ),
    ] = None,
    newest: Annotated[
        int,
        typer.Option(min=0, help="So many of each patient's priors; 0: by the rules.", max=100),
    ] = 0,
    aet: Annotated[str | None, typer.Option(help="Our application entity title.")] = None,
    speed: Speed = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the priors of the patients who are on a modality worklist.

    Which, the [[prefetch]] rules in the file of tier_policies say. Exits 1 where some are
    over the day's bound (prefetch_daily_bytes).
    """
    from pacs_cloud.cli.scheduling import start_by_worklist

    settings = settings_of(
        config, data=data, worklist=from_, worklist_days=days, aet=aet, recall_speed=speed
    )
    raise typer.Exit(start_by_worklist(settings, newest, as_json=as_json))

"""`hold`: the commands that keep a study from being deleted."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, Reason, Study, settings_of

hold = typer.Typer(
    no_args_is_help=True, help="Legal holds and retention dates: set them, release them."
)


@hold.command("set")
def hold_set(
    study: Study,
    reason: Reason,
    until: Annotated[
        str,
        typer.Option(
            metavar="DATE",
            help="The last day of a retention, YYYY-MM-DD in UTC; without it a legal hold.",
        ),
    ] = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep a study from being deleted or purged, until a date or until it is released.

    What is deleted of it already stays in the trash. Where the store can lock objects and
    was told to (lock= in its URL), it locks all of the study, and what comes later. Exits 1
    if a purge that had begun before was not seen to end, or the store refused a lock.
    """
    from pacs_cloud.cli.holding import set_

    settings = settings_of(config, data=data)
    raise typer.Exit(set_(settings, study, reason=reason, until=until, by=by, as_json=as_json))


@hold.command("release")
def hold_release(
    study: Study,
    reason: Reason,
    retention: Annotated[
        bool, typer.Option("--retention", help="End the retention date, not the legal hold.")
    ] = False,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Release a study's legal hold, or its retention date before it is over.

    What the store has locked until that date stays locked. Exits 1 if the store did not
    clear all of its legal holds.
    """
    from pacs_cloud.cli.holding import release

    settings = settings_of(config, data=data)
    raise typer.Exit(
        release(settings, study, reason=reason, retention=retention, by=by, as_json=as_json)
    )


@hold.command("list")
def hold_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show which studies are held, since when, by whom and why, and locks that say otherwise."""
    from pacs_cloud.cli.holding import show_holds

    show_holds(settings_of(config, data=data), as_json=as_json)

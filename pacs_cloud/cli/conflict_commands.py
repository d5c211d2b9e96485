"""`conflicts`: the commands about instances that contradict each other."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, settings_of

conflicts = typer.Typer(
    no_args_is_help=True, help="One UID with two contents: see both, choose which is shown."
)

Id = Annotated[str, typer.Argument(help="As `conflicts list` gives it.", metavar="ID")]


@conflicts.command("list")
def conflicts_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what contradicts each other, and which of both is visible."""
    from pacs_cloud.cli.disagreeing import show_all

    show_all(settings_of(config, data=data), as_json=as_json)


@conflicts.command("show")
def conflicts_show(
    conflict_id: Id, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show both sides, in what their headers differ, and how many pixels of each frame."""
    from pacs_cloud.cli.disagreeing import show

    show(settings_of(config, data=data), conflict_id, as_json=as_json)


@conflicts.command("promote")
def conflicts_promote(
    conflict_id: Id,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the one that is hidden, and hide the other; `conflicts undo` takes it back."""
    from pacs_cloud.cli.disagreeing import choose

    choose(settings_of(config, data=data), conflict_id, by=by, undo=False, as_json=as_json)


@conflicts.command("undo")
def conflicts_undo(
    conflict_id: Id,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take the last promotion back: everything is as it was before."""
    from pacs_cloud.cli.disagreeing import choose

    choose(settings_of(config, data=data), conflict_id, by=by, undo=True, as_json=as_json)

"""`rejections`: the commands about rejection notes, and what they hide."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Sure, settings_of

rejections = typer.Typer(
    no_args_is_help=True, help="Rejection notes (IHE IOCM), and the instances that they hide."
)

Note = Annotated[str, typer.Argument(help="SOP Instance UID of the note.", metavar="NOTE")]


@rejections.command("list")
def rejections_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show every note: why, how many instances it names, and how many are hidden."""
    from pacs_cloud.cli.rejecting import show_all

    show_all(settings_of(config, data=data), as_json=as_json)


@rejections.command("show")
def rejections_show(
    note: Note, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show one note, and every instance that it names."""
    from pacs_cloud.cli.rejecting import show

    show(settings_of(config, data=data), note, as_json=as_json)


@rejections.command("undo")
def rejections_undo(
    note: Note,
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a note into the trash: what only it rejects is shown again.

    `trash restore` brings the note back, and what it rejects is hidden once more.
    """
    from pacs_cloud.cli.rejecting import undo

    undo(settings_of(config, data=data), note, sure=sure, as_json=as_json)


@rejections.command("read")
def rejections_read(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Read every note in the archive anew, and do what they say.

    A running archive follows each note as it comes. This is for notes stored before it did,
    and for after a `rebuild`. Exits 1 if something could not be read.
    """
    from pacs_cloud.cli.rejecting import read_all

    raise typer.Exit(read_all(settings_of(config, data=data), as_json=as_json))

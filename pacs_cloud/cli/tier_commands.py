"""`tier`: the commands about which storage class packs belong in, and when."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Sure, settings_of
from pacs_cloud.tiering.lifecycle import INCOMPLETE_UPLOAD_DAYS, NONCURRENT_DAYS

tier = typer.Typer(
    no_args_is_help=True, help="Storage classes: check the policies, and carry them out."
)

PolicyFile = Annotated[Path, typer.Argument(help="Tier policies in TOML.", metavar="FILE")]


@tier.command()
def validate(file: PolicyFile, as_json: AsJson = False) -> None:
    """Say what is wrong with policies, and what costs more than it saves.

    Exits 0 when they can be carried out, 1 when not, 2 when the file cannot be read.
    """
    from pacs_cloud.cli.tiering import check_policies

    raise typer.Exit(check_policies(file, as_json=as_json))


@tier.command()
def lifecycle(
    file: PolicyFile,
    prefix: Annotated[str, typer.Option(help="What the store puts before every key.")] = "",
    noncurrent_days: Annotated[
        int, typer.Option(min=1, help="How long what was deleted can be brought back.")
    ] = NONCURRENT_DAYS,
    incomplete_upload_days: Annotated[
        int, typer.Option(min=1, help="How long an upload may take.")
    ] = INCOMPLETE_UPLOAD_DAYS,
    check: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(help="What the bucket has, as S3's tools print it; '-': from stdin."),
    ] = None,
) -> None:
    """Print the bucket's lifecycle configuration as JSON, as S3's tools take it.

    With --check print where the bucket's differs instead. Exits 1 when it does, or when
    the policies cannot be carried out, and says why.
    """
    from pacs_cloud.cli.tiering import print_lifecycle

    raise typer.Exit(
        print_lifecycle(
            file,
            prefix=prefix,
            noncurrent_days=noncurrent_days,
            incomplete_upload_days=incomplete_upload_days,
            found=check and check.read(),
        )
    )


@tier.command()
def plan(
    file: PolicyFile,
    in_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="What will be due so many days from now.")
    ] = 0,
    region: Annotated[str, typer.Option(help="Whose prices, by their name in the table.")] = (
        "eu-central-1"
    ),
    prices: Annotated[Path | None, typer.Option(help="A price table of your own, TOML.")] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show which packs are due to move, what that costs once, and saves a month.

    Nothing is moved. Exits 1 when the policies cannot be carried out, and says why.
    """
    from pacs_cloud.cli.moving import show_plan

    settings = settings_of(config, data=data)
    raise typer.Exit(
        show_plan(
            settings, file, in_days=in_days, region_name=region, prices=prices, as_json=as_json
        )
    )


@tier.command()
def apply(
    file: PolicyFile,
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Move what is due; beside the running archive, and again as often as you like.

    On S3 a pack is tagged, and the bucket's lifecycle moves it within a day or two: apply
    again then. Exits 1 when packs were left, or the policies cannot be carried out.
    """
    from pacs_cloud.cli.moving import apply_policies

    settings = settings_of(config, data=data)
    raise typer.Exit(apply_policies(settings, file, sure=sure, as_json=as_json))


@tier.command()
def expired(
    file: PolicyFile,
    delete: Annotated[
        bool, typer.Option("--delete", help="Put them into the trash, where trash_days begin.")
    ] = False,
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the studies whose retention is over; nothing deletes them by itself.

    Look at the list first: a device with a wrong clock makes a study look old. Exits 1
    when studies were left, as those on hold are, or the policies cannot be carried out.
    """
    from pacs_cloud.cli.moving import show_expired

    settings = settings_of(config, data=data)
    raise typer.Exit(show_expired(settings, file, delete=delete, sure=sure, as_json=as_json))

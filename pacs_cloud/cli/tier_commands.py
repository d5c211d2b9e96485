"""`tier`: the commands about which storage class packs belong in, and when."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson

tier = typer.Typer(
    no_args_is_help=True, help="Storage classes: check the policies, and carry them out."
)

PolicyFile = Annotated[Path, typer.Argument(help="Tier policies in TOML.", metavar="FILE")]


@tier.callback()
def _tier() -> None:
    """Have commands even while there is one: Typer would take a lone one for the group."""


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
    ] = 30,
    incomplete_upload_days: Annotated[
        int, typer.Option(min=1, help="How long an upload may take.")
    ] = 2,
) -> None:
    """Print the bucket's lifecycle configuration as JSON, as S3's tools take it.

    Exits 1 when the policies cannot be carried out, and says why.
    """
    from pacs_cloud.cli.tiering import print_lifecycle

    raise typer.Exit(
        print_lifecycle(
            file,
            prefix=prefix,
            noncurrent_days=noncurrent_days,
            incomplete_upload_days=incomplete_upload_days,
        )
    )

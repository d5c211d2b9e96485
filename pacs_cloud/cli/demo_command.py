"""`demo`: a small made-up hospital to train on."""

from datetime import datetime
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

demonstration = typer.Typer(no_args_is_help=True)


@demonstration.command()
def demo(
    studies: Annotated[int, typer.Option(min=1, max=2000, help="How many to make.")] = 70,
    seed: Annotated[
        int, typer.Option(min=0, help="The same one makes the same patients and UIDs.")
    ] = 1,
    newest: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Of the newest study.", show_default="of before, or today"
        ),
    ] = None,
    add: Annotated[bool, typer.Option("--add", help="Also where there are studies.")] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Fill an archive with a small made-up hospital to train on; repeat it safely with --add.

    Patients of many scripts, and CT, MR, CR, DX, MG, US, reports and letters of years: some
    150 MB. All is marked as not real: patient IDs begin with DEMO-, and comments say so.
    """
    from pacs_cloud.cli.demonstrating import fill

    fill(
        settings_of(config, data=data),
        number=studies,
        seed=seed,
        adds=add,
        newest=newest and newest.date(),
        as_json=as_json,
    )

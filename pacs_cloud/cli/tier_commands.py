"""`tier`: the commands about which storage class packs belong in, and when."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, Reason, Study, Sure, settings_of
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.tiering.lifecycle import INCOMPLETE_UPLOAD_DAYS, NONCURRENT_DAYS

tier = typer.Typer(
    no_args_is_help=True, help="Storage classes: check the policies, and carry them out."
)

RegionName = Annotated[
    str,
    typer.Option(
        help="Whose prices, by their name in the table.", show_default="where the objects lie"
    ),
]
Prices = Annotated[Path | None, typer.Option(help="A price table of your own, TOML.")]
PolicyFile = Annotated[Path, typer.Argument(help="Tier policies in TOML.", metavar="FILE")]


@tier.command()
def validate(
    file: PolicyFile, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Say what is wrong with policies, and what costs more than it saves.

    With --data or --config for that archive's store; else for a bucket, whose lifecycle
    moves packs. Exits 0 when they can be carried out, 1 when not, 2 when the file cannot be read.
    """
    from pacs_cloud.cli.tiering import check_policies

    is_named = data is not None or config is not None
    settings = settings_of(config, data=data) if is_named else None
    raise typer.Exit(check_policies(file, settings, as_json=as_json))


@tier.command()
def lifecycle(
    file: PolicyFile,
    rules: Annotated[
        typer.FileBinaryRead | None,
        typer.Argument(
            help="With --check: what the bucket has, as S3's tools print it; '-': from stdin."
            " Without it the archive's own bucket is asked.",
            metavar="RULES",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="What the store puts before every key.")] = "",
    noncurrent_days: Annotated[
        int, typer.Option(min=1, help="How long what was deleted can be brought back.")
    ] = NONCURRENT_DAYS,
    incomplete_upload_days: Annotated[
        int, typer.Option(min=1, help="How long an upload may take.")
    ] = INCOMPLETE_UPLOAD_DAYS,
    sizes: Annotated[
        bool, typer.Option(help="Whether the server's rules can go by sizes; Ceph 16's cannot.")
    ] = True,
    ages: Annotated[
        bool,
        typer.Option(help="Whether rules may go by the age of objects: these move what is pinned."),
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Say where the bucket's rules differ.")
    ] = False,
    data: Data = None,
    config: Config = None,
) -> None:
    """Print the bucket's lifecycle configuration as JSON, as S3's tools take it.

    With --check print where the bucket's differs instead. Exits 1 when it does, or when
    the policies cannot be carried out, and says why.
    """
    from pacs_cloud.cli.tiering import print_lifecycle

    if rules is not None and not check:
        raise InvalidRequest("what the bucket has is compared with --check alone")
    asks = check and rules is None
    raise typer.Exit(
        print_lifecycle(
            file,
            prefix=prefix,
            noncurrent_days=noncurrent_days,
            incomplete_upload_days=incomplete_upload_days,
            knows_sizes=sizes,
            with_ages=ages,
            found=None if rules is None else rules.read(),
            bucket_of=settings_of(config, data=data) if asks else None,
        )
    )


@tier.command()
def plan(
    file: PolicyFile,
    in_days: Annotated[
        int, typer.Option(min=0, max=36_500, help="What will be due so many days from now.")
    ] = 0,
    region: RegionName = "",
    prices: Prices = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show which packs are due to move, what that costs once, and saves a month.

    Beside what is due now, at the next run, stands what becomes due within 30 and 90 days,
    from which day on. Nothing is moved. Exits 1 when the policies cannot be carried out,
    and says why.
    """
    from pacs_cloud.cli.planned import show_plan

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
def pin(
    study: Study,
    until: Annotated[
        str,
        typer.Option(
            metavar="DATE", help="The last day, YYYY-MM-DD in UTC; without it until it is unpinned."
        ),
    ] = "",
    recall: Annotated[
        bool, typer.Option("--recall", help="Bring it back to STANDARD, for good.")
    ] = False,
    reason: Reason = "",
    by: By = "",
    region: RegionName = "",
    prices: Prices = None,
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep a study from moving to a colder class.

    With --recall it is brought back from where it is, after the cost is shown. Exits 1 if
    a pack of it could not be looked at or moved.
    """
    from pacs_cloud.cli.pinning import pin_study

    settings = settings_of(config, data=data)
    raise typer.Exit(
        pin_study(
            settings,
            study,
            until=until,
            recall=recall,
            reason=reason,
            by=by,
            region_name=region,
            prices=prices,
            sure=sure,
            as_json=as_json,
        )
    )


@tier.command()
def unpin(
    study: Study,
    reason: Reason = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a study move again, as the policies say."""
    from pacs_cloud.cli.pinning import unpin_study

    settings = settings_of(config, data=data)
    unpin_study(settings, study, reason=reason, by=by, as_json=as_json)


@tier.command("pins")
def list_pins(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show which studies are pinned, since when, by whom and why."""
    from pacs_cloud.cli.pinning import show_pins

    show_pins(settings_of(config, data=data), as_json=as_json)


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
    when studies were left, as pinned ones and those on hold are, or the policies cannot be
    carried out.
    """
    from pacs_cloud.cli.moving import show_expired

    settings = settings_of(config, data=data)
    raise typer.Exit(show_expired(settings, file, delete=delete, sure=sure, as_json=as_json))

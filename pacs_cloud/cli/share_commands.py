"""`share`: the commands that make links for a second opinion, and end them."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, Reason, settings_of

share = typer.Typer(
    no_args_is_help=True,
    help="Links by which somebody else sees a few studies, for a time, and nothing besides.",
)

Id = Annotated[str, typer.Argument(help="As `share list` gives it.", metavar="ID")]


@share.command("make")
def share_make(
    study: Annotated[list[str], typer.Argument(help="Study Instance UIDs.", metavar="STUDY...")],
    reason: Reason,
    days: Annotated[float, typer.Option(help="How long it is good, up to 366.")] = 14,
    uses: Annotated[
        int | None,
        typer.Option(help="How often it is opened.", show_default="10, with --code 3"),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Files may be taken away, too.")
    ] = False,
    reply: Annotated[
        bool, typer.Option("--reply", help="A report or DICOM files may be sent back.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Each use needs a code, to be told another way.")
    ] = False,
    name: Annotated[str, typer.Option(help="For whom it is; the receipts say so.")] = "",
    email: Annotated[str, typer.Option(help="Theirs, likewise.")] = "",
    series: Annotated[
        list[str] | None,
        typer.Option(help="Of the one study only this series; repeatable.", metavar="UID"),
    ] = None,
    deidentify: Annotated[
        bool,
        typer.Option("--deidentify", help="It opens copies without what identifies the patient."),
    ] = False,
    project: Annotated[
        str,
        typer.Option(
            help="Whose pseudonyms these have, with --deidentify.",
            metavar="NAME",
            show_default="nobody's",
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option(help="Where to write what was done to the copies, as JSON.", metavar="FILE"),
    ] = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a link, and print it. It is shown once: only a hash of it is kept.

    Whoever has the link sees these studies. With --code they need a code as well: do not
    send it the same way as the link. With --deidentify they see copies, which are made now,
    and removed with the link. Its address is that of `public_url` in the settings, else `http`.
    """
    from pacs_cloud.cli.sharing import make_share
    from pacs_cloud.identity.shares_record import Guest
    from pacs_cloud.identity.shares_wish import ShareWish

    wish = ShareWish(
        tuple(study),
        reason,
        days=days,
        uses=uses,
        may_download=download,
        may_reply=reply,
        with_codes=code,
        guest=Guest(name, email) if name or email else None,
        deidentify=deidentify,
        project=project,
        series=tuple(series or ()),
    )
    settings = settings_of(config, data=data)
    make_share(settings, wish, by=by, report=report, as_json=as_json)


@share.command("list")
def share_list(
    study: Annotated[str, typer.Option(help="Only those of this study.", metavar="UID")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that open nothing any more.")
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show links, the newest first."""
    from pacs_cloud.cli.sharing import list_shares

    settings = settings_of(config, data=data)
    list_shares(settings, study, everything=everything, as_json=as_json)


@share.command("show")
def share_show(
    share_id: Id, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show a link, when and from where it was opened, and what was done by it.

    What was done comes from the audit trail, as far as this machine and the store have it.
    """
    from pacs_cloud.cli.sharing import show_share

    show_share(settings_of(config, data=data), share_id, as_json=as_json)


@share.command("revoke")
def share_revoke(
    share_id: Annotated[
        list[str], typer.Argument(help="As `share list` gives them.", metavar="ID...")
    ],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End links, and whatever was begun by them, within a second."""
    from pacs_cloud.cli.sharing import revoke_shares

    revoke_shares(settings_of(config, data=data), share_id, by=by, as_json=as_json)

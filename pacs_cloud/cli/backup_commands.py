"""`backup` and `restore`: the commands about the few things that are not packs."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Do, settings_of

backups = typer.Typer()


@backups.command()
def backup(
    to: Annotated[
        str, typer.Argument(metavar="TO", help="A folder, a new .zip file, or s3://bucket/prefix.")
    ],
    with_indexes: Annotated[
        bool,
        typer.Option("--with-indexes", help="Index objects too: a rebuild then reads no pack."),
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write all that is no pack to one ZIP file; the archive may run.

    Ledger, holds, corrections, erasures, the trash, what was re-read and read, the settings,
    and spooled packs. With the packs in their bucket, `restore` and `rebuild` make the
    archive again from it.
    """
    from pacs_cloud.cli.backing_up import write

    write(settings_of(config, data=data), to, with_indexes=with_indexes, as_json=as_json)


@backups.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FROM", help="A backup's file, or s3://….zip.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put back also what is there and differs.")
    ] = False,
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what of a backup is missing in the archive; with --yes put it back.

    All of the backup is verified first. What was erased since stays away. The archive must
    be stopped; run `rebuild` afterwards. Exits 1 where something differs and was left.
    """
    from pacs_cloud.cli.backing_up import put_back

    settings = settings_of(config, data=data)
    raise typer.Exit(put_back(settings, file, replace=replace, do=do, as_json=as_json))

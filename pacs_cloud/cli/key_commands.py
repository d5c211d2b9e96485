"""`key`: the commands about keys of programs."""

from typing import Annotated

import typer

from pacs_cloud.cli.grant_options import (
    GRANTS_HELP,
    Grants,
    Institutions,
    Modalities,
    Referring,
    Roles,
    Studies,
    grants_of,
)
from pacs_cloud.cli.options import AsJson, By, Config, Data, settings_of

key = typer.Typer(no_args_is_help=True, help="API keys: programs that may come in over HTTP.")


@key.command(
    "add",
    help=f"Make a key; print its secret, which nobody can be shown again.\n\n{GRANTS_HELP}",
)
def key_add(
    note: Annotated[str, typer.Argument(help="What it is for. No patient data.")],
    role: Roles = None,
    institution: Institutions = None,
    referring: Referring = None,
    modality: Modalities = None,
    study: Studies = None,
    grant: Grants = None,
    until: Annotated[
        str, typer.Option(metavar="DATE", help="Its last day, YYYY-MM-DD in UTC.")
    ] = "",
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="How long it lasts, where no date says.")
    ] = 365,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; print its secret, which nobody can be shown again."""
    from pacs_cloud.cli.keys import add

    grants = grants_of(role, institution, referring, modality, study, grant)
    settings = settings_of(config, data=data)
    add(settings, note, grants, until=until, days=days, by=by, as_json=as_json)


@key.command("list")
def key_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the keys, what they may, until when, and when they were used last."""
    from pacs_cloud.cli.keys import list_keys

    list_keys(settings_of(config, data=data), as_json=as_json)


@key.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or its secret.")],
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a key open nothing any more, within seconds."""
    from pacs_cloud.cli.keys import revoke

    revoke(settings_of(config, data=data), key_id, by=by, as_json=as_json)

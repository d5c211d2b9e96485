"""`oidc`: the commands that try an OpenID provider out."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, settings_of

oidc = typer.Typer(
    no_args_is_help=True, help="The OpenID provider of the settings: is it right, who is somebody."
)


@oidc.command("check")
def oidc_check(config: Config = None, as_json: AsJson = False) -> None:
    """Ask the provider for what it says of itself and for its keys; print what to register.

    Exits 2 if it cannot be reached, or is not the one that the settings name.
    """
    from pacs_cloud.cli.oidc_checking import check

    check(settings_of(config), as_json=as_json)


@oidc.command("whois")
def oidc_whois(
    token: Annotated[
        Path, typer.Argument(metavar="FILE", help="Holds an access token; - reads it from stdin.")
    ],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say whose an access token is and what it grants, or why it is not believed (exits 1)."""
    from pacs_cloud.cli.oidc_checking import whois

    raise typer.Exit(whois(settings_of(config), token, as_json=as_json))

"""`user`: the commands about local users."""

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
from pacs_cloud.cli.options import AsJson, By, Config, Data, Sure, settings_of

user = typer.Typer(no_args_is_help=True, help="Local users: who may sign in, and what they may.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What they sign in as.")]
Called = Annotated[str | None, typer.Option("--display", help="How pages call them.")]
Email = Annotated[str | None, typer.Option(help="Their e-mail address.")]
EvenLast = Annotated[
    bool, typer.Option("--even-last", help="Also the only administrator who can sign in.")
]


@user.command(
    "add", help=f"Make a user; print a link by which they set their password.\n\n{GRANTS_HELP}"
)
def user_add(
    name: Name,
    role: Roles = None,
    institution: Institutions = None,
    referring: Referring = None,
    modality: Modalities = None,
    study: Studies = None,
    grant: Grants = None,
    display: Called = None,
    email: Email = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a user; print a link by which they set their password."""
    from pacs_cloud.cli.users import add

    grants = grants_of(role, institution, referring, modality, study, grant)
    settings = settings_of(config, data=data)
    add(settings, name, grants, display=display or "", email=email or "", by=by, as_json=as_json)


@user.command("list")
def user_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the users, and what they may."""
    from pacs_cloud.cli.users import list_users

    list_users(settings_of(config, data=data), as_json=as_json)


@user.command("show")
def user_show(
    name: Name, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show what is known of a user."""
    from pacs_cloud.cli.users import show

    show(settings_of(config, data=data), name, as_json=as_json)


@user.command("grant", help=f"Let a user be this, and nothing that they were.\n\n{GRANTS_HELP}")
def user_grant(
    name: Name,
    role: Roles = None,
    institution: Institutions = None,
    referring: Referring = None,
    modality: Modalities = None,
    study: Studies = None,
    grant: Grants = None,
    even_last: EvenLast = False,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let a user be this, and nothing that they were."""
    from pacs_cloud.cli.users import set_grants

    grants = grants_of(role, institution, referring, modality, study, grant)
    settings = settings_of(config, data=data)
    set_grants(settings, name, grants, by=by, even_last=even_last, as_json=as_json)


@user.command("change")
def user_change(
    name: Name,
    display: Called = None,
    email: Email = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Change how a user is called, or their address; '' takes it away."""
    from pacs_cloud.cli.users import change

    settings = settings_of(config, data=data)
    change(settings, name, display=display, email=email, by=by, as_json=as_json)


@user.command("disable")
def user_disable(
    name: Name,
    even_last: EvenLast = False,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep a user out; their sessions end within seconds."""
    from pacs_cloud.cli.users import disable

    settings = settings_of(config, data=data)
    disable(settings, name, by=by, even_last=even_last, as_json=as_json)


@user.command("enable")
def user_enable(
    name: Name, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Let a user in again, whose password is what it was."""
    from pacs_cloud.cli.users import enable

    enable(settings_of(config, data=data), name, by=by, as_json=as_json)


@user.command("unlock")
def user_unlock(
    name: Name, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Let a user try again at once who is locked out by failures."""
    from pacs_cloud.cli.users import unlock

    unlock(settings_of(config, data=data), name, as_json=as_json)


@user.command("reset")
def user_reset(
    name: Name,
    codes: Annotated[
        bool, typer.Option("--codes", help="Their authenticator counts no more, too.")
    ] = False,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take a user's password; print a link by which they set a new one. Their sessions end."""
    from pacs_cloud.cli.users import reset

    reset(settings_of(config, data=data), name, with_codes=codes, by=by, as_json=as_json)


@user.command("sign-out")
def user_sign_out(
    name: Name, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """End all sessions of a user within seconds."""
    from pacs_cloud.cli.users import sign_out

    sign_out(settings_of(config, data=data), name, by=by, as_json=as_json)


@user.command("remove")
def user_remove(
    name: Name,
    even_last: EvenLast = False,
    sure: Sure = False,
    by: By = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Let there be no such user: only their name is kept, which may be given away again."""
    from pacs_cloud.cli.users import remove

    remove(settings_of(config, data=data), name, by=by, even_last=even_last, sure=sure)

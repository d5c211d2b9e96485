"""`device`: the commands that say which application entities may come in, and for what."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, settings_of
from pacs_cloud.identity.devices import DeviceService, UserPolicy

device = typer.Typer(
    no_args_is_help=True, help="Application entities: who may associate, from where, for what."
)

Title = Annotated[str, typer.Argument(metavar="AET", help="Its AE title.")]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="CIDR", help="Where it comes from, e.g. 10.1.2.0/24; any: anywhere."
    ),
]
Allow = Annotated[
    list[DeviceService] | None, typer.Option(help="What it may ask for; may be repeated.")
]
Tls = Annotated[bool | None, typer.Option("--tls/--no-tls", help="It must come over TLS.")]
Certificate = Annotated[
    list[str] | None,
    typer.Option(metavar="SHA256|FILE", help="Its certificate, PEM, or the digest; none: any."),
]
Name = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A subject alternative name of its certificate; none: any."),
]
User = Annotated[
    UserPolicy | None,
    typer.Option(help="What is done with a user's name and passcode that it brings."),
]
Most = Annotated[
    int | None, typer.Option(min=0, help="Associations at a time, on one machine; 0: no limit.")
]
PerMinute = Annotated[
    int | None,
    typer.Option(min=0, help="Associations begun in a minute, on one machine; 0: no limit."),
]
To = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where it takes what is sent to it; none: nowhere."),
]
ToTls = Annotated[
    bool | None, typer.Option("--to-tls/--no-to-tls", help="It is called over TLS there.")
]
ToName = Annotated[
    str | None, typer.Option(metavar="NAME", help="What its certificate there must be for.")
]
Note = Annotated[str | None, typer.Option(help="For people. No patient data.")]


@device.command("add")
def device_add(
    title: Title,
    from_: From = None,
    allow: Allow = None,
    tls: Tls = None,
    certificate: Certificate = None,
    name: Name = None,
    user: User = None,
    most: Most = None,
    per_minute: PerMinute = None,
    to: To = None,
    to_tls: ToTls = None,
    to_name: ToName = None,
    note: Note = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let an application entity in. Without --allow it may verify and store.

    It says from which addresses it comes (--from), or which certificate is its own
    (--certificate, --name): a title alone proves nothing. Processes know of it within
    seconds.
    """
    from pacs_cloud.cli.device_editing import Changes, add_device

    changes = Changes(
        from_, allow, tls, certificate, name, user, most, per_minute, to, to_tls, to_name, note
    )
    add_device(settings_of(config, data=data), title, changes, by=by, as_json=as_json)


@device.command("change")
def device_change(
    title: Title,
    from_: From = None,
    allow: Allow = None,
    tls: Tls = None,
    certificate: Certificate = None,
    name: Name = None,
    user: User = None,
    most: Most = None,
    per_minute: PerMinute = None,
    to: To = None,
    to_tls: ToTls = None,
    to_name: ToName = None,
    note: Note = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Keep it out, or let it in again.")
    ] = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Change what is said of an application entity; what is not named stays as it is.

    --from, --allow, --certificate and --name stand for all that was said before of their
    kind. Associations that are under way end within half a minute, at their next request.
    """
    from pacs_cloud.cli.device_editing import Changes, change_device

    changes = Changes(
        *(from_, allow, tls, certificate, name, user, most, per_minute),
        *(to, to_tls, to_name, note, disabled),
    )
    change_device(settings_of(config, data=data), title, changes, by=by, as_json=as_json)


@device.command("list")
def device_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show who may come in, and for what."""
    from pacs_cloud.cli.device_editing import list_devices

    list_devices(settings_of(config, data=data), as_json=as_json)


@device.command("show")
def device_show(
    title: Title, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show all that is said of one application entity."""
    from pacs_cloud.cli.device_editing import show_device

    show_device(settings_of(config, data=data), title, as_json=as_json)


@device.command("remove")
def device_remove(
    title: Title,
    by: By = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Know an application entity no more; its associations end within half a minute."""
    from pacs_cloud.cli.device_editing import forget_device

    forget_device(settings_of(config, data=data), title, by=by)

"""`pacs-cloud`: the commands, and how their errors end.

Exit codes: 0 done; 1 done, with findings or refusals; 2 could not be done.
Commands import what they need when they run: `--help` answers at once, and the
parent of the server processes stays small.
"""

import sys
from typing import Annotated

import typer

from pacs_cloud import __version__
from pacs_cloud.bootstrap.supervisor import Role
from pacs_cloud.cli.archive_commands import archive
from pacs_cloud.cli.audit_commands import audit
from pacs_cloud.cli.backup_commands import backups
from pacs_cloud.cli.break_glass_commands import break_glass
from pacs_cloud.cli.catalogue_commands import catalogue
from pacs_cloud.cli.conflict_commands import conflicts
from pacs_cloud.cli.correction_commands import corrections, patient
from pacs_cloud.cli.correction_commands import study as study_commands
from pacs_cloud.cli.cost_commands import cost
from pacs_cloud.cli.deeds import put_on_record
from pacs_cloud.cli.deid_commands import deid
from pacs_cloud.cli.demo_command import demonstration
from pacs_cloud.cli.device_commands import device
from pacs_cloud.cli.erase_commands import erase
from pacs_cloud.cli.fixity_commands import fixity
from pacs_cloud.cli.hold_commands import hold
from pacs_cloud.cli.key_commands import key
from pacs_cloud.cli.label_commands import label
from pacs_cloud.cli.oidc_commands import oidc
from pacs_cloud.cli.options import (
    AsJson,
    Commands,
    Config,
    Data,
    Instance,
    Series,
    Study,
    Sure,
    of_tenant,
    settings_of,
)
from pacs_cloud.cli.recall_commands import recall
from pacs_cloud.cli.rejection_commands import rejections
from pacs_cloud.cli.share_commands import share
from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.cli.trash_commands import trash
from pacs_cloud.cli.upkeep_commands import upkeep
from pacs_cloud.cli.user_commands import user
from pacs_cloud.cli.viewer_commands import viewer
from pacs_cloud.errors import PacsError

COULD_NOT = 2

app = typer.Typer(
    name="pacs-cloud",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A cloud-native PACS: DICOM in, packs in the bucket, DICOM and DICOMweb out.",
)

app.add_typer(archive)
app.add_typer(demonstration)
app.add_typer(upkeep)
app.add_typer(backups)
for name, commands in (
    ("trash", trash),
    ("hold", hold),
    ("erase", erase),
    ("conflicts", conflicts),
    ("rejections", rejections),
    ("patient", patient),
    ("study", study_commands),
    ("corrections", corrections),
    ("tier", tier),
    ("recall", recall),
    ("cost", cost),
    ("fixity", fixity),
    ("catalogue", catalogue),
    ("user", user),
    ("key", key),
    ("audit", audit),
    ("device", device),
    ("share", share),
    ("label", label),
    ("break-glass", break_glass),
    ("oidc", oidc),
    ("deid", deid),
    ("viewer", viewer),
):
    app.add_typer(commands, name=name)

Http = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where DICOMweb answers; port 0: any free.")
]
Dimse = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where DICOM answers; port 0: any free.")
]
Aet = Annotated[str | None, typer.Option(help="Our application entity title.")]
NoAuth = Annotated[
    bool | None,
    typer.Option("--no-auth", help="No sign-in: everybody is administrator; loopback only."),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pacs-cloud {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    tenant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whose part of the archive; else the settings' own."),
    ] = None,
) -> None:
    del version
    context.with_resource(of_tenant(tenant))


@app.command()
def up(
    data: Data = None,
    http: Http = None,
    dimse: Dimse = None,
    aet: Aet = None,
    no_auth: NoAuth = None,
    config: Config = None,
) -> None:
    """Start the whole PACS; stop it with Ctrl-C or SIGTERM.

    Prints one line once it serves:  ready http=http://… dimse=host:port aet=…
    Other commands read the settings, not these flags: links that they print go by `http` or
    `public_url` there.
    """
    from pacs_cloud.cli.serve import serve_roles

    settings = settings_of(config, data=data, http=http, dimse=dimse, aet=aet, no_auth=no_auth)
    serve_roles(
        settings,
        {
            Role.DIMSE: settings.dimse_processes,
            Role.WEB: settings.web_processes,
            Role.WORKER: 1,
        },
    )


@app.command()
def serve(
    role: Annotated[Role, typer.Argument(help="What these processes do.")],
    data: Data = None,
    http: Http = None,
    dimse: Dimse = None,
    aet: Aet = None,
    no_auth: NoAuth = None,
    config: Config = None,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Start one role alone, to scale each by itself."""
    from pacs_cloud.cli.serve import serve_roles, serve_supervised

    if supervised:
        serve_supervised(role)
        return
    settings = settings_of(config, data=data, http=http, dimse=dimse, aet=aet, no_auth=no_auth)
    counts = {
        Role.DIMSE: settings.dimse_processes,
        Role.WEB: settings.web_processes,
        Role.WORKER: 1,
    }
    serve_roles(settings, {role: counts[role]})


@app.command()
def send(
    study: Study,
    to: Annotated[str, typer.Option(metavar="AET@HOST:PORT", help="Who receives it.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Send a study to a DICOM peer by C-STORE. Exits 1 if the peer refused anything."""
    from pacs_cloud.cli.sending import send_study

    raise typer.Exit(send_study(settings_of(config, data=data), study, to, as_json=as_json))


@app.command()
def reject(
    study: Study,
    code: Annotated[str, typer.Option(help="quality, safety, worklist or retention.")],
    series: Series = "",
    instance: Instance = "",
    words: Annotated[
        str, typer.Option("--because", metavar="TEXT", help="What else the note shall say.")
    ] = "",
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Hide a study, a series or an instance by a rejection note (IHE IOCM) of our own.

    The note is stored as one that came in; `rejections undo` takes it back.
    """
    from pacs_cloud.cli.rejecting import reject as reject_

    settings = settings_of(config, data=data)
    names = study, series, instance
    reject_(settings, names, code, words=words, sure=sure, as_json=as_json)


put_on_record(app)


def main() -> None:
    """Run the command line; one line on stderr and exit code 2 for what could not be done."""
    try:
        app(standalone_mode=True)
    except PacsError as error:
        sys.stderr.write(f"pacs-cloud: {error}\n")
        sys.exit(COULD_NOT)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        sys.stderr.close()
        sys.exit(0)

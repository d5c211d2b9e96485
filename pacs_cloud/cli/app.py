"""`pacs-cloud`: the commands, and how their errors end.

Exit codes: 0 done; 1 done, with findings or refusals; 2 could not be done.
Commands import what they need when they run: `--help` answers at once, and the
parent of the server processes stays small.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud import __version__
from pacs_cloud.bootstrap.supervisor import Role
from pacs_cloud.cli.audit_commands import audit
from pacs_cloud.cli.backup_commands import backups
from pacs_cloud.cli.catalogue_commands import catalogue
from pacs_cloud.cli.conflict_commands import conflicts
from pacs_cloud.cli.correction_commands import corrections, patient
from pacs_cloud.cli.correction_commands import study as study_commands
from pacs_cloud.cli.cost_commands import cost
from pacs_cloud.cli.deid_commands import deid
from pacs_cloud.cli.device_commands import device
from pacs_cloud.cli.erase_commands import erase
from pacs_cloud.cli.fixity_commands import fixity
from pacs_cloud.cli.hold_commands import hold
from pacs_cloud.cli.key_commands import key
from pacs_cloud.cli.oidc_commands import oidc
from pacs_cloud.cli.options import (
    AsJson,
    Config,
    Data,
    Instance,
    Series,
    Study,
    Sure,
    settings_of,
)
from pacs_cloud.cli.recall_commands import recall
from pacs_cloud.cli.rejection_commands import rejections
from pacs_cloud.cli.share_commands import share
from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.cli.trash_commands import trash
from pacs_cloud.cli.upkeep_commands import upkeep
from pacs_cloud.cli.user_commands import user
from pacs_cloud.errors import PacsError

COULD_NOT = 2

app = typer.Typer(
    name="pacs-cloud",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A cloud-native PACS: DICOM in, packs in the bucket, DICOM and DICOMweb out.",
)

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
    ("oidc", oidc),
    ("deid", deid),
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
    typer.Option("--no-auth", help="No sign-in; loopback only. Changes nothing yet."),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pacs-cloud {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


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


@app.command("import")
def import_(
    path: Annotated[
        str, typer.Argument(help="A folder, a file, a ZIP, or s3://bucket/prefix?endpoint=…")
    ],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Store every DICOM file of a folder, a ZIP or a bucket; repeat it safely.

    Exits 1 if anything was refused; each refusal is listed with its reason.
    """
    from pacs_cloud.cli.importing import import_path

    raise typer.Exit(import_path(settings_of(config, data=data), path, as_json=as_json))


@app.command()
def find(
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Keys by keyword or tag, e.g. PatientName='SMITH*' StudyDate=20240101-",
        ),
    ] = None,
    level: Annotated[str, typer.Option(help="study, series, instance or patient.")] = "study",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Search, newest first; wildcards * and ?, ranges a-b."""
    from pacs_cloud.cli.finding import find_rows

    settings = settings_of(config, data=data)
    find_rows(settings, keys or [], level=level, limit=limit, as_json=as_json)


@app.command()
def get(
    study: Study,
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory to write to.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a study's files as DIR/{study}/{series}/{sop}.dcm, as they were stored."""
    from pacs_cloud.cli.getting import get_study

    get_study(settings_of(config, data=data), study, output, as_json=as_json)


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
def delete(
    study: Study,
    series: Series = "",
    instance: Instance = "",
    sure: Sure = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a study, a series or an instance into the trash."""
    from pacs_cloud.cli.deleting import delete as delete_

    settings = settings_of(config, data=data)
    delete_(settings, study, series, instance, sure=sure, as_json=as_json)


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

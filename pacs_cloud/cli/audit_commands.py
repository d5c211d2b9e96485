"""`audit`: the commands that read the audit trail, and prove it."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

audit = typer.Typer(
    no_args_is_help=True,
    help="Who did what with whose data: list it, export it, prove that nothing was changed.",
)

Since = Annotated[
    str, typer.Option(metavar="WHEN", help="From then on: YYYY-MM-DD or YYYY-MM-DDThh:mm, in UTC.")
]
Until = Annotated[
    str, typer.Option(metavar="WHEN", help="Before then; of a day: to its end. In UTC.")
]
Who = Annotated[str, typer.Option(metavar="NAME", help="Only of this user, key or AE title.")]
Patient = Annotated[
    str,
    typer.Option(
        metavar="ID", help="Only with this patient, as studies show them now or showed them then."
    ),
]
Kind = Annotated[str, typer.Option(help="Only read, query, store, send, change, login, …")]
Outcome = Annotated[str, typer.Option(help="Only success, minor, serious or major.")]
OfStudy = Annotated[str, typer.Option(metavar="UID", help="Only with this study.")]


@audit.command("list")
def audit_list(
    since: Since = "",
    until: Until = "",
    who: Who = "",
    study: OfStudy = "",
    patient: Patient = "",
    kind: Kind = "",
    outcome: Outcome = "",
    limit: Annotated[
        int, typer.Option(min=1, help="Of a table: the newest so many. JSON has all.")
    ] = 1000,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what is on record, oldest first. That somebody looked is put on record, too.

    Exits 1 where some of it could not be read: `audit verify` says why.
    """
    from pacs_cloud.audit.asked import Asked
    from pacs_cloud.cli.auditing import list_events

    asked = Asked(since, until, who, study, patient, kind, outcome)
    settings = settings_of(config, data=data)
    raise typer.Exit(list_events(settings, asked, limit=limit, as_json=as_json))


@audit.command("who")
def audit_who(
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="Patient ID.")],
    issuer: Annotated[
        str | None, typer.Option(help="Issuer of this ID; without it: whoever's.")
    ] = None,
    since: Since = "",
    until: Until = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show who has seen or changed something of a patient, how often, and from where.

    Counts what events name the patient, and those about studies that show them now: after
    a merge what was done under the other ID, too. Exits 1 where some of it could not be read.
    """
    from pacs_cloud.audit.asked import Asked
    from pacs_cloud.cli.auditing import who_did_what

    asked = Asked(since, until, patient=patient, issuer=issuer)
    raise typer.Exit(who_did_what(settings_of(config, data=data), asked, as_json=as_json))


@audit.command("verify")
def audit_verify(
    since: Annotated[
        str,
        typer.Option(
            metavar="DAY", help="Only from YYYY-MM-DD on: what is older may have been removed."
        ),
    ] = "",
    tenant: Annotated[str, typer.Option(help="Only of this tenant; else of all.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing of the trail was changed, dropped, doubled or put in between.

    Reads everything that is sealed, and the journals on this machine's disk; beside a
    running archive, too. Exits 0 when all of it is as it was written, 1 with findings.
    """
    from pacs_cloud.cli.audit_verifying import verify

    settings = settings_of(config, data=data)
    raise typer.Exit(verify(settings, since=since, tenant=tenant, as_json=as_json))


@audit.command("export")
def audit_export(
    dicom_xml: Annotated[
        bool,
        typer.Option("--dicom-xml", help="As DICOM audit messages (PS3.15 A.5), one a line."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A new file; else standard output.")
    ] = None,
    since: Since = "",
    until: Until = "",
    who: Who = "",
    study: OfStudy = "",
    patient: Patient = "",
    kind: Kind = "",
    outcome: Outcome = "",
    data: Data = None,
    config: Config = None,
) -> None:
    """Write records as they are sealed, a line of JSON each, or as DICOM audit messages.

    That somebody took them is put on record. Exits 1 where some could not be read.
    """
    from pacs_cloud.audit.asked import Asked
    from pacs_cloud.cli.auditing import export

    asked = Asked(since, until, who, study, patient, kind, outcome)
    settings = settings_of(config, data=data)
    raise typer.Exit(export(settings, asked, output, dicom_xml=dicom_xml))

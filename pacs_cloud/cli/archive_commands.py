"""`import`, `find`, `get` and `delete`: here, or over DICOMweb in an archive elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, Instance, Series, Study, Sure, reaching

archive = typer.Typer(no_args_is_help=True)

Remote = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="An archive elsewhere, over DICOMweb: https://HOST or https://HOST/PATH; with the"
        " key in PACS_API_KEY or --key-file.",
        show_default="PACS_REMOTE; else this machine's",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="File of mode 0600 that holds the API key.", show_default="PACS_API_KEY"),
]
Ca = Annotated[Path | None, typer.Option(help="Certificates (PEM) to trust besides the system's.")]


@archive.command("import")
def import_(
    path: Annotated[
        str, typer.Argument(help="A folder, a file, a ZIP, or s3://bucket/prefix?endpoint=…")
    ],
    remote: Remote = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Store every DICOM file of a folder, a ZIP or a bucket; repeat it safely.

    Exits 1 if anything was refused; each refusal is listed with its reason.
    """
    from pacs_cloud.cli.importing import import_path

    settings = reaching(config, data=data, remote=remote, key_file=key_file, ca=ca)
    raise typer.Exit(import_path(settings, path, as_json=as_json))


@archive.command()
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
    remote: Remote = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Search, newest first; wildcards * and ?, ranges a-b."""
    from pacs_cloud.cli.finding import find_rows

    settings = reaching(config, data=data, remote=remote, key_file=key_file, ca=ca)
    find_rows(settings, keys or [], level=level, limit=limit, as_json=as_json)


@archive.command()
def get(
    study: Study,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Directory to write to, or FILE.zip.")
    ],
    remote: Remote = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a study's files as DIR/{study}/{series}/{sop}.dcm, as they were stored.

    With --remote a get that was cut off goes on where it was when it is repeated.
    """
    from pacs_cloud.cli.getting import get_study

    settings = reaching(config, data=data, remote=remote, key_file=key_file, ca=ca)
    get_study(settings, study, output, as_json=as_json)


@archive.command()
def delete(
    study: Study,
    series: Series = "",
    instance: Instance = "",
    sure: Sure = False,
    remote: Remote = None,
    key_file: KeyFile = None,
    ca: Ca = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a study, a series or an instance into the trash."""
    from pacs_cloud.cli.deleting import delete as delete_

    settings = reaching(config, data=data, remote=remote, key_file=key_file, ca=ca)
    delete_(settings, study, series, instance, sure=sure, as_json=as_json)

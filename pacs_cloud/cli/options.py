"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pacs_cloud.cli.this_user import this_user
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings, load_settings
from pacs_cloud.telemetry import configure_logging


def _stated(option: typer.CallbackParam, reason: str) -> str:
    if option.required and not reason.strip():
        raise InvalidRequest("a --reason says why")
    return reason.strip()


Data = Annotated[
    Path | None,
    typer.Option(help="Directory of the spool and the embedded stores.", show_default="./data"),
]
Config = Annotated[
    Path | None,
    typer.Option(help="Settings in TOML; ./pacs.toml is read where it exists."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON: one object, or one object a line for lists.")
]
Study = Annotated[str, typer.Argument(help="Study Instance UID.", metavar="STUDY")]
Series = Annotated[str, typer.Option(help="Only this Series Instance UID.", metavar="UID")]
Instance = Annotated[str, typer.Option(help="Only this SOP Instance UID.", metavar="UID")]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
Do = Annotated[
    bool, typer.Option("--yes", "-y", help="Do it; without it: only say what would be done.")
]
Reason = Annotated[str, typer.Option(help="Why; kept for ever. No patient data.", callback=_stated)]
By = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Who does it.",
        show_default="this system's user",
        callback=lambda by: by or this_user(),
    ),
]


def settings_of(config: Path | None = None, **flags: Any) -> Settings:
    """Return the settings, and start logging as they say; raises InvalidRequest."""
    settings = load_settings(flags, config=config)
    configure_logging(settings.log_level)
    return settings

"""Options that several commands share."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from pacs_cloud.cli.this_user import this_user
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.settings import Settings, load_settings
from pacs_cloud.telemetry import configure_logging

_NOT_FROM_AFAR: Final = (
    "this command needs the archive itself; over DICOMweb there are find, get, import and delete"
)


class Commands(TyperGroup):
    """Commands; one that is told an archive elsewhere, and cannot reach it, says so in a line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if getattr(error, "option_name", "") == "--remote":
                raise InvalidRequest(f"--remote: {_NOT_FROM_AFAR}") from error
            raise


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


_TENANT: Final = ContextVar[str | None]("tenant", default=None)


@contextmanager
def of_tenant(name: str | None) -> Generator[None]:
    """Have the settings of every command in the block be of this tenant; None: as they are."""
    token = _TENANT.set(name)
    try:
        yield
    finally:
        _TENANT.reset(token)


def typed(command: str, settings: Settings) -> str:
    """Return a command as it is typed for the archive that these settings are of."""
    is_usual = settings.data == Settings.model_fields["data"].default
    return f"pacs-cloud {command}" + ("" if is_usual else f" --data {quote(str(settings.data))}")


def settings_of(config: Path | None = None, **flags: Any) -> Settings:
    """Return the settings of this machine's archive, and start logging as they say.

    Raises:
        InvalidRequest: they cannot be followed, or name an archive elsewhere.
    """
    settings = _logged(load_settings({**flags, "tenant": _TENANT.get()}, config=config))
    if settings.remote:
        # It was meant for that one: never for the one that happens to be here.
        raise InvalidRequest(f"PACS_REMOTE names an archive elsewhere: {_NOT_FROM_AFAR}")
    return settings


def reaching(
    config: Path | None,
    *,
    data: Path | None,
    remote: str | None,
    key_file: Path | None,
    ca: Path | None,
) -> Settings:
    """Return the settings of a command that also works on an archive elsewhere.

    Raises:
        InvalidRequest: they cannot be followed, or leave open which archive is meant.
    """
    flags = {"data": data, "remote": remote, "api_key_file": key_file, "remote_ca": ca}
    settings = _logged(load_settings({**flags, "tenant": _TENANT.get()}, config=config))
    if settings.remote and data is not None:
        raise InvalidRequest(
            "--data is an archive here, --remote (PACS_REMOTE) one elsewhere: say one of them"
        )
    return settings


def _logged(settings: Settings) -> Settings:
    configure_logging(settings.log_level)
    return settings

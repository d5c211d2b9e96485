"""`erase`: the commands that remove instances for ever, and show that they are gone."""

from typing import Any

import typer
from typer.core import TyperGroup

from pacs_cloud.cli.options import (
    AsJson,
    By,
    Config,
    Data,
    Do,
    Instance,
    Reason,
    Series,
    Study,
    settings_of,
)

_ERASE = "study"


class _StudyOrCommand(TyperGroup):
    """Takes what is no command for the study that is meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line behind `erase`."""
        is_study = bool(args) and args[0] not in {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, [_ERASE, *args] if is_study else args)


erase = typer.Typer(
    cls=_StudyOrCommand,
    no_args_is_help=True,
    help="Remove instances for ever, with every version of every object that holds them:"
    " pacs-cloud erase STUDY [--series UID] [--instance UID] --reason TEXT [--yes].",
)


@erase.command(_ERASE)
def erase_study(
    study: Study,
    reason: Reason,
    series: Series = "",
    instance: Instance = "",
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show what erasing would do; with --yes do it. The word "study" may be left out.

    Visible, deleted or hidden, it goes with all its versions, and nobody can store it again.
    Packs that hold something else too are made anew without it. Exits 1 where it waits for
    something: then the archive's worker goes on with it.
    """
    from pacs_cloud.cli.erasing import erase as erase_

    settings = settings_of(config, data=data)
    names = study, series, instance
    raise typer.Exit(erase_(settings, names, reason=reason, by=by, do=do, as_json=as_json))


@erase.command("list")
def erase_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what was erased, when, by whom and why, and whether it is proven to be gone."""
    from pacs_cloud.cli.erasing import show_all

    show_all(settings_of(config, data=data), as_json=as_json)


@erase.command("show")
def erase_show(
    study: Study, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show every step of a study's erasures: which keys went, and how many versions of each."""
    from pacs_cloud.cli.erasing import show

    show(settings_of(config, data=data), study, as_json=as_json)


@erase.command("lift")
def erase_lift(
    study: Study,
    reason: Reason,
    instance: Instance = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let what is erased of a study be stored again: one instance, or all. It does not come back.

    Exits 1 where the catalogue could not follow yet.
    """
    from pacs_cloud.cli.erasing import lift

    settings = settings_of(config, data=data)
    raise typer.Exit(lift(settings, study, instance, reason=reason, by=by, as_json=as_json))

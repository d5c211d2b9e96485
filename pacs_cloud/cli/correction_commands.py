"""`patient`, `study` and `corrections`: the commands that mend what came in wrong."""

from typing import Annotated

import typer

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

patient = typer.Typer(no_args_is_help=True, help="Patients: merged into another, and unmerged.")
study = typer.Typer(no_args_is_help=True, help="Studies: moved to another patient, corrected.")
corrections = typer.Typer(
    no_args_is_help=True, help="What was merged, moved and corrected; each can be undone."
)

Id = Annotated[str, typer.Argument(help="As `corrections list` gives it.", metavar="ID")]


@patient.command("merge")
def patient_merge(
    source: Annotated[str, typer.Argument(help="The Patient ID that is given up.")],
    target: Annotated[str, typer.Argument(help="The Patient ID that stays.")],
    reason: Reason,
    issuer: Annotated[
        str | None, typer.Option(help="Issuer of the first ID, where several have one.")
    ] = None,
    target_issuer: Annotated[
        str | None, typer.Option(help="Issuer of the second ID, where several have one.")
    ] = None,
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show all studies of one patient as another's; those that come later, too."""
    from pacs_cloud.cli.correcting import Asked, merge

    asked = Asked(settings_of(config, data=data), reason, by, do=do, as_json=as_json)
    raise typer.Exit(merge(asked, source, target, issuer=issuer, target_issuer=target_issuer))


@patient.command("unmerge")
def patient_unmerge(
    correction: Id,
    reason: Reason,
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take a merge back, in studies that came later, too."""
    from pacs_cloud.cli.correcting import Asked, undo

    asked = Asked(settings_of(config, data=data), reason, by, do=do, as_json=as_json)
    raise typer.Exit(undo(asked, correction, only_merges=True))


@study.command("move")
def study_move(
    study: Study,
    to: Annotated[str, typer.Option("--to", metavar="PATIENT_ID", help="Whose it is.")],
    reason: Reason,
    issuer: Annotated[
        str | None, typer.Option(help="Issuer of the ID, where several have one.")
    ] = None,
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show a study as another patient's."""
    from pacs_cloud.cli.correcting import Asked, move

    asked = Asked(settings_of(config, data=data), reason, by, do=do, as_json=as_json)
    raise typer.Exit(move(asked, study, to, issuer=issuer))


@study.command("correct")
def study_correct(
    study: Study,
    reason: Reason,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An attribute by keyword or tag, e.g. PatientName=DOE^JANE; repeat it.",
        ),
    ] = None,
    emptied: Annotated[
        list[str] | None,
        typer.Option("--empty", metavar="KEY", help="An attribute without a value; repeat it."),
    ] = None,
    series: Series = "",
    instance: Instance = "",
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show attributes of a study, a series or an instance otherwise than they came in."""
    from pacs_cloud.cli.correcting import Asked, correct

    asked = Asked(settings_of(config, data=data), reason, by, do=do, as_json=as_json)
    names = study, series, instance
    raise typer.Exit(correct(asked, names, given or [], emptied or []))


@corrections.command("list")
def corrections_list(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show every correction, oldest first, by whom and why, and whether it stands."""
    from pacs_cloud.cli.corrected import show_all

    show_all(settings_of(config, data=data), as_json=as_json)


@corrections.command("show")
def corrections_show(
    correction: Id, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Show one correction, what it changes, and which studies show it now."""
    from pacs_cloud.cli.corrected import show

    show(settings_of(config, data=data), correction, as_json=as_json)


@corrections.command("undo")
def corrections_undo(
    correction: Id,
    reason: Reason,
    by: By = "",
    do: Do = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take any correction back: what came in is shown again, or an older correction."""
    from pacs_cloud.cli.correcting import Asked, undo

    asked = Asked(settings_of(config, data=data), reason, by, do=do, as_json=as_json)
    raise typer.Exit(undo(asked, correction))

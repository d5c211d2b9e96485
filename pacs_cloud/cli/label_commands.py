"""`label`: the commands that say of studies what no instance does."""

from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, By, Config, Data, Reason, Study, settings_of

label = typer.Typer(
    no_args_is_help=True,
    help="Labels of studies: rules go by them, and sensitive ones (vip) hide a study from most.",
)

Labels = Annotated[
    list[str], typer.Argument(help="Letters, digits and ._-, as vip.", metavar="LABEL...")
]


@label.command("add")
def label_add(
    study: Study,
    labels: Labels,
    reason: Reason,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Label a study. Processes that serve know it within two seconds.

    A sensitive label (`sensitive_labels`) hides the study from whoever is not named for it,
    and from links that were made before.
    """
    from pacs_cloud.cli.labelling import change

    settings = settings_of(config, data=data)
    change(settings, study, labels, is_added=True, reason=reason, by=by, as_json=as_json)


@label.command("remove")
def label_remove(
    study: Study,
    labels: Labels,
    reason: Reason,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take labels from a study."""
    from pacs_cloud.cli.labelling import change

    settings = settings_of(config, data=data)
    change(settings, study, labels, is_added=False, reason=reason, by=by, as_json=as_json)


@label.command("list")
def label_list(
    study: Annotated[str, typer.Option(help="Only of this study.", metavar="UID")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show which studies have labels, since when, by whom and why."""
    from pacs_cloud.cli.labelling import show_labels

    show_labels(settings_of(config, data=data), study, as_json=as_json)

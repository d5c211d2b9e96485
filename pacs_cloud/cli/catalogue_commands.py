"""`catalogue`: the commands about the catalogue itself."""

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of

catalogue = typer.Typer(no_args_is_help=True, help="Look at the catalogue as a whole.")


@catalogue.command("hash")
def catalogue_hash(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print one hash of all that the catalogue says: equal archives have equal hashes.

    It says what a rebuild must bring back, in SQLite and DynamoDB alike, and leaves out when
    things were committed, where packs lie and what was read. What comes in meanwhile may be
    in it or not: compare archives at rest.
    """
    from pacs_cloud.cli.rebuilding import show_hash

    show_hash(settings_of(config, data=data), as_json=as_json)

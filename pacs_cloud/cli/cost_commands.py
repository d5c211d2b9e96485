"""`cost`: the commands about what an archive costs, and would cost."""

from pathlib import Path
from typing import Annotated

import typer

from pacs_cloud.cli.options import AsJson, Config, Data, settings_of
from pacs_cloud.tiering.cost.prices import Speed

cost = typer.Typer(
    no_args_is_help=True, help="What the archive costs; what other policies would cost."
)

Prices = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A price table in TOML.", show_default="list prices"),
]
RegionName = Annotated[str, typer.Option("--region", help="A region of the price table.")]
OwnRegion = Annotated[
    str,
    typer.Option(
        "--region", help="A region of the price table.", show_default="where the objects lie"
    ),
]
FIRST_REGION = "us-east-1"
"""Of a simulation, whatever this archive is."""
Outside = Annotated[
    int, typer.Option(min=0, max=100, help="Percent of the bytes read that leave the region.")
]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a report with charts to FILE.")
]


@cost.command()
def report(
    prices: Prices = None,
    region: OwnRegion = "",
    outside: Outside = 100,
    html: Html = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Count bytes, objects and requests by class, modality, department and age; bill a month.

    Requests are those of the last 30 days: what was written, and what the access
    log says was read.

    pacs-cloud cost report --region eu-central-1 --html report.html
    """
    from pacs_cloud.cli.holdings_report import report_holdings

    report_holdings(
        settings_of(config, data=data),
        prices,
        region,
        outside_percent=outside,
        html=html,
        as_json=as_json,
    )


@cost.command()
def simulate(
    policies: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Tier policies in TOML; repeat it to compare files."),
    ],
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Replay this archive's own arrivals and reads."),
    ] = False,
    each: Annotated[
        bool, typer.Option("--each", help="Compare the files' policies one by one.")
    ] = False,
    years: Annotated[
        int, typer.Option(min=1, max=30, help="How long; a replay counts from its first month.")
    ] = 7,
    studies: Annotated[
        int | None,
        typer.Option(
            min=1, max=5_000_000, help="In all that time; not of a replay.", show_default="1000000"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another one makes another hospital.")] = 1,
    growth: Annotated[
        float | None,
        typer.Option(
            min=-50,
            max=200,
            help="Of the arrivals in a year, in percent.",
            show_default="4; of a replay its own, after two years",
        ),
    ] = None,
    outside: Outside = 100,
    speed: Annotated[
        Speed, typer.Option(help="Of restores from GLACIER and DEEP_ARCHIVE.")
    ] = Speed.STANDARD,
    prices: Prices = None,
    region: RegionName = FIRST_REGION,
    lines: Annotated[bool, typer.Option("--lines", help="Also print the bills.")] = False,
    html: Html = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Bill years of a made-up hospital, or of this archive, under policies.

    Each is billed in packs, in packs of HTJ2K, and as one object for each
    instance, beside the same where nothing moves. The same seed makes the same
    hospital. Nothing is changed.

    pacs-cloud cost simulate --policies tiers.toml --years 10 --html report.html

    pacs-cloud cost simulate --policies tiers.toml --replay --lines
    """
    from pacs_cloud.cli.costing import Asked, simulate_policies

    asked = Asked(
        replay=settings_of(config, data=data) if replay else None,
        policies=tuple(policies),
        each=each,
        years=years,
        studies=studies,
        seed=seed,
        growth=None if growth is None else growth / 100,
        outside_percent=outside,
        speed=speed,
        prices=prices,
        region=region,
    )
    simulate_policies(asked, lines=lines, html=html, as_json=as_json)


@cost.command()
def explain(
    prices: Prices = None,
    region: OwnRegion = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what each line of a bill is, and its price.

    pacs-cloud cost explain --region eu-central-1
    """
    from pacs_cloud.cli.costing import explain_prices

    explain_prices(settings_of(config, data=data), prices, region, as_json=as_json)

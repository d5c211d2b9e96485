"""The price table: what comes with the package, and what a file may say."""

from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.objectstore.storage_classes import StorageClass, needs_recall
from pacs_cloud.tiering.cost.prices import Speed, load_prices, parse_prices

TEXT = (files("pacs_cloud.tiering.cost") / "prices.toml").read_text()
SMALL = """
[media]
hdd = 0.65
[regions.here]
title = "Here"
currency = "EUR"
checked = 2026-01-02
source = "an offer"
energy = { source = "the grid", g_per_kwh = 100 }
[regions.here.classes.STANDARD]
gb_month = [{ price = 0.1 }]
"""


def test_every_region_says_when_and_where_its_prices_were_read() -> None:
    table = load_prices()
    assert set(table.regions) == {"us-east-1", "eu-central-1", "eu-west-1", "on-site"}
    for region in table.regions.values():
        assert region.source
        assert "grid: " in region.energy.source
        assert "PUE" in region.energy.source
        assert "W per TB" in region.energy.source or "watts made up" in region.energy.source
        assert region.checked.year >= 2024
        assert region.catalogue.source or not region.service_rules


def test_what_was_not_looked_up_is_marked_and_what_was_has_its_day() -> None:
    table = load_prices()
    marks = {
        name: f"{region.source}; {region.catalogue.source}".count("NOT LOOKED UP")
        for name, region in table.regions.items()
    }
    # Tags in Europe; and what more than 10 TB cost to leave Ireland.
    assert marks == {"us-east-1": 0, "eu-central-1": 1, "eu-west-1": 2, "on-site": 0}
    ireland, frankfurt = table.region("eu-west-1"), table.region("eu-central-1")
    assert ireland.catalogue.write_million == Decimal("0.705")
    assert "AWS Price List of 2026-09-11" in ireland.catalogue.source
    assert frankfurt.catalogue.write_million == Decimal("0.7625")
    assert "AWS Price List (AWSDataTransfer) of 2026-08-31, all rungs" in frankfurt.source
    rungs = [rung.price for rung in frankfurt.transfer_out_gb]
    assert rungs == [Decimal(price) for price in ("0", "0.09", "0.085", "0.07", "0.05")]


@pytest.mark.parametrize("name", ["us-east-1", "eu-central-1", "eu-west-1"])
def test_a_cloud_region_prices_every_class_and_colder_is_cheaper_to_keep(name: str) -> None:
    region = load_prices().region(name)
    assert set(region.classes) == set(StorageClass)
    order = ("STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
    kept = [region.of(StorageClass(one)).storage[-1].price for one in order]
    assert kept == sorted(kept, reverse=True)
    for storage_class, prices in region.classes.items():
        assert bool(prices.recall) == needs_recall(storage_class)
        assert prices.put_1000 > prices.get_1000 > 0


def test_prices_are_what_was_written_digit_by_digit() -> None:
    frankfurt = load_prices().region("eu-central-1")
    assert frankfurt.of(StorageClass.GLACIER).storage[0].price == Decimal("0.00405")
    assert frankfurt.of(StorageClass.GLACIER).recall[Speed.BULK].gb == 0
    assert frankfurt.of(StorageClass.STANDARD).get_1000 == Decimal("0.00043")


def test_disks_of_ones_own_are_priced_by_the_year_and_kept_in_copies() -> None:
    storage = load_prices().region("on-site").of(StorageClass.STANDARD).storage
    assert storage[0].price == Decimal(60) * 2 * 2**30 / 10**12 / 12


def test_a_file_takes_the_place_of_the_list(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(SMALL)
    assert list(load_prices(path).regions) == ["here"]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cannot be read"):
        load_prices(tmp_path / "none.toml")
    with pytest.raises(NotFound, match="for us-east-1, eu-central-1"):
        load_prices().region("mars-1")
    with pytest.raises(InvalidRequest, match="has no prices for GLACIER"):
        parse_prices(SMALL).region("here").of(StorageClass.GLACIER)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("gb_month", "gb_moon", "gb_moon"),
        ("0.1 }", "-0.1 }", "greater than or equal to 0"),
        ("0.1 }", "nan }", "finite"),
        ("STANDARD]", "GLACIER]", "has prices for STANDARD"),
        ("[{ price = 0.1 }]", "[]", "either gb_month or hardware"),
        ("[{ price = 0.1 }]", "[{ up_to = 5, price = 1 }]", "has no up_to"),
        ("[{ price", "[{ up_to = 5, price = 1 }, { up_to = 5, price = 1 }, { price", "rungs rise"),
        ("[{ price = 0.1 }]", '[{ price = 1 }]\nmedium = "wax"', "no medium 'wax'"),
        ('"EUR"', '"euro"', "currency"),
        ("[media]", "[media", "is no TOML"),
    ],
)
def test_a_fault_is_told_in_words(before: str, after: str, said: str) -> None:
    assert before in SMALL
    with pytest.raises(InvalidRequest, match=r"the price table") as error:
        parse_prices(SMALL.replace(before, after))
    assert said in str(error.value)

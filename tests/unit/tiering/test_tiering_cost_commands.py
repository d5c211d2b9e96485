"""`pacs-cloud cost`: what it prints, writes and refuses."""

import json
import re
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from catalogue_samples import STUDY, Shelf, instance, pack
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.cli.cost_commands import cost
from pacs_cloud.errors import InvalidRequest, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.settings import Settings
from pacs_cloud.tiering.access.counter import AccessCounter
from pacs_cloud.tiering.cost.charts import stacked

POLICIES = """
[[policies]]
name = "warm </script><b>"
steps = [{ to = "GLACIER_IR", study_age_days = 30 }]

[[policies]]
name = "cold"
match = { description = "*nothing has this*" }
steps = [{ to = "DEEP_ARCHIVE", unread_days = 100 }]
"""
VIRGINIA = ("--region", "us-east-1")
SMALL = ["--studies", "60", "--years", "1"]


@pytest.fixture
def policies(tmp_path: Path) -> str:
    path = tmp_path / "tiers.toml"
    path.write_text(POLICIES)
    return str(path)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cost, arguments)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_simulate_compares_files_layouts_and_nothing(policies: str) -> None:
    said = json.loads(run("simulate", "--policies", policies, *SMALL, "--json"))
    assert said["studies"] == 60
    assert len(said["months"]) == 12
    assert [(one["policies"], one["layout"]) for one in said["runs"]] == [
        (name, layout)
        for name in ("nothing moves", "tiers")
        for layout in ("packs", "packs, HTJ2K", "one object per instance")
    ]
    for one in said["runs"]:
        lines = sum(Decimal(line["amount"]) for line in one["lines"])
        months = sum(map(Decimal, one["monthly"]))
        assert abs(lines - months) < Decimal("0.0001")
        assert abs(lines - Decimal(one["total"])) < Decimal("0.006")
    assert said["runs"][3]["studies"] == {"warm </script><b>": 60, "cold": 0}


def test_simulate_is_the_same_again_and_another_with_another_seed(policies: str) -> None:
    command = ["simulate", "--policies", policies, *SMALL, "--json"]
    assert run(*command) == run(*command)
    assert run(*command) != run(*command, "--seed", "2")


def test_simulate_compares_the_policies_of_a_file(policies: str) -> None:
    done = CliRunner().invoke(cost, ["simulate", "--policies", policies, *SMALL, "--each"])
    assert done.exit_code == 0
    names = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert names.count("cold") == 3
    assert names.count("warm </script><b>") == 3
    assert "cold: no study matches 'cold'" in done.stderr
    assert "check them before money depends on them" in done.stderr


def test_files_of_one_name_are_told_apart(policies: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tiers.toml"
    other.parent.mkdir()
    other.write_text(POLICIES)
    command = ["simulate", "--policies", policies, "--policies", str(other), *SMALL, "--json"]
    for more in ([], ["--each"]):
        runs = [
            (one["policies"], one["layout"]) for one in json.loads(run(*command, *more))["runs"]
        ]
        assert len(set(runs)) == len(runs)


def test_what_a_run_takes_to_be_done_again_is_in_what_it_prints(
    policies: str, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    command = ["simulate", "--policies", policies, *SMALL, "--json", "--html", str(page)]
    said = json.loads(run(*command, "--growth", "12.5", "--speed", "bulk", "--seed", "3"))
    assert (said["seed"], said["growth"], said["restore_speed"]) == (3, 0.125, "bulk")
    assert said["outside_percent"] == 100
    text = page.read_text("utf-8")
    assert "arrivals +12.5% a year" in text
    assert "seed 3" in text
    assert "restores are bulk" in text


def test_simulate_prints_bills_where_it_is_asked(policies: str) -> None:
    assert "lifecycle transitions" not in run("simulate", "--policies", policies, *SMALL)
    assert "lifecycle transitions" in run("simulate", "--policies", policies, *SMALL, "--lines")


class Page(HTMLParser):
    """Checks that tags close as they open, and keeps what there was."""

    VOID = frozenset({"meta", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.append(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page_with_charts_and_without_anything_from_elsewhere(
    policies: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    run("simulate", "--policies", policies, *SMALL, "--each", "--html", str(path))
    text = path.read_text("utf-8")
    page = Page()
    page.feed(text)
    assert not page.open
    assert page.seen.count("svg") == 2 * 9, "a chart of costs and one of bytes for each run"
    assert not {"script", "link", "img", "iframe", "b"} & set(page.seen)
    assert not page.addresses
    assert not re.findall(r"url\(|@import", text)
    assert "warm &lt;/script&gt;&lt;b&gt;" in text
    assert 'name="viewport"' in text
    assert text.count('<div class="wide"><svg') == 2 * 9, "a chart scrolls where it is too wide"
    assert "svg { display: block; height: auto; min-width: 36rem" in text
    assert "Check them before money depends on them." in text


def test_the_largest_label_of_an_axis_is_not_cut_off() -> None:
    chart = stacked("t", ["2027-01"], {"a": [Decimal(9)]}, {"a": "red"}, Decimal(2_500_000), "USD")
    label = re.search(r'<text x="(\d+)" y="\d+" text-anchor="end">2,500,000 USD<', chart)
    assert label is not None
    # Letters of 12 px are some 6.6 px wide.
    assert int(label[1]) >= len("2,500,000 USD") * 6.6


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("25", "0 5 10 15 20 25 USD"),
        ("2", "0 0.5 1 1.5 2 USD"),
        ("1000", "0 200 400 600 800 1,000 USD"),
    ],
)
def test_an_axis_is_divided_at_round_numbers(top: str, said: str) -> None:
    chart = stacked("t", ["2027-01"], {"a": [Decimal(1)]}, {"a": "red"}, Decimal(top), "USD")
    assert " ".join(re.findall(r'text-anchor="end">([^<]+)<', chart)) == said


def test_the_report_that_cannot_be_written_is_said(policies: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot write"):
        run("simulate", "--policies", policies, *SMALL, "--html", str(tmp_path))


def test_a_region_that_is_not_there_is_said(policies: str) -> None:
    with pytest.raises(NotFound, match="mars-1"):
        run("simulate", "--policies", policies, *SMALL, "--region", "mars-1")
    with pytest.raises(InvalidRequest, match=r"On site .* has no prices for DEEP_ARCHIVE"):
        run("simulate", "--policies", policies, *SMALL, "--region", "on-site")


def test_on_disks_of_ones_own_no_rule_of_s3_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "tiers.toml"
    step = '{ to = "STANDARD_IA", study_age_days = 10 }'
    path.write_text(f'[[policies]]\nname = "soon"\nsteps = [{step}]\n')
    command = ["simulate", "--policies", str(path), *SMALL]
    there = CliRunner().invoke(cost, [*command, "--region", "us-east-1"])
    assert "S3 moves nothing to STANDARD_IA before it is 30 days old" in there.stderr
    here = CliRunner().invoke(cost, [*command, "--region", "on-site"])
    assert here.exit_code == 0
    assert "S3 moves nothing" not in here.stderr


def test_explain_says_what_each_line_is() -> None:
    rows = [
        json.loads(line)
        for line in run("explain", "--region", "eu-west-1", "--json").split("\n")
        if line
    ]
    glacier = [row for row in rows if row["class"] == "GLACIER" and row["line"] == "storage"]
    assert glacier[0]["price"] == "0.0036 USD"
    assert all(row["what"] for row in rows)
    assert "data transfer out" in run("explain", "--region", "us-east-1")


async def _archive(data: Path) -> None:
    async with open_stores(Settings(data=data), create=True) as stores:
        shelf = Shelf(stores.catalogue)
        await shelf.commit(pack([instance("1.2.3"), instance("1.2.4")]))
        counter = AccessCounter(stores.objects, now_us)
        counter.opened("default", STUDY)
        counter.read(PackKey("default", STUDY, "1.2.3.4", "p").pack, 1500)
        await counter.write()


async def test_report_counts_what_the_archive_holds(tmp_path: Path) -> None:
    import asyncio

    await _archive(tmp_path)
    text = await asyncio.to_thread(run, "report", *VIRGINIA, "--data", str(tmp_path), "--json")
    said = json.loads(text)
    assert said["studies"] == 1
    assert said["by_class"] == [
        {
            "class": "STANDARD",
            "packs": 1,
            "instances": 2,
            "bytes": 2000,
            "writes": 0,
            "reads": 1,
            "read_bytes": 1500,
        }
    ]
    assert said["by_modality"][0]["modality"] == "CT"
    assert {line["line"] for line in said["lines"]} == {
        "storage",
        "GET and all other requests",
        "data transfer out",
        "catalogue read units",
        "catalogue storage",
    }
    page = tmp_path / "report.html"
    await asyncio.to_thread(run, "report", *VIRGINIA, "--data", str(tmp_path), "--html", str(page))
    shown = Page()
    shown.feed(page.read_text("utf-8"))
    assert not shown.open
    assert not shown.addresses
    table = await asyncio.to_thread(run, "report", *VIRGINIA, "--data", str(tmp_path))
    assert table.startswith("1 studies; requests of the last 30 days\n")
    assert "kg CO2" in table


def test_report_of_no_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no archive"):
        run("report", "--data", str(tmp_path / "none"))

"""`repack` gives up received bytes only once somebody has said so, and can see before for what."""

from pathlib import Path

from typer.testing import CliRunner, Result

from pacs_cloud.cli.upkeep_commands import upkeep
from pacs_cloud.errors import InvalidRequest

ALL = ("--htj2k", "--least-saving", "0", "--quiet-days", "0")


def repack(data: Path, *words: str) -> Result:
    return CliRunner().invoke(upkeep, ["repack", *words, "--data", str(data)])


def packs(data: Path) -> list[Path]:
    return sorted(data.glob("objects/packs/**/*.zip"))


def test_received_bytes_are_given_up_once_that_is_confirmed(data: Path) -> None:
    before = packs(data)
    refused = repack(data, *ALL)
    assert isinstance(refused.exception, InvalidRequest)
    assert "--yes" in str(refused.exception)
    assert "nothing brings the received bytes" not in refused.stdout
    told = repack(data, *ALL, "--dry-run").stdout
    assert told.startswith("1 pack would become 1; 1 instance would be encoded anew; ")
    assert packs(data) == before
    told = repack(data, *ALL, "--yes").stdout
    assert told.startswith("1 pack became 1; 1 instance encoded anew; ")
    assert len(packs(data)) == len(before) + 1


def test_next_to_nothing_is_not_saved(data: Path) -> None:
    words = ("--htj2k", "--yes", "--quiet-days", "0")
    assert repack(data, *words).stdout == "There is nothing to repack.\n"


def test_merging_asks_nobody(data: Path) -> None:
    assert repack(data, "--quiet-days", "0").stdout == "There is nothing to repack.\n"

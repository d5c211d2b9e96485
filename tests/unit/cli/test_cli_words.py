"""Commands say what is there, and what is not, in words that fit."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pacs_cloud.cli.app import app
from pacs_cloud.cli.options import typed
from pacs_cloud.errors import NotFound
from pacs_cloud.settings import load_settings


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--data", str(data)])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("9.9",), "There is no study 9.9."),
        (("1.2.3", "--series", "9.9"), "There is no series 9.9 of study 1.2.3."),
    ],
)
def test_what_is_not_there_is_named(data: Path, words: tuple[str, ...], what: str) -> None:
    error = run(data, "recall", "start", *words).exception
    assert isinstance(error, NotFound)
    assert str(error) == what


def test_a_study_that_is_at_hand_needs_no_recall(data: Path) -> None:
    said = run(data, "recall", "start", "1.2.3").stdout
    assert said == "Nothing of it is cold: it can be read at once.\n"


def test_one_instance_is_one(data: Path) -> None:
    assert "1 instance is in the trash" in run(data, "delete", "1.2.3", "--yes").stdout
    said = run(data, "trash", "purge", "1.2.3", "--yes").stdout
    assert said.startswith("1 instance purged; 1 pack removed, ")


def test_a_plan_says_what_it_does_not_know_of_the_class_that_moves_by_itself(
    data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tiers.toml"
    for to, is_said in (("INTELLIGENT_TIERING", True), ("GLACIER_IR", False)):
        file.write_text(
            f'[[policies]]\nname = "p"\nsteps = [{{to = "{to}", study_age_days = 100}}]\n'
        )
        done = run(data, "tier", "plan", str(file), "--region", "eu-central-1")
        assert to in done.stdout, done.output
        assert ("as if all of it were read" in done.stderr) is is_said


def test_a_command_is_typed_for_its_archive() -> None:
    assert typed("up", load_settings({"data": "./data"})) == "pacs-cloud up"
    elsewhere = load_settings({"data": "/srv/my pacs"})
    assert typed("viewer install", elsewhere) == "pacs-cloud viewer install --data '/srv/my pacs'"

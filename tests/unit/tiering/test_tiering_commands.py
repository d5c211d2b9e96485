"""`pacs-cloud tier`: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pacs_cloud.cli.tier_commands import tier
from pacs_cloud.errors import InvalidRequest

GOLDEN = Path(__file__).parent / "golden"
WARM = """
[[policies]]
name = "warm [first]"
[[policies.steps]]
to = "STANDARD_IA"
study_age_days = 30
"""
WRONG = WARM.replace("30", "3")
HOT = '[[policies]]\nname = "hot"\n'


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "tiers.toml"
    file.write_text(text, "utf-8")
    return str(file)


@pytest.mark.parametrize(("text", "code"), [(HOT, 0), (WARM, 0), (WRONG, 1)])
def test_validate_exits_by_what_it_finds(tmp_path: Path, text: str, code: int) -> None:
    assert CliRunner().invoke(tier, ["validate", written(tmp_path, text)]).exit_code == code


def test_validate_prints_a_table(tmp_path: Path) -> None:
    clean = CliRunner().invoke(tier, ["validate", written(tmp_path, HOT)])
    assert clean.stdout == "Clean.\n"
    wrong = CliRunner().invoke(tier, ["validate", written(tmp_path, WRONG)])
    heading, first, *_ = wrong.stdout.splitlines()
    assert heading.split() == ["severity", "policy", "step", "sentence"]
    assert first.startswith("error")
    assert "warm [first]" in first
    assert "S3 moves nothing to STANDARD_IA before it is 30 days old" in first


def test_validate_prints_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(tier, ["validate", written(tmp_path, WRONG), "--json"])
    error, note = map(json.loads, done.stdout.splitlines())
    assert error == {
        "severity": "error",
        "policy": "warm [first]",
        "step": 1,
        "sentence": "S3 moves nothing to STANDARD_IA before it is 30 days old: "
        "write 30 or more instead of study_age_days = 3",
    }
    assert note["severity"] == "note"


@pytest.mark.parametrize("command", ["validate", "lifecycle"])
def test_a_file_that_cannot_be_read_ends_as_every_command_does(
    tmp_path: Path, command: str
) -> None:
    """`app.main` ends with exit code 2 and these lines for any such error."""
    done = CliRunner().invoke(tier, [command, str(tmp_path / "none.toml")])
    assert isinstance(done.exception, InvalidRequest)
    done = CliRunner().invoke(tier, [command, written(tmp_path, "[[policies]]\nx = 1")])
    assert isinstance(done.exception, InvalidRequest)
    assert len(str(done.exception).splitlines()) == 2


@pytest.mark.parametrize("name", ["by_tag", "by_age", "all_by_age"])
def test_lifecycle_prints_the_configuration(name: str) -> None:
    done = CliRunner().invoke(tier, ["lifecycle", str(GOLDEN / f"{name}.toml")])
    assert done.exit_code == 0
    assert done.stdout == (GOLDEN / f"{name}.json").read_text("utf-8")


def test_rules_by_age_are_said_to_move_what_is_pinned_and_can_be_left_out() -> None:
    words = ["lifecycle", str(GOLDEN / "by_age.toml")]
    done = CliRunner().invoke(tier, words)
    named = [one["ID"] for one in json.loads(done.stdout)["Rules"] if "tier-age" in one["ID"]]
    assert named
    assert all(one in done.stderr for one in named)
    assert "pinned" in done.stderr
    without = CliRunner().invoke(tier, [*words, "--no-ages"])
    assert "tier-age" not in without.stdout
    assert not without.stderr
    same = CliRunner().invoke(tier, [*words, "--no-ages", "--check", "-"], input=without.stdout)
    assert same.exit_code == 0


def test_validate_holds_a_bucket_s_rules_for_buckets_alone(tmp_path: Path) -> None:
    words = ["validate", written(tmp_path, WRONG), "--json"]
    assert CliRunner().invoke(tier, words).exit_code == 1
    here = CliRunner().invoke(tier, [*words, "--data", str(tmp_path / "data")])
    assert here.exit_code == 0
    (said, *_) = map(json.loads, here.stdout.splitlines())
    assert (said["severity"], said["step"]) == ("warning", 1)
    assert "S3 moves nothing to STANDARD_IA" in said["sentence"]


def test_lifecycle_takes_what_the_template_takes() -> None:
    done = CliRunner().invoke(
        tier,
        [
            *("lifecycle", str(GOLDEN / "by_tag.toml"), "--prefix", "pacs/"),
            *("--noncurrent-days", "60", "--incomplete-upload-days", "7"),
        ],
    )
    uploads, packs, *_ = json.loads(done.stdout)["Rules"]
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert packs["Filter"] == {"Prefix": "pacs/packs/"}
    assert packs["NoncurrentVersionExpiration"] == {"NoncurrentDays": 60}


def test_lifecycle_of_what_cannot_be_carried_out_is_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(tier, ["lifecycle", written(tmp_path, WRONG)])
    assert done.exit_code == 1
    assert done.stdout == ""


def test_lifecycle_says_where_a_bucket_differs(tmp_path: Path) -> None:
    file = written(tmp_path, WARM)
    ours = CliRunner().invoke(tier, ["lifecycle", file]).stdout
    words = ["lifecycle", file, "--check", "-"]
    same = CliRunner().invoke(tier, words, input=ours)
    assert (same.exit_code, same.stdout) == (0, "As it should be.\n")
    rules = json.loads(ours)["Rules"]
    fewer = json.dumps({"Rules": [one for one in rules if one["ID"] != "tier-STANDARD_IA"]})
    lacking = CliRunner().invoke(tier, words, input=fewer)
    assert lacking.exit_code == 1
    assert lacking.stdout.startswith('rule "tier-STANDARD_IA" is missing: ')
    assert len(lacking.stdout.splitlines()) == 1
    # A bucket that has none is said by an error, and nothing on stdout.
    none = CliRunner().invoke(tier, words, input="")
    assert (none.exit_code, len(none.stdout.splitlines())) == (1, len(rules))


@pytest.mark.parametrize("text", ["<xml/>", "[]", '{"Rules": 1}', '{"Rules": ["a"]}'])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    words = ["lifecycle", written(tmp_path, WARM), "--check", "-"]
    done = CliRunner().invoke(tier, words, input=text)
    assert isinstance(done.exception, InvalidRequest)


def test_rules_that_nobody_asked_about_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(tier, ["lifecycle", written(tmp_path, WARM), "-"], input="{}")
    assert isinstance(done.exception, InvalidRequest)
    assert not done.stdout


def test_files_have_no_rules_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "data" / "objects").mkdir(parents=True)
    words = ["lifecycle", written(tmp_path, WARM), "--check", "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(tier, words)
    assert isinstance(done.exception, InvalidRequest)
    assert "bucket" in str(done.exception)

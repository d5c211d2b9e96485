"""infra/Containerfile: pinned, nobody's host in it, not root, and OHIF by our own command."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from pacs_cloud.cli.app import app
from pacs_cloud.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "infra" / "Containerfile").read_text("utf-8")
LINES = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", TEXT)).splitlines()
    if line
]
STARTS = [at for at, (word, _) in enumerate(LINES) if word == "FROM"]
STAGES = {
    LINES[start][1].rpartition(" AS ")[2]: LINES[start:end]
    for start, end in pairwise([*STARTS, len(LINES)])
}
"""By their names; the last by what it is made from."""
LAST = LINES[STARTS[-1] :]


def said(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for one, rest in stage if one == word]


def variables(stage: list[tuple[str, str]]) -> dict[str, str]:
    words = (word for rest in said(stage, "ENV") for word in rest.split())
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def test_what_it_is_made_from_is_pinned_or_made_here() -> None:
    seen: set[str] = set()
    for start in STARTS:
        image, _, name = LINES[start][1].partition(" AS ")
        if image == "viewer-${VIEWER:-ohif}":
            assert {"viewer-ohif", "viewer-none"} <= seen
        elif image not in seen:
            assert image.partition(":")[2] not in {"", "latest"}, image
        seen.add(name)


def test_ohif_is_in_it_unless_somebody_does_not_want_it() -> None:
    # The default stands where it is used: buildah 1.28 knows no other when it looks for stages.
    assert ("ARG", "VIEWER") in LINES[: STARTS[0]]
    assert said(STAGES["viewer"], "FROM") == ["viewer-${VIEWER:-ohif} AS viewer"]
    folder = variables(LAST)["PACS_VIEWER"]
    assert f"--from=viewer {folder} {folder}" in said(LAST, "COPY")
    (installs,) = said(STAGES["viewer-ohif"], "RUN")
    assert installs.endswith(f" PACS_VIEWER={folder} pacs-cloud viewer install")
    assert said(STAGES["viewer-none"], "RUN") == [f"mkdir {folder}"]
    assert said(STAGES["viewer"], "RUN") == []


def test_hosts_are_the_builder_s_to_name_and_secrets_stay_in_no_layer() -> None:
    assert "://" not in re.sub(r"(?m)^#.*\n", "", TEXT)
    assert said(STAGES["archive"], "ARG") == ["PIP_INDEX_URL"]
    assert said(STAGES["viewer-ohif"], "ARG") == ["NPM_CONFIG_REGISTRY"]
    (installs,) = said(STAGES["viewer-ohif"], "RUN")
    assert installs.startswith("--mount=type=secret,id=npmrc ")
    assert " NPM_CONFIG_USERCONFIG=/run/secrets/npmrc " in installs


def test_it_runs_as_nobody_in_particular_on_a_volume() -> None:
    (user,) = said(LAST, "USER")
    assert int(user.partition(":")[0]) > 0
    folder = variables(LAST)["PACS_DATA"]
    assert said(LAST, "VOLUME") == [folder]
    *_, makes = said(LAST, "RUN")
    assert makes.endswith(f" --owner={user.partition(':')[0]} --mode=0750 {folder}")
    named = {name for name in variables(LAST) if name.startswith("PACS_")}
    assert {name.removeprefix("PACS_").lower() for name in named} <= set(Settings.model_fields)


def test_a_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    copies = [rest.split() for word, rest in LINES if word == "COPY"]
    copied = [one for words in copies if not words[0].startswith("--") for one in words[:-1]]
    assert [one for one in copied if not (ROOT / one).exists()] == []
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules == ["*", *(f"!{one}" for one in copied), "**/__pycache__"]


@pytest.mark.parametrize("words", ["viewer install", "up"])
def test_the_commands_that_it_runs_are_commands(words: str) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert said(LAST, "ENTRYPOINT") == ['["pacs-cloud"]']
    assert said(LAST, "CMD") == ['["up"]']
    assert "pacs-cloud" in scripts
    command = typer.main.get_command(app)
    for word in words.split():
        command = vars(command)["commands"][word]

"""The documents' links lead somewhere, and the commands they name exist, with their options."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from pacs_cloud.cli.app import app

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"pacs-cloud (?:--tenant \w+ )?([a-z][^`|#)\n]*)")
MAKE = re.compile(r"(?:`|^\s*(?:\$ )?)make ([a-z][a-z-]*)", re.MULTILINE)


def _slug(heading: str) -> str:
    """Return the anchor that a heading gets, as Markdown viewers make it."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower())
    return re.sub(r"\s", "-", plain.strip())


def _anchors(document: Path) -> set[str]:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {_slug(found[1]) for found in re.finditer(r"^#+\s+(.+)$", text, re.MULTILINE)}


def broken_links(document: Path) -> list[str]:
    """Return the document's relative links that lead to no file or heading."""
    broken: list[str] = []
    for target in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            broken.append(target)
    return broken


def wrong_commands(text: str) -> Iterator[str]:
    """Yield what is typed in a text, and is no command here or no option of it."""
    for typed in TYPED.findall(text):
        command, words = get_command(app), [word.strip(".,:;…'\"[]") for word in typed.split()]
        # `erase STUDY` is `erase study`.
        while words and words[0].lower() in getattr(command, "commands", {}):
            command = command.commands[words.pop(0).lower()]
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        said = {word.partition("=")[0] for word in words if word.startswith("--")}
        if command.name == "pacs-cloud" or said - options:
            yield typed


def _targets() -> set[str]:
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_make_targets_exist(document: Path) -> None:
    named = set(MAKE.findall(document.read_text(encoding="utf-8")))
    assert named - _targets() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_commands_exist(document: Path) -> None:
    assert list(wrong_commands(document.read_text(encoding="utf-8"))) == []


def test_a_wrong_command_is_seen() -> None:
    text = "`pacs-cloud user add X --rolle y`, `pacs-cloud user add X --role y`, `pacs-cloud usr`"
    assert list(wrong_commands(text)) == ["user add X --rolle y", "usr"]


def test_help_lists_every_target() -> None:
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z][a-z-]*):.*## .+$", text, re.MULTILINE))
    assert _targets() == listed


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# One two\n[a](a.md#one-two) [b](b.md) [c](#three) [d](https://x.test)\n")
    assert broken_links(document) == ["b.md", "#three"]

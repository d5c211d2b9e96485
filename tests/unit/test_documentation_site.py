"""The documentation as a site: whole, and nothing in it comes from elsewhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
LARGEST_PICTURE_BYTES = 100_000
LOADED = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=["']?
    |<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*\bhref=["']?
    |url\(["']?|@import\s+["']?|importScripts\(["'])
    (https?:)?//[^"')\s>]+""",
    re.VERBOSE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [*(sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir"), folder],
        cwd=PROJECT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # A page that the navigation lacks, a link or an anchor that leads nowhere: all are warnings.
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    wanted = {path for path in pages if path.name != "0000-template"}
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert wanted - built == set()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = [
        (path.name, match[0])
        for path in site.rglob("*")
        if path.suffix in {".html", ".css", ".js"}
        for match in LOADED.finditer(path.read_text("utf-8"))
    ]
    assert found == []


def test_the_api_page_names_every_resource(site: Path) -> None:
    page = (site / "api.html").read_text("utf-8")
    document = json.loads((DOCS / "openapi.json").read_text("utf-8"))
    for path, operations in document["paths"].items():
        for method in operations.keys() - {"head", "parameters"}:
            assert f"<code>{method.upper()} {path}</code>" in page, (method, path)


def test_pictures_are_small_and_all_of_them_are_shown() -> None:
    text = "".join(path.read_text("utf-8") for path in DOCS.glob("*.md"))
    for picture in (DOCS / "img").iterdir():
        assert picture.stat().st_size < LARGEST_PICTURE_BYTES, picture.name
        assert f"](img/{picture.name})" in text, f"{picture.name} is shown nowhere"


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ('<script src="https://cdn.test/a.js">', True),
        ('<link rel="stylesheet" href="//fonts.test/a.css">', True),
        ("a { background: url(https://a.test/b.png) }", True),
        ('<a href="https://a.test/">there</a>', False),
        ('<script src="assets/a.js">', False),
    ],
)
def test_what_is_loaded_is_seen(text: str, *, is_seen: bool) -> None:
    assert bool(LOADED.search(text)) is is_seen

"""Static files: named by content, kept for ever, and nothing else served."""

import gzip
import re
import zipfile
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pacs_cloud.errors import NotFound
from pacs_cloud.web.assets import Assets

PROJECT = Path(__file__).parents[3]


def asked(version: str, path: str) -> Request:
    params: dict[str, Any] = {"version": version, "path": path}
    return Request({"type": "http", "method": "GET", "headers": [], "path_params": params})


async def test_a_file_is_kept_for_ever_by_its_url() -> None:
    assets = Assets()
    _, _, version, path = assets.url("pacs.css").split("/")
    answer = await assets.answer(asked(version, path))
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.body == (resources.files("pacs_cloud.web") / "static/pacs.css").read_bytes()


@pytest.mark.parametrize(
    ("taken", "coding"),
    [("gzip, br", "gzip"), ("deflate, gzip;q=0.5", "gzip"), ("br, gzip;q=0", None), ("", None)],
)
async def test_text_is_packed_for_who_takes_that(taken: str, coding: str | None) -> None:
    assets = Assets()
    request = asked(assets.version, "pacs.css")
    request.scope["headers"] = [(b"accept-encoding", taken.encode())]
    answer = await assets.answer(request)
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "accept-encoding"
    body = gzip.decompress(answer.body) if coding else answer.body
    assert body == assets.content("pacs.css")


async def test_another_version_is_asked_for_again() -> None:
    answer = await Assets().answer(asked("0" * 16, "pacs.css"))
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["", "none.css", "../routes.py", "/etc/passwd", "..%2froutes.py", "."]
)
async def test_nothing_else_is_served(path: str) -> None:
    assets = Assets()
    with pytest.raises(NotFound):
        await assets.answer(asked(assets.version, path))


def test_what_comes_from_elsewhere_is_as_it_was_published() -> None:
    """Its licence stands beside it; another version is another name, and another digest."""
    folder = PROJECT / "pacs_cloud/web/static/vendor"
    htmx = folder / "htmx-2.0.11.min.js"
    assert {one.name for one in folder.iterdir()} == {htmx.name, "htmx-LICENSE.txt"}
    assert sha256(htmx.read_bytes()).hexdigest() == (
        "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
    )


def test_no_page_names_a_file_that_is_not_there() -> None:
    with pytest.raises(NotFound):
        Assets().url("none.css")


def test_the_version_is_the_same_in_every_process() -> None:
    assert re.fullmatch("[0-9a-f]{16}", Assets().version)
    assert Assets().version == Assets().version


def test_static_files_name_nothing_of_another_origin() -> None:
    for path in (PROJECT / "pacs_cloud/web/static").rglob("*"):
        text = path.read_text() if path.suffix in {".css", ".js", ".svg"} else ""
        named = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text))
        assert named <= {"http://www.w3.org"}, path  # SVG's own name


def test_the_wheel_has_templates_and_static_files(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    made = next(
        hatchling.WheelBuilder(str(PROJECT)).build(directory=str(tmp_path), versions=["standard"])
    )
    names = set(zipfile.ZipFile(made).namelist())
    for folder in ("templates", "static"):
        for path in (PROJECT / "pacs_cloud/web" / folder).rglob("*.*"):
            assert path.relative_to(PROJECT).as_posix() in names

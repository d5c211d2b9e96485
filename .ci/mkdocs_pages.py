# ruff: noqa: INP001
"""What mkdocs is told besides mkdocs.yml: the decisions by their files, the API by its document."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DECISIONS = "adr/"
TEMPLATE = "0000-"
API_MARK = "<!-- every resource -->"
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./(?!adr/)[^)]*\)")


def on_config(config: Any) -> Any:
    """Put every decision into the navigation, in order."""
    folder = Path(config["docs_dir"]) / DECISIONS
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    listed = [DECISIONS + name for name in files if not name.startswith(TEMPLATE)]
    for section in config["nav"]:
        for pages in section.values():
            for page in pages if isinstance(pages, list) else []:
                for title, where in page.items():
                    if where == DECISIONS:
                        page[title] = listed
    return config


def on_files(files: Any, config: Any) -> Any:
    """Leave out the template of decisions, which is no page."""
    del config
    for file in list(files):
        if file.src_uri.startswith(DECISIONS + TEMPLATE):
            files.remove(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Say the API's resources, and only name what lies outside of the documentation."""
    del files
    if API_MARK in markdown:
        document = json.loads((Path(config["docs_dir"]) / "openapi.json").read_text("utf-8"))
        markdown = markdown.replace(API_MARK, "\n".join(resources(document)))
    if "/" not in page.file.src_uri:
        markdown = OUTSIDE.sub(r"\1", markdown)
    return markdown


def resources(document: dict[str, Any]) -> Iterator[str]:
    """Yield an OpenAPI document's operations as Markdown."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in {"parameters", "head"}:  # HEAD comes with GET
                continue
            yield f"### `{method.upper()} {path}`\n"
            yield operation.get("summary", "") + "\n"
            if operation.get("description"):
                yield operation["description"] + "\n"
            parameters = [
                _resolved(document, one)
                for one in (*item.get("parameters", ()), *operation.get("parameters", ()))
            ]
            if parameters:
                yield "| parameter | in | what |\n|---|---|---|"
                for one in parameters:
                    words = _cell(one.get("description", ""))
                    must = " (required)" if one.get("required") and one["in"] != "path" else ""
                    yield f"| `{one['name']}` | {one['in']}{must} | {words} |"
                yield ""
            yield "| answer | what | media types |\n|---|---|---|"
            for status, answer in operation["responses"].items():
                found = _resolved(document, answer)
                kinds = ", ".join(f"`{kind}`" for kind in found.get("content", ()))
                yield f"| {status} | {_cell(found.get('description', ''))} | {kinds} |"
            yield ""


def _resolved(document: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in one:
        found: Any = document
        for name in one["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        one = found
    return one


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

"""A structured report as a page of HTML or as plain text (PS3.3 C.17.3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from pacs_cloud.dicom.element_values import items, number, text, values
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.person_name import PersonName
from pacs_cloud.dicom.render.annotations import patient_lines

_MAX_DEPTH: Final = 64
_MAX_LINES: Final = 100_000
_CONTENT, _NAME = "0040A730", "0040A043"
_TEXTS: Final = {
    "TEXT": "0040A160",
    "DATE": "0040A121",
    "TIME": "0040A122",
    "DATETIME": "0040A120",
    "UIDREF": "0040A124",
}
_STYLE: Final = (
    "body{font:16px/1.45 system-ui,sans-serif;max-width:52rem;margin:1.5rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}ul{list-style:none;padding-left:1.25rem}li{margin:.3rem 0}"
    "b{font-weight:600}p{white-space:pre-line;margin:.2rem 0}header{color:#444}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One content item of a report.

    Attributes:
        depth: 0 for those right under the document.
        name: of its concept, "" where it has none.
        value: "" for a container.
    """

    depth: int
    name: str
    value: str


def content_lines(report: Elements) -> Iterator[Line]:
    """Yield the content items of a report in reading order, at most 100,000."""
    stack = [(0, iter(items(report, _CONTENT)))]
    for _ in range(_MAX_LINES):
        while stack:
            depth, rest = stack[-1]
            item = next(rest, None)
            if item is not None:
                break
            stack.pop()
        else:
            return
        yield Line(depth, _coded(item, _NAME), _value(item))
        if depth + 1 < _MAX_DEPTH and (inner := items(item, _CONTENT)):
            stack.append((depth + 1, iter(inner)))


def report_title(report: Elements) -> str:
    """Return what kind of report it is."""
    return _coded(report, _NAME) or text(report, "0008103E") or "Structured report"


def report_html(report: Elements) -> bytes:
    """Return a report as a page that stands alone: no script, and nothing is fetched."""
    title = escape(report_title(report))
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><header>",
        *(f"<div>{escape(line)}</div>" for line in _heading(report)),
        f"</header><h1>{title}</h1>",
    ]
    depth = -1
    for line in content_lines(report):
        if line.depth > depth:
            parts.append("<ul>")  # within the item before
        else:
            parts.append("</li>" + "</ul></li>" * (depth - line.depth))
        depth = line.depth
        name = f"<b>{escape(line.name)}</b>" if line.name else ""
        parts.append(f"<li>{name}")
        if line.value:
            parts.append(f"<p>{escape(line.value)}</p>")
    parts.append("</li></ul>" * (depth + 1))
    parts.append("</body></html>\n")
    return "\n".join(parts).encode()


def report_text(report: Elements) -> bytes:
    """Return a report as plain text in UTF-8, its structure shown by indentation."""
    lines = [*_heading(report), "", report_title(report), ""]
    for line in content_lines(report):
        indent = "  " * line.depth
        shown = f"{line.name}: {line.value}" if line.name and line.value else line.name + line.value
        lines += [indent + one for one in shown.splitlines() or [""]]
    return ("\n".join(lines) + "\n").encode()


def _heading(report: Elements) -> list[str]:
    state = " ".join(filter(None, (text(report, "0040A491"), text(report, "0040A493"))))
    date = " ".join(filter(None, (text(report, "00080023"), text(report, "00080033"))))
    observers = [
        str(PersonName.from_json(name)).replace("^", " ")
        for item in items(report, "0040A073")
        for name in values(item, "0040A075")[:1]
    ]
    verified = f"Verified by {', '.join(observers)}" if observers else ""
    return [line for line in (*patient_lines(report), date, state.title(), verified) if line]


def _coded(item: Elements, tag: str) -> str:
    code = next(iter(items(item, tag)), None)
    return "" if code is None else text(code, "00080104") or text(code, "00080100")


def _value(item: Elements) -> str:
    match text(item, "0040A040"):
        case "CODE":
            return _coded(item, "0040A168")
        case "NUM":
            return ", ".join(map(_measurement, items(item, "0040A300")))
        case "PNAME":
            names = values(item, "0040A123")[:1]
            return str(PersonName.from_json(names[0])).replace("^", " ") if names else ""
        case "IMAGE" | "COMPOSITE" | "WAVEFORM" as kind:
            named = [text(one, "00081155") for one in items(item, "00081199")]
            return f"{kind.capitalize()} {', '.join(named)}"
        case "SCOORD" | "SCOORD3D":
            return f"Region: {text(item, '00700023').lower()}"
        case "TCOORD":
            return f"Time range: {text(item, '0040A130').lower()}"
        case kind:
            return text(item, _TEXTS[kind]) if kind in _TEXTS else ""


def _measurement(measured: Elements) -> str:
    value = text(measured, "0040A30A") or f"{number(measured, '0040A161') or ''}"
    unit = next(iter(items(measured, "004008EA")), None)
    shown = "" if unit is None else text(unit, "00080100")
    return value if shown in {"", "1"} else f"{value} {shown}"

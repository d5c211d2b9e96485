"""Structured reports as pages and as text."""

import re

import pydicom.data
import pytest

from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.render.report import content_lines, report_html, report_text

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def code(meaning: str) -> dict:
    return {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": [meaning]}}]}


def item(kind: str, name: str, **more: dict) -> Elements:
    return {
        "0040A040": {"vr": "CS", "Value": [kind]},
        "0040A043": code(name),
        **{tag.lstrip("t"): value for tag, value in more.items()},
    }


def content(*items: Elements) -> dict:
    return {"vr": "SQ", "Value": list(items)}


REPORT: Elements = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "0040A043": code("Chest <CT> report"),
    "0040A730": content(
        item(
            "CONTAINER",
            "Findings",
            t0040A730=content(
                item(
                    "TEXT", "Lung", t0040A160={"vr": "UT", "Value": ["clear\n<script>x</script>"]}
                ),
                item(
                    "NUM",
                    "Diameter",
                    t0040A300=content(
                        {
                            "0040A30A": {"vr": "DS", "Value": [12.5]},
                            "004008EA": {
                                "vr": "SQ",
                                "Value": [{"00080100": {"vr": "SH", "Value": ["mm"]}}],
                            },
                        }
                    ),
                ),
            ),
        ),
        item("CODE", "Conclusion", t0040A168=code("Normal")),
        item("PNAME", "Reader", t0040A123={"vr": "PN", "Value": [{"Alphabetic": "Roe^R"}]}),
    ),
}


def test_the_tree_is_read_in_order() -> None:
    assert [(line.depth, line.name, line.value) for line in content_lines(REPORT)] == [
        (0, "Findings", ""),
        (1, "Lung", "clear\n<script>x</script>"),
        (1, "Diameter", "12.5 mm"),
        (0, "Conclusion", "Normal"),
        (0, "Reader", "Roe R"),
    ]


def test_the_page_is_whole_and_runs_nothing() -> None:
    page = report_html(REPORT).decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "Chest &lt;CT&gt; report" in page
    assert "Doe Jane" in page
    for tag in ("ul", "li", "p", "h1", "header", "body", "html"):
        assert len(re.findall(f"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


def test_the_text_shows_its_structure() -> None:
    lines = report_text(REPORT).decode().splitlines()
    assert "Chest <CT> report" in lines
    assert "  Lung: clear" in lines
    assert "Conclusion: Normal" in lines


def test_no_depth_is_too_deep() -> None:
    deep = item("TEXT", "leaf")
    for _ in range(500):
        deep = item("CONTAINER", "level", t0040A730=content(deep))
    assert len(list(content_lines({"0040A730": content(deep)}))) == 64


@pytest.mark.parametrize("name", ["test-SR.dcm", "reportsi.dcm"])
def test_reports_of_pydicom(name: str) -> None:
    path = pydicom.data.get_testdata_file(name)
    if path is None:
        pytest.skip(f"pydicom has no {name} here")
    header = pydicom.dcmread(path).to_json_dict(1 << 30, None)
    assert len(list(content_lines(header))) > 3
    assert report_html(header).endswith(b"</html>\n")
    assert report_text(header).strip()

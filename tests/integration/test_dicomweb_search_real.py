"""QIDO-RS over real headers: every attribute of them is found by its value, and comes back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from dicomweb_archive import Running, served
from pydicom.data import get_testdata_file

# One archive, which no test changes, for all.
pytestmark = pytest.mark.asyncio(loop_scope="module")

FILES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "rtplan.dcm",
    "examples_palette.dcm",
    "JPEG2000.dcm",
    "reportsi.dcm",
)
_UNMATCHED_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"}


def text_of(vr: str, value: Any) -> str:
    if vr == "PN":
        groups = (value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic"))
        return "=".join(groups).rstrip("=")
    return str(value)


def keys_in(header: dict[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Return a key for each attribute with a value, those in sequences by their path."""
    keys: list[tuple[str, str]] = []
    for tag, element in header.items():
        values = [value for value in element.get("Value", ()) if value not in (None, "", {})]
        if element["vr"] == "SQ":
            for item in values[:1]:
                keys += keys_in(item, f"{path}{tag}.")
        elif values and element["vr"] not in _UNMATCHED_VRS and not tag.startswith("00080005"):
            keys.append((f"{path}{tag}", text_of(element["vr"], values[0])))
    return keys


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with served(tmp_path_factory.mktemp("archive")) as running:
        for name in FILES:
            path = get_testdata_file(name)
            assert path is not None
            response = await running.store(Path(str(path)).read_bytes())
            assert response.status_code == 200, (name, response.text)
        yield running


async def headers(archive: Running) -> list[tuple[str, dict[str, Any]]]:
    """Return the series URL and the header of every instance."""
    rows = (await archive.client.get("/instances")).json()
    found: list[tuple[str, dict[str, Any]]] = []
    for row in rows:
        url = row["00081190"]["Value"][0]
        (header,) = (await archive.client.get(f"{url}/metadata")).json()
        found.append((url.rpartition("/instances/")[0], header))
    return found


async def test_every_attribute_is_found_by_its_value(archive: Running) -> None:
    asked = 0
    for series, header in await headers(archive):
        sop = header["00080018"]["Value"]
        for path, text in keys_in(header):
            if path in {"0020000D", "0020000E"}:
                continue
            url = f"{series}/instances?{path}={quote(text, safe='')}"
            response = await archive.client.get(url)
            assert response.status_code == 200, (path, text, response.text)
            assert "warning" not in response.headers, (path, response.headers["warning"])
            assert [row["00080018"]["Value"] for row in response.json()] == [sop], (path, text)
            asked += 1
    assert asked > 400


async def test_another_value_is_not_found(archive: Running) -> None:
    for series, header in await headers(archive):
        for path, text in keys_in(header):
            tag = path.rpartition(".")[2]
            element = header.get(path)
            if element is None or element["vr"] not in {"LO", "SH", "CS", "DS", "IS", "US"}:
                continue
            if tag in {"00080018", "0020000D", "0020000E", "00080201"}:
                continue
            other = f"{text}_" if element["vr"] in {"LO", "SH", "CS"} else "98765"
            response = await archive.client.get(
                f"{series}/instances?{path}={quote(other, safe='')}"
            )
            expected = {text_of(element["vr"], value) for value in element["Value"]}
            assert other not in expected
            assert response.status_code == 204, (path, other, response.text[:300])


async def test_every_attribute_comes_back(archive: Running) -> None:
    for series, header in await headers(archive):
        names = ",".join(header)
        (row,) = (await archive.client.get(f"{series}/instances?includefield={names}")).json()
        # A row's text is UTF-8, whatever the instance's is.
        header.pop("00080005", None)
        assert {tag: row.get(tag) for tag in header} == header

"""Capabilities and the OpenAPI document over HTTP (PS3.18 8.9)."""

from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio
from dicomweb_archive import Running, served

from dicomweb_samples import make_instance

pytestmark = pytest.mark.asyncio(loop_scope="module")

WADL = "{http://wadl.dev.java.net/2009/02}"
UIDS = {"studyUID": "1.2.3.1", "seriesUID": "1.2.3.1.1", "objectUID": "1.2.3.1.1.1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with served(tmp_path_factory.mktemp("archive")) as running:
        response = await running.store(make_instance("1.2.3.1.1.1", rows=16))
        assert response.status_code in {200, 202}, response.text
        yield running


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_capabilities_as_wadl(archive: Running, method: str) -> None:
    response = await archive.client.request(method, "/", headers={"accept": "*/*"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.sun.wadl+xml"
    application = ET.fromstring(response.content)
    (resources,) = application.findall(f"{WADL}resources")
    assert resources.get("base") == f"{archive.url}/"
    found = {}

    def walk(node: ET.Element, path: str) -> None:
        for child in node.findall(f"{WADL}resource"):
            below = f"{path}/{child.get('path')}"
            for named in child.findall(f"{WADL}method"):
                found[named.get("name"), below] = named
            walk(child, below)

    walk(resources, "")
    assert ("POST", "/studies") in found
    retrieve = found["GET", "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}"]
    assert retrieve.get("id") == "RetrieveFrames"
    statuses = {one.get("status") for one in retrieve.findall(f"{WADL}response")}
    assert {"200", "404", "406"} <= statuses
    types = {one.get("mediaType") for one in retrieve.iter(f"{WADL}representation")}
    assert "application/octet-stream" in types
    search = found["GET", "/studies"]
    assert {"limit", "offset"} <= {one.get("name") for one in search.iter(f"{WADL}param")}


async def test_capabilities_tell_the_truth(archive: Running) -> None:
    """Every resource they list answers its methods, and no other method."""
    told = (await archive.client.get("/", headers={"accept": "application/json"})).json()
    values = {
        "study": "1.2.3.1",
        "series": "1.2.3.1.1",
        "instance": "1.2.3.1.1.1",
        "frames": "1",
        "path": "7FE00010",
    }
    assert told["resources"]
    for one in told["resources"]:
        path = one["path"].format(**values)
        allowed = set()
        for method in ("GET", "POST", "DELETE", "PUT"):
            target = path if method != "DELETE" else path.replace("1.2.3.1", "1.2.9")
            response = await archive.client.request(method, target, params=wado(path))
            if response.status_code != 405:
                allowed.add(method)
            if method == "GET" and "GET" in one["methods"]:
                assert response.status_code in {200, 406}, (path, response.text)
        assert allowed == set(one["methods"]) - {"OPTIONS"}, path


def wado(path: str) -> dict[str, str]:
    return {"requestType": "WADO", **UIDS} if path == "/wado" else {}


async def test_capabilities_in_no_other_form(archive: Running) -> None:
    response = await archive.client.get("/", headers={"accept": "image/png"})
    assert response.status_code == 406


async def test_the_openapi_document(archive: Running) -> None:
    url = archive.url.removesuffix("/dicom-web") + "/openapi.json"
    response = await archive.client.get(url)
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.1")
    assert "/dicom-web/studies" in response.json()["paths"]
    again = await archive.client.get(url, headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304

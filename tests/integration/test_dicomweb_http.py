"""HTTP as browsers, proxies and viewers use it: methods, validators, encodings, CORS, problems."""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import zstandard
from dicomweb_archive import Running, holding, served
from http_wire import request, wire

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.dicomweb.app import HttpOptions

SERIES = "/studies/1.2.3.1/series/1.2.3.1.1"
INSTANCE = f"{SERIES}/instances/1.2.3.4.1"
READABLE = [
    "/studies",
    "/series",
    "/instances",
    "/studies/1.2.3.1",
    "/studies/1.2.3.1/series",
    "/studies/1.2.3.1/instances",
    "/studies/1.2.3.1/metadata",
    SERIES,
    f"{SERIES}/instances",
    f"{SERIES}/metadata",
    INSTANCE,
    f"{INSTANCE}/metadata",
    f"{INSTANCE}/frames/1",
    f"{INSTANCE}/bulkdata/7FE00010",
    "/../healthz",
    "/../readyz",
]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    comments = "".join(f"word {n} " for n in range(400))
    made = [make_instance(f"1.2.3.4.{n}", PatientComments=comments) for n in range(1, 40)]
    async with holding(tmp_path, made) as running:
        yield running


def at(archive: Running, path: str) -> str:
    if path.startswith("/.."):
        return archive.url.removesuffix("/dicom-web") + path.removeprefix("/..")
    return archive.url + path


@pytest.mark.parametrize("path", READABLE)
async def test_head_has_the_header_of_get_and_no_body(archive: Running, path: str) -> None:
    url = at(archive, path)
    got = await archive.client.get(url, headers={"accept-encoding": "gzip, deflate"})
    assert got.status_code == 200
    # By hand, since a client would leave a body after HEAD unread.
    async with wire(url) as connection:
        target = httpx.URL(url).raw_path.decode()
        host = httpx.URL(url).netloc.decode()
        fields = ("accept: */*", "accept-encoding: gzip, deflate")
        head = request(target, *fields, method="HEAD").replace(
            b"Host: localhost", b"Host: " + host.encode()
        )
        await connection.send(head)
        response = await connection.response("HEAD")
        assert response.status == 200
        await connection.send(request("/healthz"))
        assert (await connection.response()).body == b"ok\n"
    for name in ("content-type", "etag", "cache-control", "vary", "content-security-policy"):
        same = "multipart" not in got.headers["content-type"] or name != "content-type"
        if same:
            assert response.headers.get(name) == got.headers.get(name), name
    if "content-length" in response.headers:
        assert response.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("path", READABLE)
async def test_options_and_405_name_the_methods(archive: Running, path: str) -> None:
    url = at(archive, path)
    asked = await archive.client.options(url)
    assert asked.status_code in {200, 204}
    allowed = asked.headers["allow"].split(", ")
    assert {"GET", "HEAD", "OPTIONS"} <= set(allowed)
    for method in {"POST", "PUT", "PATCH", "DELETE", "TRACE"} - set(allowed):
        refused = await archive.client.request(method, url)
        assert refused.status_code == 405, method
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["allow"] == asked.headers["allow"]
    assert ("POST" in allowed) == (path in {"/studies", "/studies/1.2.3.1"})


async def test_options_of_the_server_itself(archive: Running) -> None:
    async with wire(archive.url) as connection:
        await connection.send(request("*", method="OPTIONS"))
        response = await connection.response()
        assert response.status == 204
        assert "DELETE" in response.headers["allow"]
        await connection.send(request("*"))
        assert (await connection.response()).status == 404


@pytest.mark.parametrize("path", ["/studies", "/nowhere", INSTANCE, "/../healthz"])
async def test_every_answer_has_what_an_api_owes_a_browser(archive: Running, path: str) -> None:
    response = await archive.client.get(at(archive, path))
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-request-id"]
    assert "server" not in response.headers
    assert "date" in response.headers


async def test_an_unknown_resource_is_a_problem(archive: Running) -> None:
    response = await archive.client.get("/nowhere", headers={"x-request-id": "abc-1"})
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json()["status"] == 404


METADATA = ["/studies/1.2.3.1/metadata", f"{SERIES}/metadata", f"{INSTANCE}/metadata"]


@pytest.mark.parametrize("path", METADATA)
@pytest.mark.parametrize(
    "accept", ["application/dicom+json", 'multipart/related; type="application/dicom+xml"']
)
async def test_metadata_is_encoded_as_asked(archive: Running, path: str, accept: str) -> None:
    async def ask(coding: str, **more: str) -> tuple[httpx.Response, bytes]:
        headers = {"accept": accept, "accept-encoding": coding, **more}
        async with archive.client.stream("GET", path, headers=headers) as response:
            return response, b"".join([chunk async for chunk in response.aiter_raw()])

    plain, body = await ask("identity")
    assert "content-encoding" not in plain.headers
    marks = {plain.headers["etag"]}
    for coding in ("gzip", "zstd"):
        for _ in range(2):  # made, then kept
            response, encoded = await ask(coding)
            assert response.headers["content-encoding"] == coding
            assert response.headers["content-length"] == str(len(encoded))
            assert response.headers["vary"] == "accept, accept-encoding"
            decoded = (
                gzip.decompress(encoded)
                if coding == "gzip"
                else zstandard.ZstdDecompressor().decompressobj().decompress(encoded)
            )
            # A multipart's boundary follows from its ETag.
            mark, mine = plain.headers["etag"].strip('"'), response.headers["etag"].strip('"')
            assert decoded == body.replace(mark.encode(), mine.encode())
        assert len(encoded) < len(body)
        marks.add(response.headers["etag"])
        again, nothing = await ask(coding, **{"if-none-match": response.headers["etag"]})
        assert again.status_code == 304
        assert again.headers["etag"] == response.headers["etag"]
        assert again.headers["vary"] == "accept, accept-encoding"
        assert nothing == b""
    assert len(marks) == 3
    other, _ = await ask(
        "identity", **{"if-none-match": ", ".join(marks - {plain.headers["etag"]})}
    )
    assert other.status_code == 200


@pytest.mark.parametrize("path", [*METADATA, "/instances"])
async def test_no_coding_that_is_acceptable_is_406(archive: Running, path: str) -> None:
    response = await archive.client.get(path, headers={"accept-encoding": "br, identity;q=0"})
    assert response.status_code == 406


async def test_searches_are_encoded_and_pixels_are_not(archive: Running) -> None:
    for path in ("/instances", f"{SERIES}/instances"):
        response = await archive.client.get(path, headers={"accept-encoding": "zstd"})
        assert response.headers["content-encoding"] == "zstd"
        assert "accept-encoding" in response.headers["vary"]
    for path in (INSTANCE, f"{INSTANCE}/frames/1", f"{INSTANCE}/bulkdata/7FE00010"):
        response = await archive.client.get(path, headers={"accept-encoding": "zstd, gzip"})
        assert response.status_code == 200
        assert "content-encoding" not in response.headers


async def test_encoded_metadata_follows_what_is_stored(tmp_path: Path) -> None:
    async with served(tmp_path, policy=ConflictPolicy.REPLACE) as archive:
        headers = {"accept": "application/dicom+json", "accept-encoding": "gzip"}
        marks = set()
        for name in ("Doe^Jane", "Doe^John", "Doe^Jim"):
            stored = make_instance("1.2.3.4.1", PatientName=name, PatientComments="x" * 2000)
            answer = await archive.store(stored)
            assert answer.status_code in {200, 202}, answer.text
            response = await archive.client.get(f"{SERIES}/metadata", headers=headers)
            assert response.headers["content-encoding"] == "gzip"
            (header,) = response.json()
            assert header["00100010"]["Value"] == [{"Alphabetic": name}]
            marks.add(response.headers["etag"])
        assert len(marks) == 3


async def test_metadata_is_encoded_for_each_root_by_itself(archive: Running) -> None:
    for host in ("one.example", "two.example"):
        response = await archive.client.get(
            f"{INSTANCE}/metadata",
            headers={"accept": "application/dicom+json", "accept-encoding": "gzip", "host": host},
        )
        (header,) = response.json()
        assert header["7FE00010"]["BulkDataURI"].startswith(f"http://{host}/dicom-web/studies/")


@pytest.mark.parametrize("given", ['"x", {}', "W/{}", "*"])
async def test_if_none_match_in_every_form(archive: Running, given: str) -> None:
    for path in (INSTANCE, f"{INSTANCE}/frames/1", f"{SERIES}/metadata"):
        etag = (await archive.client.get(path)).headers["etag"]
        response = await archive.client.get(path, headers={"if-none-match": given.format(etag)})
        assert response.status_code == 304
        assert response.headers["etag"] == etag
        assert response.headers["cache-control"] == "private, no-cache"
        if given != "*":
            fields = [("if-none-match", '"x"'), ("if-none-match", given.format(etag))]
            response = await archive.client.get(path, headers=fields)
            assert response.status_code == 304
        response = await archive.client.get(path, headers={"if-none-match": '"x"'})
        assert response.status_code == 200


VIEWER = "https://viewer.example"


async def test_scripts_of_other_origins_read_nothing_unless_they_are_named(
    archive: Running,
) -> None:
    response = await archive.client.get("/studies", headers={"origin": VIEWER})
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("origins", [(VIEWER, "http://localhost:3000"), ("*",), ("*", VIEWER)])
async def test_scripts_of_named_origins_read(tmp_path: Path, origins: tuple[str, ...]) -> None:
    async with served(tmp_path, options=HttpOptions(cors_origins=origins)) as archive:
        # Errors too, or a script cannot tell what is wrong.
        for path, status in (("/studies", 204), ("/nowhere", 404), (INSTANCE, 404)):
            response = await archive.client.get(path, headers={"origin": VIEWER})
            assert response.status_code == status
            expected = "*" if "*" in origins else VIEWER
            assert response.headers["access-control-allow-origin"] == expected
            exposed = response.headers["access-control-expose-headers"].split(", ")
            assert {"Content-Range", "ETag", "Warning", "X-Request-Id", "Retry-After"} <= set(
                exposed
            )
            assert ("origin" in response.headers.get("vary", "")) == ("*" not in origins)
        preflight = await archive.client.options(
            "/studies/1.2.3",
            headers={
                "origin": VIEWER,
                "access-control-request-method": "DELETE",
                "access-control-request-headers": "authorization, if-none-match, range",
            },
        )
        if origins == ("*",):  # anybody may read; who writes is named
            assert preflight.status_code == 403
            assert "access-control-allow-origin" not in preflight.headers
            return
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == expected
        assert "DELETE" in preflight.headers["access-control-allow-methods"]
        assert (
            preflight.headers["access-control-allow-headers"]
            == "authorization, if-none-match, range"
        )


async def test_scripts_of_strange_origins_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path, options=HttpOptions(cors_origins=(VIEWER,))) as archive:
        evil = "https://evil.example"
        response = await archive.client.get("/studies", headers={"origin": evil})
        assert "access-control-allow-origin" not in response.headers
        assert "origin" in response.headers["vary"]
        preflight = await archive.client.options(
            "/studies", headers={"origin": evil, "access-control-request-method": "GET"}
        )
        assert preflight.status_code == 403
        assert "access-control-allow-origin" not in preflight.headers
        assert preflight.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("origins", [(), ("*",), (VIEWER,)])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_pages_of_strangers_change_nothing(
    tmp_path: Path, origins: tuple[str, ...], origin: str
) -> None:
    async with served(tmp_path, options=HttpOptions(cors_origins=origins)) as archive:
        part10 = make_instance("1.2.3.4.1")
        stored = await archive.store(part10, origin=origin)
        assert stored.status_code == 403
        assert (await archive.store(part10)).status_code == 200
        deleted = await archive.client.delete(INSTANCE, headers={"origin": origin})
        assert deleted.status_code == 403
        assert (await archive.client.get(INSTANCE, headers={"origin": origin})).status_code == 200


async def test_our_own_pages_and_named_ones_write(tmp_path: Path) -> None:
    options = HttpOptions(cors_origins=(VIEWER,), public_url="https://Pacs.example/dicom-web")
    async with served(tmp_path, options=options) as archive:
        own = archive.url.removesuffix("/dicom-web")
        for origin in (own, VIEWER, "https://pacs.example"):
            response = await archive.store(make_instance("1.2.3.4.1"), origin=origin)
            assert response.status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:1", 200),
        ("127.0.0.1:8042", 200),
        ("[::1]:8042", 200),
        ("pacs.example", 200),
        ("north.example:8042", 200),
        ("evil.example", 421),
        ("evil.example:8042", 421),
        ("pacs.example.evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("[::1", 421),
        ("a@localhost@evil.example", 421),
    ],
)
async def test_a_name_that_leads_here_by_a_stranger_is_refused(
    tmp_path: Path, host: str, status: int
) -> None:
    options = HttpOptions(host_names=("pacs.example",), public_url="https://north.example/a")
    async with served(tmp_path, options=options) as archive:
        url = archive.url.removesuffix("/dicom-web")
        response = await archive.client.get(f"{url}/healthz", headers={"host": host})
        assert response.status_code == status

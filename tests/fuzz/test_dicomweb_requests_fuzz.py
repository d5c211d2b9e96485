"""Whatever is asked of a whole archive: an answer below 500, and the archive as it was."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomweb_samples import make_instance
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicomweb.app import HttpOptions, Services, create_app
from pacs_cloud.dicomweb.callers import everybody_is
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.query.service import Search
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.security.caller import system
from pacs_cloud.security.witness import NOBODY

WORDS = [
    "metadata",
    "frames",
    "bulkdata",
    "1.2.3",
    "1",
    "0",
    "1,2",
    "studies",
    "series",
    "instances",
    "-1",
    "..",
    "*",
    "%00",
    "7FE00010",
    "é",
    "1." * 40,
    "{",
    "\\",
    "|",
    "a b",
    ";",
    "",
]
PLACE = ["studies", "1.2.3", "series", "1.2.3", "instances", "1.2.3"]
KEYS = [
    "PatientName",
    "StudyDate",
    "StudyTime",
    "StudyInstanceUID",
    "SOPInstanceUID",
    "limit",
    "offset",
    "includefield",
    "fuzzymatching",
    "accept",
    "00100020",
    "RequestAttributesSequence",
    "RequestAttributesSequence.RequestedProcedureID",
    "PixelData",
    "NumberOfStudyRelatedSeries",
    "00080005",
    "00091001",
    "é",
    "",
    "...",
    "InstanceNumber",
    "KVP",
    "00090010",
    "00091001.00080100",
    "TimezoneOffsetFromUTC",
    "emptyvaluematching",
    "multiplevaluematching",
]
VALUES = [
    "*",
    "?",
    "**",
    "^",
    "=",
    "\\",
    ",",
    "1",
    "-1",
    "1e400",
    "nan",
    "20240101-",
    "-",
    "--",
    "9" * 400,
    "A\0B",
    "山*",
    "true",
    "all",
    "1.2.3\\1.2.4",
    "*/*",
    "a/b;q=",
    "",
    "x" * 300,
    "1.2,1.3",
    '""',
    "+0100",
    "0900-1700",
    "\ud7ff",
]
ACCEPTS = [
    "*/*",
    "",
    "a",
    "multipart/related",
    'multipart/related; type="application/dicom"',
    "application/dicom+json",
    "application/dicom;transfer-syntax=x",
    "image/*",
    '"',
    ";",
    "q=1",
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Runner"]:
    made = Runner(tmp_path_factory.mktemp("archive"))
    stored = made.ask(
        "POST",
        "/studies",
        content=b"--b\r\n\r\n"
        + make_instance("1.2.3", study="1.2.3", series="1.2.3")
        + b"\r\n--b--",
        headers={"content-type": "multipart/related; boundary=b"},
    )
    assert stored.status_code == 200
    yield made
    made.close()


class Runner:
    """An application on a loop of its own, for tests that are not coroutines."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.client = self.loop.run_until_complete(self._open(folder))

    async def _open(self, folder: Path) -> httpx.AsyncClient:
        catalogue = await self.stack.enter_async_context(SqliteCatalogue(folder / "c.sqlite"))
        objects = await self.stack.enter_async_context(LocalObjectStore(folder / "objects"))
        intake = await self.stack.enter_async_context(Intake(folder / "spool", objects, catalogue))
        archive = Archive(catalogue, objects)
        self.stack.callback(archive.close)
        search = Search(catalogue, archive.tables)
        everybody = everybody_is(system("default"))
        services = Services(intake, search, archive, catalogue.ready, everybody, NOBODY)
        app = create_app(services, HttpOptions(prefix=""))
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://archive")
        return await self.stack.enter_async_context(client)

    def ask(self, method: str, url: str, **options: object) -> httpx.Response:
        return self.loop.run_until_complete(self.client.request(method, url, **options))

    def close(self) -> None:
        self.loop.run_until_complete(self.stack.aclose())
        self.loop.close()


FEW = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
    words=st.one_of(
        st.lists(st.sampled_from(WORDS), max_size=8),
        st.tuples(st.integers(0, 6), st.lists(st.sampled_from(WORDS), max_size=3)).map(
            lambda given: [*PLACE[: given[0]], *given[1]]
        ),
    ),
    query=st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=4),
    accept=st.lists(st.sampled_from(ACCEPTS), max_size=3).map(",".join),
)
def test_any_request_has_an_answer(
    runner: Runner,
    method: str,
    words: list[str],
    query: list[tuple[str, str]],
    accept: str,
) -> None:
    path = "/" + "/".join(quote(word, safe="%*,") for word in words)
    text = "&".join(f"{quote(key)}={quote(value)}" for key, value in query)
    response = runner.ask(method, f"http://archive{path}?{text}", headers={"accept": accept})
    assert response.status_code < 500, (path, text, response.text)
    if response.status_code >= 400 and method != "HEAD":
        assert response.headers["content-type"] == "application/problem+json"


@FEW
@given(
    search=st.lists(
        st.tuples(st.sampled_from(KEYS), st.one_of(st.sampled_from(VALUES), st.text(max_size=20))),
        max_size=3,
    ),
    resource=st.sampled_from(["/studies", "/series", "/instances", "/studies/1.2/series"]),
)
def test_any_search_has_an_answer(
    runner: Runner, search: list[tuple[str, str]], resource: str
) -> None:
    response = runner.ask("GET", resource, params=search)
    assert response.status_code in {200, 204, 400, 406, 413}, response.text


@FEW
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"--b\r\n",
                    b"\r\n",
                    b"--b--",
                    b"Content-Type: application/dicom\r\n",
                    b"\0" * 128 + b"DICM",
                    b"\x02\x00\x10\x00UI\x14\x00",
                    b"x",
                    b"\n",
                ]
            ),
            max_size=12,
        ).map(b"".join),
    ),
    content_type=st.sampled_from(
        [
            "multipart/related; type=application/dicom; boundary=b",
            "multipart/related; boundary=b",
            "multipart/related",
            "application/dicom",
            "",
            'x/y; boundary="',
        ]
    ),
)
def test_any_body_has_an_answer_and_stores_nothing(
    runner: Runner, body: bytes, content_type: str
) -> None:
    response = runner.ask("POST", "/studies", content=body, headers={"content-type": content_type})
    assert response.status_code in {400, 409, 415}, response.text
    (study,) = runner.ask("GET", "/studies").json()
    assert study["00201208"]["Value"] == [1]

"""Requests made from the OpenAPI document, to a whole archive: it answers as the document says."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from crash.archive import Archive, fsck, running
from dicomweb_samples import make_instance
from patience import PATIENCE_S

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (found.ok() for found in SCHEMA.get_all_operations())
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
STORED = {"study": "1.2.4.1", "series": "1.2.4.1.1", "instance": "1.2.4.1.1.1"}
# The document's own examples, which requests are made of: DELETE too.
TO_DELETE = {"study": "1.2.3.1", "series": "1.2.3.1.1", "instance": "1.2.3.1.1.1"}
MULTIPART = 'multipart/related; type="application/dicom"; boundary=b'
ACCEPTS = [
    "*/*",
    "application/dicom+json",
    'multipart/related; type="application/dicom+xml"',
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    "application/zip",
    "application/dicom",
    "image/jpeg",
    "image/png",
    "text/html",
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    with running(folder / "data", log=folder / "log") as started:
        body = b"".join(
            b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n"
            for file in (
                make_instance("1.2.4.1.1.1", study="1.2.4.1", series="1.2.4.1.1", frames=3),
                make_instance("1.2.4.1.1.2", study="1.2.4.1", series="1.2.4.1.1", rows=16),
                make_instance("1.2.4.1.2.1", study="1.2.4.1", series="1.2.4.1.2"),
                make_instance("1.2.3.1.1.1", study="1.2.3.1", series="1.2.3.1.1", frames=3),
            )
        )
        answer = requests.post(
            f"{started.http}/dicom-web/studies",
            data=body + b"--b--\r\n",
            headers={"content-type": MULTIPART},
            timeout=PATIENCE_S,
        )
        assert answer.status_code in {200, 202}, answer.text
        yield started
        kept = {"StudyInstanceUID": STORED["study"]}
        counted = requests.get(
            f"{started.http}/dicom-web/studies", params=kept, timeout=PATIENCE_S
        ).json()
        assert [study["00201208"]["Value"] for study in counted] == [[3]]
    status, findings = fsck(folder / "data")
    assert (status, findings) == (0, []), findings


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def ask_all(archive: Archive, session: requests.Session, name: str, examples: int) -> None:
    operation = OPERATIONS[name]
    modes = [operation.as_strategy(mode) for mode in GenerationMode]
    if "{" in operation.path:
        # What is there is asked for as often as what is not.
        there = TO_DELETE if name.startswith("DELETE") else STORED
        known = {
            variable: value
            for variable, value in there.items()
            if f"{{{variable}}}" in operation.path
        }
        modes += [operation.as_strategy(mode, path_parameters=known) for mode in GenerationMode]

    @seed(20261125)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(modes), accept=st.sampled_from(ACCEPTS), body=st.binary(max_size=200))
    def ask(case: Case, accept: str, body: bytes) -> None:
        options = {}
        if operation.method.upper() == "POST":
            case.body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--b--"
            case.media_type = None
            options["headers"] = {"Content-Type": MULTIPART}
        options.setdefault("headers", {})["Accept"] = accept
        case.call_and_validate(
            base_url=archive.http, session=session, checks=CHECKS, timeout=PATIENCE_S, **options
        )

    ask()


def test_a_few_requests_of_every_operation(archive: Archive, session: requests.Session) -> None:
    for name in OPERATIONS:
        if not name.startswith("HEAD"):
            ask_all(archive, session, name, 7)


@pytest.mark.soak
@pytest.mark.parametrize("name", OPERATIONS)
def test_many_requests_of_each_operation(
    archive: Archive, session: requests.Session, name: str
) -> None:
    ask_all(archive, session, name, 150)

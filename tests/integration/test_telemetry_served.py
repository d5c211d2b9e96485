"""Numbers and traces of an archive as it runs: whole, of all its processes, and of nobody."""

import gzip
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Self

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families
from pydicom import dcmread
from pynetdicom import AE

import warm_start
from crash.archive import Archive, running
from dicomweb_samples import make_instance
from e2e.house import house
from pacs_cloud import metrics
from pacs_cloud.bootstrap.accounts import api_keys_of
from pacs_cloud.bootstrap.ports import Reservation
from pacs_cloud.bootstrap.services import now_us, open_stores
from pacs_cloud.bootstrap.web_role import serve_web
from pacs_cloud.metrics import Snapshot
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.rules import StudyRule
from pacs_cloud.settings import Address, Settings
from patience import PATIENCE_S
from servers.child import free_ports

SOP = "1.2.3.4.1"
SECRETS = ("Nobody^Knows", "PID-SECRET", SOP, "1.2.3.1")
UNKNOWN = "STRANGER"
ENDLESS = re.compile(r"\d\.\d|[0-9a-f]{8}|\d{5}")
"""UIDs, addresses, ids, numbers of processes."""
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parsed(text: str) -> Snapshot:
    families = list(text_string_to_metric_families(text))
    return Snapshot(
        [(one.name, one.labels, one.value) for each in families for one in each.samples]
    )


def instance() -> bytes:
    return make_instance(SOP, PatientName=SECRETS[0], PatientID=SECRETS[1])


class Collector:
    """Takes traces over OTLP/HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.processes: set[str] = set()
        self.said = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.said += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.processes.add(said["service.instance.id"])
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        return [one for one in self.spans if one.name == name]

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Seen:
    """What was found of an archive that had served, and has ended."""

    numbers: Snapshot
    text: str
    traces: Collector


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("telemetry")
    data = folder / "data"
    (port,) = free_ports(1)
    with Collector() as traces, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PACS_METRICS", f"127.0.0.1:{port}")
        environment.setenv("PACS_OTLP", traces.url)
        environment.setenv("PACS_OTLP_RATIO", "1")
        with running(data, log=folder / "log", words=()) as archive:
            known = warm_start.run("device", "add", "CT7", "--data", data, "--from", "127.0.0.1")
            assert known.returncode == 0, known.stderr
            for title, number in (("CT7", 1), ("CT7", 2), (UNKNOWN, 3)):
                send(
                    archive,
                    title,
                    make_instance(
                        f"1.2.3.4.{number}", PatientName=SECRETS[0], PatientID=SECRETS[1]
                    ),
                )
            texts: list[str] = []

            def there() -> Snapshot | None:
                answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
                assert answer.status_code == 200
                texts.append(answer.text)
                found = parsed(answer.text)
                is_done = (
                    found.total("pacs_instances_committed_total") == 3
                    and found.total("pacs_jobs_total", outcome="done")
                    >= found.total("pacs_packs_committed_total")
                    and found.total("pacs_associations_ended_total") == 3
                    and found.total("pacs_chore_last_success_timestamp_seconds", chore="erasures")
                )
                return found if is_done else None

            numbers = eventually(there)
            # Its own address answers nothing else, and the other asks who it is.
            root = f"http://127.0.0.1:{port}"
            assert httpx.get(f"{root}/dicom-web/studies", trust_env=False).status_code == 404
            asked = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = httpx.get(f"{archive.http}/metrics", headers=asked, trust_env=False)
            assert answer.status_code == 401
            assert httpx.get(f"{archive.http}/readyz", trust_env=False).status_code == 200
        assert "opentelemetry" not in (folder / "log").read_text()
        yield Seen(numbers, texts[-1], traces)


def test_one_process_answers_for_all(seen: Seen) -> None:
    found = seen.numbers
    assert not [one for one in (*SECRETS, UNKNOWN) if one in seen.text]
    by_device = found.by("device", "pacs_instances_received_total", transport="dimse")
    assert by_device == {"CT7": 2, "other": 1}
    assert found.total("pacs_received_bytes_total", device="CT7") > 1000
    assert found.total("pacs_c_store_seconds_count") == 3
    assert found.total("pacs_associations_ended_total", how="released") == 3
    assert found.total("pacs_associations_open") == 0
    assert found.total("pacs_instances_committed_total", outcome="stored") == 3
    assert found.total("pacs_spool_backlog_packs") == 0
    assert found.total("pacs_chore_last_success_timestamp_seconds", chore="erasures") > 0
    roles = {name.rpartition("-")[0] for name in found.by("process", "pacs_process_open_fds")}
    assert roles == {"dimse", "web", "worker"}


def test_every_number_is_there_and_no_label_holds_what_has_no_end(seen: Seen) -> None:
    samples = seen.numbers.samples
    plain = {name for name in metrics.names() if not metrics.labels_of(name)}
    assert plain - {name for name, _, _ in samples} == set()
    for name, labels, _ in samples:
        assert labels.keys() - {"le"} == metrics.labels_of(name), name
        values = (value for label, value in labels.items() if label not in {"le", "version"})
        assert not [one for one in values if ENDLESS.search(one)], (name, labels)


def test_a_pack_has_one_trace_through_all_processes(seen: Seen) -> None:
    traces = seen.traces
    packs = traces.named("pack")
    assert packs
    associations = {one.span_id: one for one in traces.named("association")}
    assert len(associations) == 3
    stores = traces.named("C-STORE")
    assert {one.parent_span_id for one in stores} == set(associations)
    linked: set[bytes] = set()
    for pack in packs:
        assert not pack.parent_span_id
        steps = [one for one in traces.spans if one.trace_id == pack.trace_id and one is not pack]
        below = {one.name for one in steps if one.parent_span_id == pack.span_id}
        assert below >= {"pack.seal", "pack.commit", "outbox", "job pack-stored"}
        commit = next(one for one in steps if one.name == "pack.commit")
        inside = {one.name for one in steps if one.parent_span_id == commit.span_id}
        assert inside >= {"object_store.put_file", "object_store.put_new", "catalogue.commit"}
        seal = next(one for one in steps if one.name == "pack.seal")
        linked |= {link.span_id for link in seal.links}
        assert pack.start_time_unix_nano <= seal.start_time_unix_nano < pack.end_time_unix_nano
    assert linked == set(associations)
    # Several of one role are told apart.
    names = [re.fullmatch(r".+/([a-z]+)-[0-9]+", one) for one in traces.processes]
    assert {"dimse", "web", "worker"} == {name and name[1] for name in names}


def test_a_request_goes_on_with_the_trace_of_whoever_asks(seen: Seen) -> None:
    (asked,) = seen.traces.named("GET none")
    assert asked.trace_id.hex() == TRACE
    assert asked.parent_span_id.hex() == PARENT
    assert asked.kind == Span.SPAN_KIND_SERVER
    said = {one.key: one.value for one in asked.attributes}
    assert said["http.response.status_code"].int_value == 401
    (ready,) = seen.traces.named("GET /readyz")
    assert not ready.parent_span_id


def test_traces_name_nobody(seen: Seen) -> None:
    assert seen.traces.said
    assert not [one for one in (*SECRETS, UNKNOWN) if one.encode() in seen.traces.said]


def send(archive: Archive, title: str, file: bytes) -> None:
    dataset = dcmread(BytesIO(file))
    entity = AE(title)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate(archive.host, archive.port, ae_title=archive.aet)
    assert association.is_established
    assert association.send_c_store(dataset).Status == 0
    association.release()


def eventually(look: Callable[[], Snapshot | None]) -> Snapshot:
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
    return found


async def test_both_addresses_say_what_was_looked_up_once(tmp_path: Path) -> None:
    def walks() -> float:
        return metrics.snapshot().total("pacs_catalogue_requests_total", verb="export")

    with (
        closing(Reservation(Address(host="127.0.0.1", port=0))) as pages,
        closing(Reservation(Address(host="127.0.0.1", port=0))) as numbers,
    ):
        settings = Settings(
            data=tmp_path, no_auth=True, http=pages.address, metrics=numbers.address
        )
        async with (
            open_stores(settings, create=True) as stores,
            serve_web(settings, stores),
            httpx.AsyncClient(trust_env=False) as client,
        ):
            before = walks()
            for address in (settings.http, settings.metrics, settings.http):
                answer = await client.get(f"http://{address}/metrics")
                assert answer.status_code == 200
                assert "pacs_stored_bytes" in answer.text
            assert walks() == before + 1


async def test_only_who_operates_may_read_it(tmp_path: Path) -> None:
    async with house(tmp_path) as site:
        keys = api_keys_of(site.settings, site.stores.objects)
        until_us = now_us() + 3_600_000_000

        async def key(role: Role, *rules: StudyRule) -> dict[str, str]:
            grant = Grant(role, rules or None)
            _, secret = await keys.create([grant], until_us=until_us, note="test")
            return {"authorization": f"Bearer {secret}"}

        reader, operator = await key(Role.RADIOLOGIST), await key(Role.OPS)
        of_some = await key(Role.OPS, StudyRule(modalities=frozenset({"CT"})))
        await site.store([instance()])
        async with httpx.AsyncClient(base_url=site.url, trust_env=False) as client:
            assert (await client.get("/metrics")).status_code == 401
            refused = await client.get("/metrics", headers=reader)
            assert refused.status_code == 403
            # The numbers are of the whole archive.
            assert (await client.get("/metrics", headers=of_some)).status_code == 403
            answer = await client.get("/metrics", headers=operator)
            again = await client.get("/metrics", headers=operator)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        found = parsed(answer.text)
        assert not [secret for secret in SECRETS if secret in answer.text]
        assert found.total("pacs_instances_received_total", transport="stow") >= 1
        assert found.total("pacs_http_requests_total", route="/dicom-web/studies") >= 1
        assert found.total("pacs_http_requests_total", route="/metrics", status="4xx") == 2
        assert parsed(again.text).total("pacs_http_requests_total", route="/metrics") >= 1
        assert found.total("pacs_object_store_requests_total", verb="put_file", result="ok") >= 1
        assert found.total("pacs_catalogue_requests_total", verb="commit", result="ok") >= 1
        assert found.total("pacs_stored_packs", tier="STANDARD") == 1
        assert found.total("pacs_stored_bytes") > 0
        assert found.by("state", "pacs_queue_jobs").keys() == {"ready", "leased", "dead"}
        assert {name for name, _, _ in found.samples} <= metrics.names()

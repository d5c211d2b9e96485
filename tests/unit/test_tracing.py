"""Traces: nothing where nobody wants them, one for each pack wherever it is worked on."""

import asyncio
import socket
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import StatusCode

from pacs_cloud import tracing
from pacs_cloud.bootstrap import otlp
from pacs_cloud.bootstrap.otlp import Ids, OtelTracer
from pacs_cloud.bootstrap.roles import traced
from pacs_cloud.bootstrap.supervisor import Role
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.pack.pack_id import new_pack_id
from pacs_cloud.settings import load_settings
from patience import PATIENCE_S

NOW_US = 1_770_000_000_000_000
REMOTE = [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]


def tracer_of(ratio: float) -> tuple[OtelTracer, InMemorySpanExporter]:
    sampler, kept = TraceIdRatioBased(ratio), InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(sampler), id_generator=Ids())
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return OtelTracer(provider.get_tracer("test"), sampler), kept


@pytest.fixture
def kept() -> Iterator[InMemorySpanExporter]:
    tracer, kept = tracer_of(1)
    with tracing.send_to(tracer):
        yield kept


def ended(kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {one.name: one for one in kept.get_finished_spans()}


def test_where_nobody_wants_traces_nothing_is_done() -> None:
    assert tracing.begin("a") is tracing.NOTHING
    with tracing.span("a"), tracing.child("b") as child, tracing.pack_step("c", "d") as step:
        assert child is step is tracing.NOTHING
        assert tracing.current() is None
        assert tracing.outgoing() == {}
    assert tracing.incoming(REMOTE) is None


async def test_a_task_begins_below_the_span_in_which_it_was_made(
    kept: InMemorySpanExporter,
) -> None:
    async def work() -> None:
        with tracing.child("below", kind="x"):
            pass

    await work()
    assert ended(kept) == {}, "a child of nothing is nothing"
    with tracing.span("above"):
        await asyncio.create_task(work())
        fields = tracing.outgoing()
    found = ended(kept)
    above = found["above"].get_span_context()
    assert found["below"].parent == above
    assert found["below"].attributes == {"pacs.kind": "x"}
    assert fields["traceparent"].split("-")[1] == f"{above.trace_id:032x}"


def test_what_is_raised_is_named_and_not_quoted(kept: InMemorySpanExporter) -> None:
    with pytest.raises(Unavailable), tracing.span("a"):
        raise Unavailable("Doe^Jane")
    (found,) = kept.get_finished_spans()
    assert found.status.status_code is StatusCode.ERROR
    assert "Doe" not in found.to_json()
    assert found.attributes == {"error.type": "Unavailable"}


def test_a_request_goes_on_with_a_trace(kept: InMemorySpanExporter) -> None:
    with tracing.span("a", parent=tracing.incoming(REMOTE), serves=True):
        pass
    assert f"{ended(kept)['a'].get_span_context().trace_id:032x}" in REMOTE[0][1].decode()
    assert tracing.incoming([(b"traceparent", b"nonsense")]) is None
    assert tracing.incoming([]) is None


def test_processes_agree_on_a_packs_trace_without_a_word(kept: InMemorySpanExporter) -> None:
    pack_id = new_pack_id(NOW_US)
    with tracing.pack_step("commit", pack_id):
        pass
    tracing.whole_pack(pack_id, bytes=7)
    found = ended(kept)
    pack = found["pack"]
    assert found["commit"].parent is not None
    assert found["commit"].parent.span_id == pack.get_span_context().span_id
    assert found["commit"].parent.trace_id == pack.get_span_context().trace_id
    assert pack.parent is None
    assert pack.start_time == NOW_US * 1000
    with tracing.pack_step("of none", "no pack's id"):
        pass
    assert ended(kept)["of none"].parent is None


def test_they_agree_on_whether_it_is_recorded() -> None:
    ids = [new_pack_id(NOW_US + number) for number in range(200)]
    (one, kept), (other, _) = tracer_of(0.5), tracer_of(0.5)
    with tracing.send_to(one):
        for pack_id in ids:
            tracing.whole_pack(pack_id)
    recorded = {span.get_span_context().trace_id for span in kept.get_finished_spans()}
    agreed = {where.trace_id for where in map(other.of_pack, ids) if where.trace_flags.sampled}
    assert recorded == agreed
    assert 50 < len(recorded) < 150


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pacs_cloud.bootstrap.otlp", None)
    with pytest.raises(InvalidRequest, match=r"pacs-cloud\[otel\]"):
        traced(load_settings({"otlp": "http://127.0.0.1:4318"}), Role.WEB)


def test_a_collector_that_does_not_answer_keeps_nobody_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(otlp, "_STOP_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        with otlp.tracing_to(f"http://127.0.0.1:{silent.getsockname()[1]}", "web", 1.0):
            tracing.begin("a").end()
        asked, _ = silent.accept()
        with asked, asked.makefile("rb") as request:
            lines = [line.lower().split() for line in iter(request.readline, b"\r\n")]
            (length,) = (line[1] for line in lines if line[0] == b"content-length:")
            request.read(int(length))
            # Whoever gave up has closed by now; who stopped waits for no answer, but takes one.
            with pytest.raises(BlockingIOError):
                asked.recv(1, socket.MSG_DONTWAIT)
            asked.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            assert request.read() == b""

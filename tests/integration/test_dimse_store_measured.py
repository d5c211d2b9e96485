"""C-STORE as it is measured: each answer's time, and spans that end however it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from dimse_archive import CT, EXPLICIT, Running, encoded, instance, running
from dimse_wire import Wire, data_pdu, eventually, store_rq
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from pacs_cloud import metrics, tracing
from pacs_cloud.bootstrap.otlp import OtelTracer
from pacs_cloud.dicom.status import Status
from pacs_cloud.ingest.reception import Reception

UID = "1.2.3.4.1"


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as one:
        yield one


@pytest.fixture
async def wire(archive: Running) -> AsyncIterator[Wire]:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", archive.port))
    assert await wire.associate(CT, transfer_syntax=EXPLICIT) == 2
    yield wire
    await wire.close()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with tracing.send_to(OtelTracer(provider.get_tracer("test"), TraceIdRatioBased(1))):
        yield kept


def said_by(spans: InMemorySpanExporter) -> list[Mapping[str, object]]:
    """Return what the C-STOREs that have ended say of themselves."""
    return [
        dict(one.attributes or {}) for one in spans.get_finished_spans() if one.name == "C-STORE"
    ]


def answers_timed() -> float:
    return metrics.snapshot().total("pacs_c_store_seconds_count")


async def store(wire: Wire, data: bytes, uid: str = UID) -> int:
    await wire.send(store_rq(AFFECTED_SOP_INSTANCE_UID=uid) + data_pdu(data))
    return (await wire.response()).status


async def test_every_answer_is_timed_a_refusal_too(wire: Wire) -> None:
    data = encoded(instance(1))
    for uid, sent, status in (
        (UID, data, Status.SUCCESS),
        (UID, b"no data set", Status.CANNOT_UNDERSTAND),
        ("1.2.3..4", data, Status.INVALID_SOP_INSTANCE),
    ):
        before = answers_timed()
        assert await store(wire, sent, uid) == status
        assert answers_timed() == before + 1, status.name


async def test_the_span_of_one_that_was_refused_says_so(
    spans: InMemorySpanExporter, wire: Wire
) -> None:
    assert await store(wire, b"no data set") == Status.CANNOT_UNDERSTAND
    assert said_by(spans) == [{"error.type": "InvalidInstance"}]


async def test_the_span_of_one_that_never_came_whole_ends(
    spans: InMemorySpanExporter, wire: Wire
) -> None:
    before = answers_timed()
    await wire.send(store_rq() + data_pdu(encoded(instance(1))[:100], ends=False))
    await wire.close()
    await eventually(lambda: said_by(spans))
    assert said_by(spans) == [{"error.type": "aborted"}]
    assert answers_timed() == before, "there was no answer"


async def test_the_span_of_one_whose_sender_left_before_its_answer_ends(
    spans: InMemorySpanExporter, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing = asyncio.Event()

    async def finish_never(_: Reception) -> None:
        finishing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Reception, "finish", finish_never)
    before = answers_timed()
    await wire.send(store_rq(AFFECTED_SOP_INSTANCE_UID=UID) + data_pdu(encoded(instance(1))))
    await finishing.wait()
    await wire.close()
    await eventually(lambda: said_by(spans))
    assert said_by(spans) == [{"error.type": "CancelledError"}]
    assert answers_timed() == before, "there was no answer"

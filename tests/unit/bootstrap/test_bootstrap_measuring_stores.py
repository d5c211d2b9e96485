"""What is asked of a store is counted, however its reader ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from pacs_cloud import metrics, tracing
from pacs_cloud.bootstrap.measuring_stores import measure_catalogue, measure_objects
from pacs_cloud.bootstrap.otlp import OtelTracer
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.objectstore.port import ObjectStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalObjectStore]:
    async with LocalObjectStore(tmp_path / "objects") as opened:
        measure_objects(opened)
        for number in range(3):
            await opened.put_new(f"packs/{number}", b"12345")
        yield opened


def counted(verb: str) -> dict[str, float]:
    return metrics.snapshot().by("result", "pacs_object_store_requests_total", verb=verb)


def timed(verb: str) -> float:
    return metrics.snapshot().total("pacs_object_store_request_seconds_count", verb=verb)


class Broken:
    """A store with a defect: every verb of it fails, and not by an error of the tree."""

    def __getattr__(self, name: str) -> Any:
        async def fails(*_: object) -> None:
            raise OSError("a defect")

        async def fails_midway(*_: object) -> AsyncIterator[bytes]:
            yield b"12"
            raise OSError("a defect")

        return fails_midway if name in {"list", "stream", "versions", "export"} else fails


async def test_a_reader_that_has_enough_has_asked_all_the_same(store: LocalObjectStore) -> None:
    before = counted("list").get("ok", 0)
    async with aclosing(store.list("packs/")) as found:
        async for _ in found:
            break
    assert counted("list")["ok"] == before + 1
    assert [info.key async for info in store.list("packs/")][-1] == "packs/2"
    assert counted("list")["ok"] == before + 2


async def test_how_a_reading_failed_is_counted(store: LocalObjectStore) -> None:
    before = counted("stream")
    with pytest.raises(NotFound):
        async for _ in store.stream("packs/9"):
            pass
    stream = store.stream("packs/0", chunk_bytes=1)
    await anext(stream)
    with pytest.raises(asyncio.CancelledError):
        await stream.athrow(asyncio.CancelledError())
    after = counted("stream")
    for result in ("NotFound", "CancelledError"):
        assert after[result] == before.get(result, 0) + 1


async def test_a_listing_of_nothing_is_timed(store: LocalObjectStore) -> None:
    before = timed("list")
    assert [info async for info in store.list("nothing/")] == []
    assert timed("list") == before + 1


async def all_of(answers: AsyncIterator[object]) -> list[object]:
    return [one async for one in answers]


async def test_a_defect_is_no_good_answer() -> None:
    broken: Any = Broken()
    measure_objects(broken)
    for verb, ask in (
        ("head", broken.head),
        ("list", lambda key: all_of(broken.list(key))),
        ("stream", lambda key: all_of(broken.stream(key))),
    ):
        before = counted(verb)
        with pytest.raises(OSError, match="a defect"):
            await ask("k")
        assert counted(verb).get("ok", 0) == before.get("ok", 0), verb
        assert counted(verb)["OSError"] == before.get("OSError", 0) + 1, verb


async def test_a_listing_that_failed_ends_its_span_as_failed(store: LocalObjectStore) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = OtelTracer(provider.get_tracer("test"), TraceIdRatioBased(1))
    with tracing.send_to(tracer), tracing.span("above"):
        with pytest.raises(NotFound):
            [chunk async for chunk in store.stream("packs/9")]
        async with aclosing(store.list("packs/")) as found:
            await anext(found)
    said = {one.name: dict(one.attributes or {}) for one in kept.get_finished_spans()}
    assert said["object_store.stream"]["error.type"] == "NotFound"
    assert "error.type" not in said["object_store.list"], "who has read enough has not failed"


@pytest.mark.parametrize(
    ("port", "measure"),
    [
        pytest.param(ObjectStore, measure_objects, id="objects"),
        pytest.param(Catalogue, measure_catalogue, id="catalogue"),
    ],
)
def test_every_verb_of_a_port_is_counted_but_the_probe(port: type, measure: Any) -> None:
    broken = Broken()
    measure(broken)
    assert {one for one in vars(port) if not one.startswith("_")} - vars(broken).keys() == {"ready"}


async def test_an_export_is_counted(tmp_path: Path) -> None:
    def exports() -> float:
        return metrics.snapshot().total("pacs_catalogue_requests_total", verb="export", result="ok")

    async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue:
        measure_catalogue(catalogue)
        before = exports()
        assert [state async for state in catalogue.export()] == []
        assert exports() == before + 1

"""Traces by OpenTelemetry, sent over OTLP/HTTP to a collector: the extra `otel`."""

import logging
import os
import socket
import uuid
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import blake2b
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pacs_cloud import __version__, tracing
from pacs_cloud.tracing import Context, Span, Value

_PATH: Final = "/v1/traces"
_SERVICE: Final = "pacs-cloud"
_STOP_S: Final = 3.0
"""For so long a process that stops waits for the collector to take what is left."""
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_UNSAMPLED: Final = trace.TraceFlags(trace.TraceFlags.DEFAULT)
_own_ids: ContextVar[tuple[int, int] | None] = ContextVar("own_ids", default=None)


@contextmanager
def tracing_to(url: str, process: str, ratio: float) -> Generator[None]:
    """Trace this process while entered; what is recorded is sent before it is left.

    A collector that does not answer is waited for `_STOP_S`; what it would have got is lost.

    Args:
        url: of the collector; without a path, its `/v1/traces`.
        process: what this one does.
        ratio: which share of the traces that begin here is recorded.
    """
    endpoint = url if urlsplit(url).path.strip("/") else url.rstrip("/") + _PATH
    # Of an answer that does not come it says where in the code, with a traceback: one line will do.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    sampler = TraceIdRatioBased(ratio)
    provider = TracerProvider(
        sampler=ParentBased(sampler),
        id_generator=Ids(),
        resource=Resource.create(
            {
                "service.name": _SERVICE,
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}/{process}-{os.getpid()}",
            }
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    try:
        with tracing.send_to(OtelTracer(provider.get_tracer(_SERVICE, __version__), sampler)):
            yield
    finally:
        # It waits for its exporter, which tries for long; neither keeps a process from its end.
        last = Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(_STOP_S)


class Ids(RandomIdGenerator):
    """Ids by chance, but for a span that has its own."""

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        own = _own_ids.get()
        return super().generate_trace_id() if own is None else own[0]

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        own = _own_ids.get()
        return super().generate_span_id() if own is None else own[1]


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, made: trace.Span) -> None:
        self.made = made

    @property
    def context(self) -> Context:
        """See `tracing.Span`."""
        return self.made.get_span_context() if self.made.is_recording() else None

    def say(self, name: str = "", **attributes: Value) -> None:
        """See `tracing.Span`."""
        if name:
            self.made.update_name(name)
        self.made.set_attributes(_named(attributes))

    def end(self, error: str = "") -> None:
        """See `tracing.Span`."""
        if error:
            self.made.set_attribute("error.type", error)
            self.made.set_status(trace.StatusCode.ERROR)
        self.made.end()


class OtelTracer:
    """Records by OpenTelemetry; see `tracing.Tracer`."""

    def __init__(self, tracer: trace.Tracer, sampler: TraceIdRatioBased) -> None:
        self._tracer = tracer
        self._sampler = sampler
        self._fields = TraceContextTextMapPropagator()

    def begin(
        self,
        name: str,
        *,
        parent: Context | None,
        links: Collection[Context],
        serves: bool,
        attributes: Mapping[str, Value],
    ) -> Span:
        """See `tracing.Tracer`."""
        return OtelSpan(
            self._tracer.start_span(
                name,
                None if parent is None else trace.set_span_in_context(_remote(parent)),
                kind=trace.SpanKind.SERVER if serves else trace.SpanKind.INTERNAL,
                links=[trace.Link(one) for one in links],
                attributes=_named(attributes),
            )
        )

    def whole_pack(self, pack_id: str, attributes: Mapping[str, Value]) -> None:
        """See `tracing.Tracer`."""
        ids = _ids_of(pack_id)
        if ids is None:
            return
        before = _own_ids.set(ids)
        try:
            made = self._tracer.start_span(
                "pack",
                trace.set_span_in_context(trace.INVALID_SPAN),  # it begins the trace
                attributes=_named(attributes),
                # A pack's id begins with the time, in milliseconds, at which it was opened.
                start_time=(uuid.UUID(pack_id).int >> 80) * 1_000_000,
            )
        finally:
            _own_ids.reset(before)
        made.end()

    def of_pack(self, pack_id: str) -> Context | None:
        """See `tracing.Tracer`."""
        ids = _ids_of(pack_id)
        if ids is None:
            return None
        # Every process comes to the same decision: it goes by the trace's id.
        decided = self._sampler.should_sample(None, ids[0], "pack").decision
        flags = _SAMPLED if decided is Decision.RECORD_AND_SAMPLE else _UNSAMPLED
        return trace.SpanContext(*ids, is_remote=True, trace_flags=flags)

    def current(self) -> Context | None:
        """See `tracing.Tracer`."""
        made = trace.get_current_span()
        return made.get_span_context() if made.is_recording() else None

    @contextmanager
    def entered(self, span: Span) -> Generator[None]:
        """See `tracing.Tracer`."""
        assert isinstance(span, OtelSpan)
        token = attach(trace.set_span_in_context(span.made))
        try:
            yield
        finally:
            detach(token)

    def incoming(self, fields: Mapping[str, str]) -> Context | None:
        """See `tracing.Tracer`."""
        found = trace.get_current_span(self._fields.extract(fields)).get_span_context()
        return found if found.is_valid else None

    def outgoing(self) -> Mapping[str, str]:
        """See `tracing.Tracer`."""
        fields = dict[str, str]()
        self._fields.inject(fields)
        return fields


def _remote(parent: Context) -> trace.Span:
    return trace.NonRecordingSpan(parent)


def _ids_of(pack_id: str) -> tuple[int, int] | None:
    """Return the ids of a pack's trace and of its first span, the same in every process."""
    try:
        named = uuid.UUID(pack_id).bytes
    except ValueError:
        return None
    # Hashed, since samplers take a trace's id for a number by chance: a UUID is none.
    digest = blake2b(named, digest_size=24).digest()
    return int.from_bytes(digest[:16]), int.from_bytes(digest[16:])


def _named(attributes: Mapping[str, Value]) -> dict[str, Any]:
    """Return attributes by names of ours, but for those that have a meaning everywhere."""
    return {
        name.replace("__", ".") if "__" in name else f"pacs.{name}": value
        for name, value in attributes.items()
    }

"""Traces: what one association, request or pack went through, step by step, with its times.

Nothing is traced unless `send_to` names a tracer (`bootstrap.otlp`, where the setting `otlp`
asks for it): until then every call here returns at once. Attributes hold no patient data, and
UIDs only hashed (`telemetry.hashed`).

The id of a pack's trace is made of the pack's own, so that every process that works on it
adds to one trace without being told: receiver, committer, relay, worker. It is linked to the
associations and requests that brought its instances.
"""

from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol, TypeAlias

Context: TypeAlias = Any
"""What names a span to others: only tracers look inside."""
Value: TypeAlias = str | int | float | bool


class Span(Protocol):
    """One step, under way."""

    @property
    def context(self) -> Context:
        """What its children and links name it by; None where it is not recorded."""
        ...

    def say(self, name: str = "", **attributes: Value) -> None:
        """Add what is known only now; `name` replaces its name."""
        ...

    def end(self, error: str = "") -> None:
        """End it; `error` is the name of what went wrong."""
        ...


class Tracer(Protocol):
    """What records spans and sends them on."""

    def begin(
        self,
        name: str,
        *,
        parent: Context | None,
        links: Collection[Context],
        serves: bool,
        attributes: Mapping[str, Value],
    ) -> Span:
        """Begin a span; without a parent, of what is current, else of a trace of its own."""
        ...

    def whole_pack(self, pack_id: str, attributes: Mapping[str, Value]) -> None:
        """Record the span that all others of a pack are below: from its first byte until now."""
        ...

    def of_pack(self, pack_id: str) -> Context | None:
        """Return what names that span, in any process; None where it is no pack's id."""
        ...

    def current(self) -> Context | None:
        """Return the recorded span that is current; None where none is."""
        ...

    def entered(self, span: Span) -> AbstractContextManager[None]:
        """Make a span current for this task, and for tasks that it begins."""
        ...

    def incoming(self, fields: Mapping[str, str]) -> Context | None:
        """Return the span that `traceparent` names (W3C Trace Context 3.2); None: it is none."""
        ...

    def outgoing(self) -> Mapping[str, str]:
        """Return the fields that name the current span to whom we ask."""
        ...


class _Nothing:
    """The span of what is not traced."""

    context: Context = None

    def say(self, name: str = "", **attributes: Value) -> None:
        """Say nothing."""

    def end(self, error: str = "") -> None:
        """End nothing."""


NOTHING: Final[Span] = _Nothing()
_NO_SPAN: Final = nullcontext(NOTHING)
_tracers: Final[list[Tracer]] = []


@contextmanager
def send_to(tracer: Tracer) -> Generator[None]:
    """Let `tracer` record what this process does while entered."""
    _tracers.append(tracer)
    try:
        yield
    finally:
        _tracers.remove(tracer)


def begin(
    name: str,
    *,
    parent: Context | None = None,
    links: Iterable[Context] = (),
    **attributes: Value,
) -> Span:
    """Return a span that has begun; whoever begins it ends it."""
    if not _tracers:
        return NOTHING
    return _tracers[0].begin(
        name, parent=parent, links=[*links], serves=False, attributes=attributes
    )


def span(
    name: str,
    *,
    parent: Context | None = None,
    links: Iterable[Context] = (),
    serves: bool = False,
    **attributes: Value,
) -> AbstractContextManager[Span]:
    """Give a span that is current while entered; what is raised is named in it, not quoted."""
    return _entered(name, parent, links, serves, attributes) if _tracers else _NO_SPAN


@contextmanager
def _entered(
    name: str,
    parent: Context | None,
    links: Iterable[Context],
    serves: bool,
    attributes: Mapping[str, Value],
) -> Generator[Span]:
    tracer = _tracers[0]
    begun = tracer.begin(name, parent=parent, links=[*links], serves=serves, attributes=attributes)
    error = ""
    try:
        with tracer.entered(begun):
            yield begun
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        begun.end(error)


def child(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """Give a span as `span`, below the current one; where none is recorded, nothing."""
    if not _tracers or _tracers[0].current() is None:
        return _NO_SPAN
    return _entered(name, None, (), False, attributes)


def pack_step(
    name: str, pack_id: object, *, links: Iterable[Context] = (), **attributes: Value
) -> AbstractContextManager[Span]:
    """Give a span of a pack's trace; of what is no pack's id, of a trace of its own."""
    if not _tracers:
        return _NO_SPAN
    parent = _tracers[0].of_pack(pack_id) if isinstance(pack_id, str) else None
    return _entered(name, parent, links, False, attributes)


def whole_pack(pack_id: str, **attributes: Value) -> None:
    """Record that a pack has come to its end, whose steps were recorded before."""
    if _tracers:
        _tracers[0].whole_pack(pack_id, attributes)


def current() -> Context | None:
    """Return what names the current span; None where none is recorded."""
    return _tracers[0].current() if _tracers else None


def incoming(fields: Iterable[tuple[bytes, bytes]]) -> Context | None:
    """Return the span of whoever asks, by a request's header fields; None: they say none."""
    if not _tracers:
        return None
    named = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in fields
        if name in {b"traceparent", b"tracestate"}
    }
    return _tracers[0].incoming(named) if named else None


def outgoing() -> Mapping[str, str]:
    """Return the header fields of a request that belongs to the current span."""
    return _tracers[0].outgoing() if _tracers else {}

"""Stores whose requests are counted, as `/metrics` and the operations pages show them."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any, Final, NamedTuple

from prometheus_client import Counter, Histogram

from pacs_cloud import metrics, tracing
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.objectstore.port import ObjectInfo, ObjectStore

_OK: Final = "ok"
_OBJECT_VERBS: Final = (
    *("head", "delete", "move", "recall"),
    *("lock_of", "set_legal_hold", "retain"),
)
_CATALOGUE_VERBS: Final = (
    *("stage", "commit", "unstage", "study", "studies_by_uid", "series", "packs", "index"),
    *("table", "find_uids", "studies", "events", "forget_events", "conflicts", "wipe"),
)


class _Meter(NamedTuple):
    """What counts the requests to one store.

    Attributes:
        name: of the store, in traces.
        requests: by verb and result.
        seconds: by verb, of those that were answered.
    """

    name: str
    requests: Counter
    seconds: Histogram


_OBJECTS: Final = _Meter("object_store", metrics.OBJECT_REQUESTS, metrics.OBJECT_SECONDS)
_CATALOGUE: Final = _Meter("catalogue", metrics.CATALOGUE_REQUESTS, metrics.CATALOGUE_SECONDS)


def measure_objects(objects: ObjectStore) -> None:
    """Count what is asked of an object store from here on, what it asks of itself included.

    The store stays what it is: some can do more than their port says, and are asked for it.
    """
    for verb in _OBJECT_VERBS:
        _measure(objects, verb, _OBJECTS)
    for verb, length in (
        ("put_new", _of_info),
        ("put_file", _of_info),
        ("get", len),
        ("get_suffix", _of_suffix),
    ):
        _measure(objects, verb, _OBJECTS, length)
    _measure_iterator(objects, "list", _OBJECTS)
    _measure_iterator(objects, "versions", _OBJECTS)
    _measure_iterator(objects, "stream", _OBJECTS, len)


def measure_catalogue(catalogue: Catalogue) -> None:
    """Count what is asked of a catalogue from here on."""
    for verb in _CATALOGUE_VERBS:
        _measure(catalogue, verb, _CATALOGUE)
    _measure_iterator(catalogue, "export", _CATALOGUE)


def _of_info(info: ObjectInfo) -> int:
    return info.length_bytes


def _of_suffix(answer: tuple[bytes, int]) -> int:
    return len(answer[0])


def _measure(
    store: object, verb: str, meter: _Meter, length: Callable[[Any], int] | None = None
) -> None:
    asked: Callable[..., Coroutine[Any, Any, Any]] = getattr(store, verb)
    took, fine = meter.seconds.labels(verb), meter.requests.labels(verb, _OK)
    step = f"{meter.name}.{verb}"
    moved = metrics.OBJECT_BYTES.labels(verb) if length is not None else None

    @wraps(asked)
    async def counted(*args: Any, **named: Any) -> Any:
        began_s = time.perf_counter()
        try:
            with tracing.child(step):
                answer = await asked(*args, **named)
        except BaseException as error:
            meter.requests.labels(verb, type(error).__name__).inc()
            raise
        took.observe(time.perf_counter() - began_s)
        fine.inc()
        if length is not None and moved is not None:
            moved.inc(length(answer))
        return answer

    setattr(store, verb, counted)


def _measure_iterator(
    store: object, verb: str, meter: _Meter, length: Callable[[Any], int] | None = None
) -> None:
    """Count a verb that yields: by the time until it yields first, for then its reader is slow."""
    asked: Callable[..., AsyncIterator[Any]] = getattr(store, verb)
    took = meter.seconds.labels(verb)
    step = f"{meter.name}.{verb}"
    moved = metrics.OBJECT_BYTES.labels(verb) if length is not None else None

    @wraps(asked)
    async def counted(*args: Any, **named: Any) -> AsyncIterator[Any]:
        began_s, length_bytes, is_first, error = time.perf_counter(), 0, True, ""
        span = tracing.NOTHING if tracing.current() is None else tracing.begin(step)
        answers = asked(*args, **named)
        try:
            async for one in answers:
                if is_first:
                    is_first = False
                    took.observe(time.perf_counter() - began_s)
                if length is not None:
                    length_bytes += length(one)
                yield one
            if is_first:  # there is nothing: that is an answer, too
                took.observe(time.perf_counter() - began_s)
        except GeneratorExit:
            raise  # whoever has read enough has asked all the same
        except BaseException as raised:
            error = type(raised).__name__
            raise
        finally:
            meter.requests.labels(verb, error or _OK).inc()
            if moved is not None:
                span.say(bytes=length_bytes)
                moved.inc(length_bytes)
            span.end(error)
            if (close := getattr(answers, "aclose", None)) is not None:
                await close()

    setattr(store, verb, counted)

"""Every number that the archive counts, by the name that `/metrics` gives it.

Modules count where something happens: `metrics.PACKS_COMMITTED.inc()`. Names and units are as
Prometheus wants them; labels are few, and of a bounded number of values: routes by their
template, devices that are known by their AE title (else "other"), never anything of a patient.

`snapshot` returns what all processes of this host have counted so far, `exposition` the same
as text for Prometheus.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pacs_cloud import __version__
from pacs_cloud.metric_files import SharedValue, shared_families

# What every metric below keeps its numbers in. The library would choose by a variable of the
# environment, before any setting is read.
values.ValueClass = SharedValue
_REGISTRY: Final = CollectorRegistry()
OTHER: Final = "other"
"""A label's value for all that has no name of its own."""

_MADE: Final[dict[str, tuple[str, ...]]] = {}
"""The labels of all that is counted, by its name without what the format adds."""
_FAST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def _counter(name: str, words: str, *labels: str) -> Counter:
    _MADE[f"pacs_{name}"] = labels
    return Counter(f"pacs_{name}", words, labels, registry=_REGISTRY)


def _gauge(
    name: str,
    words: str,
    *labels: str,
    mode: Literal["livesum", "livemin", "max"] = "livesum",
) -> Gauge:
    _MADE[f"pacs_{name}"] = labels
    return Gauge(f"pacs_{name}", words, labels, registry=_REGISTRY, multiprocess_mode=mode)


def _seconds(
    name: str, words: str, *labels: str, buckets: tuple[float, ...] = _FAST_S
) -> Histogram:
    _MADE[f"pacs_{name}_seconds"] = labels
    return Histogram(f"pacs_{name}_seconds", words, labels, registry=_REGISTRY, buckets=buckets)


# In

INSTANCES_RECEIVED: Final = _counter(
    "instances_received", "Instances taken in and durable.", "device", "transport"
)
BYTES_RECEIVED: Final = _counter("received_bytes", "Of their Part 10 files.", "device", "transport")
INSTANCES_REFUSED: Final = _counter(
    "instances_refused", "Instances turned away.", "transport", "reason"
)
ASSOCIATIONS_OPEN: Final = _gauge("associations_open", "DICOM associations, now.", "device")
ASSOCIATIONS_ENDED: Final = _counter(
    "associations_ended", "Associations that are over, by how they ended.", "how"
)
C_STORE_SECONDS: Final = _seconds("c_store", "From a C-STORE request to its answer.")
STOW_SECONDS: Final = _seconds("stow", "From a STOW-RS request to its answer.", buckets=_SLOW_S)
BACKLOG_PACKS: Final = _gauge("spool_backlog_packs", "Packs that wait for their commit.")
BACKLOG_BYTES: Final = _gauge("spool_backlog_bytes", "Of packs that wait for their commit.")
BACKLOG_OLDEST: Final = _gauge(
    "spool_backlog_oldest_timestamp_seconds",
    "When the pack that waits longest was closed; +Inf where none waits.",
    mode="livemin",
)
PACKS_COMMITTED: Final = _counter("packs_committed", "Packs made visible.")
PACKS_DROPPED: Final = _counter("packs_dropped", "Packs that held nothing new.")
PACKS_QUARANTINED: Final = _counter("packs_quarantined", "Packs put aside for an administrator.")
COMMIT_RETRIES: Final = _counter("commit_retries", "Commits that failed, and are tried again.")
COMMIT_SECONDS: Final = _seconds(
    "commit", "From a closed pack to a visible one, retries included.", buckets=_SLOW_S
)
INSTANCES_COMMITTED: Final = _counter(
    "instances_committed", "Instances committed, by what became of them.", "outcome"
)
SYNCS_FAILED: Final = _counter("syncs_failed", "Packs abandoned because the disk failed a sync.")

# Out

HTTP_REQUESTS: Final = _counter("http_requests", "Answered requests.", "route", "method", "status")
HTTP_OPEN: Final = _gauge("http_requests_open", "Requests being answered, now.")
HTTP_SECONDS: Final = _seconds("http_request", "From a request to its last byte.", "route")
HTTP_FIRST_BYTE_SECONDS: Final = _seconds(
    "http_first_byte", "From a request to its answer's first byte.", "route"
)
HTTP_BYTES: Final = _counter("http_response_bytes", "Bytes of answers.", "route")
FRAMES: Final = _counter("frames", "Frames asked for and found (stored), or made.", "how")
CACHE_REQUESTS: Final = _counter(
    "cache_requests", "Looks into a cache in memory.", "cache", "result"
)
PIXEL_WORKERS: Final = _gauge("pixel_workers", "Processes that may work on pixels.")
PIXEL_BUSY: Final = _gauge("pixel_workers_busy", "Of these, how many work now.")
PIXEL_WAITING: Final = _gauge("pixel_works_waiting", "Works that wait for one of these.")

# Behind

JOBS: Final = _counter("jobs", "Jobs of the queue, by what became of them.", "kind", "outcome")
JOB_SECONDS: Final = _seconds("job", "How long a job took.", "kind", buckets=_SLOW_S)
RECALLS_ASKED: Final = _counter("recalls_asked", "Packs asked back from a cold class.")
RECALLS_ARRIVED: Final = _counter("recalls_arrived", "Packs that came back.")
CHORE_SUCCESS: Final = _gauge(
    "chore_last_success_timestamp_seconds", "When a chore was done last.", "chore", mode="max"
)
CHORE_FAILURES: Final = _counter("chore_failures", "Chores that could not be done.", "chore")

# Below

OBJECT_REQUESTS: Final = _counter(
    "object_store_requests", "Requests to the object store.", "verb", "result"
)
OBJECT_BYTES: Final = _counter("object_store_bytes", "Bytes written and read there.", "verb")
OBJECT_SECONDS: Final = _seconds("object_store_request", "How long they took.", "verb")
CATALOGUE_REQUESTS: Final = _counter(
    "catalogue_requests", "Requests to the catalogue.", "verb", "result"
)
CATALOGUE_SECONDS: Final = _seconds("catalogue_request", "How long they took.", "verb")

# Looked up when somebody asks (`bootstrap.exposing`)

QUEUE_JOBS: Final = "pacs_queue_jobs", "Jobs, by whether they are ready, leased or dead.", "state"
STORED_BYTES: Final = "pacs_stored_bytes", "Bytes of packs, by storage class.", "tier"
STORED_PACKS: Final = "pacs_stored_packs", "Packs, by storage class.", "tier"
AUDIT_UNSEALED: Final = "pacs_audit_unsealed_parts", "Parts of the audit trail not sealed yet.", ""
CHORES_STALLED: Final = "pacs_chores_stalled", "Chores that could not be done lately.", ""
PROCESS_MEMORY: Final = ("pacs_process_resident_memory_bytes", "Memory of each process.", "process")
PROCESS_CPU: Final = (
    "pacs_process_cpu_seconds_total",
    "Processor time of each process.",
    "process",
)
PROCESS_FILES: Final = "pacs_process_open_fds", "Open files of each process.", "process"
LOOKED_UP: Final = (
    QUEUE_JOBS,
    STORED_BYTES,
    STORED_PACKS,
    AUDIT_UNSEALED,
    CHORES_STALLED,
    PROCESS_MEMORY,
    PROCESS_CPU,
    PROCESS_FILES,
)

_OLDEST: Final = "pacs_spool_backlog_oldest_timestamp_seconds"
_OLDEST_AGE: Final = "pacs_spool_backlog_oldest_age_seconds"
_BUILD: Final = "pacs_build_info"
BACKLOG_OLDEST.set(math.inf)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was counted until one moment.

    Attributes:
        samples: each number with its name, as `/metrics` gives it, and its labels.
    """

    samples: Sequence[tuple[str, Mapping[str, str], float]]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all numbers of a name that have these labels; 0 where none has."""
        return sum(value for _, value in self._of(name, labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return such sums by the values of one more label."""
        sums: defaultdict[str, float] = defaultdict(float)
        for its, value in self._of(name, labels):
            sums[its.get(label, "")] += value
        return dict(sums)

    def quantile(self, share: float, name: str, **labels: str) -> float | None:
        """Return below what `share` of a histogram's values lie, as Prometheus estimates it.

        None where nothing was counted. `name` is without `_bucket`.
        """
        by_limit = self.by("le", f"{name}_bucket", **labels)
        edges = sorted((float(limit), count) for limit, count in by_limit.items())
        if not edges or not edges[-1][1]:
            return None
        wanted = share * edges[-1][1]
        for (low, before), (high, upto) in pairwise([(0.0, 0.0), *edges]):
            if upto >= wanted and upto > before:
                return (
                    low
                    if math.isinf(high)
                    else low + (high - low) * (wanted - before) / (upto - before)
                )
        return None

    def _of(
        self, name: str, labels: Mapping[str, str]
    ) -> Iterable[tuple[Mapping[str, str], float]]:
        wanted = labels.items()
        return (
            (its, value)
            for one, its, value in self.samples
            if one == name and wanted <= its.items()
        )


def snapshot(kind: str = "") -> Snapshot:
    """Return what the processes of this host have counted; it reads files, so off the loop.

    Args:
        kind: "counter": these alone, which cost a quarter of all; "": all.
    """
    return Snapshot(
        [(one.name, one.labels, one.value) for family in _families(kind) for one in family.samples]
    )


def looked_up(about: tuple[str, str, str], numbers: Mapping[str, float] | float) -> Metric:
    """Return one of `LOOKED_UP` with what was found: a number, or one for each label."""
    name, words, label = about
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, words, labels=[label] if label else [])
    for key, value in numbers.items() if isinstance(numbers, Mapping) else (("", numbers),):
        family.add_metric([key] if label else [], value)
    return family


def exposition(accept: str, more: Iterable[Metric] = ()) -> tuple[bytes, str]:
    """Return all numbers as text, and its media type; it reads files, so off the loop.

    Args:
        accept: of the request: OpenMetrics where it asks for it, else Prometheus' own text.
        more: what was looked up beside.
    """
    encode, media_type = choose_encoder(accept)
    return encode(_Once([*_families(), *more])), media_type


def names() -> frozenset[str]:
    """Return the name of every number that `/metrics` may give."""
    found = {_OLDEST_AGE, _BUILD, *(name for name, _, _ in LOOKED_UP)}
    for family in _REGISTRY.collect():
        if family.type == "histogram":
            found |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            found.add(family.name + ("_total" if family.type == "counter" else ""))
    return frozenset(found - {_OLDEST})


def labels_of(name: str) -> frozenset[str]:
    """Return the labels that the numbers of a name may have, but for `le` of histograms."""
    for about, _, label in LOOKED_UP:
        if about == name:
            return frozenset({label} - {""})
    if name == _BUILD:
        return frozenset({"version"})
    plain = name.removesuffix("_total").removesuffix("_bucket").removesuffix("_sum")
    found = _MADE.get(plain.removesuffix("_count"), ())
    return frozenset(found)


class _Once:
    """What the encoders want: something that collects."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _families(kind: str = "") -> list[Metric]:
    """Return what is counted, of all processes where they share it, in order of names."""
    found = shared_families(kind)
    families = list(_REGISTRY.collect()) if found is None else found
    plain = [_with_age(family) for family in families]
    build = GaugeMetricFamily(_BUILD, "Which version this is.", labels=["version"])
    build.add_metric([__version__], 1)
    return sorted((*plain, build), key=lambda family: family.name)


def _with_age(family: Metric) -> Metric:
    """Return a family as it is shown: an age instead of a moment that may be none."""
    family.samples = [one for one in family.samples if not one.name.endswith("_created")]
    if family.name != _OLDEST:
        return family
    since_s = min((one.value for one in family.samples), default=math.inf)
    age_s = 0.0 if math.isinf(since_s) else max(0.0, time.time() - since_s)
    return GaugeMetricFamily(_OLDEST_AGE, "Of the pack that waits longest; 0: none.", age_s)

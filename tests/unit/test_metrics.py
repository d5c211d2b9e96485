"""What is counted: names, sums, quantiles, and the files that processes share."""

import errno
import math
import multiprocessing
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from pacs_cloud import metrics
from pacs_cloud.metric_files import SharedValue, Slot, counting_into, shared_processes
from patience import PATIENCE_S

SPAWN = multiprocessing.get_context("spawn")
RECEIVED = "pacs_instances_received_total"


def in_another_process(work: Callable[[Path], None], folder: Path) -> int | None:
    process = SPAWN.Process(target=work, args=(folder,))
    process.start()
    process.join(PATIENCE_S)
    code = process.exitcode
    process.close()
    return code


def count_and_end(folder: Path) -> None:
    with counting_into(folder, "dimse"):
        metrics.INSTANCES_RECEIVED.labels("CT1", "dimse").inc(3)
        metrics.ASSOCIATIONS_OPEN.labels("CT1").inc(2)
        metrics.CHORE_SUCCESS.labels("sweep").set(1000)


def test_names_and_labels_are_as_prometheus_wants_them() -> None:
    text, media_type = metrics.exposition("")
    families = list(prometheus(text.decode()))
    assert media_type.startswith("text/plain")
    assert {one.name for one in families} > {"pacs_build_info", "pacs_packs_committed"}
    for family in families:
        assert family.documentation, family.name
        assert re.fullmatch(r"pacs_[a-z_]+", family.name), family.name
        for sample in family.samples:
            assert sample.name in metrics.names(), sample.name
    labels = {label for one in families for sample in one.samples for label in sample.labels}
    assert labels <= {
        *("device", "transport", "reason", "how", "outcome", "route", "method", "status"),
        *("cache", "result", "kind", "chore", "verb", "tier", "state", "process", "le", "version"),
    }


def test_openmetrics_comes_where_it_is_asked_for() -> None:
    text, media_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert {"pacs_commit_seconds", "pacs_http_requests"} <= {
        one.name for one in open_metrics(text.decode())
    }


def test_a_snapshot_sums_and_estimates() -> None:
    samples = [
        ("n_total", {"a": "x", "b": "1"}, 2.0),
        ("n_total", {"a": "x", "b": "2"}, 3.0),
        ("n_total", {"a": "y", "b": "1"}, 5.0),
        *(
            ("s_bucket", {"le": limit}, count)
            for limit, count in (("0.1", 5.0), ("1.0", 10.0), ("+Inf", 10.0))
        ),
    ]
    found = metrics.Snapshot(samples)
    assert found.total("n_total") == 10
    assert found.total("n_total", a="x") == 5
    assert found.total("n_total", a="z") == 0
    assert found.by("a", "n_total", b="1") == {"x": 2, "y": 5}
    assert found.quantile(0.5, "s") == pytest.approx(0.1)
    assert found.quantile(0.75, "s") == pytest.approx(0.55)
    assert found.quantile(0.5, "t") is None


def test_processes_count_together_and_who_comes_after_a_dead_one_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    before = metrics.snapshot().total(RECEIVED, device="CT1")
    with counting_into(folder, "web"):
        metrics.INSTANCES_RECEIVED.labels("CT1", "stow").inc()
        for _ in range(2):
            assert in_another_process(count_and_end, folder) == 0
        found = metrics.snapshot()
        assert found.total(RECEIVED, device="CT1") == before + 1 + 3 + 3
        assert found.total(RECEIVED, device="CT1", transport="dimse") == 6
        assert found.total("pacs_associations_open", device="CT1") == 0, "they died with it"
        assert found.total("pacs_chore_last_success_timestamp_seconds", chore="sweep") == 1000
        assert list(shared_processes()) == ["web-0"]
        assert len(list(folder.glob("*dimse-0*"))) == len(list(folder.glob("*dimse*"))) > 1
    assert shared_processes() == {}


def test_the_first_of_a_host_begins_at_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    assert in_another_process(count_and_end, folder) == 0
    before = metrics.snapshot().total(RECEIVED, transport="dimse")
    with counting_into(folder, "web"):
        assert metrics.snapshot().total(RECEIVED, transport="dimse") == before


def test_a_folder_that_cannot_be_written_keeps_nobody_from_serving(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("in the way")
    with counting_into(tmp_path / "metrics", "web"):
        metrics.PACKS_COMMITTED.inc()
        assert shared_processes() == {}


def test_a_disk_that_is_full_by_now_keeps_nobody_from_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "no space left on device")

    with counting_into(tmp_path / "metrics", "worker"):
        monkeypatch.setattr(Slot, "reserve", full)
        late = SharedValue("gauge", "pacs_late", "pacs_late", [], [], "", multiprocess_mode="min")
        SharedValue._all.remove(late)
        late.set(5)
        assert late.get() == 5


def test_a_file_that_has_grown_has_all_its_room_on_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "counter_web-0.db").open("wb") as grown:
        grown.truncate(4 << 20)
    found = Slot(tmp_path, "web-0").reserve("counter").stat()
    assert found.st_blocks * 512 >= found.st_size == 4 << 20


def test_counters_alone_are_read_from_fewer_files(tmp_path: Path) -> None:
    with counting_into(tmp_path / "metrics", "web"):
        metrics.INSTANCES_RECEIVED.labels("CT1", "stow").inc()
        metrics.COMMIT_SECONDS.observe(1)
        every, some = metrics.snapshot(), metrics.snapshot("counter")
        assert some.total(RECEIVED) == every.total(RECEIVED) > 0
        assert every.total("pacs_commit_seconds_count") > 0
        (tmp_path / "metrics" / "histogram_web-0.db").unlink()
        assert metrics.snapshot("counter").total(RECEIVED) == every.total(RECEIVED)
        assert some.total("pacs_commit_seconds_count") == 0


def test_the_oldest_pack_is_shown_by_its_age() -> None:
    name = "pacs_spool_backlog_oldest_age_seconds"
    assert metrics.snapshot().total(name) == 0
    metrics.BACKLOG_OLDEST.set(time.time() - 100)
    try:
        assert 99 < metrics.snapshot().total(name) < 200
    finally:
        metrics.BACKLOG_OLDEST.set(math.inf)

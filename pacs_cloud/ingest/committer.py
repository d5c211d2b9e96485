"""From a closed pack in the spool to a pack in the catalogue: object first, catalogue last."""

import asyncio
import logging
import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pacs_cloud import metrics, tracing
from pacs_cloud.catalogue.commit import commit_pack, find_repeated
from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import StagedPack
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, NotFound, PacsError, Unavailable
from pacs_cloud.ingest.backlog import Backlog
from pacs_cloud.ingest.closed import ClosedPack, Outcomes
from pacs_cloud.ingest.counters import Counters
from pacs_cloud.ingest.directory import SpoolDirectory
from pacs_cloud.ingest.just_sealed import JustSealed
from pacs_cloud.ingest.options import IntakeOptions
from pacs_cloud.ingest.sealing import Sealed
from pacs_cloud.ingest.tables import Tables
from pacs_cloud.objectstore.keys import PackKey, decision_key
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.pack.index import decode_table, split_index
from pacs_cloud.pack.reader import read_from_end, read_index

log = logging.getLogger(__name__)

_HOPELESS = (Corrupt, Conflict, InvalidRequest, FileNotFoundError)
"""What no later try makes good. Conflict: another object stands under this pack's own key.

FileNotFoundError: somebody has removed the spool file.
"""
_SURPRISES = 8


class Committer:
    """Commits closed packs, several at a time, for as long as it takes.

    A pack whose commit fails waits behind the others for its next try, and whoever
    tried waits longer each time, so that neither one odd pack nor an outage keeps
    the rest back or hammers what is down. The spool keeps what waits.
    """

    def __init__(
        self,
        directory: SpoolDirectory,
        objects: ObjectStore,
        catalogue: Catalogue,
        options: IntakeOptions,
        counters: Counters,
        backlog: Backlog,
        just_sealed: JustSealed,
        *,
        policy: ConflictPolicy,
        now_us: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._objects = objects
        self._catalogue = catalogue
        self._options = options
        self._counters = counters
        self._backlog = backlog
        self._just_sealed = just_sealed
        self._policy = policy
        self._now_us = now_us
        self._tables = Tables(catalogue, objects)
        self._queue: asyncio.Queue[ClosedPack] = asyncio.Queue()
        self._pending: dict[ClosedPack, None] = {}  # the oldest first
        self._workers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work."""
        loop = asyncio.get_running_loop()
        self._workers = [
            loop.create_task(self._work(), name=f"committer-{number}")
            for number in range(self._options.commits)
        ]

    def submit(self, pack: ClosedPack) -> None:
        """Commit `pack` as soon as may be; its `outcomes` tell."""
        self._backlog.add(pack.length_bytes)
        self._pending[pack] = None
        self._tell_oldest()
        self._queue.put_nowait(pack)

    async def aclose(self, grace_s: float) -> None:
        """Stop, after what waits is committed or `grace_s` is over; the spool keeps the rest."""
        try:
            async with asyncio.timeout(grace_s):
                await self._queue.join()
        except TimeoutError:
            log.warning("commits_left_for_later", extra={"packs": self._counters.backlog_packs})
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for pack in self._pending:
            if not pack.outcomes.done():
                pack.outcomes.set_exception(Unavailable("the archive is stopping"))

    async def drained(self) -> None:
        """Return when nothing waits for its commit."""
        await self._queue.join()

    async def _work(self) -> None:
        failures = 0
        while True:
            pack = await self._queue.get()
            try:
                with tracing.pack_step("pack.commit", pack.path.stem, bytes=pack.length_bytes):
                    outcomes = await self._commit(pack)
            except _HOPELESS as error:
                await self._give_up(pack, error)
            except (PacsError, OSError) as error:
                failures += 1
                await self._later(pack, error, failures)
            except Exception as error:  # the outermost edge of a pack's commit
                log.exception("commit_surprise", extra={"pack": pack.path.stem})
                pack.surprises += 1
                if pack.surprises >= _SURPRISES:
                    await self._give_up(pack, error)
                else:
                    await self._later(pack, error, pack.surprises)
            else:
                failures = 0
                self._backlog.stall(stalled=False)
                self._done(pack, outcomes)
            finally:
                self._queue.task_done()

    async def _commit(self, pack: ClosedPack) -> Outcomes:
        """Make `pack` visible; whatever of that was done before does no harm."""
        sealed = self._just_sealed.take(pack.path.stem, pack.length_bytes)
        if sealed is None:
            sealed = await asyncio.to_thread(_load, pack.path)
        table = sealed.table
        key = PackKey(
            table.tenant, table.study_instance_uid, table.series_instance_uid, table.pack_id
        )
        repeated = await find_repeated(self._catalogue, table, self._tables.load)
        # An earlier try may have stored its objects: then only a commit gives them a place.
        if repeated is not None and not await self._is_stored(key):
            self._counters.packs_dropped += 1
            metrics.PACKS_DROPPED.inc()
            await asyncio.to_thread(pack.path.unlink, missing_ok=True)
            return repeated
        written = await asyncio.gather(
            self._objects.put_new(key.index, sealed.index),
            self._objects.put_file(key.pack, pack.path),
            return_exceptions=True,  # neither goes on behind the other's failure
        )
        for failure in written:
            if isinstance(failure, BaseException):
                raise failure
        table_frame, headers_frame = split_index(sealed.index)
        outcomes = await commit_pack(
            self._catalogue,
            table,
            StagedPack(
                tenant=table.tenant,
                study_instance_uid=table.study_instance_uid,
                series_instance_uid=table.series_instance_uid,
                pack_id=table.pack_id,
                table=table_frame,
                headers=headers_frame,
                sop_instance_uids=tuple(one.sop_instance_uid for one in table.instances),
            ),
            pack.length_bytes,
            policy=self._policy,
            now_us=self._now_us(),
            load_table=self._tables.load,
            record_decision=self._record_decision,
        )
        self._counters.packs_committed += 1
        metrics.PACKS_COMMITTED.inc()
        await asyncio.to_thread(pack.path.unlink, missing_ok=True)
        return outcomes

    async def _is_stored(self, key: PackKey) -> bool:
        for name in (key.index, key.pack):
            try:
                await self._objects.head(name)
            except NotFound:
                continue
            return True
        return False

    async def _record_decision(self, decision: Decision) -> None:
        key = decision_key(
            decision.tenant, decision.study_instance_uid, decision.decided_us, decision.pack_id
        )
        await self._objects.put_new(key, decision.to_json())

    def _done(self, pack: ClosedPack, outcomes: Outcomes) -> None:
        tracing.whole_pack(pack.path.stem, instances=len(outcomes), bytes=pack.length_bytes)
        became = Counter(outcome.status for outcome in outcomes.values())
        for status, count in became.items():
            metrics.INSTANCES_COMMITTED.labels(status).inc(count)
        metrics.COMMIT_SECONDS.observe(max(0.0, time.time() - pack.closed_s))
        for outcome in outcomes.values():
            if outcome.status in {"stored", "replaced"}:
                self._counters.instances_stored += 1
            if outcome.status == "duplicate":
                self._counters.duplicates += 1
            elif outcome.status != "stored":
                self._counters.conflicts += 1
        self._end(pack)
        if not pack.outcomes.done():
            pack.outcomes.set_result(outcomes)

    def _end(self, pack: ClosedPack) -> None:
        """Wait for a pack's commit no more."""
        self._backlog.remove(pack.length_bytes)
        self._pending.pop(pack, None)
        self._tell_oldest()

    def _tell_oldest(self) -> None:
        oldest = next(iter(self._pending), None)
        metrics.BACKLOG_OLDEST.set(math.inf if oldest is None else oldest.closed_s)

    async def _later(self, pack: ClosedPack, error: Exception, failures: int) -> None:
        self._counters.retries += 1
        metrics.COMMIT_RETRIES.inc()
        self._backlog.stall(stalled=True)
        longest_s = min(
            self._options.retry_s * 2.0 ** min(failures - 1, 30), self._options.retry_limit_s
        )
        pause_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311  not a secret
        log.warning(
            "commit_failed",
            extra={"pack": pack.path.stem, "error": type(error).__name__, "pause_s": pause_s},
        )
        self._queue.put_nowait(pack)
        await asyncio.sleep(pause_s)

    async def _give_up(self, pack: ClosedPack, error: Exception) -> None:
        """Put a pack aside that can never be committed; an admin may move it back."""
        log.error(
            "commit_impossible", extra={"pack": pack.path.stem, "error": type(error).__name__}
        )
        self._counters.packs_quarantined += 1
        metrics.PACKS_QUARANTINED.inc()
        try:
            await asyncio.to_thread(self._directory.quarantine, pack.path)
        except OSError:  # it stays in the spool, and the next start tries again
            log.exception("quarantine_failed", extra={"pack": pack.path.stem})
        self._end(pack)
        if not pack.outcomes.done():
            # Whatever else it was, it is not the sender's mistake.
            failure = error if isinstance(error, Corrupt) else Unavailable("the commit failed")
            pack.outcomes.set_exception(failure)


def _load(path: Path) -> Sealed:
    """Return a spool file's table and index; raises Corrupt, OSError."""
    with path.open("rb") as file:
        fd = file.fileno()
        length_bytes = os.fstat(fd).st_size
        index = read_from_end(read_index, lambda at, length: os.pread(fd, length, at), length_bytes)
    return Sealed(length_bytes, decode_table(index), index)

"""Cut the archive's power at every moment that matters, and hold it to its promises.

    PYTHONPATH=tests python -m crash.powercut

A store is recorded with strace. Its system calls are replayed on a disk that
loses, at each cut, everything that was not synced yet, in several ways
(`LOSSES`). On what survives the archive's own recovery runs; then every
instance whose Success had been sent before the cut must be there, once,
byte-exact, and `fsck` must find nothing.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crash import recorder
from crash.archive import running
from crash.bookkeeping import Promises
from crash.disk import (
    Loss,
    at_random,
    names_survive,
    nothing_survives,
    removals_survive,
    sizes_survive,
)
from crash.instances import Instance, make_instance, new_uid
from crash.raw_scu import SUCCESS, Association
from crash.replay import Cut, Replay
from crash.strace_log import Began, Ended, read_calls
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.findings import Finding
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.ingest.intake import Intake
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.pack.index import decode_table
from patience import PATIENCE_S

LOSSES: Mapping[str, Loss] = {
    "nothing survives": nothing_survives,
    "removals survive": removals_survive,
    "names survive": names_survive,
    "names and sizes survive": sizes_survive,
}
SIZES = ("small", "small", "slice", "small", "small")


_RECORDINGS = 3


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded store.

    Attributes:
        root: the data directory it wrote.
        moments: its system calls.
        digests: by SOP Instance UID, the SHA-256 of each data set that was sent.
    """

    root: Path
    moments: list[Began | Ended]
    digests: Mapping[str, bytes]


def faithful(recorded: Callable[[Path], Recording], folder: Path) -> Recording:
    """Return a recording whose replay gives the tree that was really written.

    Of two threads' system calls that overlap, strace does not tell which came first. Where
    that matters (a page written twice) the replay may differ: then it is recorded again.
    """
    attempt = 0
    while True:
        attempt += 1
        place = folder / f"recording-{attempt}"
        place.mkdir()
        recording = recorded(place)
        try:
            check_model(recording)
        except AssertionError:
            if attempt == _RECORDINGS:
                raise
        else:
            return recording


def record_intake(folder: Path, *, seed: int = 1, synced: bool = True) -> Recording:
    """Return a recorded store into the archive's intake alone (`intake_child`)."""
    root, trace = folder / "data", folder / "strace.log"
    root.mkdir()
    words = [sys.executable, "-m", "crash.intake_child", str(root), str(seed)]
    ended = subprocess.run(
        recorder.command_line(words if synced else [*words, "unsynced"], trace),
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    digests = {uid: bytes.fromhex(digest) for uid, digest in json.loads(ended.stdout).items()}
    return Recording(root, _moments(trace), digests)


def record(folder: Path, *, associations: int = 2, seed: int = 1) -> Recording:
    """Return a recorded store into the whole archive, of a few instances, one of them over 8 MiB, some sent twice."""
    root, trace, log = folder / "data", folder / "strace.log", folder / "archive.log"
    root.mkdir()
    dice = random.Random(seed)
    study = new_uid()
    plans: list[list[Instance]] = []
    for number in range(associations):
        sizes = [*SIZES, "large"] if number == 0 else SIZES
        series = new_uid()
        plan = [make_instance(study, series, size, dice) for size in sizes]
        plans.append([*plan, plan[0]])
    promises = Promises()
    failures: list[Exception] = []

    def send(plan: list[Instance], host: str, port: int, aet: str) -> None:
        try:
            for part in (plan[:3], plan[3:]):
                with Association(host, port, aet) as association:
                    for instance in part:
                        status = association.store(instance)
                        assert status == SUCCESS, f"status {status:04X}"
                        promises.add(instance)
                    association.release()
        except (AssertionError, OSError, EOFError) as error:
            failures.append(error)  # raised in the main thread

    prefix = recorder.command_line([], trace)
    with running(root, log=log, prefix=prefix) as archive:
        threads = [
            threading.Thread(target=send, args=(plan, archive.host, archive.port, archive.aet))
            for plan in plans
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        # The commits belong to the story: the power may fail in the middle of one.
        deadline = time.monotonic() + PATIENCE_S
        while promises.broken(archive.http):
            assert time.monotonic() < deadline, "the instances never became visible"
            time.sleep(0.2)
    digests = {
        one.sop_instance_uid: hashlib.sha256(one.dataset).digest() for plan in plans for one in plan
    }
    return Recording(root, _moments(trace), digests)


_OF_PROCESSES = ("metrics/", "status/")
"""What processes tell of themselves: nothing is promised of it, and strace sees no mapping."""


def _moments(trace: Path) -> list[Began | Ended]:
    with trace.open() as lines:
        moments = list(read_calls(lines))
    trace.unlink()
    return moments


def check_model(recording: Recording) -> list[Cut]:
    """Return every moment to cut at; the replayed tree must be the real one at the end."""
    replay = Replay(recording.root)
    cuts = list(replay.run(recording.moments))
    real = {
        str(path.relative_to(recording.root)): path.read_bytes()
        for path in recording.root.rglob("*")
        if path.is_file() and not path.name.endswith("-shm")
    }
    replayed = replay.disk.seen_files()
    assert replayed.keys() == real.keys(), replayed.keys() ^ real.keys()
    plain = [path for path in real if not path.startswith(_OF_PROCESSES)]
    differing = [path for path in plain if real[path] != replayed[path]]
    assert not differing, f"replayed otherwise than written: {differing}"
    acknowledged = cuts[-1].acknowledged
    assert acknowledged == recording.digests.keys(), "an answer was not seen in the trace"
    return cuts


@dataclass(frozen=True, slots=True)
class Survived:
    """A data directory as one cut left it."""

    cut: Cut
    loss: str
    data: Path


def survivors(
    recording: Recording, chosen: Mapping[int, list[str]], folder: Path, *, seed: int = 0
) -> Iterator[Survived]:
    """Yield what survives each of the `chosen` cuts in each of its losses; equal ones once.

    Each directory is removed when the next one is asked for.
    """
    replay = Replay(recording.root)
    seen: set[tuple[int, frozenset[str]]] = set()
    for cut in replay.run(recording.moments):
        for name in chosen.get(cut.number, ()):
            loss = LOSSES.get(name) or at_random(seed + cut.number)
            tree = replay.disk.after_cut(loss).without(*_OF_PROCESSES)
            mark = (tree.fingerprint(), cut.acknowledged)
            if mark in seen:
                continue
            seen.add(mark)
            data = folder / f"cut-{cut.number}"
            data.mkdir()
            tree.write_to(data)
            yield Survived(cut, name, data)
            shutil.rmtree(data)


async def recover_and_check(survived: Survived, recording: Recording) -> list[str]:
    """Run the archive's recovery on a data directory; return what is wrong then, in words."""
    data = survived.data
    now_us = time.time_ns() // 1000
    async with (
        LocalObjectStore(data / "objects") as objects,
        SqliteCatalogue(data / "catalogue.sqlite") as catalogue,
    ):
        async with Intake(data / "spool", objects, catalogue) as intake:
            await intake.drained()
        await adopt_orphans(
            objects, catalogue, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us, grace_us=0
        )
        faults: list[str] = []
        shown: Counter[str] = Counter()
        async for state in catalogue.export():
            for record in state.packs:
                tree = f"{record.tenant}/*/{record.study_instance_uid}"
                (path,) = (data / "objects" / "packs").glob(f"{tree}/*/{record.pack_id}.zip")
                key = str(path.relative_to(data / "objects"))
                index = key.replace("packs/", "index/", 1).removesuffix(".zip") + ".zst"
                for one in decode_table(await objects.get(index)).instances:
                    if one.sop_instance_uid in record.hidden:
                        continue
                    shown[one.sop_instance_uid] += 1
                    start, end = one.offset + one.dataset_offset, one.offset + one.length_bytes
                    dataset = await objects.get(key, start, end)
                    expected = recording.digests[one.sop_instance_uid]
                    if hashlib.sha256(dataset).digest() != expected:
                        faults.append(f"{one.sop_instance_uid} came back altered")
        faults += [f"{uid} is lost" for uid in sorted(survived.cut.acknowledged - shown.keys())]
        faults += [f"{uid} is shown {n} times" for uid, n in shown.items() if n > 1]
        findings = [_said(finding) async for finding in check(objects, catalogue, deep=True)]
        return faults + findings


def _said(finding: Finding) -> str:
    return f"fsck: {finding.kind} {finding.detail} {finding.key or finding.pack_id}"


def every_cut(cuts: list[Cut], random_losses: int = 1) -> dict[int, list[str]]:
    """Return every cut with every loss, and some at random."""
    losses = [*LOSSES, *(f"random {n}" for n in range(random_losses))]
    return {cut.number: losses for cut in cuts}


def some_cuts(cuts: list[Cut], count: int, seed: int) -> dict[int, list[str]]:
    """Return about `count` cuts: most after an answer was sent or around a sync, losses in turn."""
    dice = random.Random(seed)
    answers = [cut for cut in cuts if cut.after.startswith(("send", "write"))]
    others = [cut for cut in cuts if cut not in answers]
    chosen = dice.sample(answers, min(len(answers), count // 2))
    chosen += dice.sample(others, min(len(others), count - len(chosen)))
    losses = [*LOSSES, "random"]
    return {
        cut.number: [losses[place % len(losses)]]
        for place, cut in enumerate(sorted(chosen, key=lambda cut: cut.number))
    }


def main() -> int:
    """Cut at every moment; exit with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="power cuts in the middle of a store")
    parser.add_argument("--cuts", type=int, default=0, help="only so many; default: every one")
    parser.add_argument("--intake", action="store_true", help="the intake alone, not the network")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    options = parser.parse_args()
    if (reason := recorder.unavailable()) is not None:
        print(reason, file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    broken = checked = 0
    with tempfile.TemporaryDirectory(prefix="pacs-powercut-") as name:
        folder = Path(name)
        recorded = record_intake if options.intake else record
        recording = faithful(partial(recorded, seed=seed), folder)
        cuts = check_model(recording)
        chosen = some_cuts(cuts, options.cuts, seed) if options.cuts else every_cut(cuts)
        print(f"{len(recording.moments)} moments, {len(cuts)} cuts", flush=True)
        for survived in survivors(recording, chosen, folder, seed=seed):
            faults = asyncio.run(recover_and_check(survived, recording))
            checked += 1
            if faults:
                broken += 1
                cut = survived.cut
                print(f"BROKEN at cut {cut.number} ({cut.after}, {survived.loss}): {faults[:5]}")
            if checked % 100 == 0:
                print(f"{checked} states checked, {broken} broken", flush=True)
    print(f"{checked} different states after {len(chosen)} cuts, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

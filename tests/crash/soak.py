"""Kill the archive in the middle of a store, again and again, and hold it to its promises.

    PYTHONPATH=tests python -m crash.soak --rounds 100

Each round: four associations store; at a random moment `kill -9` ends every
process; the archive starts again (sometimes it is killed once more while it
recovers); the senders send again what was not answered and some of what was.
Then every instance that was answered Success must be retrievable, its data set
byte-exact, and listed once; and after a stop in good order `fsck` finds nothing.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from crash.archive import Archive, fsck, running
from crash.bookkeeping import Promises
from crash.instances import Instance, make_instance, new_uid
from crash.raw_scu import SUCCESS, Association

ASSOCIATIONS = 4
SIZES = ("small",) * 12 + ("slice",) * 6 + ("large",)
SENT_LIMIT_BYTES = 40 << 20
"""What one association sends in a round at most, so that the disk lasts for a hundred."""
SETTLE_SECONDS = 60
ROUNDS_PER_DIRECTORY = 10


@dataclass(slots=True)
class Sender:
    """One modality: stores new instances until the archive dies, a new association now and then.

    Attributes:
        unanswered: what was sent, whole or in part, without an answer.
        again: some of what was answered, to be sent once more.
        refused: statuses other than Success.
    """

    promises: Promises
    dice: random.Random
    studies: list[str]
    unanswered: list[Instance] = field(default_factory=list)
    again: list[Instance] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def run(self, archive: Archive) -> None:
        """Store until the archive is gone, or enough was sent."""
        sent_bytes = 0
        with contextlib.suppress(OSError, EOFError):
            while sent_bytes < SENT_LIMIT_BYTES:
                study, series = self.dice.choice(self.studies), new_uid()
                with Association(archive.host, archive.port, archive.aet) as association:
                    for _ in range(self.dice.randint(1, 60)):
                        size = self.dice.choice(SIZES)
                        instance = make_instance(study, series, size, self.dice)
                        sent_bytes += len(instance.dataset)
                        self.store(association, instance)
                    association.release()

    def store(self, association: Association, instance: Instance) -> None:
        """Store one instance and note how it was answered."""
        self.unanswered.append(instance)
        status = association.store(instance)
        self.unanswered.pop()
        if status != SUCCESS:
            self.refused.append(status)
            return
        self.promises.add(instance)
        if len(self.again) < 5 and self.dice.random() < 0.2:
            self.again.append(instance)

    def send_again(self, archive: Archive) -> None:
        """Do what a modality does after a failure: send what was not answered, and more."""
        todo, self.unanswered, self.again = self.unanswered + self.again, [], []
        if todo:
            with Association(archive.host, archive.port, archive.aet) as association:
                for instance in todo:
                    self.store(association, instance)
                association.release()
        self.again = []


class Broken(Exception):
    """The archive did not keep a promise; says which."""


def crash_round(data: Path, log: Path, promises: Promises, dice: random.Random) -> None:
    """Run one round on `data`; adds to `promises`.

    Raises:
        Broken: an instance is lost, altered or doubled, or `fsck` found something.
    """
    # Few studies and shared ones: crashes must also hit a study that several senders fill.
    studies = [new_uid() for _ in range(3)]
    senders = [Sender(promises, random.Random(dice.random()), studies) for _ in range(ASSOCIATIONS)]
    before = len(promises)
    archive = Archive(data, log=log)
    threads = [threading.Thread(target=sender.run, args=(archive,)) for sender in senders]
    try:
        archive.wait_ready()
        for thread in threads:
            thread.start()
        wait_for(lambda: len(promises) > before, "a first Success")
        time.sleep(dice.uniform(0.0, 2.0))
    finally:
        archive.kill()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if dice.random() < 0.3:
        interrupted = Archive(data, log=log)
        time.sleep(dice.uniform(0.2, 3.0))
        interrupted.kill()
    with running(data, log=log) as archive:
        for sender in senders:
            sender.send_again(archive)
        settled(promises, archive)
    if refused := [status for sender in senders for status in sender.refused]:
        raise Broken(f"refused with {[f'{status:04X}' for status in refused]}")
    must_be_clean(data)


def settled(promises: Promises, archive: Archive) -> None:
    """Return once every promise is kept; recovery and commits get some seconds for it."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while faults := promises.broken(archive.http):
        # Only what is on its way may still arrive: more time mends neither of the others.
        final = [fault for fault in faults if not fault.endswith(("is lost", "is not listed"))]
        if final or time.monotonic() > deadline:
            raise Broken("; ".join((final or faults)[:20]))
        time.sleep(0.2)


def must_be_clean(data: Path) -> None:
    """Return when `fsck` finds nothing in `data`."""
    code, findings = fsck(data)
    if code != 0:
        raise Broken(f"fsck exits {code}: {findings[:10]}")


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Return once `condition` holds; raises AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def main() -> int:
    """Run the rounds the command line asks for; exit with 1 at the first broken promise."""
    parser = argparse.ArgumentParser(description="kill -9 in the middle of a store")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    parser.add_argument("--keep", action="store_true", help="keep the directory when it fails")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    dice = random.Random(seed)
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pacs-crash-"))
    total = 0
    try:
        promises = Promises()
        for number in range(options.rounds):
            if number % ROUNDS_PER_DIRECTORY == 0:
                shutil.rmtree(folder / "data", ignore_errors=True)
                promises = Promises()
            before = len(promises)
            started = time.monotonic()
            crash_round(folder / "data", folder / "archive.log", promises, dice)
            total += len(promises) - before
            print(
                f"round {number + 1}/{options.rounds}: {len(promises) - before} answered Success,"
                f" all kept ({time.monotonic() - started:.1f} s)",
                flush=True,
            )
    except Broken as broken:
        print(f"BROKEN: {broken}", file=sys.stderr)
        print((folder / "archive.log").read_text(errors="replace")[-5000:], file=sys.stderr)
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
            return 1
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{options.rounds} crashes, {total} instances answered Success, every one kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A rebuild in several processes: each takes a share of the studies.

A child is told its settings and its share on its standard input, whose end tells it that we
are gone, however we died. On its standard output it says how far it is, a JSON object a line.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from pacs_cloud import errors
from pacs_cloud.bootstrap.adapters import open_catalogue, open_objects
from pacs_cloud.bootstrap.open_files import allow_open_files
from pacs_cloud.bootstrap.services import policy_of
from pacs_cloud.custody.findings import Finding, FindingKind, Severity
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.custody.share import Share
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.settings import Settings, StoreUrl

MOST_PROCESSES: Final = 4
"""More wait for one another at a catalogue in a file."""
_WORTH_PACKS: Final = 4000
"""So many packs take as long as a process takes to start, and a little more."""
_TOLD_EVERY_S: Final = 0.2
_LINE_LIMIT_BYTES: Final = 1 << 20

Progress = Callable[[Rebuilt], None]


@dataclass(frozen=True, slots=True)
class ShareTask:
    """What a rebuild in shares is told.

    Attributes:
        catalogue: what is filled; it is empty, or was left by an interrupted rebuild.
        now_us: microseconds since 1970 UTC.
        at_once: how many studies each process has under way.
    """

    catalogue: StoreUrl
    now_us: int
    at_once: int


def processes_for(packs: int) -> int:
    """Return how many processes rebuild so many packs best."""
    return max(1, min(MOST_PROCESSES, os.cpu_count() or 1, packs // _WORTH_PACKS))


async def rebuild_in_shares(
    settings: Settings, task: ShareTask, processes: int, progress: Progress
) -> Rebuilt:
    """Fill a catalogue by several processes; return what they did together.

    Args:
        settings: of the archive.
        task: what is done.
        processes: how many.
        progress: called with the sum so far.

    Raises:
        Corrupt, Unavailable, Denied: of the first that fails; the others are ended, and what
            they have done stays.
    """
    so_far = [Rebuilt()] * processes

    def told(number: int, done: Rebuilt) -> None:
        so_far[number] = done
        progress(_sum(so_far))

    shares = [Share(number, processes) for number in range(processes)]
    running = [asyncio.create_task(_run(settings, task, share, told)) for share in shares]
    try:
        await asyncio.gather(*running)
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return _sum(so_far)


def _sum(some: list[Rebuilt]) -> Rebuilt:
    total = Rebuilt()
    for one in some:
        total += one
    return total


async def _run(
    settings: Settings,
    task: ShareTask,
    share: Share,
    told: Callable[[int, Rebuilt], None],
) -> None:
    """Have a process do one share."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pacs_cloud.bootstrap.rebuild_shares"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    problems: list[Finding] = []
    is_done = False
    try:
        process.stdin.write(settings.child_json().encode() + b"\n")
        process.stdin.write(encode(task, share) + b"\n")
        async for line in process.stdout:
            said: dict[str, Any] = orjson.loads(line)
            if "error" in said:
                raise _error(said)
            if "problem" in said:
                problems.append(_finding(said["problem"]))
                continue
            is_done = said.pop("is_done")
            told(share.number, Rebuilt(**said, problems=tuple(problems)))
        if not is_done:
            raise Unavailable(f"a process of the rebuild ended with {await process.wait()}")
    finally:
        if not is_done:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def encode(task: ShareTask, share: Share) -> bytes:
    """Return the line that tells a child what to do."""
    return orjson.dumps(
        {
            "catalogue": task.catalogue.model_dump(),
            "now_us": task.now_us,
            "at_once": task.at_once,
            "share": [share.number, share.of],
        }
    )


def _error(said: dict[str, Any]) -> PacsError:
    kind = getattr(errors, said["error"], Unavailable)
    return kind(said["detail"])


def _finding(fields: dict[str, Any]) -> Finding:
    kind, severity = FindingKind(fields.pop("kind")), Severity(fields.pop("severity"))
    return Finding(kind, severity, **fields)


def main() -> None:
    """Do one share; see `rebuild_in_shares`."""
    settings = Settings.from_child_json(sys.stdin.readline())
    said: dict[str, Any] = orjson.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    task = ShareTask(StoreUrl(**said["catalogue"]), said["now_us"], said["at_once"])
    try:
        asyncio.run(_do(settings, task, Share(*said["share"])))
    except PacsError as error:
        _say({"error": type(error).__name__, "detail": str(error)})


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


async def _do(settings: Settings, task: ShareTask, share: Share) -> None:
    allow_open_files()
    last_s, problems = 0.0, 0

    def progress(so_far: Rebuilt) -> None:
        nonlocal last_s, problems
        for one in so_far.problems[problems:]:
            _say({"problem": asdict(one)})
        problems = len(so_far.problems)
        if time.monotonic() - last_s > _TOLD_EVERY_S:
            last_s = time.monotonic()
            _say(_fields(so_far, is_done=False))

    async with (
        open_objects(settings.objects_url) as objects,
        open_catalogue(task.catalogue) as catalogue,
    ):
        done = await rebuild(
            objects,
            catalogue,
            policy=policy_of(settings),
            now_us=task.now_us,
            wipe=False,
            share=share,
            progress=progress,
            at_once=task.at_once,
        )
    _say(_fields(done, is_done=True))


def _fields(rebuilt: Rebuilt, *, is_done: bool) -> dict[str, Any]:
    fields = asdict(replace(rebuilt, problems=()))
    del fields["problems"]
    return {**fields, "is_done": is_done}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

"""What a process tells of itself while it runs, for the pages of another one on the same host.

`status/{role}-{pid}-{tag}.json` holds it: written whole and put in place of the one before, at
most once a second and only where something changed, and removed at the end. The process holds a
lock beside it: what one that died has left is passed over, and removed by the next. The tag
tells processes of one number in several containers apart.
"""

import asyncio
import fcntl
import logging
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson

from pacs_cloud.directories import is_held
from pacs_cloud.settings import Settings

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
_LOCK: Final = ".lock"


@asynccontextmanager
async def telling(
    settings: Settings, role: str, say: Callable[[], Sequence[Any]]
) -> AsyncGenerator[None]:
    """Tell what `say` returns, dataclasses, while entered.

    Where the disk refuses nothing is told, which is logged: it is no reason not to serve.
    """
    path = status_folder(settings) / f"{role}-{os.getpid()}-{secrets.token_hex(4)}.json"
    lock = -1
    try:
        lock = await asyncio.to_thread(_begin, path)
    except OSError as error:
        log.warning("status_not_told", extra={"reason": error.strerror})
    task = asyncio.create_task(_tell(path, say)) if lock >= 0 else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            with suppress(OSError):
                await asyncio.to_thread(_remove, path)
            os.close(lock)


def told(settings: Settings, role: str) -> list[dict[str, Any]]:
    """Return what the processes of a role that run on this host tell; it reads files."""
    found: list[dict[str, Any]] = []
    for path in sorted(status_folder(settings).glob(f"{role}-*.json")):
        # It may end, or be replaced, at any moment.
        with suppress(OSError, ValueError):
            if is_held(path.with_suffix(_LOCK)):
                found += orjson.loads(path.read_bytes())
    return found


def status_folder(settings: Settings) -> Path:
    """Return where the processes of this host tell of themselves."""
    return settings.data.absolute() / "status"


def _begin(path: Path) -> int:
    """Return the lock of one that tells; what the dead have left is removed. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in path.parent.glob("*.json"):
        if not is_held(left.with_suffix(_LOCK)):
            _remove(left)
    lock = os.open(path.with_suffix(_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


async def _tell(path: Path, say: Callable[[], Sequence[Any]]) -> None:
    last: Sequence[Any] | None = None
    is_said = True
    while True:
        now = say()
        if now != last:
            last = now
            try:
                await asyncio.to_thread(_write, path, orjson.dumps(list(now)))
                is_said = True
            except OSError as error:
                if is_said:
                    log.warning("status_not_told", extra={"reason": error.strerror})
                last, is_said = None, False
        await asyncio.sleep(EVERY_S)


def _write(path: Path, data: bytes) -> None:
    made = path.with_suffix(".part")
    made.write_bytes(data)
    made.replace(path)


def _remove(path: Path) -> None:
    for one in (path, path.with_suffix(".part"), path.with_suffix(_LOCK)):
        one.unlink(missing_ok=True)

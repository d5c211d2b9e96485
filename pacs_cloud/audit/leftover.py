"""What a crash may have left of a part: how much of it is the chain, and what is torn."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pacs_cloud.security.audit_line import FIRST_PREV, Follow, Position, What


@dataclass(frozen=True, slots=True)
class Leftover:
    """A part's file, as it was found.

    Attributes:
        position: behind it the chain goes on, None where nothing can be read.
        is_ended: whether that ends the part.
        length_bytes: of what is kept of it.
        torn_bytes: behind that, of a write that was under way, and that nobody was answered for.
    """

    position: Position | None
    is_ended: bool
    length_bytes: int
    torn_bytes: int


def examine(path: Path) -> Leftover:
    """Return what is in a part's file; raises OSError.

    Torn is only what a write that was under way can have left: an end without a line's end,
    or blocks that never reached the disk and read as zeros, and nothing behind it. Whatever else
    is wrong stays as it is, is sealed so, and is found there.
    """
    position, is_ended, kept, torn = None, False, 0, 0
    follow = Follow()
    with path.open("rb") as file:
        for raw in file:
            line, _ = follow.line(raw)
            if line is not None:
                position, is_ended = line.position, line.what is What.END
                # What others stand behind may have been there before, and answered: it is kept.
                kept, torn = kept + torn + len(raw), 0
            elif torn or not raw.endswith(b"\n") or b"\0" in raw:
                torn += len(raw)
            else:
                kept += len(raw)
                if follow.after is not None and not is_ended:
                    # It was a line of the chain; one that states no hash cannot be named.
                    position = replace(follow.after, hash=follow.after.hash or FIRST_PREV)
    return Leftover(position, is_ended, kept, torn)


def cut(path: Path, length_bytes: int) -> None:
    """Cut a file at a length, durably; raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, length_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)

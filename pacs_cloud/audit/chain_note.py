"""What a chain's writer keeps of it once its last part is sealed, beside its journal."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pacs_cloud.audit.names import PartName
from pacs_cloud.directories import sync_directory
from pacs_cloud.errors import Corrupt
from pacs_cloud.security.audit_line import Line, Position, What, encode_line, read_line

STATE: Final = "chain.json"
_LEFT: Final = "chain-"


def note_sealed(folder: Path, part: PartName, position: Position) -> None:
    """Keep that a part is sealed, and where its chain goes on behind it; raises OSError."""
    said = {"writer": part.writer, "part": part.number, "day": part.day}
    line, _ = encode_line(position, What.SEALED, said, position.at_us)
    new = folder / f"{STATE}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    # A chain that was left, for a clock that was put back, has its end known all the same.
    with suppress(Corrupt):
        kept = read_state(folder / STATE)
        if kept is not None and kept.body["writer"] != part.writer:
            (folder / STATE).rename(folder / f"{_LEFT}{kept.body['writer']}.json")
    new.rename(folder / STATE)
    sync_directory(folder)


def states_in(folder: Path) -> list[Path]:
    """Return where it is kept of each chain whose writer was here."""
    return [folder / STATE, *sorted(folder.glob(f"{_LEFT}*.json"))]


def read_state(path: Path) -> Line | None:
    """Return what a chain's writer keeps of it once its last part is sealed; None without.

    Raises:
        Corrupt: it cannot be read.
    """
    try:
        line = read_line(path.read_bytes())
    except FileNotFoundError:
        return None
    if line.what is not What.SEALED or not {"writer", "part", "day"} <= set(line.body):
        raise Corrupt("says nothing of a chain")
    return line

"""What a chain's writer keeps of it once its last part is sealed, beside its journal."""

import os
from pathlib import Path
from typing import Final

from pacs_cloud.audit.directory import sync_directory
from pacs_cloud.audit.names import PartName
from pacs_cloud.errors import Corrupt
from pacs_cloud.security.audit_line import Line, Position, What, encode_line, read_line

STATE: Final = "chain.json"


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
    new.rename(folder / STATE)
    sync_directory(folder)


def read_state(folder: Path) -> Line | None:
    """Return what a chain's writer keeps of it once its last part is sealed; None without.

    Raises:
        Corrupt: it cannot be read.
    """
    try:
        line = read_line((folder / STATE).read_bytes())
    except FileNotFoundError:
        return None
    if line.what is not What.SEALED or not {"writer", "part", "day"} <= set(line.body):
        raise Corrupt("says nothing of a chain")
    return line

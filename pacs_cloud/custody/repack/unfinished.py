"""The files in which merged packs are written, before they are stored."""

import os
from contextlib import suppress
from pathlib import Path

from pacs_cloud.objectstore.descriptors import Descriptor

UNFINISHED = ".repack"
"""How the name of such a file ends."""


def remove_unfinished(folder: Path, before_us: int) -> None:
    """Remove what repacks that died have left in `folder`; it blocks.

    Args:
        folder: as for `repack.repack_series`.
        before_us: what was written to since is left, microseconds since 1970 UTC.
    """
    for path in folder.glob(f"*{UNFINISHED}"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime_ns // 1000 < before_us:
                path.unlink()


def created(path: Path) -> Descriptor:
    """Open a new file for writing and reading."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return Descriptor(os.open(path, flags, 0o600))

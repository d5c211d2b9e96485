"""Whether a name holds the same bytes as a file that wants it."""

import os

from pacs_cloud.errors import Conflict
from pacs_cloud.objectstore.descriptors import Descriptor

READ_BYTES = 1 << 20


def exists(name: str, directory: int) -> bool:
    """Return whether the directory has this name, whatever it is."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def equal_or_gone(source: str, name: str, directory: int, key: str) -> bool:
    """Return True when `name` holds what `source` holds, False when it is gone again.

    Raises:
        Conflict: it holds something else.
    """
    try:
        theirs = Descriptor(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory))
    except FileNotFoundError:
        return False
    ours = Descriptor(os.open(source, os.O_RDONLY | os.O_CLOEXEC))
    if not _same_bytes(ours.number, theirs.number):
        raise Conflict(f"{key} holds something else")
    # Synced before it was named, unless a copying tool put it there.
    os.fdatasync(theirs.number)
    return True


def _same_bytes(ours: int, theirs: int) -> bool:
    one, other = os.fstat(ours), os.fstat(theirs)
    if os.path.samestat(one, other):
        return True
    if one.st_size != other.st_size or one.st_mode & 0o170000 != other.st_mode & 0o170000:
        return False
    return all(
        os.pread(ours, READ_BYTES, offset) == os.pread(theirs, READ_BYTES, offset)
        for offset in range(0, one.st_size, READ_BYTES)
    )

"""What this process has sealed and not committed yet, as far as memory allows.

A pack's table is in memory when its file is sealed, and is wanted again at its
commit, mostly milliseconds later: reading it back costs as much as making it. This
is a cache of the files and no more: a long backlog, a second try and a recovery read
the spool.
"""

from pacs_cloud.ingest.sealing import Sealed
from pacs_cloud.pack.zstd_frames import content_bytes

_LIMIT_BYTES = 4 << 20  # five packs of 1,000 CT, or fifty of 100 MR


class JustSealed:
    """A few packs' indexes, each taken once; the oldest make room."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        """Keep tables of `limit_bytes` in all, as JSON: in memory they are some three times it."""
        self._limit_bytes = limit_bytes
        self._kept: dict[str, Sealed] = {}
        self._bytes = 0

    def keep(self, sealed: Sealed) -> None:
        """Keep the index of a pack, instead of an earlier one of its name."""
        self._drop(sealed.table.pack_id)
        self._kept[sealed.table.pack_id] = sealed
        self._bytes += _weight(sealed)
        while self._bytes > self._limit_bytes:
            self._drop(next(iter(self._kept)))

    def take(self, pack_id: str, length_bytes: int) -> Sealed | None:
        """Return a pack's index and keep it no more; None: its file has to be read.

        Args:
            pack_id: its name.
            length_bytes: how long it is now.
        """
        found = self._drop(pack_id)
        return found if found is not None and found.length_bytes == length_bytes else None

    def _drop(self, pack_id: str) -> Sealed | None:
        found = self._kept.pop(pack_id, None)
        if found is not None:
            self._bytes -= _weight(found)
        return found


def _weight(sealed: Sealed) -> int:
    return len(sealed.index) + content_bytes(sealed.index)  # of its first frame, the table's

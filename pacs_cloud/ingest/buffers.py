"""Memory for receptions: taken, given back, and used again while it is warm."""

import mmap

_KEPT = 32
_WARM_BYTES = 1 << 20


class Buffers:
    """Buffers of one size.

    Fresh memory costs a page fault every 4 KiB, as much as the checksum of what is
    written there; a buffer that is used again costs none.
    """

    def __init__(self, length_bytes: int) -> None:
        self.length_bytes = length_bytes
        self._free: list[mmap.mmap] = []

    def take(self) -> mmap.mmap:
        """Return a buffer that nobody else has; its bytes are anything."""
        if self._free:
            return self._free.pop()
        # Private: shared memory would not go back to the system in `give`.
        return mmap.mmap(-1, self.length_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give(self, buffer: mmap.mmap, used_bytes: int) -> None:
        """Take a buffer back, of which the first `used_bytes` were written.

        What is beyond the first MiB goes back to the system.
        """
        if len(self._free) >= _KEPT:
            return
        if min(used_bytes, self.length_bytes) > _WARM_BYTES:
            buffer.madvise(mmap.MADV_DONTNEED, _WARM_BYTES)
        self._free.append(buffer)

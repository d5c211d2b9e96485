"""Where a file is synced: on the event loop while the disk is quick, else on a thread.

Handing a sync to a thread and back costs about as much processor time as everything
else that is done to a small instance (four context switches and two waits for the
interpreter's lock). A disk that answers within a fraction of a millisecond is better
waited for on the spot: whoever else is being received meanwhile waits in the kernel's
buffers. A slow disk, or many bytes, would hold everybody up.
"""

QUICK_S = 0.002
"""What one sync may usually take to be done on the loop."""
SMALL_BYTES = 256 << 10
"""How much one sync on the loop may write."""
_WEIGHT = 0.2


class SyncPace:
    """Remembers how long small syncs usually take, of all files of one spool."""

    def __init__(self) -> None:
        self._usual_s = 0.0

    def is_inline(self, pending_bytes: int) -> bool:
        """Tell whether a sync of so many new bytes is done on the loop."""
        return pending_bytes <= SMALL_BYTES and self._usual_s <= QUICK_S

    def took(self, seconds: float, pending_bytes: int) -> None:
        """Learn from a sync, wherever it was done: a disk may become slow, and quick again."""
        if pending_bytes <= SMALL_BYTES:
            self._usual_s += (seconds - self._usual_s) * _WEIGHT

"""A stretch of an open file as a file of its own, which holds none of it in memory."""

import io
import os
from typing import TYPE_CHECKING

from isal import isal_zlib

from pacs_cloud.errors import Corrupt

if TYPE_CHECKING:  # its name at run time is Python 3.12's
    from typing_extensions import Buffer

READ_BYTES = 1 << 20


class FilePart(io.RawIOBase):
    """Bytes `offset` to `offset + length` of the descriptor `file`, read by position.

    What an HTTP client sends, and sends again, from the beginning.
    """

    def __init__(self, file: int, offset: int, length: int) -> None:
        super().__init__()
        self._file = file
        self._offset = offset
        self._length = length
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how far it was read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to `offset` from the beginning, from here, or from the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def readinto(self, buffer: "Buffer") -> int:
        """Read into `buffer`; return how much, 0 at the end.

        Raises:
            Corrupt: the file ends before the part does.
        """
        left = max(0, self._length - self._position)
        view = memoryview(buffer).cast("B")[:left]
        if not view:
            return 0
        got = os.preadv(self._file, [view], self._offset + self._position)
        if not got:
            raise Corrupt("a file that is being stored was cut")
        self._position += got
        return got

    def crc32(self, running: int = 0) -> tuple[int, int]:
        """Return the part's CRC-32, and `running` (that of all before it) with the part.

        Reads it whole, waiting for the disk, and goes back to the beginning.
        """
        own = 0
        self.seek(0)
        while chunk := self.read(READ_BYTES):
            own = isal_zlib.crc32(chunk, own)
            running = isal_zlib.crc32(chunk, running)
        self.seek(0)
        return own, running

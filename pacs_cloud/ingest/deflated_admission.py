"""Deflated data sets that fit a buffer: what they inflate to is read beside the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pacs_cloud.dicom.header import HeaderReader
from pacs_cloud.dicom.uid import is_deflated
from pacs_cloud.ingest.admission import Admission, Admitted
from pacs_cloud.ingest.forms import Form, Layout

SHORT_BYTES: Final = 64 << 10
"""Deflate makes 1,032 times as much of it at most (zlib): what the loop has time for."""
_MEMO_BYTES: Final = 4 << 20


class DeflatedAdmission:
    """Reads the headers of deflated data sets on a thread of its own: one at a time."""

    def __init__(self, accepts_class: Callable[[str], bool]) -> None:
        self._admission = Admission(HeaderReader(memo_bytes=_MEMO_BYTES), accepts_class)
        # One, as no other thread may use the reader, and one of what is inflated fits.
        self._thread = ThreadPoolExecutor(1, "inflate")

    @staticmethod
    def is_for(transfer_syntax_uid: str, length_bytes: int) -> bool:
        """Return whether a data set may inflate to more than the loop has time for."""
        return length_bytes > SHORT_BYTES and is_deflated(transfer_syntax_uid)

    async def admit(self, form: Form, layout: Layout, dataset: memoryview) -> Admitted:
        """Check an instance when it is its turn.

        Args:
            form: of its reception.
            layout: where its data set begins.
            dataset: that; it must not change, though the caller may be cancelled meanwhile.

        Raises:
            InvalidInstance: it cannot be admitted.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, form.admit, self._admission, layout, dataset
        )

    def close(self) -> None:
        """Return when nothing is read any more."""
        self._thread.shutdown(cancel_futures=True)

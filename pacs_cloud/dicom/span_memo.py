"""The ends of sequences of undefined length, remembered."""

from pacs_cloud.dicom.records import MEMO_LIMIT, View


class SpanMemo:
    """Sequences of undefined length seen lately, by tag: their end is known at once.

    A sequence ends at its own delimiter, so bytes that begin like a whole sequence
    seen before are that sequence.
    """

    def __init__(self, limit_bytes: int = 4_194_304) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._seen: dict[tuple[int, bool], list[bytes]] = {}

    def end_of(self, view: View, tag: int, start: int, *, implicit: bool) -> int | None:
        """Return the end of the sequence that begins at `start`, if it was seen before."""
        for raw in self._seen.get((tag, implicit), ()):
            if view[start : start + len(raw)] == raw:
                return start + len(raw)
        return None

    def keep(self, raw: bytes, tag: int, *, implicit: bool) -> None:
        """Remember the whole sequence `raw`, header and delimiter included."""
        if len(raw) > MEMO_LIMIT:
            return
        if self._used + len(raw) > self._limit:
            self._seen.clear()
            self._used = 0
        recent = self._seen.setdefault((tag, implicit), [])
        recent.insert(0, raw)
        self._used += len(raw)
        if len(recent) > 4:
            self._used -= len(recent.pop())

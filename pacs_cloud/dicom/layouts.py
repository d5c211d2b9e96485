"""The layouts of the series seen lately, learnt as their headers come.

The first header of a series leaves its name, so that an only one costs nothing; the
second is remembered as bytes, the third is compared with it and makes a layout, and
the fourth follows that. A later one that does not, because yet another element
varies, widens the layout. The Series Instance UID found by a search for its bytes is
only a hint which layout to try: a wrong one is found out by `Layout.match`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.dataset_json import DatasetJson
from pacs_cloud.dicom.identity import Uids
from pacs_cloud.dicom.layout_learning import Shape, differing, learn, may_vary
from pacs_cloud.dicom.memo import Fragment, Memo
from pacs_cloud.dicom.records import View
from pacs_cloud.dicom.runs import Layout, Reading
from pacs_cloud.dicom.walk import Scope, Walk

_MAX_SERIES: Final = 256
_MAX_HEAD_BYTES: Final = 262_144
"""Up to the last element's value; a longer header gets no layout."""
_SEARCHED_BYTES: Final = 16_384
"""The part of a header in which its Series Instance UID is looked for."""
_SERIES_UID: Final = b"\x20\x00\x0e\x00"
_ENTRY_BYTES: Final = 400
"""Of an element or a run, beside its bytes: a few tuples and numbers."""
_KEPT_MISSES: Final = 4
"""So many headers in a row may differ before a layout is given up."""
_EAGER_MISSES: Final = 16
"""After so many, only every `_EAGER_MISSES`-th is still learnt from or compared."""


@dataclass(slots=True)
class Series:
    """What is known of a series; its headers may have more than one layout.

    Attributes:
        is_new: no header was learnt from yet.
        head: the last header learnt from, up to its last element's VR.
        shape: of that.
        varying: numbers of the elements that vary.
        layout: None after the first headers.
        misses: headers read otherwise since one followed the layout.
        size_bytes: about what all this takes.
    """

    is_new: bool = True
    head: bytes = b""
    shape: Shape = ()
    varying: frozenset[int] = frozenset()
    layout: Layout | None = None
    misses: int = 0
    size_bytes: int = _ENTRY_BYTES

    def match(self, walk: Walk, memo: Memo, start: bytes) -> Reading | None:
        """Return what `Layout.match` does, None also where there is no layout."""
        if self.layout is None:
            return None
        matched = self.layout.match(walk, memo, start)
        if matched is not None:
            self.misses = 0
        return matched

    @property
    def is_learning(self) -> bool:
        """Whether the next header's fragments are of use."""
        return bool(self.shape) and self._is_worth_it

    @property
    def _is_worth_it(self) -> bool:
        return self.misses < _EAGER_MISSES or self.misses % _EAGER_MISSES == 0

    def learn(
        self,
        walk: Walk,
        scope: Scope,
        fragments: Sequence[Fragment],
        converted: DatasetJson,
        uids: Uids,
    ) -> None:
        """Learn from a header that did not match.

        Args:
            walk: its own.
            scope: of the whole data set.
            fragments: of each element, or none where the series is not learning.
            converted: its JSON.
            uids: those in it.
        """
        if self.is_new or not self._is_worth_it or not _is_usual(walk, scope):
            self.misses += not self.is_new
            self.is_new = False
            if self.misses > _EAGER_MISSES:
                self.layout = None
            return
        shape = [(tag, vr, start, stop) for tag, _, vr, start, _, stop, _ in scope.records]
        head = bytes(walk.view[: shape[-1][2] + 6])
        varying = self._varying(head, shape, implicit=scope.implicit) if fragments else None
        if varying:
            self.head, self.shape, self.varying = head, shape, varying
            self.layout = learn(walk, scope, fragments, converted, uids, varying)
        elif self.layout is None or self.misses >= _KEPT_MISSES:
            self.head, self.shape, self.varying, self.layout = head, shape, frozenset(), None
        self.misses += 1
        self.size_bytes = 2 * len(head) + _ENTRY_BYTES * (1 + len(shape) + len(self.varying))
        self.size_bytes += len(converted.json)

    def _varying(self, head: bytes, shape: Shape, *, implicit: bool) -> frozenset[int] | None:
        """Return what varies, this header included; None where that makes no new layout."""
        found = differing((self.head, self.shape), (head, shape))
        if found is None:
            return None
        varying = self.varying | found
        is_known = self.layout is not None and varying == self.varying
        return None if is_known or not may_vary(shape, varying, implicit=implicit) else varying


class Layouts:
    """Of some dozens of series; the one used longest ago is forgotten first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._series: dict[tuple[str, bytes], Series] = {}

    def series_of(self, view: View, transfer_syntax_uid: str) -> tuple[Series, bytes]:
        """Return what is known of the data set's series, and the data set's beginning."""
        start = view if isinstance(view, bytes) else bytes(view[:_SEARCHED_BYTES])
        key = (transfer_syntax_uid, _series_uid(start))
        series = self._series.pop(key, None)
        if series is None:
            series = Series()
            self._used += series.size_bytes
        self._series[key] = series
        return series, start

    def learn(
        self,
        series: Series,
        walk: Walk,
        scope: Scope,
        fragments: Sequence[Fragment],
        converted: DatasetJson,
        uids: Uids,
    ) -> None:
        """Let `series`, the last one asked for, learn from a header; see `Series.learn`."""
        before = series.size_bytes
        series.learn(walk, scope, fragments, converted, uids)
        self._used += series.size_bytes - before
        while self._series and (len(self._series) > _MAX_SERIES or self._used > self._limit):
            self._used -= self._series.pop(next(iter(self._series))).size_bytes


def _series_uid(start: bytes) -> bytes:
    """Return what may be the Series Instance UID's element, b"" if there is none."""
    at = start.find(_SERIES_UID, 0, _SEARCHED_BYTES)
    if at < 0 or at + 8 > len(start):
        return b""
    length = start[at + 6] if start[at + 4 : at + 6] == b"UI" else start[at + 4]
    return start[at : at + 8 + length]


def _is_usual(walk: Walk, scope: Scope) -> bool:
    """Tell whether a header like this can have a layout."""
    records = scope.records
    return (
        walk.little
        and records is walk.structure.top  # ascending, no file meta among them
        and len(records) > 1
        and records[-1][3] <= _MAX_HEAD_BYTES
        and records[-1][5] == len(walk.view)
    )

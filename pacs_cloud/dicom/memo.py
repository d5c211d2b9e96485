"""A bounded memory of JSON fragments, by the exact bytes they came from.

Two generations: what is used lives in the young one; when that is full it
becomes the old one, and an element found there moves back. A hit is one lookup
in a dict, nothing is counted, and what is never seen again is gone after two
turns.
"""

from collections.abc import Hashable
from typing import NamedTuple

from pacs_cloud.dicom.elements import Element


class BulkPart(NamedTuple):
    """A bulk value inside a fragment: its path and VR, its offset from the element's start."""

    path: str
    vr: str
    offset: int
    length: int


class Fragment(NamedTuple):
    """An element's JSON, ready to be joined.

    Attributes:
        json: `"00100020":{"vr":"LO","Value":["1"]}`; a NUL byte, which JSON
            never holds, stands for the SOP Instance UID in a BulkDataURI.
        named: tag and JSON of an attribute that searches return, else None.
        bulk: the bulk values in it.
    """

    json: bytes
    named: tuple[str, Element] | None = None
    bulk: tuple[BulkPart, ...] = ()


_ENTRY_BYTES = 400
"""Of an entry, beside its bytes: two objects, a tuple, a slot."""
_LANE_BYTES = 2_500
"""Of a lane: a dict, and a key that holds a character set or a creator's name."""


class Memo:
    """Fragments by lane (what else they depend on) and raw bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._half = limit_bytes // 2
        self._used = 0
        self._young: dict[Hashable, dict[bytes, Fragment]] = {}
        self._old: dict[Hashable, dict[bytes, Fragment]] = {}

    def lane(self, key: Hashable) -> dict[bytes, Fragment]:
        """Return the young fragments of `key`, to be read only."""
        lane = self._young.get(key)
        if lane is None:
            self._make_room(_LANE_BYTES)
            lane = self._young[key] = {}
        return lane

    def recall(self, key: Hashable, raw: bytes) -> Fragment | None:
        """Return the fragment of `raw` from either generation."""
        fragment = self.lane(key).get(raw)
        if fragment is None and (old := self._old.get(key)) is not None:
            fragment = old.pop(raw, None)
            if fragment is not None:
                self.keep(key, raw, fragment)
        return fragment

    def keep(self, key: Hashable, raw: bytes, fragment: Fragment) -> None:
        """Remember `fragment`, which must not depend on more than `key` and `raw`."""
        self._make_room(_ENTRY_BYTES + len(raw) + 3 * len(fragment.json))
        self.lane(key)[raw] = fragment

    def _make_room(self, size_bytes: int) -> None:
        self._used += size_bytes
        if self._used > self._half:
            self._old, self._young, self._used = self._young, {}, size_bytes

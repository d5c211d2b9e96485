"""The fragments of an encapsulated value (PS3.5 A.4): where they lie, not what they hold."""

from array import array
from collections.abc import Callable

from pacs_cloud.dicom.records import (
    ITEM,
    LET_GO_EVERY,
    MAX_FRAGMENTS,
    SEQUENCE_END,
    UNDEFINED,
    Fragments,
    LetGo,
    View,
    name_of,
    unreadable,
)
from pacs_cloud.errors import InvalidInstance, Refusal


def read_fragments(
    view: View,
    tag: int,
    pos: int,
    end: int,
    unpack: Callable[[View, int], tuple[int, ...]],
    let_go: LetGo | None = None,
) -> tuple[Fragments, int]:
    """Return the fragments of an encapsulated value, and where its delimiter ends.

    Args:
        view: the data set; only item headers are read.
        tag: of the element, for the error.
        pos: where its value begins.
        end: where what encloses it ends.
        unpack: group, element and length at an offset of a view.
        let_go: called every LET_GO_EVERY items.

    Raises:
        InvalidInstance: UNREADABLE for items that do not fit or a missing
            delimiter, TOO_LARGE for more fragments than MAX_FRAGMENTS.
    """
    offsets, lengths = array("Q"), array("Q")
    for number in range(1, MAX_FRAGMENTS + 1):
        if let_go is not None and number % LET_GO_EVERY == 0:
            let_go()
        if end - pos < 8:
            raise unreadable(f"The encapsulated value of {name_of(tag)} has no end.")
        group, element, length = unpack(view, pos)
        item = group << 16 | element
        pos += 8
        if item == SEQUENCE_END:
            return Fragments(offsets, lengths), pos
        if item != ITEM or length == UNDEFINED or pos + length > end:
            raise unreadable(
                f"The encapsulated value of {name_of(tag)} is broken at byte {pos - 8}."
            )
        offsets.append(pos)
        lengths.append(length)
        pos += length
    raise InvalidInstance(f"{name_of(tag)} has too many fragments.", Refusal.TOO_LARGE)

"""What stands around the pixel data of an instance, in another transfer syntax.

A data set may be larger than memory, but what is large in it is its pixel data: the rest is
rewritten here with nothing in its place, and the new value is sent between the two halves,
frame by frame.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pacs_cloud.dicom.coding.pixel_edits import format_edits, lossy_edits, native_length, native_vr
from pacs_cloud.dicom.explicit_elements import SEQUENCE_DELIMITER
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.records import UNDEFINED
from pacs_cloud.dicom.rewrite import NewValue, Rewriter
from pacs_cloud.dicom.uid import EXPLICIT_LE, IMPLICIT_LE
from pacs_cloud.dicom.walk import Walk, find
from pacs_cloud.errors import InvalidInstance, Refusal

NATIVE_TARGETS: Final = frozenset({EXPLICIT_LE, IMPLICIT_LE})
_HERE: Final = b"the value"


class Enclosure(NamedTuple):
    """A data set without the value of its pixel data.

    Attributes:
        before: up to that value, its element header included.
        after: what follows it.
    """

    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class NewPixels:
    """The pixel data that is to stand in the middle.

    Attributes:
        stored: the format of the pixels that are there.
        made: that of the new ones.
        count: how many frames there are.
        ratio: how many times smaller than native the new ones are.
    """

    stored: PixelFormat
    made: PixelFormat
    count: int
    ratio: float = 1


def emptied(head: bytes, tail: bytes, *, encapsulated: bool) -> bytes:
    """Return a data set whose pixel data is empty.

    Args:
        head: the stored data set up to the value; that of fragments begins with an item.
        tail: what follows the value, of fragments also their delimiter.
        encapsulated: whether the value consists of fragments.
    """
    if encapsulated:
        return head + SEQUENCE_DELIMITER + tail
    # A native value's length stands right before it, in every native transfer syntax.
    return head[:-4] + bytes(4) + tail


def enclosure(
    empty: bytes, transfer_syntax_uid: str, target: str, tag: int, pixels: NewPixels | int
) -> Enclosure:
    """Return what stands around new pixel data.

    Args:
        empty: the stored data set with no pixel data (see `emptied`), inflated.
        transfer_syntax_uid: how it is encoded, natively or not.
        target: how it is to be: Implicit VR Little Endian, or as Explicit VR Little Endian
            or any syntax with fragments has it.
        tag: of the pixel data.
        pixels: what it becomes; or the length in bytes of the same native value.

    Raises:
        InvalidInstance: UNREADABLE for a broken data set, TOO_LARGE for 4 GiB of native
            pixels or more.
    """
    walk = Walk(empty, transfer_syntax_uid)
    scope = walk.top()
    record = find(scope.records, tag)
    if record is None:
        raise InvalidInstance("The pixel data is not where it was.", Refusal.UNREADABLE)
    implicit = target == IMPLICIT_LE
    edits: dict[int, NewValue | None] = {}
    if isinstance(pixels, int):
        vr, length = walk.vr(record, scope), pixels
    else:
        edits |= format_edits(pixels.stored, pixels.made)
        vr, length = "OB", UNDEFINED
        if target in NATIVE_TARGETS:
            vr = native_vr(pixels.made, implicit=implicit)
            length = native_length(pixels.made, pixels.count)
        else:
            edits |= lossy_edits(walk, scope, target, pixels.ratio)
    edits[tag] = NewValue(vr, length, lambda: iter((_HERE,)))
    parts = list(Rewriter(walk, implicit=implicit).parts(scope, edits))
    middle = next(number for number, part in enumerate(parts) if part is _HERE)
    return Enclosure(b"".join(parts[:middle]), b"".join(parts[middle + 1 :]))

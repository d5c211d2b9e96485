"""Pixel data from one transfer syntax into another, frame by frame.

`recoded` and `begun` are the works that worker processes do: pure functions of bytes, which
pickle can name.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pacs_cloud.dicom.coding.enclosure import NATIVE_TARGETS, Enclosure, NewPixels, enclosure
from pacs_cloud.dicom.coding.frame_decoding import decode_frame
from pacs_cloud.dicom.coding.frame_encoding import encode_frame
from pacs_cloud.dicom.coding.value_parts import FragmentedValue, NativeValue
from pacs_cloud.dicom.frames import FrameTable, PixelData
from pacs_cloud.dicom.pixel_format import PixelFormat
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicom.uid import is_encapsulated
from pacs_cloud.errors import InvalidInstance, Refusal


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it is stored, fit for a worker.

    Attributes:
        data: its fragments, joined; a native frame little endian, from its first bit on.
        transfer_syntax_uid: how it is encoded; EXPLICIT_LE for every native one.
        pixel_format: what its data set says of its pixels.
    """

    data: bytes
    transfer_syntax_uid: str
    pixel_format: PixelFormat


class Begun(NamedTuple):
    """The beginning of an instance in another transfer syntax.

    Attributes:
        enclosure: what stands around its pixel data.
        first: its first frame.
        made: the format of its frames.
    """

    enclosure: Enclosure
    first: bytes
    made: PixelFormat


def recodable(pixels: PixelData, source: str, target: str) -> FrameTable:
    """Return where the frames lie, all that an instance says it has.

    Args:
        pixels: its pixel data.
        source: the transfer syntax it is stored in.
        target: that it is to be had in.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX for floating point pixels that would have to be
            encapsulated, UNREADABLE where frames are missing or cannot be told apart.
    """
    if target not in NATIVE_TARGETS and pixels.tag != PIXEL_DATA:
        raise InvalidInstance(
            "Floating point pixels are not encapsulated (PS3.5 A.4).", Refusal.UNSUPPORTED_SYNTAX
        )
    if not pixels.frames or (pixels.encapsulated and not is_encapsulated(source)):
        raise InvalidInstance("The frames cannot be told apart.", Refusal.UNREADABLE)
    if len(pixels.frames) < pixels.frame_count:
        raise InvalidInstance("There are fewer frames than it says.", Refusal.UNREADABLE)
    return pixels.frames


def check_sampling(pixels: PixelData, described: PixelFormat) -> None:
    """Refuse native pixels mislabelled YBR_FULL_422: their frames would be cut elsewhere.

    Args:
        pixels: where they lie.
        described: what their data set says of them.

    Raises:
        InvalidInstance: UNREADABLE, where there is room for three samples a pixel.
    """
    if pixels.encapsulated or not described.is_subsampled:
        return
    whole_bits = described.frame_bits * 3 // 2 * pixels.frame_count
    if pixels.length * 8 >= whole_bits:
        raise InvalidInstance("Its colour is not subsampled.", Refusal.UNREADABLE)


def recoded(frame: StoredFrame, target: str) -> tuple[bytes, PixelFormat]:
    """Return a frame in `target`, and the format that its pixels are in then.

    Args:
        frame: as stored.
        target: EXPLICIT_LE or IMPLICIT_LE for native pixels, else a transfer syntax that
            `can_encode` names.

    Raises:
        InvalidInstance: UNSUPPORTED_SYNTAX without a codec, UNREADABLE for a broken codestream.
    """
    return _in_target(*_native(frame), target)


def begun(
    empty: bytes, transfer_syntax_uid: str, target: str, tag: int, first: StoredFrame, count: int
) -> Begun:
    """Return the beginning of an instance in `target`.

    Args:
        empty: its data set with no pixel data, inflated.
        transfer_syntax_uid: how that is encoded.
        target: as for `recoded`.
        tag: of the pixel data.
        first: its first frame.
        count: how many frames it has.

    Raises:
        InvalidInstance: as `recoded` and `enclosure`.
    """
    native, described = _native(first)
    data, made = _in_target(native, described, target)
    # The ratio stands before the pixels, so the first frame speaks for all.
    pixels = NewPixels(first.pixel_format, made, count, len(native) / max(1, len(data)))
    return Begun(enclosure(empty, transfer_syntax_uid, target, tag, pixels), data, made)


class Recoding:
    """The data set of an instance in another transfer syntax, put together as its frames come."""

    def __init__(self, start: Begun, target: str, count: int) -> None:
        """Start it.

        Args:
            start: its beginning.
            target: as for `begun`.
            count: how many frames it has.
        """
        self._start = start
        is_native = target in NATIVE_TARGETS
        self._value = NativeValue(start.made.frame_bits, count) if is_native else FragmentedValue()

    def beginning(self) -> tuple[bytes, bytes]:
        """Return what comes up to its first frame, and this one.

        Raises:
            InvalidInstance: as `add`.
        """
        return self._start.enclosure.before, self._value.add(self._start.first)

    def add(self, frame: bytes, made: PixelFormat) -> bytes:
        """Return what the next frame adds.

        Args:
            frame: as `recoded` returns it.
            made: its format.

        Raises:
            InvalidInstance: UNREADABLE for a frame unlike the first, since a data set
                describes all of them at once; TOO_LARGE for one of 4 GiB.
        """
        if made != self._start.made:
            raise InvalidInstance("Its frames are not all alike.", Refusal.UNREADABLE)
        return self._value.add(frame)

    def end(self) -> bytes:
        """Return what follows the last frame."""
        return self._value.end() + self._start.enclosure.after


def _native(frame: StoredFrame) -> tuple[bytes, PixelFormat]:
    if frame.transfer_syntax_uid in NATIVE_TARGETS:
        return frame.data, frame.pixel_format
    return decode_frame(frame.data, frame.transfer_syntax_uid, frame.pixel_format)


def _in_target(pixels: bytes, described: PixelFormat, target: str) -> tuple[bytes, PixelFormat]:
    if target in NATIVE_TARGETS:
        return pixels, described
    return encode_frame(pixels, described, target)

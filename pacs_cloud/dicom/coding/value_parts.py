"""The value of Pixel Data, put together from frames as they come."""

from pacs_cloud.dicom.coding.encapsulating import item_header
from pacs_cloud.dicom.explicit_elements import LONG_LIMIT, SEQUENCE_DELIMITER
from pacs_cloud.errors import InvalidInstance, Refusal


class NativeValue:
    """Frames side by side, which may share a byte (PS3.5 8.1.1)."""

    def __init__(self, frame_bits: int, count: int) -> None:
        """Start the value of `count` frames of `frame_bits` each."""
        self._frame_bits = frame_bits
        self._left = self.length_bytes = -(-frame_bits * count // 16) * 2
        self._carry = 0
        self._carried_bits = 0

    def add(self, frame: bytes) -> bytes:
        """Return what `frame`, the next one, adds to the value.

        Raises:
            InvalidInstance: UNREADABLE, for a frame of another size.
        """
        if len(frame) != -(-self._frame_bits // 8):
            raise InvalidInstance("A frame has another size than the first.", Refusal.UNREADABLE)
        piece = frame
        if self._frame_bits % 8:
            self._carry |= int.from_bytes(frame, "little") << self._carried_bits
            whole, self._carried_bits = divmod(self._carried_bits + self._frame_bits, 8)
            piece = (self._carry & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
            self._carry >>= whole * 8
        self._left -= len(piece)
        return piece

    def end(self) -> bytes:
        """Return what follows the last frame."""
        return self._carry.to_bytes(self._left, "little")


class FragmentedValue:
    """Frames of one fragment each, behind an empty Basic Offset Table (PS3.5 A.4)."""

    def __init__(self) -> None:
        """Start the value."""
        self._before = item_header(0)

    def add(self, frame: bytes) -> bytes:
        """Return what `frame`, the next one, adds to the value.

        Raises:
            InvalidInstance: TOO_LARGE, for a frame of 4 GiB.
        """
        if len(frame) > LONG_LIMIT:
            raise InvalidInstance("A frame is 4 GiB or more.", Refusal.TOO_LARGE)
        padding = bytes(len(frame) % 2)
        item = self._before + item_header(len(frame) + len(padding))
        self._before = b""
        return b"".join((item, frame, padding))

    def end(self) -> bytes:
        """Return what follows the last frame."""
        return self._before + SEQUENCE_DELIMITER

"""Where each frame of an instance lies, in bytes of its data set.

Native frames lie side by side (PS3.5 8.1.1): a base and a stride say it all.
Encapsulated ones are runs of fragments (PS3.5 A.4). A table is a value: it goes
into the pack's index as compact JSON, and a frame is one ranged read from there.
"""

from array import array
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from pacs_cloud.errors import Corrupt

_ITEM_HEADER_BYTES: Final = 8


class FrameTable:
    """The byte ranges of an instance's frames.

    Either `NativeFrames` or `EncapsulatedFrames`; equal tables compare equal.
    """

    __slots__ = ()

    def __len__(self) -> int:
        raise NotImplementedError

    def ranges(self, n: int) -> tuple[tuple[int, int], ...]:
        """Return the half-open byte ranges of frame `n`, from the data set's start.

        Args:
            n: 0 for the first frame.

        Raises:
            IndexError: there is no such frame.
        """
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the table as a small JSON object, for `from_json`."""
        raise NotImplementedError

    @staticmethod
    def from_json(table: dict[str, Any]) -> "FrameTable":
        """Return the table that `to_json` wrote.

        Raises:
            Corrupt: `table` is nothing that `to_json` writes.
        """
        try:
            if "stride" in table:
                return NativeFrames(int(table["base"]), int(table["stride"]), int(table["count"]))
            return _encapsulated_from_json(table)
        except (KeyError, TypeError, ValueError, OverflowError) as problem:
            raise Corrupt("A frame table cannot be read.") from problem

    def _check(self, n: int) -> None:
        if not 0 <= n < len(self):
            raise IndexError(f"There is no frame {n} among {len(self)}.")


@dataclass(frozen=True, slots=True)
class NativeFrames(FrameTable):
    """Frames side by side, without gaps; not always on whole bytes (1-bit segmentations).

    Attributes:
        base: byte at which the first frame begins.
        stride_bits: bits of one frame, pixel cells packed as PS3.5 8.1.1 has them.
        count: whole frames present.
    """

    base: int
    stride_bits: int
    count: int

    def __len__(self) -> int:
        return self.count

    def ranges(self, n: int) -> tuple[tuple[int, int], ...]:
        """Return the one range that holds frame `n`; see `bits` where frames share a byte."""
        self._check(n)
        first, last = n * self.stride_bits, (n + 1) * self.stride_bits
        return ((self.base + first // 8, self.base + -(-last // 8)),)

    def bits(self, n: int) -> tuple[int, int]:
        """Return where frame `n` begins within its range, in bits, and how many bits it has."""
        self._check(n)
        return n * self.stride_bits % 8, self.stride_bits

    @property
    def is_byte_aligned(self) -> bool:
        """Whether each frame begins and ends on a whole byte."""
        return self.stride_bits % 8 == 0

    def to_json(self) -> dict[str, Any]:
        """Return base, stride in bits, count."""
        return {"base": self.base, "stride": self.stride_bits, "count": self.count}


@dataclass(frozen=True, slots=True)
class EncapsulatedFrames(FrameTable):
    """Frames as runs of fragments.

    Attributes:
        offsets: of each fragment's content, its item header excluded, ascending.
        lengths: of each fragment's content.
        firsts: number of each frame's first fragment, and after the last frame
            the number of fragments: one more than there are frames.
    """

    offsets: "array[int]"
    lengths: "array[int]"
    firsts: "array[int]"

    def __len__(self) -> int:
        return len(self.firsts) - 1

    def ranges(self, n: int) -> tuple[tuple[int, int], ...]:
        """Return one range per fragment of frame `n`."""
        self._check(n)
        return tuple(
            (offset, offset + length)
            for offset, length in zip(
                self.offsets[self.firsts[n] : self.firsts[n + 1]],
                self.lengths[self.firsts[n] : self.firsts[n + 1]],
                strict=True,
            )
        )

    def to_json(self) -> dict[str, Any]:
        """Return the first offset, lengths as differences, gaps and runs where they vary."""
        table: dict[str, Any] = {
            "at": self.offsets[0] if self.offsets else 0,
            "lengths": _differences(self.lengths),
        }
        gaps = [
            after - before - length
            for before, length, after in zip(
                self.offsets, self.lengths, self.offsets[1:], strict=False
            )
        ]
        if any(gap != _ITEM_HEADER_BYTES for gap in gaps):
            table["gaps"] = gaps
        runs = [after - before for before, after in zip(self.firsts, self.firsts[1:], strict=False)]
        if any(run != 1 for run in runs):
            table["runs"] = runs
        return table


def _encapsulated_from_json(table: dict[str, Any]) -> EncapsulatedFrames:
    lengths = array("Q", accumulate(table["lengths"]))
    gaps = table.get("gaps", [_ITEM_HEADER_BYTES] * max(0, len(lengths) - 1))
    runs = table.get("runs", [1] * len(lengths))
    if (
        len(gaps) != max(0, len(lengths) - 1)
        or sum(runs) != len(lengths)
        or min(runs, default=0) < 0
    ):
        raise ValueError("lengths, gaps and runs do not fit together")
    offsets = array("Q")
    at = int(table["at"])
    for number, length in enumerate(lengths):
        offsets.append(at)
        if number < len(gaps):
            at += length + gaps[number]
    return EncapsulatedFrames(offsets, lengths, array("Q", accumulate(runs, initial=0)))


def _differences(values: "array[int]") -> list[int]:
    return [after - before for before, after in zip([0, *values], values, strict=False)]


@dataclass(frozen=True, slots=True)
class PixelData:
    """An instance's pixel data: its shape and where it lies.

    Attributes:
        tag: `7FE00010`, or `7FE00008`/`7FE00009` for floating point pixels.
        rows: of one frame; 0 where the header does not say.
        columns: of one frame; 0 where the header does not say.
        samples_per_pixel: 1 for grey, 3 for colour.
        bits_allocated: of one sample.
        frame_count: Number of Frames, 1 where the header does not say.
        encapsulated: whether the value consists of fragments.
        offset: of the value, from the data set's start (deflated: the inflated one's).
        length: of the value; of an encapsulated one from its first item header to
            before its sequence delimiter.
        frames: the frames that are there whole, None where they cannot be told apart.
    """

    tag: str
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    frame_count: int
    encapsulated: bool
    offset: int
    length: int
    frames: FrameTable | None


def extract_bits(data: bytes | memoryview, bit_offset: int, bit_length: int) -> bytes:
    """Return `bit_length` bits of `data` from `bit_offset` on, as whole bytes.

    The first pixel moves to the least significant bit of the first byte, where
    PS3.5 8.1.1 wants it, and the last byte is filled with zeros.

    Args:
        data: the byte range of a frame.
        bit_offset: 0 to 7; 0 is the least significant bit of the first byte.
        bit_length: bits of the frame.
    """
    value = int.from_bytes(data, "little") >> bit_offset
    value &= (1 << bit_length) - 1
    return value.to_bytes(-(-bit_length // 8), "little")

"""Explicit VR Big Endian: bytes of words, swapped (PS3.5 7.3)."""

from array import array
from typing import Final

_WORD_BYTES: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_CODES: Final = {2: "H", 4: "I", 8: "Q"}


def word_bytes(vr: str) -> int:
    """Return how many bytes of a `vr` value are swapped together; 1 for none."""
    return _WORD_BYTES.get(vr, 1)


def swap_words(data: bytes | bytearray | memoryview, vr: str, cell_bits: int = 0) -> bytes:
    """Return `data` with each word of `vr` reversed; a VR without words comes back as it is.

    Args:
        data: a value as stored; bytes after its last whole word stay as they are.
        vr: OW and US have words of 2 bytes, OF, OL and FL of 4, OD, OV and FD of
            8; AT is two words of 2.
        cell_bits: of pixel data, Bits Allocated: cells of 32 and 64 bits in OW are
            reversed whole, as the writers of such data sets do and pydicom reads.
    """
    size = _WORD_BYTES.get(vr, 1)
    if vr == "OW" and cell_bits in {32, 64}:
        size = cell_bits // 8
    whole = bytes(data)
    if size == 1:
        return whole
    rest = len(whole) % size
    words = array(_CODES[size], whole[: len(whole) - rest])
    words.byteswap()
    return words.tobytes() + whole[len(whole) - rest :]

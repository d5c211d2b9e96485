"""How elements begin and items end in Explicit VR Little Endian (PS3.5 7.1.2, 7.5)."""

from struct import pack
from typing import Final

from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from pacs_cloud.dicom.element_json import BINARY_VRS
from pacs_cloud.dicom.records import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED

SHORT_VRS: Final = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_16)
"""With a length of 16 bits."""
LONG_VRS: Final = frozenset(str(vr) for vr in EXPLICIT_VR_LENGTH_32)
"""With one of 32."""
SHORT_LIMIT: Final = 0xFFFE
"""Bytes; a longer value of a short VR is written as UN (PS3.5 6.2.2)."""
LONG_LIMIT: Final = 0xFFFFFFFE
"""Bytes of any other value, or of a fragment: one more would mean "without a length"."""
ZERO_PADDED: Final = BINARY_VRS | {"UI"}
"""VRs whose values become even with a NUL byte, not a space."""

ITEM_START: Final = pack("<HHL", ITEM >> 16, ITEM & 0xFFFF, UNDEFINED)
"""Of an item without a length, which the next ends."""
ITEM_DELIMITER: Final = pack("<HHL", ITEM_END >> 16, ITEM_END & 0xFFFF, 0)
SEQUENCE_DELIMITER: Final = pack("<HHL", SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)


def explicit_header(tag: int, vr: str, length: int, order: str = "<") -> bytes:
    """Return tag, VR and length of an element.

    Args:
        tag: group and element.
        vr: one of SHORT_VRS, with up to SHORT_LIMIT bytes, or of LONG_VRS.
        length: of its value; UNDEFINED where a delimiter ends it.
        order: of bytes, as `struct` has it.
    """
    code = vr.encode("ascii")
    if vr in SHORT_VRS:
        return pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, code, length)
    return pack(f"{order}HH2sHL", tag >> 16, tag & 0xFFFF, code, 0, length)


def written_vr(vr: str, length: int) -> str:
    """Return the VR that a value of `length` bytes is written with: UN where it is too long."""
    return "UN" if vr in SHORT_VRS and length > SHORT_LIMIT else vr


def padding(vr: str, length: int) -> bytes:
    """Return what makes a value of `length` bytes even."""
    return (b"\0" if vr in ZERO_PADDED else b" ") * (length % 2)

"""Which value representation an element has when its bytes do not say.

Implicit VR elements, and explicit ones marked UN, take it from the dictionary,
private ones from pydicom's private dictionary under their creator (PS3.5 7.8).
Where the dictionary leaves a choice ("US or SS"), the data set decides, by the
rules of pydicom's `correct_ambiguous_vr`.
"""

from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, private_dictionary_VR

_UN_KEPT_FROM: Final = 0xFFFF
"""Bytes; a public element marked UN of this length had no other VR to take, since
16 bits could not hold its length (PS3.5 6.2.2 note 2)."""

_WAVEFORM_TAGS: Final = frozenset({0x54000110, 0x54000112, 0x5400100A, 0x54001010})


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What an ambiguous element looks at.

    Attributes:
        implicit: the data set around it is written in implicit VR.
        signed: Pixel Representation in force is not 0; None if there is none.
        bits_allocated: Bits Allocated beside it, 0 if there is none.
        waveform_bits: Waveform Bits Allocated beside it, 0 if there is none.
        lut_entries: first value of LUT Descriptor beside it, None if there is none.
        undefined_length: the element itself has no length.
    """

    implicit: bool
    signed: bool | None = None
    bits_allocated: int = 0
    waveform_bits: int = 0
    lut_entries: int | None = None
    undefined_length: bool = False


def dictionary_vr(tag: int, creator: str | None, written: bytes | None, length: int) -> str:
    """Return the VR of `tag`, ambiguous ones as the dictionary has them ("US or SS").

    Args:
        tag: group and element.
        creator: of a private element, its creator's name; None if it has none.
        written: the VR in the bytes, `b"UN"`, or None in implicit VR.
        length: of the value, in bytes.
    """
    is_private = bool(tag >> 16 & 1)
    if is_private:
        return _private_vr(tag, creator)
    if written is not None and length >= _UN_KEPT_FROM:
        return "UN"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UL" if written is None and tag & 0xFFFF == 0 else "UN"


def _private_vr(tag: int, creator: str | None) -> str:
    element = tag & 0xFFFF
    if 0x10 <= element <= 0xFF:
        return "LO"  # a creator itself
    if element & 0xFF00 and creator:
        try:
            return private_dictionary_VR(tag, creator)
        except KeyError:
            return "UN"
    return "UN"


def settle(tag: int, vr: str, beside: Neighbours) -> str:
    """Return the one VR that the ambiguous `vr` of `tag` stands for.

    Where pydicom leaves the ambiguity (retired and industrial attributes) or
    finds nothing to decide by, the most general reading is taken: OW, or US.
    """
    if vr in {"OB or OW", "OB_OW"}:
        if tag & 0xFFFF0000 == 0x7FE00000 and beside.undefined_length:
            return "OB"
        if beside.implicit:
            return "OW"
        bits = beside.waveform_bits if tag in _WAVEFORM_TAGS else beside.bits_allocated
        return "OB" if 0 < bits <= 8 and tag >> 24 != 0x60 else "OW"
    if vr == "US or SS":
        return "SS" if beside.signed else "US"
    if vr == "US or OW":
        return "US" if beside.lut_entries == 1 else "OW"
    if vr == "US or SS or OW":
        return "OW"
    return vr

"""The elements of pixel data and of its tables (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25).

Each stands here as DICOM JSON names it, and some as the number that a data set has.
"""

from typing import Final

PIXEL_DATA: Final = "7FE00010"
FLOAT_PIXEL_DATA: Final = "7FE00008"
DOUBLE_FLOAT_PIXEL_DATA: Final = "7FE00009"
EXTENDED_OFFSETS: Final = "7FE00001"
EXTENDED_LENGTHS: Final = "7FE00002"
_VALUE_TOTAL_LENGTH: Final = "7FE00003"

PIXEL_DATA_TAG: Final = int(PIXEL_DATA, 16)
FLOAT_BITS: Final = {int(FLOAT_PIXEL_DATA, 16): 32, int(DOUBLE_FLOAT_PIXEL_DATA, 16): 64}
"""Bits of a sample, by tag: their data sets need not say it."""
PIXEL_TAGS: Final = frozenset({PIXEL_DATA_TAG, *FLOAT_BITS})
EXTENDED_OFFSETS_TAG: Final = int(EXTENDED_OFFSETS, 16)
EXTENDED_LENGTHS_TAG: Final = int(EXTENDED_LENGTHS, 16)
FRAGMENT_TAGS: Final = (EXTENDED_OFFSETS_TAG, EXTENDED_LENGTHS_TAG, int(_VALUE_TOTAL_LENGTH, 16))
"""What is said of fragments, beside Pixel Data itself."""

"""What the Image Pixel module says of a frame (PS3.3 C.7.6.3)."""

from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.elements import Elements, element
from pacs_cloud.dicom.pixel_tags import FLOAT_BITS
from pacs_cloud.errors import InvalidInstance, Refusal

MAX_FRAME_BYTES: Final = 1 << 30
"""Of a frame that is worked on, native or as it is stored; the largest radiographs have a tenth
of it, and larger slides come in tiles."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """The Image Pixel module of a frame (PS3.3 C.7.6.3).

    Attributes:
        rows: of the frame.
        columns: of the frame.
        samples_per_pixel: 1 or 3.
        bits_allocated: 1, or a multiple of 8.
        bits_stored: at most `bits_allocated`.
        pixel_representation: 1 for signed values.
        photometric_interpretation: `MONOCHROME2`, `RGB`, `YBR_FULL_422` and so on.
        planar_configuration: 0 colour by pixel, 1 colour by plane.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int = 0

    @property
    def is_subsampled(self) -> bool:
        """Whether a native frame stores two samples a pixel (PS3.3 C.7.6.3.1.2)."""
        return self.samples_per_pixel == 3 and self.photometric_interpretation == "YBR_FULL_422"

    @property
    def is_signed(self) -> bool:
        """Whether samples are in two's complement."""
        return self.pixel_representation == 1

    @property
    def stored_range(self) -> tuple[int, int]:
        """The least and the greatest value that a sample can have."""
        bits = self.bits_stored
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.is_signed else (0, (1 << bits) - 1)

    @property
    def words(self) -> str:
        """The type of a sample of whole bytes as stored, as numpy names it: `<i2`."""
        return f"<{'i' if self.is_signed else 'u'}{self.bits_allocated // 8}"

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame in this format."""
        samples = 2 if self.is_subsampled else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns and, of colour, samples: a frame's array, colour by pixel."""
        size = (self.rows, self.columns)
        return size if self.samples_per_pixel == 1 else (*size, self.samples_per_pixel)

    def elements(self) -> Elements:
        """Return the Image Pixel Description Macro (PS3.3 C.7.6.3.3) that says so."""
        found: Elements = {
            "00280002": element("US", self.samples_per_pixel),
            "00280004": element("CS", self.photometric_interpretation),
            "00280010": element("US", self.rows),
            "00280011": element("US", self.columns),
            "00280100": element("US", self.bits_allocated),
            "00280101": element("US", self.bits_stored),
            "00280102": element("US", self.bits_stored - 1),
            "00280103": element("US", self.pixel_representation),
        }
        if self.samples_per_pixel > 1:
            found["00280006"] = element("US", self.planar_configuration)
        return found


def pixel_format_of(elements: Elements) -> PixelFormat:
    """Return the Image Pixel module in `elements`.

    Args:
        elements: DICOM JSON with the attributes (0028,xxxx) of an image.

    Raises:
        InvalidInstance: UNREADABLE, where rows, columns or bits are missing.
    """

    def number(tag: str, default: int | None = None) -> int:
        value: Any = (elements.get(tag, {}).get("Value") or [default])[0]
        if not isinstance(value, (int, float)):
            raise InvalidInstance(f"({tag[:4]},{tag[4:]}) is missing.", Refusal.UNREADABLE)
        return int(value)

    allocated = number("00280100")
    photometric = elements.get("00280004", {}).get("Value") or ["MONOCHROME2"]
    return PixelFormat(
        rows=number("00280010"),
        columns=number("00280011"),
        samples_per_pixel=number("00280002", 1),
        bits_allocated=allocated,
        bits_stored=number("00280101", allocated),
        pixel_representation=number("00280103", 0),
        photometric_interpretation=str(photometric[0]),
        planar_configuration=number("00280006", 0),
    )


def stored_format(image: DataSet, pixel_tag: str) -> tuple[PixelFormat, int]:
    """Return the Image Pixel module of an image, and where a value's most significant bit is.

    Floating point values have their size by their tag (PS3.3 C.7.6.24); a High Bit that cannot
    be is taken for the one that values have at the low end of their cells.

    Args:
        image: its header.
        pixel_tag: of its pixel data, floating point or not.

    Raises:
        InvalidInstance: as `pixel_format_of`.
    """
    elements, size = image.elements, FLOAT_BITS.get(int(pixel_tag, 16))
    if size is not None:
        elements = {**elements, "00280100": element("US", size)}
    found = pixel_format_of(elements)
    high_bit = int(image.number("00280102") or found.bits_stored - 1)
    fits = found.bits_stored <= high_bit + 1 <= max(found.bits_allocated, 8)
    return found, high_bit if fits else found.bits_stored - 1

"""What the Image Pixel module says of a frame (PS3.3 C.7.6.3)."""

from dataclasses import dataclass
from typing import Any, Final

from pacs_cloud.dicom.elements import Elements
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
            "00280002": {"vr": "US", "Value": [self.samples_per_pixel]},
            "00280004": {"vr": "CS", "Value": [self.photometric_interpretation]},
            "00280010": {"vr": "US", "Value": [self.rows]},
            "00280011": {"vr": "US", "Value": [self.columns]},
            "00280100": {"vr": "US", "Value": [self.bits_allocated]},
            "00280101": {"vr": "US", "Value": [self.bits_stored]},
            "00280102": {"vr": "US", "Value": [self.bits_stored - 1]},
            "00280103": {"vr": "US", "Value": [self.pixel_representation]},
        }
        if self.samples_per_pixel > 1:
            found["00280006"] = {"vr": "US", "Value": [self.planar_configuration]}
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

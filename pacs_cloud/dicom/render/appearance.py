"""All that a header says about how one of its frames looks."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.functional_groups import (
    PER_FRAME,
    Groups,
    functional_groups,
    items_of,
    pixel_height,
)
from pacs_cloud.dicom.pixel_format import PixelFormat, stored_format
from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicom.render.grey_shades import (
    GreyTransform,
    LookupTable,
    StoredBits,
    VoiFunction,
    Window,
)
from pacs_cloud.dicom.render.overlays import GROUPS, Overlay, read_overlays
from pacs_cloud.dicom.render.palettes import Palette, read_palette
from pacs_cloud.dicom.render.showable import check_showable
from pacs_cloud.errors import InvalidInstance, Refusal

_XRAY_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
        "1.2.840.10008.5.1.4.1.1.12.2",  # X-Ray Radiofluoroscopic
        "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane, retired
    }
)
_SEGMENTATION_CLASSES: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
)
_COUNT_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.20",  # Nuclear Medicine
        "1.2.840.10008.5.1.4.1.1.128",  # PET
        "1.2.840.10008.5.1.4.1.1.481.2",  # RT Dose
    }
)
"""Their values are counts, which may use few of the shades that their bits have room for."""
_VALUES, _VIEWS = "00289145", "00289132"
"""Pixel Value Transformation and Frame VOI LUT."""
_OVERLAY_FRAMES: Final = tuple(f"{group:04X}0015" for group in GROUPS)
"""Number of Frames in Overlay."""
_LOWEST_CT_NUMBER: Final = -1024
"""Hounsfield units; air is -1000."""
_DISPLAY_RELATIONS: Final = frozenset({"LOG", "DISP"})


@dataclass(frozen=True, slots=True)
class Appearance:
    """How one frame looks.

    Attributes:
        pixel_format: of its cells.
        high_bit: the place of a value's most significant bit.
        is_float: whether its cells are floating point numbers.
        grey: what the values of a grey image go through.
        shown: first and last stored value that are shown where `grey` has no window, None:
            those that the frame has.
        lowest: stored value under which there is only padding; None: nothing is known.
        padding: first and last stored value that stand for no value.
        palette: of a palette colour image.
        overlays: planes over it, in the order of their groups.
        pixel_height: of a pixel that is 1 wide.
    """

    pixel_format: PixelFormat
    high_bit: int
    is_float: bool
    grey: GreyTransform
    shown: tuple[float, float] | None
    lowest: float | None
    padding: tuple[float, float] | None
    palette: Palette | None
    overlays: tuple[Overlay, ...]
    pixel_height: float

    @property
    def is_grey(self) -> bool:
        """Whether a window applies: neither true nor palette colour."""
        return self.pixel_format.samples_per_pixel == 1 and self.palette is None

    @property
    def bits(self) -> StoredBits:
        """How an integer cell holds its value."""
        pixel_format = self.pixel_format
        return StoredBits(
            max(pixel_format.bits_allocated, 8),
            pixel_format.bits_stored,
            self.high_bit,
            pixel_format.is_signed,
        )

    def with_format(self, pixel_format: PixelFormat) -> "Appearance":
        """Return this for a frame that was decoded to another format, its values right-aligned."""
        if pixel_format == self.pixel_format:
            return self
        return replace(self, pixel_format=pixel_format, high_bit=pixel_format.bits_stored - 1)


def read_appearance(image: DataSet, frame: int, pixel_tag: str = PIXEL_DATA) -> Appearance:
    """Return how a frame looks by its instance's header.

    Args:
        image: the header, with its bulk values of palettes, lookup tables and overlays.
        frame: 1 for the first.
        pixel_tag: of its pixel data, floating point or not.

    Raises:
        InvalidInstance: UNREADABLE, its Image Pixel module or its palette is broken; and as
            `check_showable`.
    """
    is_float = pixel_tag != PIXEL_DATA
    pixel_format, high_bit = stored_format(image, pixel_tag)
    check_showable(pixel_format)
    groups = functional_groups(image, frame)
    photometric = pixel_format.photometric_interpretation
    palette = read_palette(image) if photometric == "PALETTE COLOR" else None
    if photometric == "PALETTE COLOR" and palette is None:
        raise InvalidInstance("A palette colour image has no palette.", Refusal.UNREADABLE)
    grey = _grey(image, groups, photometric)
    if is_float and grey.window is not None and grey.window.function is VoiFunction.LINEAR:
        # LINEAR counts in whole numbers: of fractions it would make black and white.
        grey = grey.windowed(replace(grey.window, function=VoiFunction.LINEAR_EXACT))
    return Appearance(
        pixel_format=pixel_format,
        high_bit=high_bit,
        is_float=is_float,
        grey=grey,
        lowest=_lowest(image, grey),
        shown=_shown(image, pixel_format, is_float=is_float),
        padding=padding_of(image, pixel_format, is_float=is_float),
        palette=palette,
        overlays=tuple(read_overlays(image, frame)),
        pixel_height=pixel_height(image, groups),
    )


def is_same_in_all_frames(image: DataSet) -> bool:
    """Tell whether `read_appearance` returns the same for every frame of an instance."""
    return PER_FRAME not in image.elements and not any(
        (image.number(tag) or 1) > 1 for tag in _OVERLAY_FRAMES if tag in image.elements
    )


def lookup_table(item: DataSet) -> LookupTable | None:
    """Return the table in an item of a LUT sequence, None where it is broken (C.11.1.1)."""
    described = item.numbers("00283002")
    data = item.binary("00283006")
    if not data:  # a single entry, or one that a device wrote with VR US
        data = b"".join(
            (int(entry) & 0xFFFF).to_bytes(2, "little") for entry in item.numbers("00283006")
        )
    if len(described) < 3 or not data:
        return None
    count, first, bits = (int(number) for number in described[:3])
    count = count % (1 << 16) or 1 << 16
    if len(data) < 2 * count and bits <= 8:
        data = b"".join(byte.to_bytes(2, "little") for byte in data)
    entries = data[: min(2 * count, len(data) // 2 * 2)]
    if not entries:
        return None
    highest = int(np.frombuffer(entries, "<u2").max(initial=0))
    top = (1 << min(max(bits, highest.bit_length(), 1), 16)) - 1
    return LookupTable(first, entries, top)


def stored_window(item: DataSet) -> Window | None:
    """Return the first window in `item`, None where it has none that can be used."""
    centers, widths = item.numbers("00281050"), item.numbers("00281051")
    if not centers or not widths or widths[0] <= 0:
        return None
    named = item.text("00281056").upper()
    function = VoiFunction(named) if named in VoiFunction.__members__ else VoiFunction.LINEAR
    if function is VoiFunction.LINEAR and widths[0] < 1:
        function = VoiFunction.LINEAR_EXACT  # a window on fractions, as PET and maps have
    return Window(centers[0], widths[0], function)


def modality_of(item: DataSet) -> GreyTransform | None:
    """Return the modality transformation in `item`, None where it has none."""
    for one in item.items("00283000"):
        if (table := lookup_table(one)) is not None:
            return GreyTransform(modality_lut=table)
    slope, intercept = item.number("00281053"), item.number("00281052")
    if slope is None and intercept is None:
        return None
    return GreyTransform(slope=slope or 1.0, intercept=intercept or 0.0)


def voi_of(item: DataSet, transform: GreyTransform) -> GreyTransform | None:
    """Return `transform` with the VOI LUT or else the window in `item`, None where it has none."""
    for one in item.items("00283010"):
        if (table := lookup_table(one)) is not None:
            return replace(transform, voi_lut=table, window=None)
    window = stored_window(item)
    return None if window is None else transform.windowed(window)


def presentation_of(item: DataSet, transform: GreyTransform) -> GreyTransform:
    """Return `transform` with the Presentation LUT in `item` (PS3.3 C.11.6)."""
    for one in item.items("20500010"):
        if (table := lookup_table(one)) is not None:
            return replace(transform, presentation_lut=table, is_inverse=False)
    shape = item.text("20500020").upper()
    return replace(transform, is_inverse=shape == "INVERSE") if shape else transform


def _grey(image: DataSet, groups: Groups, photometric: str) -> GreyTransform:
    is_display_ready = (
        image.text("00080016") in _XRAY_CLASSES and image.text("00281040") in _DISPLAY_RELATIONS
    )
    transform = None
    # Their window is on stored values, their modality LUT only for measuring (C.8.7.1.1.2).
    if not is_display_ready:
        transform = next(filter(None, map(modality_of, (*items_of(groups, _VALUES), image))), None)
    transform = transform or GreyTransform()
    for view in (*items_of(groups, _VIEWS), image):
        if (viewed := voi_of(view, transform)) is not None:
            transform = viewed
            break
    transform = replace(transform, is_inverse=photometric == "MONOCHROME1")
    return presentation_of(image, transform)


def _shown(
    image: DataSet, pixel_format: PixelFormat, *, is_float: bool
) -> tuple[float, float] | None:
    """Return which values are shown without a window: what 8 bits hold is as it should look."""
    sop_class = image.text("00080016")
    bits = pixel_format.bits_stored
    if sop_class in _SEGMENTATION_CLASSES and bits > 1:
        highest = image.number("0062000E")  # Maximum Fractional Value
        return (0.0, highest) if highest and image.text("00620001") == "FRACTIONAL" else None
    if is_float or bits not in {1, 8} or sop_class in _COUNT_CLASSES:
        return None
    least, greatest = pixel_format.stored_range
    return float(least), float(greatest)


def _lowest(image: DataSet, grey: GreyTransform) -> float | None:
    """Return the stored value of the lowest CT number: scanners pad with lower ones."""
    if image.text("00080060") != "CT" or grey.modality_lut is not None or grey.slope <= 0:
        return None
    return (_LOWEST_CT_NUMBER - grey.intercept) / grey.slope


def padding_of(
    image: DataSet, pixel_format: PixelFormat, *, is_float: bool
) -> tuple[float, float] | None:
    """Return the first and last stored value that stand for no value (PS3.3 C.7.5.1.1.2)."""
    tags = ("00280120", "00280121")
    if is_float:
        is_single = pixel_format.bits_allocated == 32
        tags = ("00280122", "00280124") if is_single else ("00280123", "00280125")
    value = image.number(tags[0])
    if value is None:
        return None
    limit = image.number(tags[1])
    ends = [value, value if limit is None else limit]
    if not is_float and pixel_format.is_signed:
        # Written as US by some: the same bits as a signed value.
        half = 1 << pixel_format.bits_allocated - 1
        ends = [end - 2 * half if end >= half else end for end in ends]
    return min(ends), max(ends)

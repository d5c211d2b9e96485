"""A softcopy presentation state: how an image is to be shown (PS3.3 A.33, PS3.4 N.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.appearance import modality_of, presentation_of, voi_of
from pacs_cloud.dicom.render.graphics import Label, Mark, read_labels, read_layers, read_marks
from pacs_cloud.dicom.render.grey_shades import GreyTransform
from pacs_cloud.dicom.render.overlays import Overlay, read_overlays
from pacs_cloud.dicom.render.palettes import Palette, read_palette
from pacs_cloud.dicom.render.shutters import Shutter, read_shutters
from pacs_cloud.dicom.render.viewport import Region

GREYSCALE_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
COLOUR_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.2"
PSEUDO_COLOUR_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.3"
SHOWN_STATES: Final = frozenset({GREYSCALE_STATE, COLOUR_STATE, PSEUDO_COLOUR_STATE})

_MAX_MAGNIFICATION: Final = 8.0


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that a state is about.

    Attributes:
        series_instance_uid: its series.
        sop_instance_uid: itself.
        frames: 1 for the first; none: all of them.
    """

    series_instance_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PresentationState:
    """What a state says about one frame.

    Attributes:
        grey: what stored values go through; None leaves the image's own.
        palette: that shades of grey are shown in.
        area: the displayed area, in pixels of the image; it may reach beyond it.
        magnification: of the displayed area, where no viewport is given.
        pixel_height: of a pixel that is 1 wide; None: as the image says.
        rotation: clockwise, 0 to 3 quarter turns, before the flip.
        flips: left and right are exchanged.
        shutters: outside of which nothing is shown.
        overlays: planes of the state.
        overlay_groups: groups of the image's planes that are shown.
        marks: lines and points.
        labels: texts.
    """

    grey: GreyTransform | None
    palette: Palette | None
    area: Region | None
    magnification: float
    pixel_height: float | None
    rotation: int
    flips: bool
    shutters: tuple[Shutter, ...]
    overlays: tuple[Overlay, ...]
    overlay_groups: frozenset[int]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]


def references(state: DataSet) -> tuple[Reference, ...]:
    """Return the images that a state is about, in its order (PS3.3 C.11.11)."""
    return tuple(
        Reference(
            series.text("0020000E"),
            image.text("00081155"),
            tuple(int(frame) for frame in image.numbers("00081160")),
        )
        for series in state.items("00081115")
        for image in series.items("00081140")
    )


def read_state(
    state: DataSet, sop_instance_uid: str, frame: int, *, with_graphics: bool = True
) -> PresentationState:
    """Return what a state says about one frame.

    Args:
        state: its header, with the bulk values of its tables and planes.
        sop_instance_uid: of the image.
        frame: 1 for the first.
        with_graphics: whether its texts, lines and planes are wanted, which may name a patient.

    Raises:
        InvalidInstance: UNREADABLE, its palette is broken.
    """

    def about(tag: str) -> Iterator[DataSet]:
        return (item for item in state.items(tag) if _is_about(item, sop_instance_uid, frame))

    grey = None
    if state.text("00080016") != COLOUR_STATE:
        # What the state does not have is not done: its image's own is not used (PS3.4 N.2.1).
        grey = modality_of(state) or GreyTransform()
        for item in about("00283110"):
            if (viewed := voi_of(item, grey)) is not None:
                grey = viewed
                break
        grey = presentation_of(state, grey)
    shown = next(about("0070005A"), DataSet({}))
    own = {overlay.group: overlay for overlay in read_overlays(state, 1)}
    active = frozenset(
        group for group in range(0x6000, 0x6020, 2) if state.text(f"{group:04X}1001")
    )
    layers = read_layers(state)
    annotations = list(about("00700001")) if with_graphics else []
    planes = sorted(active & own.keys()) if with_graphics else []
    return PresentationState(
        grey=grey,
        palette=read_palette(state),
        area=_area(shown),
        magnification=_magnification(shown),
        pixel_height=_pixel_height(shown),
        rotation=int(state.number("00700042") or 0) // 90 % 4,
        flips=state.text("00700041") == "Y",
        shutters=tuple(read_shutters(state)),
        overlays=tuple(own[group] for group in planes),
        overlay_groups=active - own.keys() if with_graphics else frozenset(),
        marks=tuple(mark for item in annotations for mark in read_marks(item, layers)),
        labels=tuple(label for item in annotations for label in read_labels(item, layers)),
    )


def _is_about(item: DataSet, sop_instance_uid: str, frame: int) -> bool:
    named = item.items("00081140")
    return not named or any(
        one.text("00081155") == sop_instance_uid
        and (not (frames := one.numbers("00081160")) or frame in frames)
        for one in named
    )


def _area(shown: DataSet) -> Region | None:
    """Return the area between its corners, which count from 1 (PS3.3 C.10.4)."""
    first, last = shown.numbers("00700052"), shown.numbers("00700053")
    if len(first) < 2 or len(last) < 2:
        return None
    # Turned or flipped, the corner on top left is another one of the image.
    columns, rows = sorted((first[0], last[0])), sorted((first[1], last[1]))
    return Region(columns[0] - 1, rows[0] - 1, columns[1], rows[1])


def _magnification(shown: DataSet) -> float:
    if shown.text("00700100") != "MAGNIFY":
        return 1.0
    ratio = shown.number("00700103") or 1.0
    return min(max(ratio, 1 / _MAX_MAGNIFICATION), _MAX_MAGNIFICATION)


def _pixel_height(shown: DataSet) -> float | None:
    for tag in ("00700101", "00700102"):
        pair = shown.numbers(tag)
        if len(pair) >= 2 and min(pair) > 0:
            return pair[0] / pair[1]
    return None

"""What a viewer has to know of an image beside its pixels: size, spacing, windows, directions."""

from typing import Any, Final

from pacs_cloud.dicom.element_values import DataSet, number, values
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.functional_groups import Groups, functional_groups, items_of, pixel_height
from pacs_cloud.web.light.frame_order import Place

_MEASURES, _ORIENTATION, _POSITION = "00289110", "00209116", "00209113"
_VOI, _VALUES, _ANATOMY = "00289132", "00289145", "00209071"
_MOST_WINDOWS: Final = 8
_MOST_BITS: Final = 32
_AIR_HU, _METAL_HU = -1024.0, 3071.0
_HIGHEST_RATE: Final = 240.0


def place_of(uid: str, header: Elements, frame: int = 1) -> Place:
    """Return where a frame of an image belongs in its series."""
    image, groups = _frame(header, frame)
    return Place(
        uid,
        image.number("00200013") or 0.0,
        image.number("00200012") or 0.0,
        _numbers(image, groups, _ORIENTATION, "00200037", 6),
        _numbers(image, groups, _POSITION, "00200032", 3),
    )


def look_of(header: Elements, frame: int = 1) -> dict[str, Any]:
    """Return what is mostly the same in all images of a series, as JSON.

    `spacing` is of rows and columns in mm, `projected` where it is that of the detector; `tall` is
    a pixel's height by its width; `directions` are the cosines of a row and a column in the
    coordinates that `space` names, `sides` the letters that say the same of a projection; `range`
    is what stored values can mean.
    """
    image, groups = _frame(header, frame)
    spacing, is_projected = _spacing(image, groups)
    directions = _numbers(image, groups, _ORIENTATION, "00200037", 6)
    sides = (image.text("00200062"), *(one.text("00209072") for one in items_of(groups, _ANATOMY)))
    is_palette = image.text("00280004") == "PALETTE COLOR"
    is_colour = (image.number("00280002") or 1) > 1 or is_palette
    look: dict[str, Any] = {
        "columns": int(image.number("00280011") or 0),
        "rows": int(image.number("00280010") or 0),
        "tall": round(pixel_height(image, groups), 6),
        "spacing": list(spacing) or None,
        "projected": is_projected,
        "directions": [round(one, 6) for one in directions] or None,
        "space": image.text("00200052"),
        "sides": [str(one) for one in values(header, "00200020")][:2] or None,
        "laterality": next(filter(None, sides), image.text("00200060")),
        "colour": is_colour,
    }
    if not is_colour:
        low, high = _range(image, groups)
        look["range"] = [low, high]
        look["unit"] = _unit(image, groups)
    return {name: value for name, value in look.items() if value not in (None, "", False)}


def windows_of(header: Elements, frame: int = 1) -> list[list[Any]]:
    """Return the windows that a frame of an image names: centre, width, what they are for."""
    image, groups = _frame(header, frame)
    for one in (*items_of(groups, _VOI), image):
        centers, widths = one.numbers("00281050"), one.numbers("00281051")
        named = [str(value) for value in values(one.elements, "00281055")]
        found = [
            [center, width, named[at] if at < len(named) else ""]
            for at, (center, width) in enumerate(zip(centers, widths, strict=False))
            if width >= 1
        ]
        if found:
            return found[:_MOST_WINDOWS]
    return []


def rate_of(header: Elements) -> float | None:
    """Return how many frames a second it is shown at (PS3.3 C.7.6.5); None: it does not say."""
    for tag in ("00082144", "00180040"):
        if (rate := number(header, tag)) and 0 < rate <= _HIGHEST_RATE:
            return rate
    frame_ms = number(header, "00181063")
    if frame_ms and frame_ms >= 1000 / _HIGHEST_RATE:
        return round(1000 / frame_ms, 2)
    return None


def _frame(header: Elements, frame: int) -> tuple[DataSet, Groups]:
    image = DataSet(header)
    return image, functional_groups(image, frame)


def _numbers(image: DataSet, groups: Groups, macro: str, tag: str, count: int) -> tuple[float, ...]:
    """Return the numbers of a macro, else of the image; none where there are not `count`."""
    some = (one.numbers(tag) for one in (*items_of(groups, macro), image))
    return next((found for found in some if len(found) == count), ())


def _spacing(image: DataSet, groups: Groups) -> tuple[tuple[float, ...], bool]:
    """Return it, and whether it is the detector's: so is one that is the same (10.7.1.3)."""
    detector = image.numbers("00181164")[:2]
    for one in (*items_of(groups, _MEASURES), image):
        found = one.numbers("00280030")[:2]
        if len(found) == 2 and min(found) > 0:
            return found, found == detector
    return (detector, True) if len(detector) == 2 and min(detector) > 0 else ((), False)


def _rescale(image: DataSet, groups: Groups) -> DataSet:
    """Return what says what stored values mean."""
    some = (one for one in items_of(groups, _VALUES) if "00281053" in one.elements)
    return next(some, image)


def _range(image: DataSet, groups: Groups) -> tuple[float, float]:
    """Return the least and the largest value that a pixel can mean."""
    bits = max(1, min(int(image.number("00280101") or 8), _MOST_BITS))
    is_signed = image.number("00280103") == 1
    least, most = image.number("00280106"), image.number("00280107")
    is_said = least is not None and most is not None and least < most
    if least is None or most is None or not is_said:
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    rescale = _rescale(image, groups)
    slope, intercept = rescale.number("00281053") or 1.0, rescale.number("00281052") or 0.0
    ends = sorted((least * slope + intercept, most * slope + intercept))
    if not is_said and _unit(image, groups) == "HU":
        # Sixteen bits hold more than there is: from air to metal.
        ends = max(ends[0], _AIR_HU), min(ends[1], _METAL_HU)
    return round(ends[0], 3), round(ends[1], 3)


def _unit(image: DataSet, groups: Groups) -> str:
    named = _rescale(image, groups).text("00281054")
    if named and named != "US":
        return named
    return "HU" if image.text("00080060") == "CT" and not named else ""

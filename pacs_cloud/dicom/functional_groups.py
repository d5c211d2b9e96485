"""What is said of one frame: in its functional groups, else in the image (PS3.3 C.7.6.16)."""

from typing import TypeAlias

from pacs_cloud.dicom.element_values import DataSet

SHARED, PER_FRAME = "52009229", "52009230"

Groups: TypeAlias = tuple[DataSet, ...]


def functional_groups(image: DataSet, frame: int) -> Groups:
    """Return the functional groups of a frame, its own before those of all frames.

    Args:
        image: its instance's header.
        frame: 1 for the first.
    """
    both = (image.item(PER_FRAME, frame - 1), image.item(SHARED, 0))
    return tuple(filter(None, both))


def items_of(groups: Groups, macro: str) -> Groups:
    """Return the items of a macro's sequence in functional groups."""
    return tuple(one for group in groups for one in group.items(macro))


def pixel_height(image: DataSet, groups: Groups) -> float:
    """Return how high a pixel is that is 1 wide."""
    ratio = image.numbers("00280034")
    spacings = [one.numbers("00280030") for one in (*items_of(groups, "00289110"), image)]
    spacings += [image.numbers("00181164"), image.numbers("00182010")]
    for height, width in (pair[:2] for pair in (ratio, *spacings) if len(pair) >= 2):
        if height > 0 and width > 0:
            return height / width
    return 1.0

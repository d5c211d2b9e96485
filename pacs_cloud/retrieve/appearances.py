"""How frames look, read from their headers once for all that look the same."""

from typing import Final

from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.render.appearance import Appearance, is_same_in_all_frames, read_appearance
from pacs_cloud.retrieve.cache import BoundedCache
from pacs_cloud.retrieve.instances import Located

_MAX_BYTES: Final = 16 << 20
_APPEARANCE_BYTES: Final = 4096
"""Of one in memory, with its key, without its tables and planes."""


class Appearances:
    """Reads how frames look, and keeps the latest."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._kept: BoundedCache[Appearance] = BoundedCache(_MAX_BYTES, "appearances")

    async def read(
        self, located: Located, header: DataSet, number: int, *, with_overlays: bool
    ) -> Appearance:
        """Return how a frame looks.

        Args:
            located: the instance, which has pixels.
            header: of it.
            number: of the frame, 1 for the first.
            with_overlays: whether `header` has the data of its overlay planes.

        Raises:
            InvalidInstance: as `read_appearance`.
        """
        pixels = located.instance.pixels
        assert pixels is not None
        tag = pixels.tag
        key = (
            *located.shown_key,
            str(with_overlays),
            "" if is_same_in_all_frames(header) else str(number),
        )

        async def load() -> tuple[Appearance, int]:
            appearance = read_appearance(header, number, tag)
            return appearance, _size_bytes(appearance)

        return self._kept.peek(key) or await self._kept.get(key, load)


def _size_bytes(appearance: Appearance) -> int:
    grey, palette = appearance.grey, appearance.palette
    tables = (grey.modality_lut, grey.voi_lut, grey.presentation_lut)
    return (
        _APPEARANCE_BYTES
        + sum(len(table.entries) for table in tables if table is not None)
        + sum(len(overlay.bits) for overlay in appearance.overlays)
        + (0 if palette is None else len(palette.rgb))
    )

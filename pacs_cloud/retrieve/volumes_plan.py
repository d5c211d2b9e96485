"""Which frames of a series make its volume, found from headers; nothing is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.coding.frame_decoding import can_decode
from pacs_cloud.dicom.element_values import DataSet
from pacs_cloud.dicom.volume.grid import BYTES, Grid, full_size, grid_of
from pacs_cloud.dicom.volume.slices import Slice, read_slice
from pacs_cloud.dicom.volume.stacks import Stack, stack_of
from pacs_cloud.errors import InvalidInstance, NotAcceptable, NotFound
from pacs_cloud.retrieve.depiction import Kind, kind_of
from pacs_cloud.retrieve.frames import frame_table
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.tables import header_in

MAX_VOXELS: Final = 1_000_000_000
MAX_SLICES: Final = 20_000
_MAX_SLICE_VALUES: Final = 1 << 24
"""4096 by 4096; some are under way at once, and worked on as numbers of 8 bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a series becomes a volume.

    Attributes:
        frames: by the order of the stack: the instance, and the number of its frame.
        stack: their geometry.
        grid: where the volume's values will lie.
        notes: what was left out, filled in or made coarser, in words.
    """

    frames: tuple[tuple[Located, int], ...]
    stack: Stack
    grid: Grid
    notes: tuple[str, ...]


def plan_of(series: Sequence[Located], headers: Sequence[bytes], max_bytes: int) -> Plan:
    """Return how a series becomes a volume; it may take a second of computing.

    Args:
        series: its instances.
        headers: of each one's pack.
        max_bytes: that its values may take.

    Raises:
        NotAcceptable: it becomes none; says why.
    """
    slices: list[Slice] = []
    frames: list[tuple[Located, int]] = []
    why_not: NotAcceptable | None = None
    left_out = 0
    for located, pack_headers in zip(series, headers, strict=True):
        if kind_of(located) is not Kind.IMAGE:
            continue
        try:
            for number, one in _slices(located, pack_headers):
                slices.append(one)
                frames.append((located, number))
        except NotAcceptable as error:
            why_not = why_not or error
            left_out += 1
        if len(slices) > MAX_SLICES:
            raise NotAcceptable("It has too many images for one volume.")
    if not slices:
        raise why_not or NotAcceptable("It has no images.")
    stack = stack_of(slices)
    size = full_size(stack)
    if size[1] * size[2] > _MAX_SLICE_VALUES:
        raise NotAcceptable(
            "Its images are too large for a volume: of more than 16 million values."
        )
    if size[0] * size[1] * size[2] > MAX_VOXELS:
        raise NotAcceptable("It is too large for a volume: of more than a thousand million values.")
    grid = grid_of(stack, max_bytes)
    notes = list(stack.notes)
    if left_out:
        notes.insert(0, f"{left_out} images that no volume can be made of: left out.")
    if max(grid.steps) > 1:
        mebibytes = size[0] * size[1] * size[2] * BYTES >> 20
        notes.append(f"Coarser than acquired, which would take {mebibytes} MiB of memory.")
    return Plan(tuple(frames[n] for n in stack.members), stack, grid, tuple(notes))


def _slices(located: Located, pack_headers: bytes) -> list[tuple[int, Slice]]:
    """Return the frames of an instance with their numbers; raises NotAcceptable."""
    instance = located.instance
    pixels = instance.pixels
    assert pixels is not None
    try:
        count = len(frame_table(located))
    except NotFound as error:
        raise NotAcceptable(str(error)) from error
    if not count:
        raise NotAcceptable("Its pixel data is cut short: no frame is there whole.")
    if count > MAX_SLICES:
        raise NotAcceptable("It has too many images for one volume.")
    header = DataSet(header_in(pack_headers, located.pack, instance))
    try:
        found = [(n, read_slice(header, n, pixels.tag)) for n in range(1, count + 1)]
    except InvalidInstance as error:
        raise NotAcceptable(f"Its images cannot be read. {error}") from error
    described = found[0][1].pixel_format
    if pixels.encapsulated and not can_decode(
        instance.transfer_syntax_uid,
        bits_allocated=described.bits_allocated,
        bits_stored=described.bits_stored,
    ):
        raise NotAcceptable("Its transfer syntax cannot be decoded.")
    if (described.rows, described.columns) != (pixels.rows, pixels.columns):
        raise NotAcceptable("Its images are not of the size that they are said to be.")
    return found

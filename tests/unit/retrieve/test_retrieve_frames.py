"""Frames in fragments: their bytes, and how few reads they take."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from retrieve_making import fragmented, part10, rle, shelved

from pacs_cloud.dicom.frames import NativeFrames
from pacs_cloud.dicom.render.frame_picture import Wanted
from pacs_cloud.dicom.uid import EXPLICIT_LE
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.retrieve.pieces import stream
from pacs_cloud.retrieve.shown_frames import Shown
from rendering_samples import make_image


@pytest.mark.parametrize("side", [16, 2200])
async def test_a_frame_in_fragments_is_one_ranged_read(tmp_path: Path, side: int) -> None:
    pixels = random.Random(side).randbytes(side * side)
    codestream = rle(pixels)
    image = make_image(np.zeros((side, side), np.uint8))
    file = part10(fragmented(image, codestream, fragments=7))
    async with shelved(tmp_path, file) as made:
        located = await made.locate("1.2.3.4")
        frames = made.archive.frames
        assert len(frames.pieces(located, 1)) == 7

        made.objects.asked.clear()
        assert (await frames.data(located, 1)).rstrip(b"\0") == codestream.rstrip(b"\0")
        assert made.objects.reads == 1

        made.objects.asked.clear()
        sent = [chunk async for chunk in stream(made.objects, frames.pieces(located, 1))]
        assert b"".join(sent).rstrip(b"\0") == codestream.rstrip(b"\0")
        assert made.objects.reads == 1

        await made.archive.transcoder.made(located, 1, EXPLICIT_LE)  # its header is kept now
        made.archive.pixel_cache.clear()
        made.objects.asked.clear()
        native, _ = await made.archive.transcoder.made(located, 1, EXPLICIT_LE)
        assert native == pixels
        assert made.objects.reads == 1


def _with_a_frame_of(located: Located, length_bytes: int) -> Located:
    """Return an instance whose table says that so much is stored of its frame."""
    pixels = located.instance.pixels
    assert pixels is not None
    frames = NativeFrames(pixels.offset, length_bytes * 8, 1)
    pixels = replace(pixels, length=length_bytes, frames=frames)
    return replace(located, instance=located.instance._replace(pixels=pixels))


@pytest.mark.parametrize(("side", "stored_bytes"), [(40_000, 70), (16, (1 << 30) + 1)])
async def test_of_a_frame_too_large_to_be_worked_on_nothing_is_read(
    tmp_path: Path, side: int, stored_bytes: int
) -> None:
    image = fragmented(make_image(np.zeros((2, 2), np.uint8)), bytes(70))
    image.Rows = image.Columns = side
    async with shelved(tmp_path, part10(image)) as made:
        located = _with_a_frame_of(await made.locate("1.2.3.4"), stored_bytes)
        with pytest.raises(NotAcceptable):
            await made.archive.transcoder.frame_bytes(located, 1, EXPLICIT_LE)
        with pytest.raises(NotAcceptable):
            await made.archive.renderer.picture(Shown(located, 1), Wanted())
        assert made.pixel_reads(located) == 0

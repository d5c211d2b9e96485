"""What is read to render a frame, where it is rendered, and how many large ones at a time."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from retrieve_making import CountingStore, fragmented, part10, rle, shelved

from pacs_cloud.dicom.render import frame_picture
from pacs_cloud.dicom.render.frame_picture import Frame, Wanted
from pacs_cloud.dicom.render.picture import JPEG, PNG
from pacs_cloud.dicom.render.viewport import Viewport
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve.rendered import PATIENT
from pacs_cloud.retrieve.shown_frames import Shown
from rendering_samples import make_image

GREY = np.zeros((512, 512), np.uint16)


async def test_of_a_frame_too_large_to_be_shown_no_pixel_is_read(tmp_path: Path) -> None:
    image = fragmented(make_image(np.zeros((2, 2), np.uint8)), bytes(70))
    image.Rows = image.Columns = 20_000
    async with shelved(tmp_path, part10(image)) as made:
        located = await made.locate("1.2.3.4")
        with pytest.raises(NotAcceptable, match="too large"):
            await made.archive.renderer.picture(Shown(located, 1), Wanted())
        assert made.pixel_reads(located) == 0


def _viewport(side: int) -> Viewport:
    return Viewport(side, side)


@pytest.mark.parametrize(
    ("pixels", "wanted", "annotation", "where"),
    [
        (GREY, Wanted(), (), "loop"),
        (GREY, Wanted(viewport=_viewport(700)), (), "loop"),
        (GREY, Wanted(viewport=_viewport(800)), (), "thread"),
        (GREY, Wanted(viewport=_viewport(1025)), (), "worker"),
        (GREY, Wanted(PNG), (), "thread"),
        (GREY, Wanted(), (PATIENT,), "worker"),
        (np.zeros((800, 800), np.uint8), Wanted(), (), "thread"),
        (np.zeros((64, 64), np.uint32), Wanted(), (), "thread"),
        (np.zeros((64, 64, 3), np.uint8), Wanted(), (), "thread"),
        (np.zeros((1024, 1024), np.uint16), Wanted(), (), "thread"),
        (np.zeros((1024, 1025), np.uint16), Wanted(), (), "worker"),
    ],
)
async def test_what_is_rendered_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pixels: np.ndarray,
    wanted: Wanted,
    annotation: tuple[str, ...],
    where: str,
) -> None:
    seen: list[str] = []
    render = frame_picture.picture

    def watched(frame: Frame, asked: Wanted) -> bytes:
        is_here = threading.current_thread() is threading.main_thread()
        seen.append("loop" if is_here else "thread")
        return render(frame, asked)

    async with shelved(tmp_path, part10(make_image(pixels))) as made:
        located = await made.locate("1.2.3.4")
        renderer = made.archive.renderer
        if where != "worker":  # to which a function is sent by its name
            monkeypatch.setattr(frame_picture, "picture", watched)
        picture = await renderer.picture(Shown(located, 1), wanted, annotation)
        assert len(picture) > 100
        assert (seen or ["worker"]) == [where]
        assert len(made.archive.workers.pids) == (where == "worker")


async def test_what_is_compressed_is_rendered_by_a_worker(tmp_path: Path) -> None:
    image = fragmented(make_image(np.zeros((2, 2), np.uint8)), rle(bytes(4)))
    async with shelved(tmp_path, part10(image)) as made:
        located = await made.locate("1.2.3.4")
        await made.archive.renderer.picture(Shown(located, 1), Wanted())
        assert len(made.archive.workers.pids) == 1


class HoldingStore(CountingStore):
    """Holds large reads up until it is told to go on, and counts those that wait."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may_go_on = asyncio.Event()
        self.held = 0

    async def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if end is not None and end - start > 1 << 20:
            self.held += 1
            await self.may_go_on.wait()
        return await super().get(key, start, end)


@pytest.mark.parametrize(("side", "most"), [(1100, 8), (900, 12)])
async def test_large_frames_are_in_memory_a_few_at_a_time(
    tmp_path: Path, side: int, most: int
) -> None:
    frames = 12
    pixels = np.zeros((side * frames, side), np.uint16)
    image = make_image(pixels, Rows=side, NumberOfFrames=frames)
    async with shelved(tmp_path, part10(image), objects=HoldingStore) as made:
        assert isinstance(made.objects, HoldingStore)
        renderer, located = made.archive.renderer, await made.locate("1.2.3.4")
        wanted = Wanted(JPEG, viewport=_viewport(16))
        asked = [
            asyncio.create_task(renderer.picture(Shown(located, number), wanted))
            for number in range(1, frames + 1)
        ]
        while made.objects.held < most:
            await asyncio.sleep(0.005)
        for _ in range(100):  # whoever else may go on does
            await asyncio.sleep(0)
        assert made.objects.held == most
        made.objects.may_go_on.set()
        assert len(await asyncio.gather(*asked)) == frames
        assert made.objects.held == frames

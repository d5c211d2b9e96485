"""What a presentation state shows: found by few look-ups, each frame once."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from retrieve_making import TENANT, Shelved, part10, shelved

from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.retrieve.shown_frames import MAX_IMAGES
from pacs_cloud.security.caller import system
from presentation_samples import make_state, reference
from rendering_samples import make_image

STATE = "1.2.3.9"


def image_of(number: int, frames: int = 1) -> Dataset:
    pixels = np.zeros((2 * frames, 2), np.uint8)
    return make_image(pixels, Rows=2, NumberOfFrames=frames, SOPInstanceUID=f"1.2.3.5.{number}")


def state_of(*references: Dataset) -> bytes:
    """Return a state about images of the series that `image_of` names."""
    series = Dataset()
    series.SeriesInstanceUID = image_of(1).SeriesInstanceUID
    series.ReferencedImageSequence = list(references)
    return make_state(image_of(1), STATE, ReferencedSeriesSequence=[series])


def opened(
    folder: Path, images: Sequence[Dataset], *references: Dataset
) -> AbstractAsyncContextManager[Shelved]:
    return shelved(folder, *map(part10, images), state_of(*references))


async def presented(made: Shelved) -> list[tuple[str, int]]:
    state = await made.locate(STATE)
    made.catalogue.lookups = 0
    found = await made.archive.renderer.shown.presented(system(TENANT), state)
    return [(one.located.instance.sop_instance_uid, one.number) for one in found]


async def test_the_frames_come_in_the_order_of_the_state(tmp_path: Path) -> None:
    images = [image_of(1), image_of(2, 3), image_of(3)]
    named = (reference(images[1], (3, 1)), reference(images[0]))
    async with opened(tmp_path, images, *named) as made:
        assert await presented(made) == [("1.2.3.5.2", 3), ("1.2.3.5.2", 1), ("1.2.3.5.1", 1)]


async def test_a_frame_that_is_named_again_and_again_is_shown_once(tmp_path: Path) -> None:
    image = image_of(1, 3)
    named = [reference(image, (2, 2, 7, 3) * 1000), *[reference(image)] * 1000]
    async with opened(tmp_path, [image], *named) as made:
        assert await presented(made) == [("1.2.3.5.1", number) for number in (2, 3, 1)]
        assert made.catalogue.lookups == 1


async def test_of_many_images_the_first_that_is_here_is_looked_up_alone(tmp_path: Path) -> None:
    images = [image_of(number) for number in range(1, 6)]
    named = [reference(image) for image in (image_of(99), *images)]
    async with opened(tmp_path, images, *named) as made:
        state = await made.locate(STATE)
        made.catalogue.lookups = 0
        shown = made.archive.renderer.shown
        (first,) = [one async for one in shown.standing_for(system(TENANT), (state,), None)]
        assert first.located.instance.sop_instance_uid == "1.2.3.5.1"
        assert first.state == state
        assert made.catalogue.lookups == 2  # the one that is not here, and the first that is


async def test_no_image_that_is_here(tmp_path: Path) -> None:
    async with opened(tmp_path, [], reference(image_of(1))) as made:
        with pytest.raises(NotFound):
            await presented(made)
        with pytest.raises(NotFound):
            await made.archive.renderer.shown.first_presented(
                system(TENANT), await made.locate(STATE)
            )


async def test_more_images_than_anybody_looks_at_are_not_looked_up(tmp_path: Path) -> None:
    named = [reference(image_of(number)) for number in range(MAX_IMAGES + 1)]
    async with opened(tmp_path, [], *named) as made:
        with pytest.raises(NotAcceptable, match="images"):
            await presented(made)
        assert made.catalogue.lookups == 0

"""Stored videos as they are handed out."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41
from retrieve_making import part10, shelved

from pacs_cloud.errors import NotAcceptable
from rendering_samples import make_image

BEGIN = b"\0\0\0\x18ftypmp42"


def video(fragments: int) -> Dataset:
    dataset = make_image(np.zeros((2, 2), np.uint8), SOPInstanceUID="1.2.3.5.1")
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41
    stream = BEGIN + bytes(64 * fragments)
    dataset.PixelData = encapsulate([stream], fragments_per_frame=fragments, has_bot=False)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("fragments", [1, 3])
async def test_a_video_is_handed_out_whole(tmp_path: Path, fragments: int) -> None:
    async with shelved(tmp_path, part10(video(fragments))) as made:
        located = await made.locate("1.2.3.5.1")
        media_type, pieces = await made.archive.renditions.video(located)
        assert media_type == "video/mp4"
        assert len(pieces) == fragments


async def test_a_video_in_too_many_fragments_is_refused_and_not_cut(tmp_path: Path) -> None:
    async with shelved(tmp_path, part10(video(10_001))) as made:
        located = await made.locate("1.2.3.5.1")
        with pytest.raises(NotAcceptable, match="too many fragments"):
            await made.archive.renditions.video(located)

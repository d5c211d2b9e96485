"""Damaged codestreams, asked for frame by frame: refused or decoded, and the archive goes on."""

import random
from pathlib import Path

import numpy as np
import pytest
from dicomweb_archive import served
from test_dicomweb_transcoding import compressed

from pacs_cloud.dicom import uid
from pacs_cloud.dicom.coding.frame_encoding import ENCODABLE, encode_frame
from pacs_cloud.dicom.pixel_format import PixelFormat

FRAMES = 40
SIDE = 64
GREY = PixelFormat(SIDE, SIDE, 1, 8, 8, 0, "MONOCHROME2")


def damaged(codestream: bytes, dice: random.Random) -> bytes:
    """Return a codestream with a few bytes changed, cut off, or repeated."""
    data = bytearray(codestream)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                data[at : at + 4] = b"\xff\xff\xff\xff"
            case 2:
                data[at:at] = data[max(0, at - 16) : at]
            case _:
                del data[at : at + dice.randrange(1, 64)]
    return bytes(data) or b"\0"


def instance(sop: str, syntax: str, seed: int) -> bytes:
    dice = random.Random(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    pixels = ((np.sin(x / 9) * np.cos(y / 7) + 1) * 120).astype(np.uint8).tobytes()
    codestream, _ = encode_frame(pixels, GREY, syntax)
    frames = [codestream, *(damaged(codestream, dice) for _ in range(FRAMES - 1))]
    return compressed(sop, frames, syntax, rows=SIDE)


@pytest.mark.parametrize("syntax", ENCODABLE)
async def test_damaged_frames_harm_nothing_but_themselves(tmp_path: Path, syntax: str) -> None:
    sop = "1.2.3.4.1"
    async with served(tmp_path) as archive:
        stored = await archive.store(instance(sop, syntax, ENCODABLE.index(syntax)))
        assert stored.status_code == 200, stored.text
        url = f"/studies/1.2.3.1/series/1.2.3.1.1/instances/{sop}/frames"
        for accept in (
            "application/octet-stream",
            f"image/jls; transfer-syntax={uid.JPEG_LS_LOSSLESS}",
        ):
            statuses = [
                (
                    await archive.client.get(f"{url}/{number}", headers={"accept": accept})
                ).status_code
                for number in range(1, FRAMES + 1)
            ]
            assert statuses[0] == 200
            assert set(statuses) <= {200, 406}
        again = await archive.client.get(f"{url}/1", headers={"accept": "application/octet-stream"})
        assert (again.status_code, len(again.content)) == (200, SIDE * SIDE)
        assert len(archive.services.archive.workers.pids) <= 2

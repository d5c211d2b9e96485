"""Received bytes are not given up for next to nothing, nor before somebody has seen for how much."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from pacs_cloud.custody.repack.plan import LEAST_SAVED_BYTES, RepackTerms
from pacs_cloud.custody.repack.recoding import TARGET
from pacs_cloud.dicom.part10 import read_file_meta
from unit.custody.custody_house import House
from unit.custody.custody_repack import image, packs, repack, shown, store_images

ENCODE = RepackTerms(encode=True)


def large(number: int) -> Dataset:
    """A picture of which more than `LEAST_SAVED_BYTES` can be saved."""
    return image(number, frames=20)


def noise(number: int) -> Dataset:
    """A picture of which next to nothing can be saved: a twentieth of it is plain."""
    ds = image(number, frames=20)
    values = np.frombuffer(ds.PixelData, "<u2").copy()
    random = np.random.default_rng(number).integers(0, 1 << 16, values.size, "<u2")
    plain = values.size // 40
    values[plain:] = random[plain:]
    ds.PixelData = values.tobytes()
    return ds


async def test_a_small_saving_is_left(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1))
    before = await shown(house)
    assert (await repack(house, tmp_path / "work", terms=ENCODE)).made == 0
    assert await shown(house) == before
    asked = replace(ENCODE, least_saved_bytes=0)
    assert (await repack(house, tmp_path / "work", terms=asked)).recoded == 1


async def test_packs_are_merged_without_it(house: House, tmp_path: Path) -> None:
    for number in (1, 2):
        await store_images(house, image(number))
    before = await shown(house)
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.replaced, done.made, done.recoded) == (2, 1, 0)
    assert await shown(house) == before
    assert not list((tmp_path / "work").iterdir())


async def test_what_saves_enough_together_is_recoded(house: House, tmp_path: Path) -> None:
    for number in (1, 2):
        await store_images(house, large(number))
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.made, done.recoded) == (1, 2)
    assert done.saved_bytes > LEAST_SAVED_BYTES


async def test_an_instance_of_which_little_is_saved_stays_beside_others(
    house: House, tmp_path: Path
) -> None:
    await store_images(house, large(1), noise(2))
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.made, done.recoded) == (1, 1)
    syntaxes = {
        uid: read_file_meta(file).transfer_syntax_uid
        for (_, uid), file in (await shown(house)).items()
    }
    assert [uid[-2:] for uid, syntax in syntaxes.items() if syntax == TARGET] == [".1"]


async def test_a_dry_run_tells_what_it_would_save_and_changes_nothing(
    house: House, tmp_path: Path
) -> None:
    for number in (1, 2):
        await store_images(house, large(number))
    before, keys = await packs(house), await house.keys("")
    would = await repack(house, tmp_path / "work", terms=replace(ENCODE, dry=True))
    assert await packs(house) == before
    assert await house.keys("") == keys
    assert not list((tmp_path / "work").iterdir())
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    # The times in a pack are compressed, too.
    assert would.saved_bytes == pytest.approx(done.saved_bytes, rel=0.01)
    assert replace(would, bytes_after=0) == replace(done, bytes_after=0)

"""Native pixels become HTJ2K where that is lossless and pays, and are the same again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
import zstandard
from blake3 import blake3
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pacs_cloud.catalogue.records import HiddenReason, StudyState
from pacs_cloud.custody.repack import recoding
from pacs_cloud.custody.repack.plan import RepackTerms
from pacs_cloud.custody.repack.recoding import TARGET
from pacs_cloud.dicom.coding.transcode import transcoded_parts
from pacs_cloud.dicom.part10 import read_file_meta
from pacs_cloud.errors import Corrupt
from pacs_cloud.pack.index import PackIndex, decode_headers, decode_table, encode_index, split_index
from unit.custody.custody_house import STUDY, House
from unit.custody.custody_packs import commit, pack_files, put
from unit.custody.custody_repack import (
    LARGE,
    SERIES,
    encoded,
    head,
    image,
    key_of,
    native,
    packs,
    records,
    repack,
    shown,
    store_images,
    table_of,
)

ENCODE = RepackTerms(encode=True, least_saved_bytes=0)


async def table(house: House) -> PackIndex:
    (record,) = await packs(house)
    return await table_of(house, record)


async def state(house: House) -> StudyState:
    found = await house.catalogue.study("default", STUDY)
    assert found is not None
    return found


IMAGES: dict[str, Callable[[int], Dataset]] = {
    "grey": image,
    "frames": lambda number: image(number, frames=3),
    "colour": lambda number: image(number, colour=True, bits=8),
    "colour frames": lambda number: image(number, colour=True, bits=8, frames=2),
    "bytes": lambda number: image(number, bits=8),
}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("kind", IMAGES)
async def test_pixels_and_elements_are_the_same_again(
    house: House, tmp_path: Path, kind: str, syntax: str
) -> None:
    for number in (1, 2):
        await store_images(house, IMAGES[kind](number), syntax=syntax)
    before, files = await records(house), await shown(house)
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.replaced, done.made, done.recoded) == (2, 1, 2)
    (record,) = await packs(house)
    assert done.saved_bytes == done.bytes_before - record.length_bytes > 0
    after = await shown(house)
    assert after.keys() == files.keys()
    for key, file in files.items():
        assert read_file_meta(after[key]).transfer_syntax_uid == TARGET
        assert len(after[key]) < len(file)
        assert native(after[key]) == native(file)
    # The records know the new sizes, and nothing else has changed.
    sizes = sum(map(len, after.values()))
    assert [one.length_bytes for one in (await state(house)).series] == [sizes]
    assert (await state(house)).study.length_bytes == sizes
    assert len(before) == len(await records(house))
    assert await house.findings() == []
    digest = await house.digest()
    assert await house.rebuilt() == digest
    # Once is enough.
    assert (await repack(house, tmp_path / "work", terms=ENCODE)).made == 0


async def test_one_pack_is_recoded_too(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1), image(2))
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.replaced, done.made, done.recoded) == (1, 1, 2)
    assert await house.findings() == []


async def test_the_original_sent_again_is_known(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1), image(2))
    await repack(house, tmp_path / "work", terms=ENCODE)
    for one in (await table(house)).instances:
        assert one.transfer_syntax_uid == TARGET
        assert one.recoded is not None
        assert one.recoded.received_syntax_uid == ExplicitVRLittleEndian
        assert one.stored_digest != one.digest
    await store_images(house, image(1), image(3))
    *_, newest = await packs(house)
    assert dict(newest.hidden) == {f"{SERIES}.1": HiddenReason.DUPLICATE}
    # Merged once more it is still what it was.
    await house.sweep()
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.made, done.instances, done.left_out, done.recoded) == (1, 3, 1, 1)
    assert all(one.recoded is not None for one in (await table(house)).instances)
    assert await house.findings() == []


async def test_other_pixels_in_the_syntax_it_came_in_are_no_variant(
    house: House, tmp_path: Path
) -> None:
    await store_images(house, image(1))
    await repack(house, tmp_path / "work", terms=ENCODE)
    other = image(1)
    other.PixelData = bytes(len(other.PixelData))
    await store_images(house, other)
    *_, newest = await packs(house)
    assert dict(newest.hidden) == {f"{SERIES}.1": HiddenReason.KEPT_FIRST}


async def test_the_index_says_where_the_new_frames_are(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1, frames=3))
    await repack(house, tmp_path / "work", terms=ENCODE)
    (file,) = (await shown(house)).values()
    (one,) = (await table(house)).instances
    dataset = file[one.dataset_offset :]
    assert blake3(dataset).hexdigest() == one.stored_digest
    assert one.pixels is not None
    assert one.pixels.frames is not None
    assert [len(one.pixels.frames.ranges(n)) for n in range(3)] == [1, 1, 1]
    for n in range(3):
        ((start, _),) = one.pixels.frames.ranges(n)
        assert dataset[start : start + 2] == b"\xff\x4f"  # a codestream begins
    (bulk,) = (value for value in one.bulk if value.path != "7FE00010")
    assert dataset[bulk.offset : bulk.offset + bulk.length] == LARGE
    (record,) = await packs(house)
    index = await house.objects.get(key_of(record).index)
    assert decode_headers(split_index(index)[1]).startswith(b'{"00080005"')


def lossy(ds: Dataset) -> None:
    ds.LossyImageCompression = "01"


def lossy_method(ds: Dataset) -> None:
    ds.LossyImageCompressionMethod = "ISO_10918_1"


def signed(ds: Dataset) -> None:
    mac = Dataset()
    mac.MACIDNumber = 1
    ds.MACParametersSequence = Sequence([mac])


def signed_within(ds: Dataset) -> None:
    signature = Dataset()
    signature.MACIDNumber = 1
    ds.ProcedureCodeSequence[0].DigitalSignaturesSequence = Sequence([signature])


def by_plane(ds: Dataset) -> None:
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(63 * 65 * 3 + 1)


def noise(ds: Dataset) -> None:
    ds.PixelData = np.random.default_rng(1).bytes(63 * 65 * 2)


def trailing(ds: Dataset) -> None:
    ds.PixelData += b"something else "


def odd_pad(ds: Dataset) -> None:
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(63 * 65) + b"\x07"


def fewer_frames(ds: Dataset) -> None:
    ds.NumberOfFrames = 2


def single_bits(ds: Dataset) -> None:
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    ds.PixelData = bytes(512)


def no_pixels(ds: Dataset) -> None:
    del ds.PixelData


@pytest.mark.parametrize(
    "change",
    [
        lossy,
        lossy_method,
        signed,
        signed_within,
        by_plane,
        noise,
        trailing,
        odd_pad,
        fewer_frames,
        single_bits,
        no_pixels,
    ],
)
async def test_what_would_lose_or_gains_nothing_stays_as_it_is(
    house: House, tmp_path: Path, change: Callable[[Dataset], None]
) -> None:
    for number in (1, 2):
        ds = image(number)
        change(ds)
        await store_images(house, ds)
    files = await shown(house)
    done = await repack(house, tmp_path / "work", terms=ENCODE)
    assert (done.made, done.recoded) == (1, 0)
    assert await shown(house) == files
    assert await house.findings() == []
    # What has been looked at in vain is not written again and again.
    assert (await repack(house, tmp_path / "work", terms=ENCODE)).made == 0


async def test_some_other_programs_file_stays_as_it_is(house: House, tmp_path: Path) -> None:
    ds = image(1)
    preamble = b"II*\0".ljust(128, b"\1")
    made = pack_files(
        house.clock,
        "default",
        [(preamble + head(ds)[128:], encoded(ds), ExplicitVRLittleEndian)],
    )
    await put(house.objects, made)
    await commit(house.objects, house.catalogue, made, house.clock)
    files = await shown(house)
    assert (await repack(house, tmp_path / "work", terms=ENCODE)).made == 0
    assert await shown(house) == files


async def test_without_asking_nothing_is_recoded(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1))
    await store_images(house, image(2))
    files = await shown(house)
    done = await repack(house, tmp_path / "work")
    assert (done.made, done.recoded) == (1, 0)
    assert await shown(house) == files


def one_pixel_more(dataset: memoryview) -> bytes:
    changed = bytearray(dataset)
    changed[-100] ^= 1
    return bytes(changed)


def another_name(dataset: memoryview) -> bytes:
    return bytes(dataset).replace(b"TEST^RECODE", b"TEST^RECODF")


def another_value(dataset: memoryview) -> bytes:
    return bytes(dataset).replace(LARGE, LARGE[:-1] + b"x")


@pytest.mark.parametrize("change", [one_pixel_more, another_name, another_value])
async def test_a_codec_that_errs_is_found_out(
    house: House,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[memoryview], bytes],
) -> None:
    def erring(dataset: memoryview, syntax: str, target: str) -> Iterator[bytes]:
        changed = change(dataset)
        assert changed != bytes(dataset)
        return transcoded_parts(changed, syntax, target)

    monkeypatch.setattr(recoding, "transcoded_parts", erring)
    await store_images(house, image(1), image(2))
    files = await shown(house)
    assert (await repack(house, tmp_path / "work", terms=ENCODE)).made == 0
    assert await shown(house) == files


async def test_the_index_says_what_it_was(house: House, tmp_path: Path) -> None:
    await store_images(house, image(1))
    await repack(house, tmp_path / "work", terms=ENCODE)
    (record,) = await packs(house)
    blob = await house.objects.get(key_of(record).index)
    found = decode_table(blob)
    assert found == await table(house)
    assert found.merged_rev is not None
    lines = decode_headers(split_index(blob)[1]).splitlines()
    assert decode_table(encode_index(found, lines)) == found
    (one,) = found.instances
    for damaged in ({"digest": 1}, {"digest": "x"}, []):
        row = orjson.loads(zstandard.decompress(split_index(blob)[0]))
        row["instances"][0]["recoded"] = damaged
        with pytest.raises(Corrupt):
            decode_table(zstandard.compress(orjson.dumps(row)))
    assert one.recoded is not None

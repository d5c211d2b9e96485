"""Packs in cold places that only AWS has, and at stores that bring nothing back."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalogue_samples import NOW_US, STUDY, TENANT, Shelf, instance, pack
from objectstore_samples import config_at
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import NeverRestored
from pacs_cloud.objectstore.port import Availability
from pacs_cloud.objectstore.s3 import S3ObjectStore
from pacs_cloud.objectstore.storage_classes import ARCHIVE_ACCESS, RecallSpeed, StorageClass
from pacs_cloud.tiering.lying import note_where
from pacs_cloud.tiering.recall.demand import BeingRecalled, Recalls, RecallWish
from pacs_cloud.tiering.recall.listing import RecallState, recall_of
from pacs_cloud.tiering.recall.marks import key_of, recall_marks
from pacs_cloud.tiering.recall.surprises import ColdBySurprise, NotingObjects
from pacs_cloud.tiering.recall.tending import Tended, tend_recalls
from recall_samples import SECOND_US, Clock
from servers.endpoint import Endpoint
from servers.fixtures import Place, bucket_at
from servers.moody_s3 import Moods, moody

HOUR_US = 3600 * SECOND_US


@pytest.fixture
def moods(moto_endpoint: Endpoint) -> Iterator[Moods]:
    with moody(moto_endpoint) as moods:
        yield moods


@dataclass
class House:
    """An archive of one pack, in a bucket with moods."""

    moods: Moods
    bucket: str
    objects: S3ObjectStore
    catalogue: SqliteCatalogue
    clock: Clock

    async def pack(self) -> PackRecord:
        (found,) = await self.catalogue.packs(TENANT, STUDY)
        return found

    async def key(self) -> str:
        return key_of(await self.pack()).pack

    async def lie_in(self, storage_class: StorageClass, access_tier: str = "") -> None:
        """Put the pack there; its record tells the class."""
        key = await self.key()
        await self.objects.move(key, storage_class)
        names, lie_in = (TENANT, STUDY), {(await self.pack()).pack_id: storage_class.value}
        await note_where(self.catalogue, *names, lie_in, now_us=self.clock())
        if access_tier:
            self.moods.archived[f"/{self.bucket}/{key}"] = access_tier

    def recalls(self, speed: RecallSpeed = RecallSpeed.STANDARD) -> Recalls:
        return Recalls(self.objects, self.catalogue, self.clock, wish=RecallWish(speed))

    async def refused(self, speed: RecallSpeed = RecallSpeed.STANDARD) -> BeingRecalled:
        with pytest.raises(BeingRecalled) as caught:
            await self.recalls(speed).demand([await self.pack()])
        return caught.value

    async def read(self) -> bytes:
        watched = NotingObjects(self.objects, lambda *_: None, self.catalogue, self.clock)
        return await watched.get(await self.key())

    async def tend(self) -> Tended:
        return await tend_recalls(self.objects, self.catalogue, now_us=self.clock())

    async def state(self) -> RecallState:
        found = await recall_of(self.objects, self.catalogue, TENANT, STUDY, self.clock())
        return found.state


@pytest.fixture
async def house(tmp_path: Path, moto_endpoint: Endpoint, moods: Moods) -> AsyncIterator[House]:
    with bucket_at(moto_endpoint) as place:
        config = config_at(Place(moods.endpoint, place.name), retries=0)
        async with (
            S3ObjectStore(config) as objects,
            SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        ):
            house = House(moods, place.name, objects, catalogue, Clock())
            await Shelf(catalogue).commit(pack([instance("1.2.3")], study=STUDY), now_us=NOW_US)
            await objects.put_new(await house.key(), b"bytes")
            yield house


@pytest.mark.parametrize(
    ("access_tier", "speed", "hours"),
    [
        ("ARCHIVE_ACCESS", RecallSpeed.STANDARD, 5),
        ("ARCHIVE_ACCESS", RecallSpeed.BULK, 12),
        ("DEEP_ARCHIVE_ACCESS", RecallSpeed.BULK, 48),
        ("DEEP_ARCHIVE_ACCESS", RecallSpeed.EXPEDITED, 12),
    ],
)
async def test_what_intelligent_tiering_archived_comes_back_for_good(
    house: House, access_tier: str, speed: RecallSpeed, hours: int
) -> None:
    await house.lie_in(StorageClass.INTELLIGENT_TIERING, access_tier)
    assert house.recalls().can_be_read(await house.pack())
    # Nobody knew. Who reads learns it, and the next one asks.
    with pytest.raises(ColdBySurprise):
        await house.read()
    assert (await house.pack()).storage_class == f"INTELLIGENT_TIERING/{access_tier}"
    assert not house.recalls().can_be_read(await house.pack())
    assert await house.state() is RecallState.OFFLINE
    refusal = await house.refused(speed)
    assert refusal.progress.expected_us == NOW_US + hours * HOUR_US
    assert refusal.retry_after_s == 3600
    await house.refused()
    (asked,) = house.moods.asked
    assert "<Days>" not in asked
    assert await house.state() is RecallState.RESTORING
    assert (await house.objects.head(await house.key())).availability is Availability.RESTORING
    house.clock.advance(hours * 3600)
    assert await house.tend() == Tended(waiting=1)
    house.moods.arrive()
    assert await house.tend() == Tended(arrived=1)
    # It lies in its class again: no copy of it ends.
    found = await house.pack()
    assert found.storage_class == StorageClass.INTELLIGENT_TIERING
    assert found.recalled_until_us <= house.clock()
    assert await house.read() == b"bytes"
    await house.recalls().demand([found])
    assert await house.tend() == Tended(ended=1)
    assert not [mark async for mark in recall_marks(house.objects)]
    assert await house.state() is RecallState.ONLINE


async def test_what_is_archived_again_is_asked_for_again(house: House) -> None:
    await house.lie_in(StorageClass.INTELLIGENT_TIERING, "ARCHIVE_ACCESS")
    recalls = house.recalls()
    for _ in range(2):
        house.moods.archived[f"/{house.bucket}/{await house.key()}"] = "ARCHIVE_ACCESS"
        with pytest.raises(ColdBySurprise):
            await house.read()
        with pytest.raises(BeingRecalled):
            await recalls.demand([await house.pack()])
        house.moods.arrive()
        house.clock.advance(5 * 3600)
        await house.tend()
        await house.tend()
    assert len(house.moods.asked) == 2


async def test_a_move_sees_an_archive_access_tier(house: House) -> None:
    await house.lie_in(StorageClass.INTELLIGENT_TIERING, "ARCHIVE_ACCESS")
    info = await house.objects.move(await house.key(), StorageClass.INTELLIGENT_TIERING)
    assert info.storage_class == ARCHIVE_ACCESS


async def test_a_store_that_brings_nothing_back_says_what_to_do(house: House) -> None:
    await house.lie_in(StorageClass.GLACIER)
    house.moods.restores = False
    for _ in range(2):
        with pytest.raises(NeverRestored, match="cold=online") as caught:
            await house.recalls().demand([await house.pack()])
        assert caught.value.retry_after_s == 86_400
    # Nobody waits for what does not come.
    assert not [mark async for mark in recall_marks(house.objects)]
    assert await house.state() is RecallState.OFFLINE


async def test_a_recall_that_its_store_gave_up_is_told(house: House) -> None:
    await house.lie_in(StorageClass.INTELLIGENT_TIERING, "ARCHIVE_ACCESS")
    with pytest.raises(ColdBySurprise):
        await house.read()
    await house.refused()
    house.moods.restoring.clear()
    house.moods.restores = False
    house.clock.advance(120)
    assert await house.tend() == Tended(failed=1)
    assert not [mark async for mark in recall_marks(house.objects)]


async def test_without_room_for_the_hurried_it_is_expected_later(house: House) -> None:
    await house.lie_in(StorageClass.GLACIER)
    house.moods.has_room, house.moods.is_slow = False, True
    refusal = await house.refused(RecallSpeed.EXPEDITED)
    assert refusal.progress.expected_us == NOW_US + 5 * HOUR_US
    found = await recall_of(house.objects, house.catalogue, TENANT, STUDY, NOW_US)
    assert found.speeds == ("Standard instead of Expedited",)
    assert found.expected_us == NOW_US + 5 * HOUR_US
    # Other processes are told the same.
    assert (await house.refused(RecallSpeed.EXPEDITED)).progress == refusal.progress

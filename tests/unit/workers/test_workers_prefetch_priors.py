"""A study that comes in has its priors recalled: once, and only where it is new."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from catalogue_samples import NOW_US, STUDY, TENANT, Shelf, attributes, instance, pack
from pacs_cloud.bootstrap import prefetching
from pacs_cloud.bootstrap.prefetching import RulesFile
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import InvalidRequest
from pacs_cloud.objectstore.storage_classes import RecallSpeed
from pacs_cloud.tiering.policy_file import read_prefetch
from pacs_cloud.tiering.recall.demand import Recalls, RecallWish
from pacs_cloud.tiering.recall.marks import get_recall, key_of, mark_for
from pacs_cloud.tiering.recall.prefetch_rules import PrefetchRule
from pacs_cloud.tiering.recall.prefetching import DailyBound, Prefetcher
from pacs_cloud.tiering.recall.priors import PriorsWanted
from pacs_cloud.workers.pack_stored import KIND
from pacs_cloud.workers.prefetch_priors import PrefetchPriors
from pacs_cloud.workqueue.jobs import Job
from patience import PATIENCE_S
from recall_samples import DAY_US, Clock, CountingStore, chill

RULES = (PrefetchRule("CT", PriorsWanted(2), modalities=frozenset({"CT"}), speed=RecallSpeed.BULK),)
TODAY = "20250615"


class Counting(SqliteCatalogue):
    """Counts how often the records of studies are read."""

    reads = 0

    async def studies_by_uid(
        self, tenant: str, study_instance_uids: Sequence[str]
    ) -> tuple[StudyRecord, ...]:
        self.reads += 1
        return await super().studies_by_uid(tenant, study_instance_uids)


@dataclass
class House:
    """An archive with two cold priors, and what looks at what comes in."""

    objects: CountingStore
    catalogue: Counting
    clock: Clock
    rules: Sequence[PrefetchRule] = RULES
    shelves: dict[str, Shelf] = field(default_factory=dict[str, Shelf])

    async def store(self, study: str, **more: Any) -> Job:
        """Store a pack of one instance; return the job that follows."""
        shelf = self.shelves.setdefault(study, Shelf(self.catalogue))
        number = len(shelf.packs) + 1
        index = pack(
            [instance(f"{study}.1.{number}", received_us=self.clock())],
            study=study,
            series=f"{study}.{number}",
            common=attributes(**more),
            now_us=self.clock() + number,
        )
        await shelf.commit(index, now_us=self.clock())
        for one in await self.catalogue.packs(TENANT, study):
            if one.pack_id == index.pack_id:
                await self.objects.put_new(key_of(one).pack, b"bytes")
        body = {
            "study_instance_uid": study,
            "series_instance_uid": index.series_instance_uid,
            "pack_id": index.pack_id,
        }
        return Job(job_id=index.pack_id, kind=KIND, tenant=TENANT, body=body)

    def handler(self) -> PrefetchPriors:
        async def rules() -> Sequence[PrefetchRule]:
            return self.rules

        recalls = Recalls(self.objects, self.catalogue, self.clock)
        bound = DailyBound(self.objects, 1 << 40, self.clock)
        prefetcher = Prefetcher(self.objects, self.catalogue, recalls, bound, self.clock)
        return PrefetchPriors(self.catalogue, prefetcher, rules, RecallWish(), self.clock)

    @property
    def asked(self) -> int:
        return self.objects.count("recall")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    async with (
        CountingStore(tmp_path / "objects", recall_delay_s=3600, now_us=clock) as objects,
        Counting(tmp_path / "catalogue.sqlite") as catalogue,
    ):
        made = House(objects, catalogue, clock)
        for study, date in (("1.1", "20240101"), ("1.2", "20230101"), ("1.3", "20220101")):
            await made.store(study, date=date)
            await chill(objects, catalogue, study)
        yield made


async def test_the_priors_of_a_new_study_are_recalled_once(house: House) -> None:
    handler = house.handler()
    await handler(await house.store(STUDY, date=TODAY))
    assert house.asked == 2
    (one,) = await house.catalogue.packs(TENANT, "1.1")
    recall = await get_recall(house.objects, mark_for(one))
    assert (str(recall.cause), recall.speed) == ("rule: CT", RecallSpeed.BULK)
    house.objects.asked.clear()
    reads = house.catalogue.reads
    # More of it looks at nothing but the study itself.
    await handler(await house.store(STUDY, date=TODAY))
    assert house.catalogue.reads == reads + 1
    assert not house.objects.asked
    # Another worker asks the store for nothing that is under way.
    await house.handler()(await house.store(STUDY, date=TODAY))
    assert house.asked == 0


async def test_a_study_is_looked_at_again_when_there_is_news_of_it(house: House) -> None:
    handler = house.handler()
    await handler(await house.store(STUDY, date=TODAY, modality="PR"))
    assert house.asked == 0
    await handler(await house.store(STUDY, date=TODAY, modality="CT"))
    assert house.asked == 2


@pytest.mark.parametrize(
    "more", [{"date": "20250601"}, {"modality": "MR"}, {"patient_id": ""}, {"patient_id": "P9"}]
)
async def test_what_was_imported_or_no_rule_is_for_fetches_nothing(
    house: House, more: dict[str, str]
) -> None:
    await house.handler()(await house.store(STUDY, **{"date": TODAY, **more}))
    assert house.asked == 0


async def test_what_grows_after_a_day_fetches_nothing(house: House) -> None:
    await house.store(STUDY, date=TODAY)
    house.clock.advance(DAY_US / 1e6)
    await house.handler()(await house.store(STUDY, date=TODAY))
    assert house.asked == 0


async def test_without_rules_nothing_is_read(house: House) -> None:
    house.rules = ()
    job = await house.store(STUDY, date=TODAY)
    reads = house.catalogue.reads
    await house.handler()(job)
    assert house.catalogue.reads == reads
    with pytest.raises(InvalidRequest):
        await house.handler()(job.model_copy(update={"body": {}}))


async def test_a_study_that_has_gone_is_no_failure(house: House) -> None:
    job = await house.store(STUDY, date=TODAY)
    await house.catalogue.wipe()
    await house.handler()(job)


async def test_rules_are_read_again_when_their_file_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tiers.toml"
    policy = '[[policies]]\nname = "a"\n'
    rule = '[[prefetch]]\nname = "b"\npriors = {newest = 1}\n'
    file.write_text(policy + rule)
    rules = RulesFile(file)
    assert [one.name for one in await rules()] == ["b"]
    file.write_text(policy)
    assert await rules() == ()
    file.write_text(policy + rule + rule)  # a fault: those of before stand
    assert await rules() == ()
    file.write_text(policy + rule.replace("b", "c"))
    assert [one.name for one in await rules()] == ["c"]
    caplog.clear()
    file.unlink()
    for _ in range(2):
        assert [one.name for one in await rules()] == ["c"]
    assert [one.message for one in caplog.records] == ["prefetch_rules_unreadable"]
    file.write_text(policy)
    assert await rules() == ()


async def test_nobody_finds_no_rules_while_another_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several studies come in at once when a worker starts: each is to have its priors."""
    file = tmp_path / "tiers.toml"
    file.write_text('[[policies]]\nname = "a"\n[[prefetch]]\nname = "b"\npriors = {newest = 1}\n')
    is_read, go_on = threading.Event(), threading.Event()

    def read(path: Path) -> Any:
        is_read.set()
        go_on.wait(PATIENCE_S)
        return read_prefetch(path)

    monkeypatch.setattr(prefetching, "read_prefetch", read)
    rules = RulesFile(file)
    first = asyncio.create_task(rules())
    await asyncio.to_thread(is_read.wait, PATIENCE_S)
    second = asyncio.create_task(rules())
    await asyncio.wait({second}, timeout=0.1)
    go_on.set()
    assert [[one.name for one in found] for found in (await first, await second)] == [["b"], ["b"]]


def test_the_clock_of_these_tests_is_today() -> None:
    assert NOW_US // DAY_US == 20254  # 2025-06-15

"""The job that sends what a C-MOVE wanted once it is back from a cold class."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from catalogue_samples import STUDY, TENANT, Shelf, instance, pack
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import InvalidRequest, Unavailable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.routing.sends import SendEntry, SendState, What, enter, sendings_of
from pacs_cloud.security.caller import system
from pacs_cloud.tiering.recall.demand import Recalls
from pacs_cloud.tiering.recall.marks import key_of
from pacs_cloud.workers.send_recalled import SendRecalled, jobs_for
from pacs_cloud.workqueue.jobs import Job
from pacs_cloud.workqueue.sqlite import SqliteWorkQueue
from recall_samples import Clock, CountingStore, chill

DELAY_S = 0.5
DAY_S = 86_400


@dataclass
class House:
    """An archive with a cold study, a queue, and a peer that says what it was sent."""

    archive: Archive
    shelf: Shelf
    queue: SqliteWorkQueue
    clock: Clock
    sent: list[tuple[str, list[str]]] = field(default_factory=list)
    peer_is_there: bool = True

    async def send(self, destination: str, located: Sequence[Located]) -> None:
        if not self.peer_is_there:
            raise Unavailable("no answer")
        self.sent.append((destination, [one.instance.sop_instance_uid for one in located]))

    async def handle(self, job: Job) -> None:
        await SendRecalled(self.archive, self.queue, self.send, self.clock)(job)

    async def jobs(self) -> list[Job]:
        located = await self.archive.instances.locate(system(TENANT), STUDY)
        return list(jobs_for("THEIRS", located[:2], self.clock()))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = Clock()
    async with (
        CountingStore(tmp_path / "objects", recall_delay_s=DELAY_S, now_us=clock) as objects,
        SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue,
        SqliteWorkQueue(tmp_path / "queue.sqlite") as queue,
    ):
        shelf = Shelf(catalogue)
        await shelf.commit(pack([instance(f"1.{number}") for number in range(3)], pack_id="a"))
        (one,) = await catalogue.packs(TENANT, STUDY)
        await objects.put_new(key_of(one).pack, b"bytes")
        await chill(objects, catalogue, STUDY)
        recalls = Recalls(objects, catalogue, clock, arrival_s=lambda *_: DELAY_S)
        archive = Archive(catalogue, objects, demand=recalls.demand)
        yield House(archive, shelf, queue, clock)
        archive.close()


async def test_what_was_wanted_is_sent_when_it_has_come(house: House) -> None:
    (job,) = await house.jobs()
    await house.handle(job)
    assert not house.sent
    (lease,) = await house.queue.lease(wait_s=20)
    assert (lease.job.kind, lease.job.body) == (job.kind, job.body)
    assert lease.job.job_id != job.job_id
    house.clock.advance(DELAY_S)
    await house.handle(lease.job)
    assert house.sent == [("THEIRS", ["1.0", "1.1"])]
    assert (await house.queue.depth()).ready == 0


async def test_a_peer_that_is_away_fails_the_job(house: House) -> None:
    (job,) = await house.jobs()
    await house.handle(job)
    house.clock.advance(DELAY_S)
    house.peer_is_there = False
    with pytest.raises(Unavailable):
        await house.handle(job)


async def test_what_was_deleted_meanwhile_is_not_sent(house: House) -> None:
    (job,) = await house.jobs()
    await house.handle(job)
    house.clock.advance(DELAY_S)
    await house.shelf.change(STUDY, lambda _, uid: HiddenReason.DELETED if uid == "1.0" else None)
    await house.handle(job)
    assert house.sent == [("THEIRS", ["1.1"])]
    await house.shelf.change(STUDY, lambda *_: HiddenReason.DELETED)
    await house.handle(job)
    assert len(house.sent) == 1


async def test_what_does_not_come_is_given_up_after_a_week(house: House) -> None:
    (job,) = await house.jobs()
    body = {**job.body, "asked_us": house.clock() - 8 * DAY_S * 1_000_000}
    await house.handle(job.model_copy(update={"body": body}))
    depth = await house.queue.depth()
    assert (house.sent, depth.ready) == ([], 0)


async def test_what_a_page_asked_for_is_told(house: House) -> None:
    objects = house.archive.objects

    async def told() -> tuple[SendState, int, str]:
        (one,) = await sendings_of(objects, TENANT, STUDY, now_us=house.clock())
        return one.state, one.sent, one.reason

    located = await house.archive.instances.locate(system(TENANT), STUDY)
    (job,) = jobs_for("THEIRS", located, house.clock(), "page-1")
    asked = SendEntry(TENANT, STUDY, "page-1", What.ASKED, "THEIRS", len(located))
    await enter(objects, asked, now_us=house.clock())
    await house.handle(job)
    assert await told() == (SendState.WAITING, 0, "")
    house.clock.advance(DELAY_S)
    house.peer_is_there = False
    await house.handle(job)
    assert await told() == (SendState.FAILED, 0, "no answer")
    assert (await house.queue.depth()).ready == 2  # when it should have come, and again
    last = job.model_copy(update={"body": {**job.body, "tries": 12}})
    with pytest.raises(Unavailable):
        await house.handle(last)
    house.peer_is_there = True
    await house.handle(job)
    assert await told() == (SendState.SENT, 3, "")


async def test_what_cannot_be_recalled_is_told(house: House) -> None:
    objects = house.archive.objects
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    (job,) = jobs_for("THEIRS", located, house.clock(), "page-1")
    asked = SendEntry(TENANT, STUDY, "page-1", What.ASKED, "THEIRS", len(located))
    await enter(objects, asked, now_us=house.clock())
    await objects.delete(located[0].key)
    await house.handle(job)
    (one,) = await sendings_of(objects, TENANT, STUDY, now_us=house.clock())
    assert (house.sent, one.state, one.tries) == ([], SendState.FAILED, 1)
    assert one.reason
    assert (await house.queue.depth()).ready == 1  # it is tried again


async def test_what_a_page_asked_for_and_never_came_is_told(house: House) -> None:
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    (job,) = jobs_for("THEIRS", located, house.clock() - 8 * DAY_S * 1_000_000, "page-1")
    await house.handle(job)
    (one,) = await sendings_of(house.archive.objects, TENANT, STUDY, now_us=house.clock())
    assert (one.state, one.reason) == (SendState.GIVEN_UP, "it was never recalled")


async def test_of_a_deleted_series_nobody_is_told_that_it_was_sent(house: House) -> None:
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    (job,) = jobs_for("THEIRS", located[:1], house.clock(), "page-1")
    gone = located[0].instance.sop_instance_uid
    await house.shelf.change(STUDY, lambda _, uid: HiddenReason.DELETED if uid == gone else None)
    await house.handle(job)
    (one,) = await sendings_of(house.archive.objects, TENANT, STUDY, now_us=house.clock())
    assert (house.sent, one.state, one.sent) == ([], SendState.GIVEN_UP, 0)
    assert one.reason == "it was deleted"


async def test_what_was_deleted_of_it_is_not_counted_as_sent(house: House) -> None:
    objects = house.archive.objects
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    (job,) = jobs_for("THEIRS", located, house.clock(), "page-1")
    asked = SendEntry(TENANT, STUDY, "page-1", What.ASKED, "THEIRS", len(located))
    await enter(objects, asked, now_us=house.clock())
    await house.handle(job)
    house.clock.advance(DELAY_S)
    await house.shelf.change(STUDY, lambda _, uid: HiddenReason.DELETED if uid == "1.0" else None)
    await house.handle(job)
    (one,) = await sendings_of(objects, TENANT, STUDY, now_us=house.clock())
    assert house.sent == [("THEIRS", ["1.1", "1.2"])]
    assert (one.state, one.sent, one.instances) == (SendState.SENT, 2, 3)


async def test_two_of_one_uid_are_two(house: House) -> None:
    objects = house.archive.objects
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    both = [*located, located[0]]  # each side of a conflict is shown
    (job,) = jobs_for("THEIRS", both, house.clock(), "page-1")
    asked = SendEntry(TENANT, STUDY, "page-1", What.ASKED, "THEIRS", len(both))
    await enter(objects, asked, now_us=house.clock())
    await house.handle(job)
    house.clock.advance(DELAY_S)
    await house.handle(job)
    (one,) = await sendings_of(objects, TENANT, STUDY, now_us=house.clock())
    assert one.state is SendState.SENT


async def test_a_job_that_names_nothing_is_refused(house: House) -> None:
    (job,) = await house.jobs()
    with pytest.raises(InvalidRequest):
        await house.handle(job.model_copy(update={"body": {"destination": "THEIRS"}}))


async def test_a_large_study_takes_several_jobs(house: House) -> None:
    located = await house.archive.instances.locate(system(TENANT), STUDY)
    many = [*located] * 1500
    jobs = list(jobs_for("THEIRS", many, house.clock()))
    counts = [sum(map(len, job.body["instances"].values())) for job in jobs]
    assert counts == [2000, 2000, 500]
    assert len({job.job_id for job in jobs}) == 3

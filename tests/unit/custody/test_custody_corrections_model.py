"""Corrections among all else that happens to studies: what is shown is what a model says."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs_cloud.catalogue import changing
from pacs_cloud.catalogue.aggregate import rank_of
from pacs_cloud.catalogue.judging import ConflictPolicy, ref_of
from pacs_cloud.catalogue.records import PackRecord
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.corrections.book import correction_marks
from pacs_cloud.custody.corrections.listing import CorrectionState, corrections
from pacs_cloud.custody.corrections.merges import StandingMerges
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicom.amendment import in_order, shown_elements
from pacs_cloud.errors import PacsError, Unavailable
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.workers.merges import FollowMerges
from pacs_cloud.workqueue.jobs import Job
from unit.custody.custody_corrections import SYSTEM, correct, corrector, found_under, orders, tend
from unit.custody.custody_faults import Died
from unit.custody.custody_house import FUTURE_US, House
from unit.custody.custody_packs import Sample
from unit.custody.custody_repack import repack

STUDIES = {"1.2.3": "P1", "1.2.4": "P1", "1.2.5": "P2"}
"""Each with the patient that its instances name."""
PATIENTS = ("P1", "P2", "P3")
NAMES = list(STUDIES)
DESCRIPTION = "00081030"


@dataclass(frozen=True)
class Step:
    """What happens, to what of it, and what comes between at one of its calls."""

    what: str
    number: int
    at: int = -1
    dies: bool = False
    between: "Step | None" = None


@dataclass
class Crossing:
    """Something that happens once, at one call of a store or of the catalogue."""

    at: int
    happens: Callable[[], Awaitable[None]]

    async def call(self) -> None:
        self.at -= 1
        if self.at == -1:
            await self.happens()


class Crossed:
    """A store or a catalogue during whose calls something happens."""

    def __init__(self, real: Any, crossing: Crossing) -> None:
        self._real = real
        self._crossing = crossing

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._real, name)

        async def call(*args: Any, **options: Any) -> Any:
            await self._crossing.call()
            return await verb(*args, **options)

        async def walk(*args: Any, **options: Any) -> AsyncIterator[Any]:
            await self._crossing.call()
            async for one in verb(*args, **options):
                yield one

        return walk if name in {"list", "stream", "export", "versions"} else call


@dataclass
class Archive(House):
    """The archive, with a worker that comes to some of its events late."""

    objects: Any
    catalogue: Any
    folder: Path
    instances: dict[str, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    made: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.objects, self.catalogue)

    async def take(self, step: Step) -> None:
        crossing = Crossing(step.at, partial(self._between, step))
        stores = Crossed(self.objects, crossing), Crossed(self.catalogue, crossing)
        with suppress(Died, PacsError):
            try:
                await getattr(self, f"_{step.what}")(step.number, *stores)
            except Unavailable as error:
                raise AssertionError("nobody waits for anybody") from error
        for study in NAMES:
            if await self.catalogue.study("default", study) is None:
                self.gone.add(study)

    async def _between(self, step: Step) -> None:
        if step.between is not None:
            await self.take(step.between)
        if step.dies:
            raise Died

    async def _store(self, number: int, *_stores: Any) -> None:
        study = NAMES[number % 3]
        series = f"{study}.{number // 3 % 2 + 1}"
        self.made += 1
        uid = f"{series}.{self.made}"
        self.instances.setdefault(study, set()).add(uid)
        await self.store(Sample(uid, patient=STUDIES[study]), study=study, series=series)

    async def _again(self, number: int, *_stores: Any) -> None:
        study = NAMES[number % 3]
        uids = sorted(self.instances.get(study, ()))
        if uids:
            uid = uids[number % len(uids)]
            sample = Sample(uid, patient=STUDIES[study])
            series = uid.rpartition(".")[0]
            await self.store(sample, study=study, series=series)

    async def _work(self, number: int, objects: Any, catalogue: Any) -> None:
        if events := await self.catalogue.events():
            one = events[number % len(events)]
            merges = StandingMerges(objects, self.clock.tick)
            follow = FollowMerges(catalogue, merges, corrector(self, objects, catalogue))
            await follow(Job(job_id="1", kind=one.kind, tenant="default", body=dict(one.body)))
            await self.catalogue.forget_events([one.event_id])

    async def _merge(self, number: int, objects: Any, catalogue: Any) -> None:
        source, target = PATIENTS[number % 3], PATIENTS[(number + 1 + number // 3 % 2) % 3]
        order = await orders(self).merge(source, target, issuer=None, target_issuer=None)
        await corrector(self, objects, catalogue).apply(order.correction)

    async def _move(self, number: int, objects: Any, catalogue: Any) -> None:
        order = await orders(self).move(NAMES[number % 3], PATIENTS[number // 3 % 3], issuer=None)
        await corrector(self, objects, catalogue).apply(order.correction)

    async def _correct(self, number: int, objects: Any, catalogue: Any) -> None:
        study = NAMES[number % 3]
        series = f"{study}.1" if number % 2 else ""
        uids = sorted(one for one in self.instances.get(study, ()) if one.startswith(f"{study}.1."))
        instance = uids[0] if series and uids and number % 5 == 0 else ""
        values = [f"StudyDescription=said {number}", "PatientComments=x", "PatientID=P9"]
        given = values[: 1 + number % 3]
        made = await correct(self, *given, study=study, series=series, instance=instance)
        await corrector(self, objects, catalogue).apply(made)

    async def _undo(self, number: int, objects: Any, catalogue: Any) -> None:
        every = [one.correction for one in await self.corrections() if one.undone is None]
        if every:
            name = every[number % len(every)].correction_id
            made = corrector(self, objects, catalogue)
            await made.undo("default", name, caller=SYSTEM, who="eve", reason="no")

    async def _delete(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.trash_of(catalogue, objects).delete(self._scope(number))

    async def _restore(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.trash_of(catalogue, objects).restore(self._scope(number))

    def _scope(self, number: int) -> Scope:
        study = NAMES[number % 3]
        return Scope("default", study, f"{study}.1" if number % 2 else "")

    async def _purge(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.purge(NAMES[number % 3], objects=objects, catalogue=catalogue)

    async def _remove(self, number: int, objects: Any, catalogue: Any) -> None:
        study = NAMES[number % 3]
        await self.trash_of(catalogue, objects).delete(Scope("default", study))
        await self._purge(number, objects, catalogue)

    async def _repack(self, number: int, objects: Any, catalogue: Any) -> None:
        folder = self.folder / str(self.clock.tick())
        await repack(
            self, folder, series=f"1.2.3.{number % 2 + 1}", objects=objects, catalogue=catalogue
        )

    async def _tend(self, _number: int, objects: Any, catalogue: Any) -> None:
        await tend(self, objects, catalogue)

    async def _rebuild(self, _number: int, *_stores: Any) -> None:
        await self.rebuilt()

    async def corrections(self) -> list[CorrectionState]:
        return [one async for one in corrections(self.objects, "default")]

    async def settle(self) -> None:
        await self.sweep()
        await super().tend(after_us=FUTURE_US // 2, retention_us=FUTURE_US)
        for _ in range(3):  # what is undone late may be followed by a merge
            assert (await tend(self)).problems == 0
            while await self.catalogue.events():
                await self._work(0, self.objects, self.catalogue)
        assert [mark async for mark in correction_marks(self.objects)] == []

    async def compare(self) -> None:
        """See that what is shown is what was received, under the corrections that stand."""
        ordered = await self.corrections()
        found: dict[str, set[str]] = {one: set() for one in (*PATIENTS, "P9")}
        async for state in self.catalogue.export("default"):
            uid = state.study.study_instance_uid
            names = {one.correction_id for one in state.study.amendments}
            standing = {
                one.correction.correction_id
                for one in ordered
                if one.undone is None and uid in one.studies
            }
            assert names <= standing, "nothing is shown that does not stand"
            assert state.study.amendments == in_order(state.study.amendments)
            shown = sorted([one for pack in state.packs for one in await self._shown(pack)])
            ids = {elements["00100020"]["Value"][0] for _, elements in shown}
            assert {one.patient_id for one in state.study.patients} == ids
            for one in ids:
                found[one].add(uid)
            if shown:  # the first that came in says it
                assert state.study.attributes[DESCRIPTION] == shown[0][1][DESCRIPTION]
            for one in ordered:
                if one.undone is None and one.correction.is_about(state.study):
                    assert one.correction.correction_id in names, "merges are followed"
            assert uid in self.gone or names == standing, "nothing that stands is missing"
        for patient, studies in found.items():
            assert await found_under(self, patient) == studies

    async def _shown(self, pack: PackRecord) -> list[tuple[str, Any]]:
        table = await load_table(self.objects, self.catalogue, "default", ref_of(pack))
        return [
            (
                rank_of(one),
                shown_elements(table.attributes_of(one), pack.amendments, one.sop_instance_uid),
            )
            for one in table.instances
            if one.sop_instance_uid not in pack.hidden
        ]


CORRECTIONS = ["merge", "move", "correct", "undo"]
OTHERS = ["store", "again", "work", "delete", "restore", "purge", "remove", "repack", "tend"]


def step_of(chance: Random, depth: int = 2) -> Step:
    """Return anything, with anything between; a rebuild only while all is at rest."""
    what = chance.choice(chance.choice((CORRECTIONS, OTHERS)))
    number = chance.randrange(12)
    if depth == 2 and chance.random() < 0.05:
        return Step("rebuild", number)
    if not depth or chance.random() < 0.4:
        return Step(what, number)
    between = step_of(chance, depth - 1) if chance.random() < 0.7 else None
    return Step(what, number, chance.randrange(18), chance.random() < 0.4, between)


@given(st.randoms(use_true_random=True))
@settings(max_examples=20, deadline=None)
def test_what_is_shown_is_what_was_received_under_the_corrections_that_stand(
    chance: Random,
) -> None:
    with mock.patch.object(changing, "PACKS_PER_CHANGE", 2):
        asyncio.run(_compare([step_of(chance) for _ in range(16)]))


async def _compare(plan: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            LocalObjectStore(folder / "objects") as objects,
            SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
            SqliteCatalogue(folder / "again.sqlite") as again,
        ):
            house = Archive(objects, catalogue, folder)
            for number in range(6):
                await house.take(Step("store", number))
            house.gone.clear()
            for step in plan:
                await house.take(step)
            await house.settle()
            await house.compare()
            assert await house.findings() == []
            now_us = house.clock.tick()
            await rebuild(objects, again, policy=ConflictPolicy.KEEP_FIRST, now_us=now_us)
            assert await digest(again) == await house.digest()

"""Whatever happened to an archive: made anew from its objects it says the same."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.conflicts.choice import promote, undo
from pacs_cloud.custody.conflicts.listing import disagreements
from pacs_cloud.custody.corrections.listing import corrections
from pacs_cloud.custody.export import digest
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import check
from pacs_cloud.custody.orphans import adopt_orphans
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.custody.rejections.tending import tend_rejections
from pacs_cloud.custody.share import ALL_STUDIES, Share
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import PacsError
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_corrections import correct, corrector, orders, tend
from unit.custody.custody_corrections import undo as undo_correction
from unit.custody.custody_erasure import Eraser
from unit.custody.custody_faults import Died, Fuse, Mortal
from unit.custody.custody_house import FUTURE_US
from unit.custody.custody_notes import NoteHouse
from unit.custody.custody_packs import Made, Sample, commit, make_pack, put
from unit.custody.custody_repack import repack

STUDIES = ("1.2.3", "1.2.4")
WORDS = ("first", "second", "third")


@dataclass(frozen=True)
class Step:
    """What happens, to what of it, and at which call it dies."""

    what: str
    number: int
    dies_at: int | None = None
    answers: bool = False


def mortal(real: Any, fuse: Fuse) -> Any:
    return Mortal(real, fuse)


@dataclass
class Archive(NoteHouse):
    """An archive to which everything happens; `late` are packs whose commit has to wait."""

    objects: Any
    catalogue: Any
    folder: Path
    policy: ConflictPolicy
    late: list[Made] = field(default_factory=list[Made])
    notes: list[Made] = field(default_factory=list[Made])

    def __post_init__(self) -> None:
        super().__init__(self.objects, self.catalogue)
        self.eraser = Eraser(self, self.folder / "erasing")

    async def take(self, step: Step) -> None:
        stores: tuple[Any, Any] = self.objects, self.catalogue
        if step.dies_at is not None:
            fuse = Fuse(step.dies_at, answers=step.answers)
            stores = Mortal(self.objects, fuse), Mortal(self.catalogue, fuse)
        with suppress(Died, PacsError):  # what is refused has not happened
            await getattr(self, f"_{step.what}")(step.number, *stores)

    def _pack(self, number: int) -> Made:
        """Return a pack of one or two of few instances, of any content."""
        study = STUDIES[number % 2]
        series = f"{study}.{number // 2 % 2 + 1}"
        # One in eight has been seen in the other series, or study.
        place = f"{study}.1" if number % 8 else "1.2.3.1"
        samples = [
            Sample(f"{place}.{number // 4 % 3 + n}", WORDS[number // 12 % 3])
            for n in range(number // 3 % 2 + 1)
        ]
        return make_pack(self.clock, "default", study, series, samples)

    async def _store(self, number: int, objects: Any, catalogue: Any) -> None:
        await self._commit(self._pack(number), number, objects, catalogue)

    async def _commit(self, made: Made, number: int, objects: Any, catalogue: Any) -> None:
        await put(self.objects, made, index=number % 7 > 0)  # else its spool would bring it
        await commit(objects, catalogue, made, self.clock, self.policy)

    async def _begin(self, number: int, *_stores: Any) -> None:
        self.late.append(self._pack(number))

    async def _arrive(self, number: int, objects: Any, catalogue: Any) -> None:
        if self.late:
            await self._commit(self.late.pop(), number, objects, catalogue)

    async def _note(self, number: int, *_stores: Any) -> None:
        study = STUDIES[number % 2]
        named = {study: {f"{study}.1": [f"{study}.1.{number // 2 % 4}"]}}
        series = f"{study}.9"
        self.notes.append(
            await self.note(
                f"{series}.{number % 3}", named, code=Why.SAFETY, study=study, series=series
            )
        )

    async def _follow(self, _number: int, objects: Any, catalogue: Any) -> None:
        if self.notes:
            await self.follow(self.notes[-1], objects=objects, catalogue=catalogue)
            self.notes.pop()

    def _scope(self, number: int) -> Scope:
        study = STUDIES[number % 2]
        series = f"{study}.{(1, 2, 9)[number // 2 % 3]}" if number % 5 else ""
        instance = f"{series}.{number // 4 % 3}" if series and number % 3 else ""
        return Scope("default", study, series, instance)

    async def _delete(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.trash_of(catalogue, objects).delete(self._scope(number))

    async def _restore(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.trash_of(catalogue, objects).restore(self._scope(number))

    async def _purge(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.purge(STUDIES[number % 2], objects=objects, catalogue=catalogue)

    async def _repack(self, number: int, objects: Any, catalogue: Any) -> None:
        await repack(
            self,
            self.folder / str(self.clock.tick()),
            series=f"1.2.3.{number % 2 + 1}",
            objects=objects,
            catalogue=catalogue,
        )

    async def _erase(self, number: int, objects: Any, catalogue: Any) -> None:
        await self.eraser.erase(self._scope(number), objects=objects, catalogue=catalogue)

    async def _correct(self, number: int, objects: Any, catalogue: Any) -> None:
        study = STUDIES[number % 2]
        series = f"{study}.1" if number % 3 else ""
        made = await correct(self, f"StudyDescription=said {number}", study=study, series=series)
        await corrector(self, objects, catalogue).apply(made)

    async def _merge(self, number: int, objects: Any, catalogue: Any) -> None:
        names = ("P1", "P2") if number % 2 else ("P2", "P1")
        order = await orders(self).merge(*names, issuer=None, target_issuer=None)
        await corrector(self, objects, catalogue).apply(order.correction)

    async def _undo(self, number: int, *_stores: Any) -> None:
        every = [one async for one in corrections(self.objects, "default") if one.undone is None]
        if every:
            await undo_correction(self, every[number % len(every)].correction)

    async def _promote(self, number: int, objects: Any, catalogue: Any) -> None:
        await self._choose(promote, number, objects, catalogue)

    async def _demote(self, number: int, objects: Any, catalogue: Any) -> None:
        await self._choose(undo, number, objects, catalogue)

    async def _choose(
        self, work: Callable[..., Any], number: int, objects: Any, catalogue: Any
    ) -> None:
        every = [one async for one in disagreements(self.catalogue, "default")]
        if every:
            await work(
                objects,
                catalogue,
                "default",
                every[number % len(every)].conflict_id,
                load_table=partial(load_table, self.objects, self.catalogue),
                who="ana",
                now_us=self.clock.tick(),
            )

    async def _sweep(self, *_: Any) -> None:
        await self.sweep()

    async def sweep(self) -> tuple[int, int]:
        swept = await adopt_orphans(
            self.objects, self.catalogue, policy=self.policy, now_us=FUTURE_US, grace_us=0
        )
        assert swept.problems == ()
        return swept.adopted, swept.removed

    async def settle(self) -> None:
        """Do what the worker does of what was begun."""
        for _ in range(2):
            await self.sweep()
            await self.tend(after_us=FUTURE_US // 2, retention_us=FUTURE_US)
            await tend(self)
            await self.eraser.tend(now_us=lambda: self.clock.tick() + FUTURE_US // 2)
            while self.notes:
                await self._follow(0, self.objects, self.catalogue)
            await tend_rejections(
                self.objects,
                self.catalogue,
                load_table=partial(load_table, self.objects, self.catalogue),
                now_us=self.clock.tick(),
            )

    async def made_anew(
        self,
        path: Path,
        shares: int = 0,
        dies_at: int = 1 << 40,
        answers: bool = False,
    ) -> str:
        """Return the digest of a catalogue that is made beside this one, and is whole."""
        some = [Share(n, shares) for n in range(shares)] if shares else [ALL_STUDIES]
        for fuse in (Fuse(dies_at, answers=answers), Fuse(1 << 40, answers=False)):
            async with SqliteCatalogue(path) as again:
                work = [
                    rebuild(
                        mortal(self.objects, fuse),
                        mortal(again, fuse),
                        policy=self.policy,
                        now_us=self.clock.tick(),
                        wipe=False,
                        share=share,
                    )
                    for share in some
                ]
                for done in await asyncio.gather(*work, return_exceptions=True):
                    if not isinstance(done, Died):
                        assert isinstance(done, Rebuilt), done
                        assert done.problems == ()
        async with SqliteCatalogue(path) as again:
            assert [one async for one in check(self.objects, again, deep=True)] == []
            return await digest(again)


KINDS = (
    ["store"] * 8 + ["delete", "repack", "begin", "arrive", "promote", "note", "follow"] * 2
    + ["restore", "purge", "correct", "merge", "undo", "demote", "erase", "sweep"]
)  # fmt: skip


@st.composite
def steps(draw: st.DrawFn) -> Step:
    what, number = draw(st.sampled_from(KINDS)), draw(st.integers(0, 71))
    if draw(st.integers(0, 4)):
        return Step(what, number)
    return Step(what, number, draw(st.integers(0, 25)), draw(st.booleans()))


@given(
    st.sampled_from(ConflictPolicy),
    st.lists(steps(), min_size=8, max_size=25),
    st.integers(0, 3),
    st.integers(0, 60),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_what_is_made_anew_is_what_was_there(
    policy: ConflictPolicy, plan: list[Step], shares: int, dies_at: int, answers: bool
) -> None:
    asyncio.run(_compare(policy, plan, shares, dies_at, answers))


async def _compare(
    policy: ConflictPolicy, plan: list[Step], shares: int, dies_at: int, answers: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            LocalObjectStore(folder / "objects") as objects,
            SqliteCatalogue(folder / "catalogue.sqlite") as catalogue,
        ):
            house = Archive(objects, catalogue, folder, policy)
            for number in range(4):
                await house.take(Step("store", number))
            for step in plan:
                await house.take(step)
            await house.settle()
            assert {one.kind for one in await house.findings()} <= {FindingKind.INDEX_MISSING}
            before = await house.digest()
            assert await house.made_anew(folder / "1", shares, dies_at, answers) == before
            assert await house.made_anew(folder / "2") == before
            assert await house.rebuilt() == before

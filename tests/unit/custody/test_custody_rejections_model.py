"""Notes and instances in any order, deleted and restored: what is shown is what a model says."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pacs_cloud.catalogue.judging import ref_of
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.custody.rejections.tending import Settled, tend_rejections
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.errors import NotFound
from pacs_cloud.objectstore.local import LocalObjectStore
from unit.custody.custody_house import STUDY
from unit.custody.custody_notes import NOTES, SERIES, NoteHouse
from unit.custody.custody_packs import Made, Sample
from unit.custody.custody_repack import repack

INSTANCES = [f"{SERIES}.{number}" for number in range(2)]
UIDS = [f"{NOTES}.{number}" for number in range(2)]
EVERY = [*INSTANCES, *UIDS]

Steps = list[tuple[str, int]]


@dataclass
class Model:
    """What is there, and what each note names: nothing but what a reader of IHE would keep."""

    names: dict[str, set[str]]
    stored: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)

    def in_force(self, note: str) -> bool:
        return note in self.stored - self.deleted and not any(
            note in named and self.in_force(other) for other, named in self.names.items()
        )

    @property
    def shown(self) -> set[str]:
        rejected = {uid for note in UIDS if self.in_force(note) for uid in self.names[note]}
        return self.stored - self.deleted - rejected


class Archive(NoteHouse):
    """The archive, whose worker is late, and looks at packs in any order."""

    def __init__(self, objects: LocalObjectStore, catalogue: SqliteCatalogue) -> None:
        super().__init__(objects, catalogue)
        self.pending: list[Made] = []

    async def take(self, model: Model, step: str, number: int, folder: Path) -> None:
        uid = EVERY[number % len(EVERY)]
        is_due = uid not in model.stored if step == "store" else step == "again"
        if is_due and uid not in model.deleted:
            self.pending.append(await self._stored(model, uid))
            model.stored.add(uid)
        elif step == "work" and self.pending:
            await self.follow(self.pending.pop(number % len(self.pending)))
        elif step in {"delete", "restore"} and uid in model.stored:
            series = SERIES if uid in INSTANCES else NOTES
            try:
                await getattr(self.followed, step)(Scope("default", STUDY, series, uid))
            except NotFound:
                assert (step == "restore") != (uid in model.deleted)
            else:
                (model.deleted.add if step == "delete" else model.deleted.discard)(uid)
        elif step == "repack":
            await repack(self, folder)

    async def _stored(self, model: Model, uid: str) -> Made:
        if uid in INSTANCES:
            return await self.store(Sample(uid), series=SERIES)
        named: dict[str, list[str]] = {}
        for one in sorted(model.names[uid]):
            named.setdefault(SERIES if one in INSTANCES else NOTES, []).append(one)
        return await self.note(uid, {STUDY: named}, code=Why.SAFETY)

    async def shown(self) -> set[str]:
        found: set[str] = set()
        for pack in await self.catalogue.packs("default", STUDY):
            table = await load_table(self.objects, self.catalogue, "default", ref_of(pack))
            uids = {one.sop_instance_uid for one in table.instances} - pack.hidden.keys()
            assert not uids & found, "nothing is shown twice"
            found |= uids
        return found


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[str, set[str]], Steps]:
    """Draw what each note names, without rings, and what happens."""
    order = draw(st.permutations(UIDS))
    names: dict[str, set[str]] = {}
    for place, note in enumerate(order):
        some = st.sets(st.sampled_from([*INSTANCES, *order[:place]]), min_size=1, max_size=2)
        names[note] = draw(some)
    kinds = st.sampled_from(["store", "work", "delete", "restore"] * 3 + ["again", "repack"])
    return names, draw(st.lists(st.tuples(kinds, st.integers(0, 3)), min_size=20, max_size=30))


@example(
    (
        {UIDS[0]: {INSTANCES[0]}, UIDS[1]: {INSTANCES[1]}},
        # A note that is deleted when its pack is looked at, and restored behind that.
        [("store", 0), ("store", 2), ("delete", 2), ("work", 1), ("restore", 2)],
    )
)
@given(plans())
@settings(max_examples=20, deadline=None)
def test_what_is_shown_is_what_the_notes_in_force_leave(
    plan: tuple[dict[str, set[str]], Steps],
) -> None:
    asyncio.run(_compare(*plan))


async def _compare(names: dict[str, set[str]], steps: Steps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            LocalObjectStore(Path(folder) / "objects") as objects,
            SqliteCatalogue(Path(folder) / "catalogue.sqlite") as catalogue,
        ):
            house, model = Archive(objects, catalogue), Model(names)
            for place, (step, number) in enumerate(steps):
                await house.take(model, step, number, Path(folder) / f"merged{place}")
            for made in reversed(house.pending):
                await house.follow(made)
            assert await house.shown() == model.shown
            done = await tend_rejections(
                objects,
                catalogue,
                load_table=partial(load_table, objects, catalogue),
                now_us=house.clock.tick(),
            )
            assert done == Settled(studies=done.studies), "there was nothing left to do"
            await house.is_whole()

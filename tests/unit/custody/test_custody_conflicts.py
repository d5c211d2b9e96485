"""Of two contents under one UID the other one can be shown, and that undone."""

import asyncio
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import ConflictKind, StudyState
from pacs_cloud.custody.conflicts.choice import promote, undo
from pacs_cloud.custody.conflicts.ledger import choices_of
from pacs_cloud.custody.conflicts.listing import Disagreement, disagreement, disagreements
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.custody.trash.purging import GRACE_US
from pacs_cloud.errors import Conflict, Corrupt, NotFound, Unavailable
from pacs_cloud.objectstore.keys import ledger_prefix
from unit.custody.custody_house import ALL, STUDY, Dying, House, Racing, always
from unit.custody.custody_packs import Made, Sample, commit, make_pack, put
from unit.custody.custody_repack import repack

SERIES, INSTANCE = f"{STUDY}.1", f"{STUDY}.1.1"


async def listed(house: House, tenant: str = "default") -> list[Disagreement]:
    return [one async for one in disagreements(house.catalogue, tenant)]


async def the_one(house: House) -> Disagreement:
    (one,) = await listed(house)
    return one


async def choose(
    work: Any, house: House, conflict_id: str, *, catalogue: Catalogue | None = None
) -> Disagreement:
    return await work(
        house.objects,
        catalogue or house.catalogue,
        "default",
        conflict_id,
        load_table=partial(load_table, house.objects, house.catalogue),
        who="ana",
        now_us=house.clock.tick(),
    )


async def store(
    house: House, words: str, policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST
) -> Made:
    made = make_pack(house.clock, "default", STUDY, SERIES, [Sample(INSTANCE, words)])
    await put(house.objects, made)
    await commit(house.objects, house.catalogue, made, house.clock, policy)
    return made


async def words_of(house: House) -> list[str]:
    (study,) = await house.catalogue.studies_by_uid("default", [STUDY])
    return study.attributes["00081030"]["Value"]


async def two(house: House, policy: ConflictPolicy = ConflictPolicy.KEEP_FIRST) -> None:
    await house.store(Sample(INSTANCE), Sample(f"{INSTANCE}.9", "second"))
    await store(house, "second", policy)


@pytest.mark.parametrize("policy", ConflictPolicy)
async def test_the_other_one_is_shown_and_that_is_undone_exactly(
    house: House, policy: ConflictPolicy
) -> None:
    await two(house, policy)
    before, one = await house.digest(), await the_one(house)
    (record,) = await house.catalogue.conflicts("default")
    assert (one.conflict_id, one.kind) == (record.conflict_id, ConflictKind.CONTENT)
    assert (one.newcomer.pack_id, one.other.pack_id) == (record.pack_id, record.other_pack_id)
    assert one.resolution == record.resolution
    shown = await words_of(house)
    count = await house.count()

    now = await choose(promote, house, one.conflict_id)
    assert (now.conflict_id, now.shown, now.hidden) == (one.conflict_id, one.hidden, one.shown)
    assert await words_of(house) != shown
    assert await house.count() == count
    promoted = await house.digest()
    assert promoted != before
    assert await house.findings() == []
    assert await house.rebuilt() == promoted
    assert await the_one(house) == now
    assert await house.sweep() == (0, 0)

    assert await choose(undo, house, one.conflict_id) == one
    assert await house.digest() == before
    assert await house.findings() == []
    assert await house.rebuilt() == before
    assert await the_one(house) == one
    with pytest.raises(NotFound, match="promoted"):
        await choose(undo, house, one.conflict_id)
    choices = await choices_of(house.objects, "default", STUDY)
    assert [(choice.is_undo, choice.who) for choice in choices] == [(False, "ana"), (True, "ana")]


async def test_promotions_are_undone_one_by_one(house: House) -> None:
    await two(house, ConflictPolicy.QUARANTINE)
    one = await the_one(house)
    states = [await house.digest()]
    for _ in range(3):
        await choose(promote, house, one.conflict_id)
        states.append(await house.digest())
    assert (await the_one(house)).shown == one.newcomer
    for state in reversed(states[:-1]):
        await choose(undo, house, one.conflict_id)
        assert await house.digest() == state
        assert await house.rebuilt() == state
    with pytest.raises(NotFound):
        await choose(undo, house, one.conflict_id)


@pytest.mark.parametrize("policy", ConflictPolicy)
@pytest.mark.parametrize("repacks", [1, 2])
async def test_a_promotion_is_undone_after_its_packs_were_merged(
    house: House, tmp_path: Path, policy: ConflictPolicy, repacks: int
) -> None:
    await two(house, policy)
    one, before = await the_one(house), await words_of(house)
    await choose(promote, house, one.conflict_id)
    for number in range(repacks):
        # Both sides get other packs, and so the conflict another id.
        await house.store(Sample(f"{SERIES}.{90 + number}"), series=SERIES)
        made = await repack(house, tmp_path / f"{number}")
        assert made.made >= 1
        await house.sweep()
    renamed = await the_one(house)
    assert renamed.conflict_id != one.conflict_id
    assert (await disagreement(house.catalogue, "default", one.conflict_id)) == renamed
    undone = await choose(undo, house, one.conflict_id)
    assert undone.resolution == one.resolution
    assert await words_of(house) == before
    assert await house.findings() == []
    state = await house.digest()
    assert await house.rebuilt() == state
    with pytest.raises(NotFound):
        await choose(undo, house, undone.conflict_id)


async def test_promotions_from_before_and_after_a_repack_are_undone_one_by_one(
    house: House, tmp_path: Path
) -> None:
    await two(house)
    one = await the_one(house)
    shown = [await words_of(house)]
    await choose(promote, house, one.conflict_id)
    shown.append(await words_of(house))
    await house.store(Sample(f"{SERIES}.90"), series=SERIES)
    await repack(house, tmp_path / "merged")
    await choose(promote, house, (await the_one(house)).conflict_id)
    for words in reversed(shown):
        await choose(undo, house, (await the_one(house)).conflict_id)
        assert await words_of(house) == words
    with pytest.raises(NotFound, match="promoted"):
        await choose(undo, house, (await the_one(house)).conflict_id)


async def test_of_several_conflicts_that_were_merged_none_is_guessed(
    house: House, tmp_path: Path
) -> None:
    for words in ("first", "second", "third"):
        await store(house, words)
    old = {one.conflict_id for one in await listed(house)}
    await house.store(Sample(f"{SERIES}.90"), series=SERIES)
    await repack(house, tmp_path / "merged")
    gone = old - {one.conflict_id for one in await listed(house)}
    assert gone
    for conflict_id in gone:
        with pytest.raises(NotFound, match="conflicts list"):
            await disagreement(house.catalogue, "default", conflict_id)


async def test_the_list_is_the_same_after_a_rebuild(house: House) -> None:
    await house.fill()
    before = {tenant: await listed(house, tenant) for tenant in ("default", "second")}
    kinds = {one.kind for one in before["default"]}
    assert kinds == {ConflictKind.CONTENT, ConflictKind.ELSEWHERE, ConflictKind.PATIENT}
    await house.rebuilt()
    for tenant, some in before.items():
        now = await listed(house, tenant)
        assert sorted(now, key=str) == sorted(some, key=str)
    assert all(one.found_us for one in some if one.kind is not ConflictKind.PATIENT)


async def test_what_is_shown_twice_is_not_chosen_between(house: House) -> None:
    await house.fill()
    keys = await house.keys("ledger/")
    for one in await listed(house):
        if one.kind is not ConflictKind.CONTENT:
            with pytest.raises(Conflict, match="Both"):
                await choose(promote, house, one.conflict_id)
    for work in (promote, undo):
        with pytest.raises(NotFound):
            await choose(work, house, "0" * 32)
    assert await house.keys("ledger/") == keys


@pytest.mark.parametrize("policy", [ConflictPolicy.KEEP_FIRST, ConflictPolicy.REPLACE])
async def test_of_three_any_is_shown(house: House, policy: ConflictPolicy) -> None:
    for words in ("first", "second", "third"):
        await store(house, words, policy)
    before, first = await house.digest(), await listed(house)
    assert len(first) == 2
    hidden = {one.hidden for one in first}
    for one in first:
        now = await choose(promote, house, one.conflict_id)
        assert now.shown == one.hidden
        assert len(await listed(house)) == 2
        state = await house.digest()
        after = sorted(await listed(house), key=str)
        assert await house.rebuilt() == state
        assert sorted(await listed(house), key=str) == after
        await choose(undo, house, one.conflict_id)
        assert await house.digest() == before
    assert {one.hidden for one in await listed(house)} == hidden
    assert await house.findings() == []


async def test_a_promotion_that_died_is_ended_by_the_next(house: House) -> None:
    await two(house)
    before, one = await house.digest(), await the_one(house)
    dying: Any = Dying(house.catalogue, "commit", always)
    with pytest.raises(Unavailable):
        await choose(promote, house, one.conflict_id, catalogue=dying)
    assert await house.digest() == before
    await choose(promote, house, one.conflict_id)
    assert (await the_one(house)).shown == one.hidden
    assert await house.findings() == []
    await choose(undo, house, one.conflict_id)
    assert await house.digest() == before
    with pytest.raises(NotFound):
        await choose(undo, house, one.conflict_id)
    assert await house.rebuilt() == before


async def test_a_promotion_that_died_is_taken_back_by_an_undo(house: House) -> None:
    await two(house)
    before, one = await house.digest(), await the_one(house)
    dying: Any = Dying(house.catalogue, "commit", always)
    with pytest.raises(Unavailable):
        await choose(promote, house, one.conflict_id, catalogue=dying)
    assert await choose(undo, house, one.conflict_id) == one
    assert await house.findings() == []
    assert await house.rebuilt() == before
    with pytest.raises(NotFound):
        await choose(undo, house, one.conflict_id)


async def test_a_promotion_that_died_is_taken_back_by_whoever_tends_the_trash(
    house: House,
) -> None:
    await two(house)
    before, one = await house.digest(), await the_one(house)
    dying: Any = Dying(house.catalogue, "commit", always)
    with pytest.raises(Unavailable):
        await choose(promote, house, one.conflict_id, catalogue=dying)
    await house.tend(after_us=GRACE_US)
    assert await house.findings() == []
    assert await house.keys("trash/") == []
    assert await house.rebuilt() == before
    await choose(promote, house, one.conflict_id)
    assert (await the_one(house)).shown == one.hidden
    assert await house.keys("trash/") == []
    await choose(undo, house, one.conflict_id)
    assert await house.digest() == before


async def test_a_promotion_that_died_is_made_by_a_rebuild(house: House) -> None:
    await two(house)
    one = await the_one(house)
    dying: Any = Dying(house.catalogue, "commit", always)
    with pytest.raises(Unavailable):
        await choose(promote, house, one.conflict_id, catalogue=dying)
    await house.rebuilt()
    assert (await the_one(house)).shown == one.hidden
    assert await house.findings() == []


@pytest.mark.parametrize("scope", [ALL, Scope("default", STUDY, SERIES, INSTANCE)])
async def test_a_deletion_that_comes_between_wins_and_stays(house: House, scope: Scope) -> None:
    await two(house)
    one = await the_one(house)
    racing: Any = Racing(house.catalogue, "commit", partial(house.trash.delete, scope))
    with pytest.raises(NotFound, match="over"):
        await choose(promote, house, one.conflict_id, catalogue=racing)
    assert await listed(house) == []
    deleted = await house.digest()
    assert await house.findings() == []
    assert await house.rebuilt() == deleted
    await house.tend(after_us=GRACE_US)
    assert await house.digest() == deleted
    # Restored, it can be chosen as before.
    await house.trash.restore(scope)
    assert await the_one(house) == one
    with pytest.raises(NotFound, match="promoted"):
        await choose(undo, house, one.conflict_id)
    await choose(promote, house, one.conflict_id)
    assert (await the_one(house)).shown == one.hidden


async def test_a_deletion_outlives_a_promotion_that_died_after_it(house: House) -> None:
    await two(house)
    one = await the_one(house)
    racing: Any = Racing(house.catalogue, "commit", partial(house.trash.delete, ALL))

    def is_second_try(*_args: object, **_options: object) -> bool:
        return racing.has_raced

    dying: Any = Dying(racing, "study", is_second_try)
    house.clock.now_us += 3_600_000_000
    with pytest.raises(Unavailable):
        await choose(promote, house, one.conflict_id, catalogue=dying)
    assert await house.count() == 0
    await house.tend(after_us=GRACE_US)
    assert await house.count() == 0
    await house.rebuilt()
    assert await house.count() == 0


async def test_other_content_that_comes_between_is_no_obstacle(house: House) -> None:
    await two(house)
    one = await the_one(house)
    racing: Any = Racing(house.catalogue, "commit", partial(store, house, "third"))
    await choose(promote, house, one.conflict_id, catalogue=racing)
    assert (await disagreement(house.catalogue, "default", one.conflict_id)).shown == one.hidden
    assert len(await listed(house)) == 2
    state = await house.digest()
    assert await house.findings() == []
    assert await house.rebuilt() == state
    # What replaced both meanwhile ends the conflict.
    await store(house, "fourth", ConflictPolicy.REPLACE)
    for work in (promote, undo):
        with pytest.raises(NotFound):
            await choose(work, house, one.conflict_id)


async def test_a_promoted_one_is_deleted_and_restored_as_any_other(house: House) -> None:
    await two(house)
    one = await the_one(house)
    await choose(promote, house, one.conflict_id)
    state = await house.digest()
    await house.trash.delete(ALL)
    await house.trash.restore(ALL)
    assert await house.digest() == state
    await choose(undo, house, one.conflict_id)
    assert await the_one(house) == one
    await house.trash.delete(ALL)
    await house.purge()
    assert await house.keys("packs/default") == []
    assert await house.findings() == []


async def test_a_choice_that_cannot_be_read_is_told(house: House) -> None:
    await two(house)
    one = await the_one(house)
    await choose(promote, house, one.conflict_id)
    (key,) = [key for key in await house.keys(ledger_prefix("default", STUDY)) if "choice" in key]
    data = await house.objects.get(key)
    await house.objects.delete(key)
    await house.objects.put_new(key, data.replace(b'"command"', b'"comment"'))
    with pytest.raises(Corrupt):
        await choose(undo, house, one.conflict_id)


class Looking:
    """A catalogue that tells which studies were looked at."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.studies: list[str] = []

    async def study(self, tenant: str, study_instance_uid: str) -> Any:
        self.studies.append(study_instance_uid)
        return await self._catalogue.study(tenant, study_instance_uid)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalogue, name)


async def test_one_is_found_without_a_look_at_all_studies(house: House) -> None:
    for number in range(3):
        study = f"{STUDY}.{number}"
        for words in ("first", "second"):
            sample = Sample(f"{study}.1.1", words)
            made = make_pack(house.clock, "default", study, f"{study}.1", [sample])
            await put(house.objects, made)
            await commit(
                house.objects, house.catalogue, made, house.clock, ConflictPolicy.KEEP_FIRST
            )
    for one in await listed(house):
        looking: Any = Looking(house.catalogue)
        assert await disagreement(looking, "default", one.conflict_id) == one
        assert looking.studies == [one.newcomer.study_instance_uid]


class Watched:
    """A catalogue that counts which studies are read, and how many of them at once."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.under_way = self.most = self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def study(self, tenant: str, study_instance_uid: str) -> StudyState | None:
        self.read += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(0)
            return await self._real.study(tenant, study_instance_uid)
        finally:
            self.under_way -= 1


async def test_some_studies_are_read_at_once_and_no_more_than_are_wanted(house: House) -> None:
    studies = [f"1.2.{number}" for number in range(20)]
    for study in studies:
        for words in ("first", "second"):
            await house.store(Sample(f"{study}.1.1", words), study=study)
    catalogue: Any = Watched(house.catalogue)
    async with aclosing(disagreements(catalogue, "default")) as found:
        first = [(await anext(found)).newcomer.study_instance_uid for _ in range(2)]
    assert first == studies[:-3:-1]
    assert catalogue.read < 20
    assert 1 < catalogue.most < 20
    every = [one.studies async for one in disagreements(catalogue, "default")]
    assert every == [(study,) for study in reversed(studies)]

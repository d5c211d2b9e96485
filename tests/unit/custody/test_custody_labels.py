"""Labels: entered for ever, known by the catalogue, and lost by nothing that happens to a study."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.records import StudyChange, StudyRecord
from pacs_cloud.custody.backup.trees import TREES
from pacs_cloud.custody.findings import FindingKind
from pacs_cloud.custody.fsck import NEVER_YOUNG_US
from pacs_cloud.custody.labels import (
    LabelEntry,
    change_labels,
    follow_labels,
    label_entries,
    labelled,
    standing_labels,
)
from pacs_cloud.custody.rebuild import rebuild
from pacs_cloud.custody.repair.run import repair
from pacs_cloud.custody.repair.study import Terms
from pacs_cloud.errors import Corrupt, InvalidRequest, NotFound, Unavailable
from unit.custody.custody_corrections import correct, corrector
from unit.custody.custody_erasure import Eraser
from unit.custody.custody_house import ALL, STUDY, Dying, House
from unit.custody.custody_packs import Sample

DEFAULT = "default"


async def label(
    house: House, *labels: str, add: bool = True, study: str = STUDY, catalogue: Any = None
) -> frozenset[str]:
    return await change_labels(
        house.objects,
        catalogue or house.catalogue,
        DEFAULT,
        study,
        labels,
        is_added=add,
        reason="asked for",
        who="anna",
        now_us=house.clock.tick(),
    )


async def store(house: House, *numbers: int, study: str = STUDY) -> None:
    await house.store(*(Sample(f"{study}.1.{number}") for number in numbers), study=study)


async def known(house: House, study: str = STUDY) -> StudyRecord:
    state = await house.catalogue.study(DEFAULT, study)
    assert state is not None
    return state.study


async def test_what_is_added_stands_until_it_is_removed(house: House) -> None:
    await store(house, 1)
    before = await known(house)
    assert await label(house, "VIP ", "teaching") == {"vip", "teaching"}
    assert await label(house, "vip", add=False) == {"teaching"}
    after = await known(house)
    assert after.labels == {"teaching"}
    assert replace(after, labels=frozenset(), rev=before.rev) == before
    entries = await label_entries(house.objects, DEFAULT, STUDY)
    assert [(one.labels, one.is_added) for one in entries] == [
        (("teaching", "vip"), True),
        (("vip",), False),
    ]
    assert {(one.who, one.reason) for one in entries} == {("anna", "asked for")}
    assert [found async for found in labelled(house.objects, DEFAULT)] == [entries]
    assert await label(house, "teaching", add=False) == frozenset()
    assert [found async for found in labelled(house.objects, DEFAULT)] == []
    assert await known(house) == replace(before, rev=(await known(house)).rev)


async def test_what_changes_nothing_is_not_entered(house: House) -> None:
    await store(house, 1)
    await label(house, "vip")
    rev, keys = (await known(house)).rev, await house.keys("labels/")
    assert await label(house, "vip") == {"vip"}
    assert await label(house, "other", add=False) == {"vip"}
    assert ((await known(house)).rev, await house.keys("labels/")) == (rev, keys)


@pytest.mark.parametrize("text", ["", " ", "a b", "ä", "-a", "x" * 65, "a;b", "a/b"])
async def test_what_is_no_label_is_refused(house: House, text: str) -> None:
    await store(house, 1)
    with pytest.raises(InvalidRequest):
        await label(house, "vip", text)
    assert await house.keys("labels/") == []


async def test_a_study_that_is_not_there_has_none(house: House) -> None:
    with pytest.raises(NotFound):
        await label(house, "vip")
    assert await house.keys("labels/") == []


async def test_the_catalogue_follows_behind_a_crash(house: House) -> None:
    await store(house, 1)
    dying = Dying(house.catalogue, "commit", lambda *_: True)
    with pytest.raises(Unavailable):
        await label(house, "vip", catalogue=dying)
    assert (await known(house)).labels == frozenset()
    (finding,) = await house.findings()
    assert finding.kind is FindingKind.AGGREGATE
    assert "labels" in finding.detail
    terms = Terms(ConflictPolicy.KEEP_FIRST, house.clock.tick(), True, NEVER_YOUNG_US, grace_us=0)
    assert [one async for one in repair(house.objects, house.catalogue, terms, dry=False)]
    assert (await known(house)).labels == {"vip"}
    assert await house.findings() == []


async def test_the_same_command_again_ends_what_a_crash_began(house: House) -> None:
    await store(house, 1)
    with pytest.raises(Unavailable):
        await label(house, "vip", catalogue=Dying(house.catalogue, "commit", lambda *_: True))
    assert await label(house, "vip") == {"vip"}
    assert (await known(house)).labels == {"vip"}
    assert len(await house.keys("labels/")) == 1


async def test_it_stays_whatever_comes_in_is_corrected_or_deleted(house: House) -> None:
    await store(house, 1)
    await label(house, "vip")
    await store(house, 2)
    assert (await known(house)).labels == {"vip"}
    await corrector(house).apply(await correct(house, "StudyDescription=X"))
    assert (await known(house)).labels == {"vip"}
    assert (await known(house)).amendments
    await house.trash.delete(ALL)
    assert (await known(house)).labels == {"vip"}
    await house.trash.restore(ALL)
    assert (await known(house)).labels == {"vip"}
    assert await house.findings() == []


async def test_a_study_that_was_purged_comes_back_labelled(house: House) -> None:
    await store(house, 1)
    await label(house, "vip")
    await house.trash.delete(ALL)
    await house.tend(after_us=1 << 50, retention_us=0)
    assert await house.keys("packs/") == []
    assert (await known(house)).labels == {"vip"}
    assert await house.findings() == []
    before = await house.digest()
    assert await house.rebuilt() == before
    await store(house, 2)
    assert (await known(house)).labels == {"vip"}


async def test_a_study_that_is_purged_meanwhile_is_labelled_all_the_same(house: House) -> None:
    await store(house, 1)
    await label(house, "vip")
    state = await house.catalogue.study(DEFAULT, STUDY)
    assert state is not None
    gone = StudyChange(DEFAULT, STUDY, state.study, None)
    await house.catalogue.commit(gone)
    names = house.objects, house.catalogue, DEFAULT, STUDY
    assert await follow_labels(*names, now_us=1) == {"vip"}
    assert (await known(house)).labels == {"vip"}
    assert (await known(house)).rev > 1


async def test_an_erasure_leaves_it(house: House, tmp_path: Path) -> None:
    await store(house, 1, 2)
    await label(house, "vip")
    await Eraser(house, tmp_path).erase(ALL)
    assert (await known(house)).labels == {"vip"}
    assert await house.findings() == []


async def test_a_rebuild_knows_it(house: House) -> None:
    await store(house, 1)
    await store(house, 1, study="1.2.4")
    await label(house, "vip", "sensitive")
    before = await house.digest()
    assert await house.rebuilt() == before
    assert (await known(house)).labels == {"vip", "sensitive"}
    assert (await known(house, "1.2.4")).labels == frozenset()
    # One that goes on looks whether the labels are there, and leaves alone what is whole.
    state = await house.catalogue.study(DEFAULT, STUDY)
    assert state is not None
    forgetful = replace(state.study, labels=frozenset(), rev=state.study.rev + 1)
    await house.catalogue.commit(StudyChange(DEFAULT, STUDY, state.study, forgetful))
    assert await house.digest() != before
    for _ in range(2):
        await rebuild(
            house.objects,
            house.catalogue,
            policy=ConflictPolicy.KEEP_FIRST,
            now_us=house.clock.tick(),
            wipe=False,
        )
        assert await house.digest() == before


async def test_a_label_that_cannot_be_read_is_not_taken_for_none(house: House) -> None:
    await store(house, 1)
    await label(house, "vip")
    (key,) = await house.keys("labels/")
    await house.objects.delete(key)
    await house.objects.put_new(key, b"{}")
    with pytest.raises(Corrupt):
        await label(house, "teaching")
    await house.rebuilt()
    assert await house.catalogue.study(DEFAULT, STUDY) is None


def test_the_latest_entry_about_a_label_stands() -> None:
    def entry(at: int, *labels: str, add: bool = True) -> LabelEntry:
        return LabelEntry(DEFAULT, STUDY, labels, add, "", "", at)

    entries: Sequence[LabelEntry] = (
        entry(3, "vip"),
        entry(1, "vip", "teaching"),
        entry(2, "vip", add=False),
    )
    assert standing_labels(entries) == {"vip", "teaching"}
    assert standing_labels(entries[1:]) == {"teaching"}


def test_backups_take_them() -> None:
    assert {"labels/", "glass/"} <= {one.prefix for one in TREES}

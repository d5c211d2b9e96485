"""Decisions about the trash: as objects, and against those of commits."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogue_samples import NOW_US, SERIES, STUDY, TENANT, Shelf, instance, pack, uids
from pacs_cloud.catalogue.changing import is_purged
from pacs_cloud.catalogue.decisions import (
    Decision,
    decode_decisions,
    deleted_since,
    encode_trash,
    standing,
)
from pacs_cloud.catalogue.records import CHANGED_AT_ONCE, HiddenReason, PackRecord, StudyChange
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.errors import Corrupt

DELETED, PURGED = HiddenReason.DELETED, HiddenReason.PURGED


def about(
    hidden: dict[str, HiddenReason], at: int, *, trash: bool = True, pack_id: str = "p"
) -> Decision:
    return Decision("t", "1", "2", pack_id, hidden, NOW_US + at, about_trash=trash)


def test_decisions_about_several_packs_come_back() -> None:
    several = (
        about({"1.2": HiddenReason.DUPLICATE, "1.1": DELETED}, 0, pack_id="a"),
        about({}, 0, pack_id="b"),
    )
    assert decode_decisions(encode_trash(several[::-1])) == several
    one = about({"1.1": HiddenReason.REPLACED}, 0, trash=False)
    assert decode_decisions(one.to_json()) == (one,)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"kind": "later"},
        {"packs": {}},
        {"packs": [{"pack": "p"}]},
        {"packs": [{"pack": "p", "series": "2", "hidden": {"vanished": ["1.1"]}}]},
        {"decided_us": "soon"},
    ],
)
def test_what_is_no_decision_is_told(change: dict[str, object]) -> None:
    fields = orjson.loads(encode_trash([about({"1.1": DELETED}, 0)]))
    data = orjson.dumps({**fields, **change})
    if change == {"packs": {}}:
        assert decode_decisions(data) == ()
        return
    with pytest.raises(Corrupt):
        decode_decisions(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[1,2]", b'"trash"', b"7"])
def test_what_is_no_object_is_told(data: bytes) -> None:
    with pytest.raises(Corrupt):
        decode_decisions(data)


def test_a_commit_that_raced_does_not_take_a_deletion_back() -> None:
    deletion = about({"1.1": DELETED, "1.2": DELETED}, 1)
    late = about({"1.1": HiddenReason.REPLACED}, 2, trash=False)
    assert standing([late, deletion]) == {"p": {"1.1": DELETED, "1.2": DELETED}}
    restored = about({"1.1": HiddenReason.REPLACED}, 3)
    assert standing([restored, late, deletion]) == {"p": {"1.1": HiddenReason.REPLACED}}


def test_a_deletion_counts_from_its_last_time() -> None:
    decisions = [
        about({"1.1": DELETED}, 1),
        about({"1.1": DELETED, "1.2": DELETED}, 2),
        about({"1.2": DELETED}, 3),
        about({"1.1": DELETED, "1.2": DELETED, "1.3": HiddenReason.VARIANT}, 4),
        about({"1.3": HiddenReason.VARIANT}, 5, trash=False),
    ]
    assert deleted_since(decisions) == {"p": {"1.1": NOW_US + 4, "1.2": NOW_US + 2}}
    purged = about({"1.1": PURGED}, 6)
    assert deleted_since([*decisions, purged]) == {"p": {}}


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.sampled_from(["a", "b"]))))
def test_the_order_in_which_decisions_are_read_does_not_matter(
    made: list[tuple[int, bool, str]],
) -> None:
    # One object for each moment and pack, as their keys have it.
    unique = {(at, pack_id): trash for at, trash, pack_id in made}
    decisions = [
        about(
            {f"1.{at}": DELETED if trash else HiddenReason.REPLACED}, at, trash=trash, pack_id=id_
        )
        for (at, id_), trash in unique.items()
    ]
    assert standing(decisions) == standing(decisions[::-1])
    assert deleted_since(decisions) == deleted_since(decisions[::-1])


def test_a_pack_is_purged_when_nothing_of_it_is_wanted() -> None:
    def of(hidden: dict[str, HiddenReason]) -> PackRecord:
        return PackRecord("t", "1", "2", "p", 100, 2, NOW_US, hidden)

    assert not is_purged(of({}))
    assert not is_purged(of({"1.1": PURGED}))
    assert not is_purged(of({"1.1": PURGED, "1.2": DELETED}))
    assert not is_purged(of({"1.1": PURGED, "1.2": HiddenReason.DUPLICATE}))
    assert is_purged(of({"1.1": PURGED, "1.2": PURGED}))


async def test_only_tables_of_packs_that_show_something_are_read(tmp_path: Path) -> None:
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        shelf = Shelf(catalogue)
        first, second = (pack([instance(uid) for uid in uids(f"{SERIES}.{n}", 3)]) for n in (1, 2))
        await shelf.commit(first)
        await shelf.commit(second)
        shelf.loaded.clear()
        await shelf.change(STUDY, lambda one, _: DELETED if one.pack_id == first.pack_id else None)
        assert shelf.loaded == [second.pack_id]


async def test_a_deletion_leaves_records_of_other_series_as_they_are(tmp_path: Path) -> None:
    # An older release made them in another way: more of them than one change may put.
    async with SqliteCatalogue(tmp_path / "c.sqlite") as catalogue:
        shelf = Shelf(catalogue)
        for number in range(CHANGED_AT_ONCE + 2):
            series = f"{STUDY}.{number}"
            await shelf.commit(pack([instance(f"{series}.1")], series=series))
        for first in range(0, CHANGED_AT_ONCE + 2, 50):
            state = await catalogue.study(TENANT, STUDY)
            assert state is not None
            change = StudyChange(
                tenant=TENANT,
                study_instance_uid=STUDY,
                before=state.study,
                after=replace(state.study, rev=state.study.rev + 1),
                put_series=tuple(
                    replace(one, length_bytes=1) for one in state.series[first : first + 50]
                ),
            )
            await catalogue.commit(change)
        one = f"{STUDY}.7.1"
        changed = await shelf.change(STUDY, lambda _, uid: DELETED if uid == one else None)
        assert changed.instances == 1
        left = await catalogue.series(TENANT, STUDY)
        assert len(left) == CHANGED_AT_ONCE + 1
        assert {series.length_bytes for series in left} == {1}

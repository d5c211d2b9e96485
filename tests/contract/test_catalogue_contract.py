"""The catalogue's contract, on every adapter."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalogue_samples import (
    JPEG_LS,
    NOW_US,
    SERIES,
    STUDY,
    TENANT,
    Shelf,
    attributes,
    config_of,
    element,
    instance,
    name,
    pack,
    staged,
    statuses,
    uids,
)
from pacs_cloud.catalogue import changing, commit
from pacs_cloud.catalogue.commit import find_repeated, judge
from pacs_cloud.catalogue.decisions import standing
from pacs_cloud.catalogue.dynamodb import DynamodbCatalogue
from pacs_cloud.catalogue.judging import ConflictPolicy
from pacs_cloud.catalogue.ordering import place_of
from pacs_cloud.catalogue.port import (
    Anchor,
    ByAccession,
    ByDate,
    ByName,
    ByPatient,
    Catalogue,
    NamePart,
)
from pacs_cloud.catalogue.races import next_rev
from pacs_cloud.catalogue.records import (
    CHANGED_AT_ONCE,
    ConflictKind,
    HiddenReason,
    OutboxEvent,
    StudyChange,
    StudyRecord,
    UidRef,
)
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.amendment import Amendment
from pacs_cloud.errors import Conflict, InvalidRequest
from pacs_cloud.pack.index import PackIndex, decode_table
from servers.fixtures import Place


def ref(index: PackIndex) -> UidRef:
    return UidRef(index.study_instance_uid, index.series_instance_uid, index.pack_id)


def study_pack(number: int, **said: str) -> PackIndex:
    """A pack of one instance, of a study of its own."""
    study = f"1.2.840.99.{number}"
    return pack(
        [instance(f"{study}.1.1", received_us=NOW_US + number)],
        study=study,
        series=f"{study}.1",
        common=attributes(**said),
    )


async def found(
    catalogue: Catalogue, anchor: Anchor, *, limit: int = 100, tenant: str = TENANT
) -> list[str]:
    """Every study that a search pages through."""
    studies: list[StudyRecord] = []
    cursor: str | None = None
    while True:
        page = await catalogue.studies(tenant, anchor, after=cursor, limit=limit)
        assert len(page.studies) <= limit
        studies.extend(page.studies)
        cursor = page.cursor
        if cursor is None:
            break
    places = [place_of(study) for study in studies]
    assert places == sorted(places, reverse=True)
    return [study.study_instance_uid.removeprefix("1.2.840.99.") for study in studies]


class CatalogueContract:
    """What every catalogue does."""

    @pytest.fixture
    def shelf(self, catalogue: Catalogue) -> Shelf:
        return Shelf(catalogue)

    async def test_a_pack_is_invisible_until_its_commit(self, catalogue: Catalogue) -> None:
        index = pack([instance(f"{SERIES}.1")])
        await catalogue.stage(staged(index))
        assert await catalogue.study(TENANT, STUDY) is None
        assert await catalogue.packs(TENANT, STUDY) == ()
        assert await found(catalogue, ByDate()) == []
        assert await catalogue.find_uids(TENANT, [f"{SERIES}.1"]) == {f"{SERIES}.1": (ref(index),)}

    async def test_a_commit_shows_the_pack(self, catalogue: Catalogue, shelf: Shelf) -> None:
        index = pack([instance(f"{SERIES}.1"), instance(f"{SERIES}.2")])
        outcomes = await shelf.commit(index)
        assert statuses(outcomes, outcomes) == ["stored", "stored"]
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert state.study.instance_count == 2
        assert state.study.series_count == 1
        assert state.study.length_bytes == 2000
        assert state.study.modalities == {"CT"}
        assert [one.series_instance_uid for one in state.series] == [SERIES]
        assert [one.pack_id for one in state.packs] == [index.pack_id]
        assert await catalogue.series(TENANT, STUDY) == state.series
        assert await catalogue.packs(TENANT, STUDY) == state.packs
        assert await catalogue.packs(TENANT, STUDY, SERIES) == state.packs
        assert await catalogue.packs(TENANT, STUDY, "1.2.3") == ()
        assert await catalogue.studies_by_uid(TENANT, [STUDY, "1.2.3"]) == (state.study,)
        assert await catalogue.studies_by_uid("other", [STUDY]) == ()
        assert await catalogue.study("other", STUDY) is None
        assert [one async for one in catalogue.export()] == [state]

    async def test_the_index_comes_back(self, catalogue: Catalogue) -> None:
        index = pack([instance(f"{SERIES}.1")])
        pack_staged = staged(index)
        await catalogue.stage(pack_staged)
        await catalogue.stage(pack_staged)
        frames = await catalogue.index(TENANT, ref(index))
        assert frames is not None
        assert (frames.table, frames.headers) == (pack_staged.table, pack_staged.headers)
        table = await catalogue.table(TENANT, ref(index))
        assert table is not None
        assert decode_table(table) == index
        assert await catalogue.index("other", ref(index)) is None
        await catalogue.unstage(TENANT, ref(index), pack_staged.sop_instance_uids)
        assert await catalogue.index(TENANT, ref(index)) is None
        assert await catalogue.table(TENANT, ref(index)) is None
        assert await catalogue.find_uids(TENANT, [f"{SERIES}.1", SERIES]) == {}

    async def test_an_index_over_the_limit_is_left_to_the_object(
        self, catalogue: Catalogue
    ) -> None:
        index = pack([instance(f"{SERIES}.1")])
        large = replace(staged(index), headers=b"h" * (5 << 20))
        await catalogue.stage(large)
        assert await catalogue.index(TENANT, ref(index)) is None
        assert await catalogue.table(TENANT, ref(index)) == large.table

    async def test_uids_are_found_exactly(self, catalogue: Catalogue) -> None:
        counted = uids("1.2.840.99.5.7", 30, first=990)
        alone = [f"2.25.{10**30 + number}" for number in range(25)]
        few = uids("1.2.840.99.6", 5)
        index = pack([instance(uid) for uid in (*counted, *alone, *few)])
        again = pack([instance(counted[0]), instance(few[0])], series="1.2.840.99.1.2")
        for one in (index, again):
            await catalogue.stage(staged(one))
        everything = [*counted, *alone, *few, SERIES, "1.2.840.99.5.7.989", "1.2.840.99.5.7.2020"]
        places = await catalogue.find_uids(TENANT, everything)
        assert set(places) == set(everything[:-2])
        assert set(places[counted[0]]) == set(places[few[0]]) == {ref(index), ref(again)}
        assert places[counted[1]] == places[SERIES] == (ref(index),)
        assert await catalogue.find_uids("other", everything) == {}
        await catalogue.unstage(TENANT, ref(index), staged(index).sop_instance_uids)
        places = await catalogue.find_uids(TENANT, everything)
        assert places == {counted[0]: (ref(again),), few[0]: (ref(again),)}

    async def test_a_commit_is_conditional(self, catalogue: Catalogue, shelf: Shelf) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        renewed = replace(state.study, rev=next_rev(state.study, NOW_US))
        change = StudyChange(TENANT, STUDY, state.study, renewed)
        await catalogue.commit(change)
        event = OutboxEvent("0190", "pack-stored", TENANT, {})
        events = await catalogue.events()
        with pytest.raises(Conflict):
            await catalogue.commit(replace(change, events=(event,)))
        with pytest.raises(Conflict):
            await catalogue.commit(StudyChange(TENANT, STUDY, None, state.study))
        with pytest.raises(Conflict):
            await catalogue.commit(StudyChange(TENANT, "1.2.3", state.study, None))
        assert await catalogue.events() == events
        after = await catalogue.study(TENANT, STUDY)
        assert after is not None
        assert after.study == renewed

    async def test_a_study_that_is_removed_is_gone(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        index = pack([instance(f"{SERIES}.1")], common=attributes(patient_name="ROE^ANN"))
        await shelf.commit(index)
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        removal = StudyChange(
            TENANT, STUDY, state.study, None, drop_series=(SERIES,), drop_packs=(ref(index),)
        )
        await catalogue.commit(removal)
        assert await catalogue.study(TENANT, STUDY) is None
        assert await catalogue.packs(TENANT, STUDY) == ()
        assert await catalogue.series(TENANT, STUDY) == ()
        for anchor in (
            ByDate(),
            ByPatient("P1"),
            ByAccession("A1"),
            ByName(NamePart.NAME, "ROE"),
            ByName(NamePart.GIVEN, "ANN"),
            ByName(NamePart.INFIX, "OE^"),
            ByName(NamePart.SOUND, "R"),
        ):
            assert await found(catalogue, anchor) == []
        assert [one async for one in catalogue.export()] == []
        with pytest.raises(Conflict):
            await catalogue.commit(removal)
        await shelf.commit(index, now_us=NOW_US + 1)
        assert await found(catalogue, ByName(NamePart.NAME, "ROE")) == ["1"]

    async def test_large_drops_are_one_change(self, catalogue: Catalogue, shelf: Shelf) -> None:
        packs = [pack([instance(f"{SERIES}.{number}.9")]) for number in range(130)]
        await shelf.commit(packs[0])
        for some in (packs[:70], packs[70:]):
            state = await catalogue.study(TENANT, STUDY)
            assert state is not None
            change = StudyChange(
                TENANT,
                STUDY,
                state.study,
                replace(state.study, rev=next_rev(state.study, NOW_US)),
                put_packs=tuple(replace(state.packs[0], pack_id=index.pack_id) for index in some),
            )
            await catalogue.commit(change)
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert len(state.packs) == 130
        merged = replace(state.packs[0], pack_id="ff", instance_count=130)
        await catalogue.commit(
            StudyChange(
                TENANT,
                STUDY,
                state.study,
                replace(state.study, rev=next_rev(state.study, NOW_US)),
                put_packs=(merged,),
                drop_packs=tuple(ref(index) for index in packs),
            )
        )
        after = await catalogue.study(TENANT, STUDY)
        assert after is not None
        assert after.packs == (merged,)
        assert await catalogue.packs(TENANT, STUDY) == (merged,)
        await shelf.commit(pack([instance(f"{SERIES}.500")]))
        assert len(await catalogue.packs(TENANT, STUDY)) == 2

    async def test_a_change_has_its_limit(self, catalogue: Catalogue, shelf: Shelf) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        many = tuple(
            replace(state.packs[0], pack_id=str(number)) for number in range(CHANGED_AT_ONCE + 1)
        )
        after = replace(state.study, rev=next_rev(state.study, NOW_US))
        with pytest.raises(InvalidRequest):
            StudyChange(TENANT, STUDY, state.study, after, put_packs=many)
        await catalogue.commit(StudyChange(TENANT, STUDY, state.study, after, put_packs=many[1:]))
        assert len(await catalogue.packs(TENANT, STUDY)) == CHANGED_AT_ONCE + 1

    async def test_events_wait_until_they_are_forgotten(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        for number in range(5):
            await shelf.commit(
                pack([instance(f"{SERIES}.{number}")]), now_us=NOW_US + 1000 * number
            )
        events = await catalogue.events()
        assert [event.kind for event in events] == ["pack-stored"] * 5
        assert [event.event_id for event in events] == sorted(event.event_id for event in events)
        assert events[0].body["study_instance_uid"] == STUDY
        assert await catalogue.events(2) == events[:2]
        await catalogue.forget_events([event.event_id for event in events[:3]])
        await catalogue.forget_events([event.event_id for event in events[:3]])
        assert await catalogue.events() == events[3:]

    async def test_searches_by_key(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number, said in enumerate(
            (
                {"patient_id": "P1", "issuer": "H1", "accession": "A1", "date": "20240101"},
                {"patient_id": "P1", "issuer": "H2", "accession": "A2", "date": "20240301"},
                {"patient_id": "P1", "accession": "A2", "date": ""},
                {"patient_id": "P2", "issuer": "H1", "accession": "", "date": "20231231"},
                {"patient_id": "", "accession": " A2 ", "date": "20240301", "time": ""},
            ),
            start=1,
        ):
            await shelf.commit(study_pack(number, **said))
        assert await found(catalogue, ByPatient("P1")) == ["2", "1", "3"]
        assert await found(catalogue, ByPatient("P1", "H1")) == ["1"]
        assert await found(catalogue, ByPatient("P1", "")) == ["3"]
        assert await found(catalogue, ByPatient("P9")) == []
        assert await found(catalogue, ByAccession("A2")) == ["2", "5", "3"]
        assert await found(catalogue, ByAccession("A2"), tenant="other") == []
        assert await found(catalogue, ByDate()) == ["2", "5", "1", "4", "3"]
        assert await found(catalogue, ByDate(), limit=1) == ["2", "5", "1", "4", "3"]
        assert await found(catalogue, ByDate("20240101")) == ["2", "5", "1"]
        assert await found(catalogue, ByDate("20240102", "20240229")) == []
        assert await found(catalogue, ByDate("", "20231231")) == ["4"]
        assert await found(catalogue, ByDate("20240101", "20240301"), limit=2) == ["2", "5", "1"]

    async def test_searches_by_modality(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number, modality in enumerate(("CT", "MR", "CT", "PT"), start=1):
            await shelf.commit(study_pack(number, modality=modality, date=f"2024010{number}"))
        await shelf.commit(
            pack(
                [instance("1.2.3.4")],
                study="1.2.840.99.4",
                series="1.2.840.99.4.2",
                common=attributes(modality="CT", date="20240104"),
            )
        )
        assert await found(catalogue, ByDate(modality="CT")) == ["4", "3", "1"]
        assert await found(catalogue, ByDate("20240102", "20240103", "CT")) == ["3"]

    async def test_searches_by_name(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number, patient_name in enumerate(
            ("SMITH^JOHN", "Smith^Jane^Ann", "SMITHERS^JOAN", "LEE^ANNA", "MÜLLER^ANNABEL"),
            start=1,
        ):
            await shelf.commit(study_pack(number, patient_name=patient_name))
        index = study_pack(6)
        japanese = name("YAMADA^TARO", "山田^太郎", "やまだ^たろう")
        await shelf.commit(replace(index, common={**index.common, "00100010": japanese}))
        by = ByName
        assert await found(catalogue, by(NamePart.NAME, "SMITH^J")) == ["2", "1"]
        assert await found(catalogue, by(NamePart.NAME, "SMITH")) == ["3", "2", "1"]
        assert await found(catalogue, by(NamePart.NAME, "S"), limit=1) == ["3", "2", "1"]
        assert await found(catalogue, by(NamePart.NAME, "SMITH^JANE^ANN")) == ["2"]
        assert await found(catalogue, by(NamePart.NAME, "SMITH^JANE^ANNE")) == []
        assert await found(catalogue, by(NamePart.NAME, "MULLER")) == ["5"]
        assert await found(catalogue, by(NamePart.NAME, "山田")) == ["6"]
        assert await found(catalogue, by(NamePart.GIVEN, "ANNA")) == ["5", "4"]
        assert await found(catalogue, by(NamePart.GIVEN, "ANN")) == ["5", "4", "2"]
        assert await found(catalogue, by(NamePart.GIVEN, "TARO")) == ["6"]
        assert await found(catalogue, by(NamePart.GIVEN, "太")) == ["6"]
        assert await found(catalogue, by(NamePart.GIVEN, "SMITH")) == []

    async def test_searches_inside_a_name(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number, patient_name in enumerate(("SMITH^JOHN", "LEE^ANNA", 'O"NEIL^X'), start=1):
            await shelf.commit(study_pack(number, patient_name=patient_name))
        # Callers filter: a page may hold more than what matches.
        assert "1" in await found(catalogue, ByName(NamePart.INFIX, "ITH^J"))
        assert "2" in await found(catalogue, ByName(NamePart.INFIX, "NNA"))
        assert "3" in await found(catalogue, ByName(NamePart.INFIX, 'O"N'))
        with pytest.raises(InvalidRequest):
            await catalogue.studies(TENANT, ByName(NamePart.INFIX, "AN"))

    async def test_searches_by_sound(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number, patient_name in enumerate(
            ("SMITH^JOHN", "Schmidt^Hans", "ROE^ANNA SMITHERS", "O'SMITH", "山田^太郎"), start=1
        ):
            await shelf.commit(study_pack(number, patient_name=patient_name))
        by = ByName
        assert await found(catalogue, by(NamePart.SOUND, "SMT")) == ["4", "3", "2", "1"]
        assert await found(catalogue, by(NamePart.SOUND, "SMTR")) == ["3"]
        assert await found(catalogue, by(NamePart.SOUND, "JN")) == ["1"]
        assert await found(catalogue, by(NamePart.SOUND, "OKMT")) == ["4"]
        assert await found(catalogue, by(NamePart.SOUND, "太")) == ["5"]
        assert await found(catalogue, by(NamePart.SOUND, "S"), limit=1) == ["4", "3", "2", "1"]
        assert await found(catalogue, by(NamePart.SOUND, "MT")) == []

    async def test_a_long_key_is_found(self, catalogue: Catalogue, shelf: Shelf) -> None:
        long = "X" * 3000
        await shelf.commit(
            study_pack(1, patient_id=long, accession=long + "1", patient_name=long + "^" + long)
        )
        await shelf.commit(study_pack(2, patient_id=long + "2"))
        assert await found(catalogue, ByPatient(long)) == ["1"]
        assert await found(catalogue, ByAccession(long + "1")) == ["1"]
        assert await found(catalogue, ByName(NamePart.NAME, "X" * 40)) == ["1"]
        assert await found(catalogue, ByName(NamePart.NAME, "X" * 40 + "Y")) == []

    async def test_a_search_follows_a_change(self, catalogue: Catalogue, shelf: Shelf) -> None:
        late = study_pack(1, patient_name="NEW^NAME", patient_id="P2", date="20250101")
        early = replace(
            study_pack(1, patient_name="OLD^NAME", date="20240101"),
            instances=(instance("1.2.840.99.1.1.2", received_us=NOW_US - 5),),
        )
        await shelf.commit(late)
        assert await found(catalogue, ByName(NamePart.NAME, "NEW")) == ["1"]
        await shelf.commit(early)
        assert await found(catalogue, ByName(NamePart.NAME, "NEW")) == []
        assert await found(catalogue, ByName(NamePart.NAME, "OLD")) == ["1"]
        assert await found(catalogue, ByDate("20250101")) == []
        assert await found(catalogue, ByDate("", "20241231")) == ["1"]
        # The study names two patients now, and either finds it.
        assert await found(catalogue, ByPatient("P1")) == ["1"]
        assert await found(catalogue, ByPatient("P2")) == ["1"]
        conflicts = await catalogue.conflicts(TENANT)
        assert [one.kind for one in conflicts] == [ConflictKind.PATIENT]
        assert conflicts[0].pack_id == early.pack_id

    async def test_a_foreign_cursor_is_refused(self, catalogue: Catalogue) -> None:
        with pytest.raises(InvalidRequest):
            await catalogue.studies(TENANT, ByDate(), after="drop table")

    async def test_a_repeated_pack_changes_nothing(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        index = pack([instance(f"{SERIES}.1")])
        first = await shelf.commit(index)
        before = [one async for one in catalogue.export()]
        events = await catalogue.events()
        assert await shelf.commit(index, now_us=NOW_US + 9) == first
        assert [one async for one in catalogue.export()] == before
        assert await catalogue.events() == events

    async def test_a_duplicate_is_hidden(self, catalogue: Catalogue, shelf: Shelf) -> None:
        first = pack([instance(f"{SERIES}.1")])
        second = pack([instance(f"{SERIES}.1"), instance(f"{SERIES}.2")])
        await shelf.commit(first)
        assert statuses(await judge(catalogue, second, shelf.load), (f"{SERIES}.1",)) == [
            "duplicate"
        ]
        outcomes = await shelf.commit(second)
        assert statuses(outcomes, (f"{SERIES}.1", f"{SERIES}.2")) == ["duplicate", "stored"]
        assert outcomes[f"{SERIES}.1"].other_pack_id == first.pack_id
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert state.study.instance_count == 2
        packs = {one.pack_id: one for one in state.packs}
        assert packs[second.pack_id].hidden == {f"{SERIES}.1": HiddenReason.DUPLICATE}
        assert await catalogue.conflicts(TENANT) == []
        assert standing(shelf.decisions) == {
            second.pack_id: {f"{SERIES}.1": HiddenReason.DUPLICATE}
        }

    async def test_only_a_pack_that_is_there_whole_is_repeated(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        first = pack([instance(f"{SERIES}.1"), instance(f"{SERIES}.2")])
        assert await find_repeated(catalogue, first, shelf.load) is None
        await catalogue.stage(staged(first))  # and then a crash: nobody else has it
        assert await find_repeated(catalogue, first, shelf.load) is None
        again = pack(first.instances)
        assert await find_repeated(catalogue, again, shelf.load) is None  # not committed
        await shelf.commit(first)
        repeated = await find_repeated(catalogue, again, shelf.load)
        assert repeated == await judge(catalogue, again, shelf.load)
        assert repeated is not None
        assert statuses(repeated, (f"{SERIES}.1", f"{SERIES}.2")) == ["duplicate", "duplicate"]
        for brings_more in (
            pack([*first.instances, instance(f"{SERIES}.3")]),
            pack([instance(f"{SERIES}.3"), *first.instances]),
            pack([first.instances[0], instance(f"{SERIES}.2", "other content")]),
            pack([instance(f"{SERIES}.1", "other content"), *first.instances]),
            pack(first.instances, series=f"{SERIES}9"),
            pack(first.instances, study=f"{STUDY}9"),
        ):
            assert await find_repeated(catalogue, brings_more, shelf.load) is None

    async def test_a_variant_is_hidden(self, catalogue: Catalogue, shelf: Shelf) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        outcomes = await shelf.commit(pack([instance(f"{SERIES}.1", syntax=JPEG_LS)]))
        assert statuses(outcomes, outcomes) == ["variant"]
        assert await catalogue.conflicts(TENANT) == []

    @pytest.mark.parametrize("policy", [ConflictPolicy.KEEP_FIRST, ConflictPolicy.QUARANTINE])
    async def test_other_content_is_hidden(
        self, catalogue: Catalogue, shelf: Shelf, policy: ConflictPolicy
    ) -> None:
        first = pack([instance(f"{SERIES}.1")])
        second = pack([instance(f"{SERIES}.1", "other", received_us=NOW_US + 1)])
        await shelf.commit(first)
        before = await catalogue.study(TENANT, STUDY)
        outcomes = await shelf.commit(second, policy=policy)
        reason = "kept-first" if policy is ConflictPolicy.KEEP_FIRST else "quarantined"
        assert statuses(outcomes, outcomes) == [reason]
        conflicts = await catalogue.conflicts(TENANT)
        assert [(one.kind, one.resolution) for one in conflicts] == [(ConflictKind.CONTENT, reason)]
        assert conflicts[0].other_pack_id == first.pack_id
        state = await catalogue.study(TENANT, STUDY)
        assert before is not None
        assert state is not None
        assert replace(state.study, rev=0) == replace(before.study, rev=0)
        assert len(state.packs) == 2
        assert await catalogue.conflicts("other") == []

    async def test_other_content_replaces(self, catalogue: Catalogue, shelf: Shelf) -> None:
        shelf.policy = ConflictPolicy.REPLACE
        one, two = f"{SERIES}.1", f"{SERIES}.2"
        first = pack([instance(one), instance(two)], common=attributes(patient_name="OLD"))
        second = pack(
            [instance(one, "new", received_us=NOW_US + 5, length_bytes=7)],
            common=attributes(patient_name="NEW"),
        )
        await shelf.commit(first)
        outcomes = await shelf.commit(second)
        assert statuses(outcomes, outcomes) == ["replaced"]
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert state.study.instance_count == 2
        assert state.study.length_bytes == 1007
        assert {pack.pack_id: dict(pack.hidden) for pack in state.packs} == {
            first.pack_id: {one: HiddenReason.REPLACED},
            second.pack_id: {},
        }
        assert standing(shelf.decisions) == {first.pack_id: {one: HiddenReason.REPLACED}}
        third = pack([instance(two, "new", received_us=NOW_US + 6)], common=attributes(date=""))
        await shelf.commit(third)
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        # Nothing of the first pack is visible, so nothing of it is said.
        assert state.study.attributes["00100010"] == name("NEW")
        assert state.study.first_received_us == NOW_US + 5

    async def test_a_pack_replaces_many(
        self, catalogue: Catalogue, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commit, "PACKS_PER_CHANGE", 5)
        shelf.policy = ConflictPolicy.REPLACE
        names = uids(f"{SERIES}.77", 12)
        for uid in names:
            await shelf.commit(pack([instance(uid)]))
        newcomer = pack([instance(uid, "new") for uid in (*names, f"{SERIES}.78")])
        outcomes = await shelf.commit(newcomer)
        assert statuses(outcomes, names) == ["replaced"] * 12
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert state.study.instance_count == 13
        assert {pack.pack_id for pack in state.packs if not pack.hidden} == {newcomer.pack_id}
        assert len(await catalogue.conflicts(TENANT)) == 12
        assert standing(shelf.decisions)[newcomer.pack_id] == {}
        assert len(await catalogue.events()) == 13

    async def test_the_same_uid_elsewhere_is_flagged(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        first = study_pack(1)
        other = pack([instance("1.2.840.99.1.1.1")], study="1.2.840.99.2", series="1.2.840.99.2.1")
        await shelf.commit(first)
        outcomes = await shelf.commit(other)
        assert statuses(outcomes, outcomes) == ["stored"]
        conflicts = await catalogue.conflicts(TENANT)
        assert [(one.kind, one.other_study_instance_uid) for one in conflicts] == [
            (ConflictKind.ELSEWHERE, "1.2.840.99.1")
        ]
        assert conflicts[0].resolution == "shown"

    async def test_racing_packs_of_two_studies_are_flagged(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        first = study_pack(1)
        other = pack([instance("1.2.840.99.1.1.1")], study="1.2.840.99.2", series="1.2.840.99.2.1")
        await catalogue.stage(staged(first))
        await shelf.commit(other)
        await shelf.commit(first)
        assert [one.kind for one in await catalogue.conflicts(TENANT)] == [ConflictKind.ELSEWHERE]

    async def test_only_packs_with_the_same_uids_are_read(self, shelf: Shelf) -> None:
        packs = [pack([instance(f"{SERIES}.{number}")]) for number in range(6)]
        for index in packs:
            await shelf.commit(index)
        assert shelf.loaded == []
        await shelf.commit(pack([instance(f"{SERIES}.3"), instance(f"{SERIES}.9")]))
        assert shelf.loaded == [packs[3].pack_id]

    async def test_racing_packs_lose_nothing(self, catalogue: Catalogue, shelf: Shelf) -> None:
        for number in range(8):
            study = f"1.2.840.99.{number}"
            same = [instance(f"{study}.{at}") for at in range(4)]
            racers = [
                pack([*same, instance(f"{study}.5.{at}")], study=study, series=f"{study}.0")
                for at in range(3)
            ]
            await asyncio.gather(*(shelf.commit(index) for index in racers))
            state = await catalogue.study(TENANT, study)
            assert state is not None
            assert state.study.instance_count == 7
            shown = [
                one.sop_instance_uid
                for record in state.packs
                for one in shelf.packs[record.pack_id].instances
                if one.sop_instance_uid not in record.hidden
            ]
            assert len(shown) == len(set(shown)) == 7
            hidden = {
                record.pack_id: dict(record.hidden) for record in state.packs if record.hidden
            }
            last = standing(shelf.decisions)
            packs = {index.pack_id for index in racers}
            assert {pack_id: last[pack_id] for pack_id in packs & last.keys() if last[pack_id]} == (
                hidden
            )

    async def test_a_rebuild_from_decisions_is_equal(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        one, two = f"{SERIES}.1", f"{SERIES}.2"
        await shelf.commit(pack([instance(one), instance(two)]))
        await shelf.commit(pack([instance(one)]))
        await shelf.commit(pack([instance(two, "new")]), policy=ConflictPolicy.REPLACE)
        await shelf.commit(
            pack([instance(one, "newer"), instance(f"{SERIES}.3")]),
            policy=ConflictPolicy.QUARANTINE,
        )
        before = [state async for state in catalogue.export()]
        conflicts = await catalogue.conflicts(TENANT)
        decided = standing(shelf.decisions)
        await catalogue.wipe(TENANT)
        assert [state async for state in catalogue.export()] == []
        assert await catalogue.find_uids(TENANT, [one]) == {}
        written = len(shelf.decisions)
        for pack_id in sorted(shelf.packs):
            await shelf.commit(shelf.packs[pack_id], decided=decided.get(pack_id, {}))
        after = [state async for state in catalogue.export()]
        assert [replace(state, study=replace(state.study, rev=0)) for state in after] == [
            replace(state, study=replace(state.study, rev=0)) for state in before
        ]
        again = await catalogue.conflicts(TENANT)
        assert again == conflicts
        assert len(shelf.decisions) == written
        assert await catalogue.events() == []

    async def test_a_wipe_spares_other_tenants(self, catalogue: Catalogue, shelf: Shelf) -> None:
        mine, theirs = pack([instance(f"{SERIES}.1")]), pack([instance(f"{SERIES}.1")], tenant="b")
        for index in (mine, theirs):
            await shelf.commit(index)
        assert [state.study.tenant async for state in catalogue.export()] == ["b", TENANT]
        await catalogue.wipe(TENANT)
        assert [state.study.tenant async for state in catalogue.export()] == ["b"]
        assert [state.study.tenant async for state in catalogue.export("b")] == ["b"]
        assert [event.tenant for event in await catalogue.events()] == ["b"]
        assert await found(catalogue, ByName(NamePart.NAME, "DOE"), tenant="b") == ["1"]
        assert "1" in await found(catalogue, ByName(NamePart.INFIX, "DOE"), tenant="b")
        await catalogue.wipe()
        assert [state async for state in catalogue.export()] == []
        await shelf.commit(mine)
        assert "1" in await found(catalogue, ByName(NamePart.INFIX, "DOE"))

    async def test_attributes_come_back_whole(self, catalogue: Catalogue, shelf: Shelf) -> None:
        said = attributes(
            **{
                "00101030": element("DS", 70.5),
                "00081032": element("SQ", {"00080100": element("SH", "X")}),
                "00100040": element("CS"),
            }
        )
        await shelf.commit(pack([instance(f"{SERIES}.1")], common=said))
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert {tag: state.study.attributes[tag] for tag in said if tag in state.study.ranks} == {
            tag: value for tag, value in said.items() if tag != "00080060"
        }
        assert state.series[0].attributes["00080060"] == element("CS", "CT")

    async def test_a_patient_with_many_studies_is_found_in_pages_of_any_size(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        for number in range(10, 35):
            said = {"patient_id": "P1", "accession": "A1", "date": f"202401{number - 9:02}"}
            await shelf.commit(study_pack(number, **said))
        newest_first = [str(number) for number in range(34, 9, -1)]
        for anchor in (ByPatient("P1"), ByAccession("A1")):
            for limit in (7, 20, 21, 24, 25, 100):
                assert await found(catalogue, anchor, limit=limit) == newest_first

    async def test_a_deleted_study_is_found_by_nothing_and_comes_back(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        anchors = (
            ByPatient("P1"),
            ByPatient("P1", "H1"),
            ByAccession("A1"),
            ByName(NamePart.NAME, "DOE"),
            ByName(NamePart.GIVEN, "JANE"),
            ByName(NamePart.INFIX, "OE^J"),
            ByDate("20240102", "20240102", "CT"),
            ByDate(),
        )
        common = attributes(issuer="H1")
        for number in (1, 2):
            study, series = f"1.2.840.99.{number}", f"1.2.840.99.{number}.1"
            for first in (1, 3):
                some = [instance(uid) for uid in uids(series, 2, first)]
                await shelf.commit(pack(some, study=study, series=series, common=common))
        await shelf.commit(pack([instance(f"{SERIES}.1")], common=common))  # hidden, a duplicate
        before = [one async for one in catalogue.export()]
        deleted = await shelf.delete(STUDY)
        assert deleted.instances == 4
        for anchor in anchors:
            assert await found(catalogue, anchor) == ["2"]
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert (state.study.instance_count, state.study.attributes, state.series) == (0, {}, ())
        assert sorted(one.hidden[f"{SERIES}.1"] for one in state.packs if len(one.hidden) == 1) == [
            HiddenReason.DUPLICATE
        ]
        assert standing(shelf.decisions) == {one.pack_id: one.hidden for one in state.packs}
        assert (await shelf.restore(STUDY)).instances == 4
        for anchor in anchors:
            assert await found(catalogue, anchor) == ["2", "1"]
        after = [one async for one in catalogue.export()]
        assert after[0].study.rev > before[0].study.rev
        assert [replace(one, study=replace(one.study, rev=0)) for one in after] == [
            replace(one, study=replace(one.study, rev=0)) for one in before
        ]

    async def test_a_purged_study_leaves_nothing(self, catalogue: Catalogue, shelf: Shelf) -> None:
        index = pack([instance(uid) for uid in uids(SERIES, 3)])
        await shelf.commit(index)
        await shelf.delete(STUDY)
        purged = await shelf.purge(STUDY)
        assert [one.pack_id for one in purged.purged] == [index.pack_id]
        assert await catalogue.study(TENANT, STUDY) is None
        assert await catalogue.packs(TENANT, STUDY) == ()
        assert await catalogue.find_uids(TENANT, [SERIES, *uids(SERIES, 3)]) == {}
        assert await catalogue.index(TENANT, ref(index)) is None
        assert [one async for one in catalogue.export()] == []
        # A study that is made again never repeats a `rev`'s decision.
        again = pack([instance(f"{SERIES}.1")])
        await shelf.commit(again, now_us=NOW_US + 60)
        assert await found(catalogue, ByPatient("P1")) == ["1"]

    async def test_deletions_of_many_packs_take_several_changes(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        count = changing.PACKS_PER_CHANGE * 2 + 5
        for number in range(count):
            series = f"{STUDY}.{number}"
            await shelf.commit(pack([instance(f"{series}.1")], series=series))
        revs = {one.study.rev async for one in catalogue.export()}
        assert (await shelf.delete(STUDY)).instances == count
        assert {decision.decided_us for decision in shelf.decisions} == {max(revs) + 1}
        assert await found(catalogue, ByPatient("P1")) == []
        assert (await shelf.restore(STUDY)).instances == count
        (study,) = await catalogue.studies_by_uid(TENANT, [STUDY])
        assert (study.instance_count, study.series_count) == (count, count)
        assert len(await catalogue.series(TENANT, STUDY)) == count

    async def test_a_deletion_and_a_commit_that_race_lose_nothing(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        for round_number in range(2, 6):
            newcomer = pack([instance(f"{SERIES}.{round_number}")])
            await asyncio.gather(shelf.delete(STUDY), shelf.commit(newcomer))
            await shelf.restore(STUDY)
            (study,) = await catalogue.studies_by_uid(TENANT, [STUDY])
            assert study.instance_count == round_number
        hidden = {one.pack_id: one.hidden for one in await catalogue.packs(TENANT, STUDY)}
        decided = standing(shelf.decisions)
        assert {pack_id: decided.get(pack_id, {}) for pack_id in hidden} == hidden

    async def test_a_corrected_study_is_found_as_it_is_shown(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        await shelf.commit(study_pack(1, patient_id="P1", accession="A1"))
        before = [one async for one in catalogue.export()]
        mended = Amendment(
            "c1", {"00100020": element("LO", "P2"), "00100010": name("SMITH^ANNA")}, NOW_US
        )
        comment = Amendment(
            "c2", {"00204000": element("LT", "here")}, NOW_US + 1, f"{STUDY}.1", f"{STUDY}.1.1"
        )
        assert await shelf.amend(STUDY, [mended, comment])
        assert not await shelf.amend(STUDY, [mended, comment])
        assert await found(catalogue, ByPatient("P2")) == ["1"]
        assert await found(catalogue, ByName(NamePart.NAME, "SMITH")) == ["1"]
        assert await found(catalogue, ByAccession("A1")) == ["1"]
        assert await found(catalogue, ByPatient("P1")) == []
        assert await found(catalogue, ByName(NamePart.NAME, "DOE")) == []
        (study,) = await catalogue.studies_by_uid(TENANT, [STUDY])
        (record,) = await catalogue.packs(TENANT, STUDY)
        assert study.amendments == record.amendments == (mended, comment)
        # A newcomer is corrected by its own commit.
        await shelf.commit(
            pack([instance(f"{STUDY}.2.1")], series=f"{STUDY}.2", common=attributes())
        )
        assert [len(one.amendments) for one in await catalogue.packs(TENANT, STUDY)] == [2, 1]
        assert await found(catalogue, ByPatient("P1")) == []
        assert await shelf.amend(STUDY, [])
        assert await found(catalogue, ByPatient("P1")) == ["1"]
        assert await found(catalogue, ByPatient("P2")) == []
        (state,) = [one async for one in catalogue.export()]
        assert state.packs[0] == before[0].packs[0]

    async def test_a_study_without_packs_remembers_its_corrections(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        amendment = Amendment("c1", {"00100020": element("LO", "P2")}, NOW_US)
        await shelf.amend(STUDY, [amendment])
        await shelf.delete(STUDY)
        await shelf.purge(STUDY)
        (state,) = [one async for one in catalogue.export()]
        assert state == await catalogue.study(TENANT, STUDY)
        assert (state.series, state.packs, state.study.amendments) == ((), (), (amendment,))
        assert await found(catalogue, ByPatient("P2")) == []
        await shelf.commit(pack([instance(f"{SERIES}.2")]), now_us=NOW_US + 60)
        assert await found(catalogue, ByPatient("P2")) == ["1"]
        await shelf.delete(STUDY, now_us=NOW_US + 70)
        await shelf.purge(STUDY)
        assert await shelf.amend(STUDY, [])
        assert await catalogue.study(TENANT, STUDY) is None

    async def test_labels_are_in_the_record_whichever_way_it_is_read(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        await shelf.commit(pack([instance(f"{SERIES}.1")]))
        (plain,) = await catalogue.studies_by_uid(TENANT, [STUDY])
        assert plain.labels == frozenset()
        labels = frozenset({"teaching", "vip"})
        after = replace(plain, labels=labels, rev=plain.rev + 1)
        await catalogue.commit(StudyChange(TENANT, STUDY, plain, after))
        await shelf.commit(pack([instance(f"{SERIES}.2")]), now_us=NOW_US + 60)
        (study,) = await catalogue.studies_by_uid(TENANT, [STUDY])
        assert (study.instance_count, study.labels) == (2, labels)
        (page,) = (await catalogue.studies(TENANT, ByPatient("P1"))).studies
        (exported,) = [one.study async for one in catalogue.export()]
        assert page == exported == study

    async def test_corrections_of_many_packs_take_several_changes(
        self, catalogue: Catalogue, shelf: Shelf
    ) -> None:
        count = changing.PACKS_PER_CHANGE + 5
        for number in range(count):
            series = f"{STUDY}.{number}"
            await shelf.commit(pack([instance(f"{series}.1")], series=series))
        amendment = Amendment("c1", {"00080060": element("CS", "MR")}, NOW_US)
        await shelf.amend(STUDY, [amendment])
        state = await catalogue.study(TENANT, STUDY)
        assert state is not None
        assert state.study.modalities == {"MR"}
        assert {one.amendments for one in state.packs} == {(amendment,)}
        assert {one.modalities for one in state.series} == {frozenset({"MR"})}
        assert len(state.series) == count

    async def test_it_is_ready(self, catalogue: Catalogue) -> None:
        await catalogue.ready()


class TestSqlite(CatalogueContract):
    @pytest.fixture
    async def catalogue(self, tmp_path: Path) -> AsyncIterator[Catalogue]:
        async with SqliteCatalogue(tmp_path / "catalogue.sqlite") as catalogue:
            yield catalogue


class TestDynamodb(CatalogueContract):
    @pytest.fixture
    async def catalogue(self, dynamodb_table: Place) -> AsyncIterator[Catalogue]:
        config = replace(config_of(dynamodb_table), date_shards=2)
        async with DynamodbCatalogue(config) as catalogue:
            yield catalogue

    async def test_searches_inside_names_by_trigrams(self, dynamodb_table: Place) -> None:
        config = replace(config_of(dynamodb_table), infix=True)
        async with DynamodbCatalogue(config) as catalogue:
            shelf = Shelf(catalogue)
            for number, patient_name in enumerate(("SMITH^JOHN", "ITHACA^J"), start=1):
                await shelf.commit(study_pack(number, patient_name=patient_name))
            assert await found(catalogue, ByName(NamePart.INFIX, "ITH^J")) == ["1"]
            assert await found(catalogue, ByName(NamePart.INFIX, "ITH")) == ["2", "1"]

"""SQLite, DynamoDB and a plain model, driven side by side, never differ."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from catalogue_samples import (
    EXPLICIT_LE,
    JPEG_LS,
    NOW_US,
    TENANT,
    Shelf,
    attributes,
    config_of,
    element,
    instance,
    name,
    pack,
    staged,
)
from pacs_cloud.catalogue.aggregate import contribution_of
from pacs_cloud.catalogue.decisions import standing
from pacs_cloud.catalogue.dynamodb import DynamodbCatalogue
from pacs_cloud.catalogue.judging import ConflictPolicy, ref_of
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
from pacs_cloud.catalogue.recompute import recompute
from pacs_cloud.catalogue.records import (
    HiddenReason,
    PackRecord,
    StudyChange,
    StudyRecord,
    StudyState,
)
from pacs_cloud.catalogue.sqlite import SqliteCatalogue
from pacs_cloud.dicom.amendment import Amendment, of_series
from pacs_cloud.dicom.elements import Elements
from pacs_cloud.dicom.name_words import sound_of
from pacs_cloud.pack.index import PackIndex, PackInstance
from servers.fixtures import Place

STUDIES = ("1.2.840.99.1", "1.2.840.99.2", "1.2.840.99.3")
NAMES = ("SMITH^JOHN", "SMITH^JANE", "SMITHERS^ANNA", "LEE^ANN", "")
PATIENTS = ("P1", "P2", "")
DATES = ("20240105", "20240131", "20240201", "")
MODALITIES = ("CT", "MR")

AMENDED: Elements = {
    "00100010": name("SMITH^MENDED"),
    "00100020": element("LO", "P2"),
    "00080050": element("SH", "A2"),
    "00080020": element("DA", "20240120"),
    "00080060": element("CS", "MR"),
}

ANCHORS: st.SearchStrategy[Anchor] = st.one_of(
    st.builds(ByPatient, st.sampled_from(("P1", "P2")), st.sampled_from((None, "", "H1"))),
    st.builds(ByAccession, st.sampled_from(("A1", "A2"))),
    st.builds(ByName, st.just(NamePart.NAME), st.sampled_from(("S", "SMITH^J", "SMITHE", "X"))),
    st.builds(ByName, st.just(NamePart.GIVEN), st.sampled_from(("A", "ANN", "ANNA", "JO"))),
    st.builds(ByName, st.just(NamePart.INFIX), st.sampled_from(("ITH", "H^J", "ANN"))),
    st.builds(ByName, st.just(NamePart.SOUND), st.sampled_from(("S", "SMT", "AN", "JN", "X"))),
    st.builds(
        ByDate,
        st.sampled_from(("", "20240105", "20240120", "20240201")),
        st.sampled_from(("", "20240131", "20240201")),
        st.sampled_from(("", *MODALITIES)),
    ),
)


@dataclass
class Model:
    """What is shown of which pack, by the plainest of rules."""

    packs: dict[str, PackIndex] = field(default_factory=dict)
    hidden: dict[str, set[str]] = field(default_factory=dict)
    deleted: dict[str, set[str]] = field(default_factory=dict)
    purged: dict[str, set[str]] = field(default_factory=dict)
    amendments: dict[str, list[Amendment]] = field(default_factory=dict)

    def commit(self, index: PackIndex, policy: ConflictPolicy) -> None:
        if index.pack_id in self.packs:
            return
        self.packs[index.pack_id] = index
        self.hidden[index.pack_id] = set()
        for one in index.instances:
            for other_id, other in self.shown(index, one.sop_instance_uid):
                if other_id == index.pack_id:
                    continue
                same = one.digest == other.digest
                variant = (
                    one.transfer_syntax_uid != other.transfer_syntax_uid
                    and index.common == self.packs[other_id].common
                )
                if not same and not variant and policy is ConflictPolicy.REPLACE:
                    self.hidden[other_id].add(one.sop_instance_uid)
                else:
                    self.hidden[index.pack_id].add(one.sop_instance_uid)

    def shown(self, beside: PackIndex, uid: str) -> list[tuple[str, PackInstance]]:
        return [
            (index.pack_id, one)
            for index in self.packs.values()
            if index.series_instance_uid == beside.series_instance_uid
            for one in index.instances
            if one.sop_instance_uid == uid and uid not in self.hidden[index.pack_id]
        ]

    def delete(self, study: str) -> None:
        for index, one in self.visible(study):
            self.hidden[index.pack_id].add(one.sop_instance_uid)
            self.deleted.setdefault(index.pack_id, set()).add(one.sop_instance_uid)

    def restorable(self, study: str) -> dict[str, set[str]]:
        """What of the trash can be shown, of several versions the last one."""
        found: dict[str, set[str]] = {}
        taken: set[str] = {one.sop_instance_uid for _, one in self.visible(study)}
        for pack_id in sorted(self.packs, reverse=True):
            if self.packs[pack_id].study_instance_uid == study:
                found[pack_id] = self.deleted.get(pack_id, set()) - taken
                taken |= found[pack_id]
        return found

    def purge(self, study: str) -> None:
        for pack_id, index in list(self.packs.items()):
            if index.study_instance_uid == study:
                purged = self.purged.setdefault(pack_id, set())
                purged |= self.deleted.pop(pack_id, set())
                if len(purged) == len(index.instances):
                    del self.packs[pack_id], self.hidden[pack_id]

    def visible(self, study: str) -> list[tuple[PackIndex, PackInstance]]:
        return [
            (index, one)
            for index in self.packs.values()
            if index.study_instance_uid == study
            for one in index.instances
            if one.sop_instance_uid not in self.hidden[index.pack_id]
        ]

    def exists(self, study: str) -> bool:
        """Whether the catalogue has a record of it: packs, or something to remember."""
        has_packs = any(index.study_instance_uid == study for index in self.packs.values())
        return has_packs or bool(self.amendments.get(study))

    def common(self, index: PackIndex) -> Elements:
        """What all instances of a pack show."""
        shown = dict(index.common)
        for one in self.amendments.get(index.study_instance_uid, ()):  # the latest last
            if one.series_instance_uid in {"", index.series_instance_uid}:
                shown |= one.elements
        return {tag: element for tag, element in shown.items() if "Value" in element}

    def said(self, study: str, tag: str) -> str:
        """The value of the first instance that has one."""
        values = [
            (one.received_us, one.sop_instance_uid, self.common(index)[tag]["Value"][0])
            for index, one in self.visible(study)
            if tag in self.common(index)
        ]
        value = min(values, key=lambda value: value[:2])[2] if values else ""
        return value if isinstance(value, str) else value["Alphabetic"]

    def matches(self, study: str, anchor: Anchor) -> bool:
        if not self.visible(study):
            return False
        commons = [self.common(index) for index, _ in self.visible(study)]
        if isinstance(anchor, ByPatient):
            pairs = {
                (
                    common["00100020"]["Value"][0],
                    common.get("00100021", {"Value": [""]})["Value"][0],
                )
                for common in commons
                if "00100020" in common
            }
            return any(
                patient == anchor.patient_id and anchor.issuer in {None, issuer}
                for patient, issuer in pairs
            )
        if isinstance(anchor, ByAccession):
            return self.said(study, "00080050") == anchor.accession_number
        if isinstance(anchor, ByName):
            name = self.said(study, "00100010")
            if anchor.part is NamePart.INFIX:
                return anchor.text in name
            if anchor.part is NamePart.SOUND:
                words = name.replace("^", " ").split()
                return any(sound_of(word).startswith(anchor.text) for word in words)
            given = name.partition("^")[2]
            return (name if anchor.part is NamePart.NAME else given).startswith(anchor.text)
        date = self.said(study, "00080020")
        if (anchor.first or anchor.last) and not date:
            return False
        return (
            (not anchor.first or date >= anchor.first)
            and (not anchor.last or date <= anchor.last)
            and (
                not anchor.modality
                or any(
                    common.get("00080060", {}).get("Value") == [anchor.modality]
                    for common in commons
                )
            )
        )

    def search(self, anchor: Anchor) -> list[str]:
        found = [study for study in STUDIES if self.matches(study, anchor)]
        return sorted(
            found,
            key=lambda study: (self.said(study, "00080020"), self.said(study, "00080030"), study),
            reverse=True,
        )


class Machine(RuleBasedStateMachine):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.model = Model()
        self.clock = NOW_US
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.sqlite = SqliteCatalogue(Path(self.folder.name) / "c.sqlite")
        self.dynamodb = DynamodbCatalogue(replace(config_of(place), date_shards=2))
        self.run(self.dynamodb.__aenter__())
        self.run(self.dynamodb.wipe())
        self.shelves = [Shelf(self.sqlite), Shelf(self.dynamodb)]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.agree()
        self.run(self.sqlite.close())
        self.run(self.dynamodb.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(
        study=st.sampled_from(STUDIES),
        series=st.integers(1, 2),
        numbers=st.sets(st.integers(1, 4), min_size=1),
        content=st.sampled_from("ab"),
        syntax=st.sampled_from((EXPLICIT_LE, JPEG_LS)),
        said=st.fixed_dictionaries(
            {
                "patient_name": st.sampled_from(NAMES),
                "patient_id": st.sampled_from(PATIENTS),
                "issuer": st.sampled_from(("", "H1")),
                "date": st.sampled_from(DATES),
                "time": st.sampled_from(("", "1015")),
                "accession": st.sampled_from(("A1", "A2", "")),
                "modality": st.sampled_from(MODALITIES),
            }
        ),
        earlier_us=st.integers(0, 50),
        policy=st.sampled_from(list(ConflictPolicy)),
    )
    def commit(
        self,
        study: str,
        series: int,
        numbers: set[int],
        content: str,
        syntax: str,
        said: dict[str, str],
        earlier_us: int,
        policy: ConflictPolicy,
    ) -> None:
        self.clock += 10_000
        index = pack(
            [
                instance(
                    f"{study}.{series}.{number}",
                    content,
                    syntax=syntax,
                    received_us=self.clock - earlier_us * 1000,
                )
                for number in sorted(numbers)
            ],
            study=study,
            series=f"{study}.{series}",
            common=attributes(**said),
            now_us=self.clock,
        )
        self.model.commit(index, policy)
        outcomes = [
            self.run(shelf.commit(index, now_us=self.clock, policy=policy))
            for shelf in self.shelves
        ]
        assert outcomes[0] == outcomes[1]
        expected = self.model.hidden[index.pack_id]
        assert {
            uid for uid, one in outcomes[0].items() if one.status not in {"stored", "replaced"}
        } == expected

    @precondition(lambda self: self.model.packs)
    @rule(data=st.data())
    def commit_again(self, data: st.DataObject) -> None:
        index = self.model.packs[data.draw(st.sampled_from(sorted(self.model.packs)))]
        for shelf in self.shelves:
            before = self.run(shelf.catalogue.study(TENANT, index.study_instance_uid))
            self.run(shelf.commit(index, now_us=self.clock + 1))
            assert self.run(shelf.catalogue.study(TENANT, index.study_instance_uid)) == before

    @precondition(lambda self: self.model.packs)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.clock += 10_000
        index = self.model.packs.pop(data.draw(st.sampled_from(sorted(self.model.packs))))
        for shelf in self.shelves:
            self.run(self._drop(shelf, index))
        del self.model.hidden[index.pack_id]
        self.model.deleted.pop(index.pack_id, None)
        self.model.purged.pop(index.pack_id, None)

    async def _drop(self, shelf: Shelf, index: PackIndex) -> None:
        catalogue = shelf.catalogue
        state = await catalogue.study(TENANT, index.study_instance_uid)
        assert state is not None
        after, series = recompute(
            (
                contribution_of(one, shelf.packs[one.pack_id])
                for one in state.packs
                if one.pack_id != index.pack_id
            ),
            rev=next_rev(state.study, self.clock),
            before=state.study,
        )
        known = {one.series_instance_uid for one in state.series}
        await catalogue.commit(
            StudyChange(
                TENANT,
                index.study_instance_uid,
                state.study,
                after,
                put_series=tuple(series.values()),
                drop_series=tuple(sorted(known - series.keys())),
                drop_packs=(ref_of(index),),
            )
        )
        await catalogue.unstage(TENANT, ref_of(index), staged(index).sop_instance_uids)

    @rule(study=st.sampled_from(STUDIES))
    def delete(self, study: str) -> None:
        self.clock += 10_000
        self.model.delete(study)
        changed = [self.run(one.delete(study, now_us=self.clock)) for one in self.shelves]
        assert changed[0] == changed[1]
        assert self.model.visible(study) == []

    @rule(study=st.sampled_from(STUDIES))
    def restore(self, study: str) -> None:
        self.clock += 10_000
        come = self.model.restorable(study)

        def become(record: PackRecord, uid: str) -> HiddenReason | None:
            return None if uid in come[record.pack_id] else record.hidden.get(uid)

        changed = [self.run(one.change(study, become, now_us=self.clock)) for one in self.shelves]
        assert changed[0] == changed[1]
        assert changed[0].instances == sum(map(len, come.values()))
        for pack_id, uids in come.items():
            self.model.hidden[pack_id] -= uids
            self.model.deleted[pack_id] = self.model.deleted.get(pack_id, set()) - uids

    @rule(study=st.sampled_from(STUDIES))
    def purge(self, study: str) -> None:
        self.clock += 10_000
        self.model.purge(study)
        changed = [self.run(one.purge(study, now_us=self.clock)) for one in self.shelves]
        assert changed[0] == changed[1]

    @rule(
        study=st.sampled_from(STUDIES),
        series=st.sampled_from((0, 0, 1, 2)),
        elements=st.dictionaries(st.sampled_from(sorted(AMENDED)), st.booleans(), min_size=1),
    )
    def amend(self, study: str, series: int, elements: dict[str, bool]) -> None:
        self.clock += 10_000
        amendment = Amendment(
            correction_id=f"c{self.clock}",
            elements={
                tag: AMENDED[tag] if has_value else {"vr": AMENDED[tag]["vr"]}
                for tag, has_value in elements.items()
            },
            amended_us=self.clock,
            series_instance_uid=f"{study}.{series}" if series else "",
        )
        self._amend(study, [*self.model.amendments.get(study, ()), amendment])

    @precondition(lambda self: any(self.model.amendments.values()))
    @rule(data=st.data())
    def unamend(self, data: st.DataObject) -> None:
        self.clock += 10_000
        amended = [study for study, some in sorted(self.model.amendments.items()) if some]
        study = data.draw(st.sampled_from(amended))
        standing_now = self.model.amendments[study]
        undone = data.draw(st.integers(0, len(standing_now) - 1))
        self._amend(study, [one for at, one in enumerate(standing_now) if at != undone])

    def _amend(self, study: str, amendments: list[Amendment]) -> None:
        exists = self.model.exists(study)
        if exists:
            self.model.amendments[study] = amendments
        for shelf in self.shelves:
            assert self.run(shelf.amend(study, amendments, now_us=self.clock)) == exists

    @rule(anchor=ANCHORS, limit=st.sampled_from((1, 2, 5)))
    def search(self, anchor: Anchor, limit: int) -> None:
        found = [self.run(self._found(shelf.catalogue, anchor, limit)) for shelf in self.shelves]
        assert found[0] == found[1]
        assert [study.study_instance_uid for study in found[0]] == self.model.search(anchor)

    async def _found(self, catalogue: Catalogue, anchor: Anchor, limit: int) -> list[StudyRecord]:
        studies: list[StudyRecord] = []
        cursor = None
        while True:
            page = await catalogue.studies(TENANT, anchor, after=cursor, limit=limit)
            studies.extend(page.studies)
            cursor = page.cursor
            if cursor is None:
                return studies

    @rule(numbers=st.sets(st.integers(1, 5), min_size=1))
    def find_uids(self, numbers: set[int]) -> None:
        uids = [
            f"{study}.{series}.{number}"
            for study in STUDIES
            for series in (1, 2)
            for number in numbers
        ]
        found = [self.run(shelf.catalogue.find_uids(TENANT, uids)) for shelf in self.shelves]
        assert found[0] == found[1]
        assert {uid: {ref.pack_id for ref in refs} for uid, refs in found[0].items()} == {
            uid: packs
            for uid in uids
            if (
                packs := {
                    index.pack_id
                    for index in self.model.packs.values()
                    if uid in {one.sop_instance_uid for one in index.instances}
                }
            )
        }

    def agree(self) -> None:
        """All three hold the same."""
        exports = [self.run(self._export(shelf.catalogue)) for shelf in self.shelves]
        assert exports[0] == exports[1]
        assert {
            record.pack_id: set(record.hidden) for state in exports[0] for record in state.packs
        } == self.model.hidden
        assert {one.study.study_instance_uid for one in exports[0]} == {
            study for study in STUDIES if self.model.exists(study)
        }
        for state in exports[0]:
            standing_now = tuple(self.model.amendments.get(state.study.study_instance_uid, ()))
            assert state.study.amendments == standing_now
            for record in state.packs:
                assert record.amendments == of_series(standing_now, record.series_instance_uid)
            shown = self.model.visible(state.study.study_instance_uid)
            assert state.study.instance_count == len(shown)
            assert state.study.length_bytes == sum(one.length_bytes for _, one in shown)
            assert {one.series_instance_uid for one in state.series} == {
                index.series_instance_uid for index, _ in shown
            }
            assert state.study.series_count == len(state.series)
        conflicts = [self.run(shelf.catalogue.conflicts(TENANT)) for shelf in self.shelves]
        assert conflicts[0] == conflicts[1]
        first, second = (standing(shelf.decisions) for shelf in self.shelves)
        assert first == second
        for pack_id, hidden in self.model.hidden.items():
            assert set(first.get(pack_id, {})) == hidden

    async def _export(self, catalogue: Catalogue) -> list[StudyState]:
        return [state async for state in catalogue.export()]


def test_sqlite_and_dynamodb_are_one_catalogue(dynamodb_table: Place) -> None:
    run_state_machine_as_test(
        lambda: Machine(dynamodb_table),
        settings=settings(
            max_examples=10,
            stateful_step_count=15,
            deadline=None,
            # Shrinking against a server takes minutes; a failure prints its steps as they are.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )

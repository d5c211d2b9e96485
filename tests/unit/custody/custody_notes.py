"""Rejection notes, made with pydicom, on their way into an archive."""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason, UidRef
from pacs_cloud.custody.rejections.arrivals import follow_pack
from pacs_cloud.custody.rejections.following import FollowedTrash
from pacs_cloud.custody.rejections.note import Why
from pacs_cloud.custody.stored_pack import load_table
from pacs_cloud.objectstore.port import ObjectStore
from unit.custody.custody_house import STUDY, House
from unit.custody.custody_packs import Made, commit, pack_files, put

SERIES = f"{STUDY}.1"
NOTES = f"{STUDY}.9"
"""The series of notes."""

Places = Mapping[str, Mapping[str, Sequence[str]]]
"""SOP Instance UIDs by study and series."""


def coded(value: str, scheme: str = "DCM", meaning: str = "words") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
    return item


def key_objects(
    uid: str,
    places: Places,
    *,
    code: str = Why.QUALITY,
    scheme: str = "DCM",
    study: str = STUDY,
    series: str = NOTES,
) -> Dataset:
    """Return a Key Object Selection Document (PS3.3 A.35.4)."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = KeyObjectSelectionDocumentStorage, uid
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "TEST^CUSTODY", "P1", "", ""
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260102", "101112", "", ""
    ds.ReferringPhysicianName, ds.Manufacturer = "", ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "KO", 1, 1
    ds.ReferencedPerformedProcedureStepSequence = []
    ds.ContentDate, ds.ContentTime = "20260103", "101112"
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [coded(code, scheme)]
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    ds.ContentTemplateSequence = [template]
    evidence: list[Dataset] = []
    content: list[Dataset] = []
    for study_uid, by_series in places.items():
        of_study = Dataset()
        of_study.StudyInstanceUID = study_uid
        of_study.ReferencedSeriesSequence = []
        for series_uid, uids in by_series.items():
            of_series = Dataset()
            of_series.SeriesInstanceUID = series_uid
            of_series.ReferencedSOPSequence = [reference(one) for one in uids]
            of_study.ReferencedSeriesSequence.append(of_series)
            for one in uids:
                item = Dataset()
                item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
                item.ReferencedSOPSequence = [reference(one)]
                content.append(item)
        evidence.append(of_study)
    ds.CurrentRequestedProcedureEvidenceSequence = evidence
    ds.ContentSequence = content
    return ds


def encoded(ds: Dataset) -> bytes:
    raw = io.BytesIO()
    out = DicomIO(raw)
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, ds)
    return raw.getvalue()


class NoteHouse(House):
    """An archive that follows rejection notes as a worker does."""

    @property
    def followed(self) -> FollowedTrash:
        load = partial(load_table, self.objects, self.catalogue)
        return FollowedTrash(self.objects, self.catalogue, load, self.clock.tick)

    async def note(self, uid: str, places: Places, **options: Any) -> Made:
        """Store a note; nobody follows it yet."""
        data = encoded(key_objects(uid, places, **options))
        files = [(bytes(128) + b"DICM", data, ExplicitVRLittleEndian)]
        made = pack_files(self.clock, "default", files)
        await put(self.objects, made)
        await commit(self.objects, self.catalogue, made, self.clock)
        return made

    async def follow(
        self,
        made: Made,
        *,
        objects: ObjectStore | None = None,
        catalogue: Catalogue | None = None,
    ) -> int:
        """Do what a worker does once a pack is stored."""
        return await follow_pack(
            objects or self.objects,
            catalogue or self.catalogue,
            "default",
            ref(made),
            load_table=partial(load_table, self.objects, self.catalogue),
            now_us=self.clock.tick(),
        )

    async def rejecting(self, uid: str, places: Places, **options: Any) -> Made:
        """Store a note, and follow it."""
        made = await self.note(uid, places, **options)
        await self.follow(made)
        return made

    async def hidden(self, study: str = STUDY) -> dict[str, set[HiddenReason]]:
        """Return why UIDs are hidden in any pack of a study."""
        found: dict[str, set[HiddenReason]] = {}
        for pack in await self.catalogue.packs("default", study):
            for uid, why in pack.hidden.items():
                found.setdefault(uid, set()).add(why)
        return found

    async def rejected(self, study: str = STUDY) -> set[str]:
        some = await self.hidden(study)
        return {uid for uid, why in some.items() if HiddenReason.REJECTED in why}

    async def is_whole(self) -> None:
        """Nothing is wrong, and the objects alone give the same catalogue."""
        assert await self.findings() == []
        before = await self.digest()
        assert await self.rebuilt() == before


def ref(made: Made) -> UidRef:
    key = made.key
    return UidRef(key.study_instance_uid, key.series_instance_uid, key.pack_id)

"""Attributes that no instance carries: counts, modalities and availability (PS3.4 C.3.4)."""

from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeAlias

from pacs_cloud.catalogue.records import PackRecord, SeriesRecord, StudyRecord
from pacs_cloud.dicom.elements import Element, Elements

INSTANCE_AVAILABILITY: Final = "00080056"
AVAILABLE_TRANSFER_SYNTAX: Final = "00083002"
MODALITIES_IN_STUDY: Final = "00080061"
SOP_CLASSES_IN_STUDY: Final = "00080062"
PATIENT_STUDIES: Final = "00201200"
PATIENT_SERIES: Final = "00201202"
PATIENT_INSTANCES: Final = "00201204"
STUDY_SERIES: Final = "00201206"
STUDY_INSTANCES: Final = "00201208"
SERIES_INSTANCES: Final = "00201209"

PATIENT_COMPUTED: Final = frozenset({PATIENT_STUDIES, PATIENT_SERIES, PATIENT_INSTANCES})
STUDY_COMPUTED: Final = frozenset(
    {MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY, STUDY_SERIES, STUDY_INSTANCES}
)
SERIES_COMPUTED: Final = frozenset({SERIES_INSTANCES})
OF_NO_INSTANCE: Final = (
    PATIENT_COMPUTED
    | STUDY_COMPUTED
    | SERIES_COMPUTED
    | {INSTANCE_AVAILABILITY, AVAILABLE_TRANSFER_SYNTAX}
)

CanBeRead: TypeAlias = Callable[[PackRecord], bool]
"""Tells whether a pack can be read now, or must be recalled first."""


def always(pack: PackRecord) -> bool:
    """Tell that a pack can be read: nothing lies in a cold class."""
    del pack
    return True


def of_patient(studies: Iterable[StudyRecord]) -> Elements:
    """Return the counts over all studies of one patient."""
    study_count = series_count = instance_count = 0
    for study in studies:
        study_count += 1
        series_count += study.series_count
        instance_count += study.instance_count
    return {
        PATIENT_STUDIES: _count(study_count),
        PATIENT_SERIES: _count(series_count),
        PATIENT_INSTANCES: _count(instance_count),
    }


def of_study(study: StudyRecord) -> Elements:
    """Return a study's counts, its modalities and its SOP classes."""
    return {
        MODALITIES_IN_STUDY: _several("CS", study.modalities),
        SOP_CLASSES_IN_STUDY: _several("UI", study.sop_classes),
        STUDY_SERIES: _count(study.series_count),
        STUDY_INSTANCES: _count(study.instance_count),
    }


def of_series(series: SeriesRecord) -> Elements:
    """Return a series' count of instances."""
    return {SERIES_INSTANCES: _count(series.instance_count)}


def availability(packs: Iterable[PackRecord], can_be_read: CanBeRead) -> Element:
    """Return Instance Availability: ONLINE, or NEARLINE where a pack must be recalled first."""
    return {"vr": "CS", "Value": ["ONLINE" if all(map(can_be_read, packs)) else "NEARLINE"]}


def _count(number: int) -> Element:
    return {"vr": "IS", "Value": [number]}


def _several(vr: str, values: Collection[str]) -> Element:
    return {"vr": vr, "Value": sorted(values)} if values else {"vr": vr}

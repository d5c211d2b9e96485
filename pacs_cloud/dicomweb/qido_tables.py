"""What a search returns when nothing else is asked for (PS3.18 Tables 10.6.3-3 to -5)."""

from typing import Final

from pacs_cloud.dicom import attributes
from pacs_cloud.query import computed
from pacs_cloud.query.request import Level

RETRIEVE_URL: Final = "00081190"

STUDY: Final = (
    "00080020",  # StudyDate
    "00080030",  # StudyTime
    "00080050",  # AccessionNumber
    "00080056",  # InstanceAvailability
    "00080061",  # ModalitiesInStudy
    "00080090",  # ReferringPhysicianName
    "00080201",  # TimezoneOffsetFromUTC
    "00100010",  # PatientName
    "00100020",  # PatientID
    "00100030",  # PatientBirthDate
    "00100040",  # PatientSex
    "0020000D",  # StudyInstanceUID
    "00200010",  # StudyID
    "00201206",  # NumberOfStudyRelatedSeries
    "00201208",  # NumberOfStudyRelatedInstances
)
SERIES: Final = (
    "00080060",  # Modality
    "00080201",  # TimezoneOffsetFromUTC
    "0008103E",  # SeriesDescription
    "0020000E",  # SeriesInstanceUID
    "00200011",  # SeriesNumber
    "00201209",  # NumberOfSeriesRelatedInstances
    "00400244",  # PerformedProcedureStepStartDate
    "00400245",  # PerformedProcedureStepStartTime
    "00400275",  # RequestAttributesSequence
)
INSTANCE: Final = (
    "00080016",  # SOPClassUID
    "00080018",  # SOPInstanceUID
    "00080056",  # InstanceAvailability
    "00080201",  # TimezoneOffsetFromUTC
    "00083002",  # AvailableTransferSyntaxUID, optional
    "00200013",  # InstanceNumber
    "00280008",  # NumberOfFrames
    "00280010",  # Rows
    "00280011",  # Columns
    "00280100",  # BitsAllocated
)

OF_LEVEL: Final = {Level.STUDY: STUDY, Level.SERIES: SERIES, Level.IMAGE: INSTANCE}

ALWAYS: Final = {
    # Present even when there is no value; the other attributes only where there is one.
    Level.STUDY: {
        "00080020": "DA",
        "00080030": "TM",
        "00080050": "SH",
        "00080061": "CS",
        "00080090": "PN",
        "00100010": "PN",
        "00100020": "LO",
        "00100030": "DA",
        "00100040": "CS",
        "0020000D": "UI",
        "00200010": "SH",
    },
    Level.SERIES: {"00080060": "CS", "0020000E": "UI", "00200011": "IS"},
    Level.IMAGE: {"00080016": "UI", "00080018": "UI", "00200013": "IS"},
}

EVERYTHING: Final = {
    # includefield=all: whatever records of the level keep.
    Level.STUDY: frozenset(attributes.STUDY_TAGS) | computed.STUDY_COMPUTED,
    Level.SERIES: frozenset(attributes.SERIES_TAGS) | computed.SERIES_COMPUTED,
    Level.IMAGE: frozenset(attributes.INSTANCE_TAGS),
}

UIDS: Final = frozenset({"0020000D", "0020000E", "00080018"})
"""Returned at every level that has them, since a Retrieve URL is made of them."""

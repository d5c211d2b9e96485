"""The attributes that searches match and return, by the level they belong to.

Sources: QIDO-RS required matching and returned attributes (PS3.18 Tables
10.6.1-5 and 10.6.3-3 to -5), C-FIND keys of the Patient Root and Study Root
models (PS3.4 C.6.1.1, C.6.2.1), and what people commonly search or sort by.
A header's JSON keeps everything; these are kept apart, so that a search never
reads a full header. Tags are eight upper-case hex digits, as in DICOM JSON.
"""

from typing import Final

PATIENT_TAGS: Final = (
    "00100010",  # PatientName
    "00100020",  # PatientID
    "00100021",  # IssuerOfPatientID
    "00100024",  # IssuerOfPatientIDQualifiersSequence
    "00100030",  # PatientBirthDate
    "00100032",  # PatientBirthTime
    "00100040",  # PatientSex
    "00101000",  # OtherPatientIDs
    "00101001",  # OtherPatientNames
    "00101002",  # OtherPatientIDsSequence
    "00102160",  # EthnicGroup
    "00104000",  # PatientComments
)
"""Of a patient; stored with each of their studies."""

STUDY_TAGS: Final = (
    "00080005",  # SpecificCharacterSet
    "00080020",  # StudyDate
    "00080030",  # StudyTime
    "00080050",  # AccessionNumber
    "00080051",  # IssuerOfAccessionNumberSequence
    "00080080",  # InstitutionName
    "00080090",  # ReferringPhysicianName
    "00080201",  # TimezoneOffsetFromUTC
    "00081030",  # StudyDescription
    "00081032",  # ProcedureCodeSequence
    "00081048",  # PhysiciansOfRecord
    "00081060",  # NameOfPhysiciansReadingStudy
    "00081080",  # AdmittingDiagnosesDescription
    "00101010",  # PatientAge
    "00101020",  # PatientSize
    "00101030",  # PatientWeight
    "00102180",  # Occupation
    "001021B0",  # AdditionalPatientHistory
    "0020000D",  # StudyInstanceUID
    "00200010",  # StudyID
    *PATIENT_TAGS,
)
"""Of a study, its patient's among them."""

SERIES_TAGS: Final = (
    "00080005",  # SpecificCharacterSet
    "00080021",  # SeriesDate
    "00080031",  # SeriesTime
    "00080060",  # Modality
    "00080064",  # ConversionType
    "00080070",  # Manufacturer
    "00080201",  # TimezoneOffsetFromUTC
    "0008103E",  # SeriesDescription
    "00081010",  # StationName
    "00081040",  # InstitutionalDepartmentName
    "00081050",  # PerformingPhysicianName
    "00081070",  # OperatorsName
    "00081090",  # ManufacturerModelName
    "00180015",  # BodyPartExamined
    "00181000",  # DeviceSerialNumber
    "00181030",  # ProtocolName
    "00185100",  # PatientPosition
    "0020000E",  # SeriesInstanceUID
    "00200011",  # SeriesNumber
    "00200052",  # FrameOfReferenceUID
    "00200060",  # Laterality
    "00400244",  # PerformedProcedureStepStartDate
    "00400245",  # PerformedProcedureStepStartTime
    "00400253",  # PerformedProcedureStepID
    "00400254",  # PerformedProcedureStepDescription
    "00400275",  # RequestAttributesSequence
)
"""Of a series."""

INSTANCE_TAGS: Final = (
    "00080005",  # SpecificCharacterSet
    "00080008",  # ImageType
    "00080012",  # InstanceCreationDate
    "00080013",  # InstanceCreationTime
    "00080016",  # SOPClassUID
    "00080018",  # SOPInstanceUID
    "00080022",  # AcquisitionDate
    "00080023",  # ContentDate
    "0008002A",  # AcquisitionDateTime
    "00080032",  # AcquisitionTime
    "00080033",  # ContentTime
    "00080201",  # TimezoneOffsetFromUTC
    "00200012",  # AcquisitionNumber
    "00200013",  # InstanceNumber
    "00200032",  # ImagePositionPatient
    "00200037",  # ImageOrientationPatient
    "00201041",  # SliceLocation
    "00204000",  # ImageComments
    "00280002",  # SamplesPerPixel
    "00280004",  # PhotometricInterpretation
    "00280008",  # NumberOfFrames
    "00280010",  # Rows
    "00280011",  # Columns
    "00280100",  # BitsAllocated
    "00280101",  # BitsStored
    "00420010",  # DocumentTitle
    "00420012",  # MIMETypeOfEncapsulatedDocument
    "0040A032",  # ObservationDateTime
    "0040A043",  # ConceptNameCodeSequence
    "0040A491",  # CompletionFlag
    "0040A493",  # VerificationFlag
    "00700080",  # ContentLabel
    "00700081",  # ContentDescription
    "00700084",  # ContentCreatorName
)
"""Of an instance."""

SEARCH_TAGS: Final = frozenset((*STUDY_TAGS, *SERIES_TAGS, *INSTANCE_TAGS))
"""Every attribute kept apart from the full header."""

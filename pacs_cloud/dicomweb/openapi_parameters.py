"""Every parameter that an HTTP operation takes, described once."""

from typing import Final

from pacs_cloud.dicom.pixel_tags import PIXEL_DATA
from pacs_cloud.dicomweb.openapi_terms import FLAG_SCHEMA, UID_SCHEMA, Parameter

PATH: Final = {
    parameter.name: parameter
    for parameter in (
        Parameter("study", "path", "Study Instance UID (0020,000D).", UID_SCHEMA, "1.2.3.1"),
        Parameter("series", "path", "Series Instance UID (0020,000E).", UID_SCHEMA, "1.2.3.1.1"),
        Parameter("instance", "path", "SOP Instance UID (0008,0018).", UID_SCHEMA, "1.2.3.1.1.1"),
        Parameter(
            "frames",
            "path",
            "Frame numbers from 1 on, with commas between.",
            {"type": "string", "pattern": "^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$"},
            "1,2",
        ),
        Parameter(
            "path",
            "path",
            "Where in the data set: tags, with item numbers between, as BulkDataURI gives it.",
            {"type": "string", "pattern": "^[0-9A-F]{8}(/[0-9]+/[0-9A-F]{8})*$"},
            PIXEL_DATA,
        ),
    )
}

ACCEPT: Final = Parameter(
    "accept",
    "query",
    "Media types the client takes, before its Accept header (PS3.18 8.3.3.1).",
    example="application/dicom+json",
)
IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", "header", "ETags of what the client holds (RFC 9110 13.1.2).", example='"x"'
)
IF_MATCH: Final = Parameter(
    "If-Match",
    "header",
    "An ETag of what is to be changed, as it was last seen (RFC 9110 13.1.1).",
    example='"x"',
)
CONTENT_ENCODING: Final = Parameter(
    "Content-Encoding",
    "header",
    "How the body is encoded (RFC 9110 8.4).",
    {"type": "string", "enum": ["gzip", "deflate", "identity"]},
    "gzip",
)
DICOMDIR: Final = Parameter(
    "dicomdir",
    "query",
    "Of a ZIP file: with a DICOMDIR, under names that it can list (PS3.10 8.2).",
    FLAG_SCHEMA,
    "true",
)

RANGES: Final = (
    Parameter("Range", "header", "One range of the body (RFC 9110 14.2).", example="bytes=0-99"),
    Parameter("If-Range", "header", "The ETag it is a range of (RFC 9110 13.1.5).", example='"x"'),
)

RENDERING: Final = (
    Parameter(
        "annotation",
        "query",
        "What is written into it: patient, technique (8.3.5.1.1).",
        example="patient",
    ),
    Parameter(
        "quality",
        "query",
        "Of a JPEG (8.3.5.1.2).",
        {"type": "integer", "minimum": 1, "maximum": 100},
        90,
    ),
    Parameter(
        "viewport",
        "query",
        "Width and height, then the region of the image: left, top, width, height in its pixels; "
        "negative ones flip (8.3.5.1.3).",
        example="256,256",
    ),
    Parameter(
        "window",
        "query",
        "Center, width and function: linear, linear-exact or sigmoid (8.3.5.1.4).",
        example="40,400,linear",
    ),
    Parameter(
        "iccprofile",
        "query",
        "Which colour profile goes with it (8.3.5.1.5).",
        {"type": "string", "enum": ["no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"]},
        "no",
    ),
)
THUMBNAIL: Final = (Parameter("viewport", "query", "Width and height (8.3.5.2).", example="64,64"),)

_NUMBER: Final = {"type": "integer", "minimum": 0, "maximum": 1_000_000_000}
SEARCH: Final = (
    ACCEPT,
    Parameter("limit", "query", "At most so many results.", _NUMBER, 25),
    Parameter("offset", "query", "Results to leave out at the beginning.", _NUMBER, 0),
    Parameter(
        "includefield",
        "query",
        "Attributes to return as well: keyword, tag or `all`, with commas between.",
        example="StudyDescription,00081030",
        is_list=True,
    ),
    Parameter("fuzzymatching", "query", "Match names by likeness.", FLAG_SCHEMA, "true"),
    Parameter(
        "multiplevaluematching", "query", "Of a list each value must be there.", FLAG_SCHEMA, "true"
    ),
    Parameter(
        "emptyvaluematching",
        "query",
        'A value `""` matches what is absent or has no value.',
        FLAG_SCHEMA,
        "false",
    ),
    Parameter("charset", "query", "Answers are UTF-8.", {"const": "utf-8"}, "utf-8"),
    # Any attribute is a key; these stand for all.
    Parameter("PatientID", "query", "An attribute as a key, by its keyword.", example="P1"),
    Parameter("PatientName", "query", "A key with wild cards.", example="DOE*"),
    Parameter("StudyDate", "query", "A key that is a range.", example="20240101-20241231"),
    Parameter("00080060", "query", "An attribute as a key, by its tag.", example="CT,MR"),
    Parameter(
        "RequestAttributesSequence.RequestedProcedureID",
        "query",
        "An attribute of a sequence's items as a key.",
        example="R1",
    ),
)

_UID_KEY: Final = {**UID_SCHEMA, "examples": ["1.2.3.1"]}
_COUNT: Final = {"type": "integer", "minimum": 1, "maximum": 100_000}
WADO_URI: Final = (
    Parameter(
        "requestType", "query", "What is asked for.", {"const": "WADO"}, "WADO", is_required=True
    ),
    Parameter("studyUID", "query", "Study Instance UID.", _UID_KEY, "1.2.3.1", is_required=True),
    Parameter(
        "seriesUID", "query", "Series Instance UID.", _UID_KEY, "1.2.3.1.1", is_required=True
    ),
    Parameter("objectUID", "query", "SOP Instance UID.", _UID_KEY, "1.2.3.1.1.1", is_required=True),
    Parameter(
        "contentType",
        "query",
        "Media types, best first.",
        example="application/dicom",
        is_list=True,
    ),
    Parameter("charset", "query", "Text is UTF-8.", {"const": "utf-8"}, "utf-8"),
    Parameter("anonymize", "query", "Not offered: refused with 400, never ignored."),
    Parameter(
        "transferSyntax", "query", "Of application/dicom.", UID_SCHEMA, "1.2.840.10008.1.2.1"
    ),
    Parameter("annotation", "query", "patient, technique: written into it.", example="patient"),
    Parameter("rows", "query", "The picture's height, at most.", _COUNT, 256),
    Parameter("columns", "query", "The picture's width, at most.", _COUNT, 256),
    Parameter(
        "region",
        "query",
        "Left, top, right and bottom of what is shown, each from 0 to 1.",
        example="0,0,0.5,0.5",
    ),
    Parameter("windowCenter", "query", "With windowWidth.", {"type": "number"}, 40),
    Parameter("windowWidth", "query", "With windowCenter.", {"type": "number"}, 400),
    Parameter("frameNumber", "query", "From 1 on.", _COUNT, 1),
    Parameter(
        "imageQuality",
        "query",
        "Of a JPEG.",
        {"type": "integer", "minimum": 1, "maximum": 100},
        90,
    ),
    Parameter(
        "presentationSeriesUID", "query", "The series of presentationUID.", UID_SCHEMA, "1.2.3.1.9"
    ),
    Parameter(
        "presentationUID", "query", "A presentation state to show it by.", UID_SCHEMA, "1.2.3.1.9.1"
    ),
)

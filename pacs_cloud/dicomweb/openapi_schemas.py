"""The shapes of bodies: DICOM JSON, problems, the store response (JSON Schema 2020-12)."""

from typing import Any, Final

from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.bundle import ZIP
from pacs_cloud.dicomweb.openapi_terms import Schema

BINARY: Final[Schema] = {}
"""Any bytes."""

_ELEMENT: Final[Schema] = {
    "type": "object",
    "properties": {
        "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "Value": {"type": "array"},
        "InlineBinary": {"type": "string", "contentEncoding": "base64"},
        "BulkDataURI": {"type": "string"},
    },
    "required": ["vr"],
    "additionalProperties": False,
}

COMPONENTS: Final[dict[str, Schema]] = {
    "Element": _ELEMENT,
    "DataSet": {
        "description": "Attributes by tag (PS3.18 F).",
        "type": "object",
        "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
        "additionalProperties": {"$ref": "#/components/schemas/Element"},
    },
    "DataSets": {"type": "array", "items": {"$ref": "#/components/schemas/DataSet"}},
    "Problem": {
        "description": "What went wrong (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
        },
        "required": ["type", "title", "status"],
    },
}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


DOCUMENTS: Final = {
    media.DICOM_JSON: ref("DataSets"),
    media.JSON: ref("DataSets"),
    f'{media.MULTIPART}; type="{media.DICOM_XML}"': BINARY,
}
"""An array of data sets, as searches and metadata answer."""

FILES: Final = {
    f'{media.MULTIPART}; type="{media.DICOM}"': BINARY,
    media.DICOM: BINARY,
    ZIP: BINARY,
}
FRAMES: Final = {
    f'{media.MULTIPART}; type="{media.OCTETS}"': BINARY,
    media.OCTETS: BINARY,
    "image/*": BINARY,
    "video/*": BINARY,
}
BULK: Final = {
    f'{media.MULTIPART}; type="{media.OCTETS}"': BINARY,
    "*/*": BINARY,
}
BODIES: Final = {
    f'{media.MULTIPART}; type="{media.DICOM}"': BINARY,
    f'{media.MULTIPART}; type="{media.DICOM_JSON}"': BINARY,
    f'{media.MULTIPART}; type="{media.DICOM_XML}"': BINARY,
    media.DICOM: BINARY,
    media.DICOM_JSON: {},
    media.DICOM_XML: BINARY,
}
STORED: Final = {
    media.DICOM_JSON: ref("DataSet"),
    media.JSON: ref("DataSet"),
    media.DICOM_XML: BINARY,
}

EXAMPLE_STUDY: Final[list[dict[str, Any]]] = [
    {
        "00080020": {"vr": "DA", "Value": ["20240102"]},
        "00080061": {"vr": "CS", "Value": ["CT"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "0020000D": {"vr": "UI", "Value": ["1.2.3.1"]},
        "00201206": {"vr": "IS", "Value": [1]},
        "00201208": {"vr": "IS", "Value": [3]},
    }
]
EXAMPLE_PROBLEM: Final = {
    "type": "about:blank",
    "title": "Not Found",
    "status": 404,
    "detail": "There is no such study or series.",
}

PICTURES: Final = {
    "image/jpeg": BINARY,
    "image/png": BINARY,
    "image/gif": BINARY,
}
RENDERED: Final = {
    **PICTURES,
    f'{media.MULTIPART}; type="image/jpeg"': BINARY,
    f'{media.MULTIPART}; type="image/png"': BINARY,
    f'{media.MULTIPART}; type="image/gif"': BINARY,
    "text/html": {"type": "string"},
    "text/plain": {"type": "string"},
    "application/pdf": BINARY,
    "text/xml": BINARY,
    "video/mp4": BINARY,
    "video/mpeg": BINARY,
}
"""What a browser shows by itself (PS3.18 Table 8.7.4-1)."""

SECURITY_SCHEMES: Final[dict[str, Schema]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or a token of the identity provider that the archive trusts.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "pacs",
        "description": "Of whoever has signed in on a page; `__Host-pacs` under TLS.",
    },
}

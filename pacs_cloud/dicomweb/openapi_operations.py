"""Every HTTP operation, described: what the route table serves, and nothing else."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb import openapi_parameters as parameters
from pacs_cloud.dicomweb import openapi_schemas as schemas
from pacs_cloud.dicomweb.openapi_terms import Operation, Parameter, Schema

Key: TypeAlias = tuple[str, str]
"""A method, and a path as its route has it: below the DICOMweb base, or from the root."""

WADL: Final = "application/vnd.sun.wadl+xml"

_STUDY: Final = "/studies/{study}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"

_FRAMES: Final = f"{_INSTANCE}/frames/{{frames}}"

_RETRIEVE: Final = "Retrieve (WADO-RS)"
_SEARCH: Final = "Search (QIDO-RS)"
_STORE: Final = "Store (STOW-RS)"
_DELETE: Final = "Delete"
_URI: Final = "URI service (WADO-URI)"
SERVICE: Final = "The service itself"


def _read(
    operation_id: str,
    summary: str,
    source: str,
    produces: Mapping[str, Schema],
    *more: Parameter,
    statuses: tuple[int, ...] = (),
) -> Operation:
    return Operation(
        operation_id,
        summary,
        source,
        _RETRIEVE,
        (parameters.ACCEPT, *more, parameters.IF_NONE_MATCH),
        produces,
        statuses=(200, 304, 404, 406, 410, *statuses),
    )


def _of_level(name: str, what: str) -> Mapping[str, Operation]:
    """Return what is retrieved of a study, a series or an instance, by the end of its path."""
    return {
        "": _read(
            f"Retrieve{name}",
            f"The Part 10 files of {what}, or one ZIP file of them.",
            "PS3.18 10.4.1.1.1",
            schemas.FILES,
            parameters.DICOMDIR,
            *parameters.RANGES,
            statuses=(206, 413, 416),
        ),
        "/metadata": _read(
            f"Retrieve{name}Metadata",
            f"The headers of {what}.",
            "PS3.18 10.4.1.1.2",
            schemas.DOCUMENTS,
        ),
        "/bulkdata": _read(
            f"Retrieve{name}Bulkdata",
            f"Every value of {what} that is too long for metadata.",
            "PS3.18 10.4.1.1.5",
            schemas.BULK,
            *parameters.RANGES,
            statuses=(206, 416),
        ),
        "/pixeldata": _read(
            f"Retrieve{name}PixelData",
            f"Every frame of {what}.",
            "PS3.18 10.4.1.1.6",
            schemas.BULK,
            *parameters.RANGES,
            statuses=(206, 416),
        ),
    }


def _shown(name: str, what: str) -> Mapping[str, Operation]:
    return {
        "/rendered": _read(
            f"RetrieveRendered{name}",
            f"What is to be seen of {what}, as a browser shows it.",
            "PS3.18 10.4.1.1.3",
            schemas.RENDERED,
            *parameters.RENDERING,
            *parameters.RANGES,
            statuses=(206, 416),
        ),
        "/thumbnail": _read(
            f"Retrieve{name}Thumbnail",
            f"A small picture of {what}.",
            "PS3.18 10.4.1.1.4",
            schemas.PICTURES,
            *parameters.THUMBNAIL,
        ),
    }


def _search(operation_id: str, what: str, *more: int) -> Operation:
    return Operation(
        operation_id,
        f"Search for {what}.",
        "PS3.18 10.6",
        _SEARCH,
        parameters.SEARCH,
        schemas.DOCUMENTS,
        statuses=(200, 204, 406, 413, *more),
    )


def _store(operation_id: str, where: str, *more: int) -> Operation:
    return Operation(
        operation_id,
        f"Store instances{where}.",
        "PS3.18 10.5",
        _STORE,
        (parameters.ACCEPT, parameters.CONTENT_ENCODING),
        schemas.STORED,
        schemas.BODIES,
        statuses=(200, 202, 406, 408, 409, 413, 415, *more),
    )


def _delete(name: str, what: str) -> Operation:
    return Operation(
        f"Delete{name}",
        f"Put {what} into the trash, from which it can be restored for a time.",
        "",
        _DELETE,
        (parameters.IF_MATCH,),
        statuses=(204, 404, 409, 410, 412),
    )


def _capabilities(operation_id: str) -> Operation:
    return Operation(
        operation_id,
        "What is served here.",
        "PS3.18 8.9",
        SERVICE,
        (parameters.ACCEPT,),
        {
            WADL: schemas.BINARY,
            media.XML: schemas.BINARY,
            media.JSON: {"type": "object"},
            media.DICOM_JSON: {"type": "object"},
        },
        statuses=(200, 406),
    )


_WADO: Final = Operation(
    "RetrieveByUri",
    "One instance, as DICOM or rendered.",
    "PS3.18 9",
    _URI,
    (*parameters.WADO_URI, parameters.IF_NONE_MATCH, *parameters.RANGES),
    {media.DICOM: schemas.BINARY, **schemas.RENDERED},
    statuses=(200, 206, 304, 404, 406, 410, 416),
)

_LEVELS: Final = (
    ("Study", _STUDY, "a study"),
    ("Series", _SERIES, "a series"),
    ("Instance", _INSTANCE, "an instance"),
)

DICOMWEB: Final[Mapping[Key, Operation]] = {
    **{
        ("GET", path + end): operation
        for name, path, what in _LEVELS
        for end, operation in _of_level(name, what).items()
    },
    **{
        ("GET", path + end): operation
        for name, path, what in (*_LEVELS, ("Frames", _FRAMES, "frames"))
        for end, operation in _shown(name, what).items()
    },
    **{("DELETE", path): _delete(name, what) for name, path, what in _LEVELS},
    ("GET", _FRAMES): _read(
        "RetrieveFrames",
        "Frames of an instance, in the order asked for.",
        "PS3.18 10.4.1.1.6",
        schemas.FRAMES,
        *parameters.RANGES,
        statuses=(206, 416),
    ),
    ("GET", f"{_INSTANCE}/bulkdata/{{path}}"): _read(
        "RetrieveBulkdata",
        "A value too long for metadata, by the URI that it gives.",
        "PS3.18 10.4.1.1.5",
        schemas.BULK,
        *parameters.RANGES,
        statuses=(206, 416),
    ),
    ("GET", "/studies"): _search("SearchForStudies", "studies"),
    ("GET", "/series"): _search("SearchForSeries", "series in the whole archive"),
    ("GET", "/instances"): _search("SearchForInstances", "instances in the whole archive"),
    ("GET", f"{_STUDY}/series"): _search("SearchForStudySeries", "series of a study", 404),
    ("GET", f"{_STUDY}/instances"): _search("SearchForStudyInstances", "instances of a study", 404),
    ("GET", f"{_SERIES}/instances"): _search(
        "SearchForStudySeriesInstances", "instances of a series", 404
    ),
    ("POST", "/studies"): _store("StoreInstances", ""),
    ("POST", _STUDY): _store("StoreStudyInstances", " of one study; others are refused", 404),
    ("GET", "/wado"): _WADO,
    ("GET", "/"): _capabilities("DescribeCapabilities"),
    ("OPTIONS", "/"): _capabilities("RetrieveCapabilities"),
}

ROOT: Final[Mapping[Key, Operation]] = {
    ("GET", "/wado"): _WADO,
    ("GET", "/openapi.json"): Operation(
        "DescribeOperations",
        "This document.",
        "",
        SERVICE,
        produces={media.JSON: {"type": "object"}},
        statuses=(200, 304),
    ),
    ("GET", "/healthz"): Operation(
        "TellHealth",
        "Whether the web process lives.",
        "",
        SERVICE,
        produces={"text/plain": {"type": "string"}},
    ),
    ("GET", "/readyz"): Operation(
        "TellReadiness",
        "Whether the archive's stores answer.",
        "",
        SERVICE,
        produces={"text/plain": {"type": "string"}},
    ),
}

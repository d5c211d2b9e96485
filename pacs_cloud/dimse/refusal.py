"""Why a query or a retrieval was not carried out, for the peer (PS3.4 Tables C.4-1 to C.4-3)."""

import logging
from typing import Final

from pacs_cloud.dicom.status import Status
from pacs_cloud.dimse.command import Element
from pacs_cloud.dimse.service import Response
from pacs_cloud.errors import (
    Denied,
    InvalidInstance,
    InvalidRequest,
    InvalidUid,
    PacsError,
    Unavailable,
)

log = logging.getLogger(__name__)

_COMMENT_CHARACTERS: Final = 64
"""Error Comment is an LO (PS3.7 C)."""


def refusal(error: PacsError, status: Status | None = None) -> Response:
    """Return the response to a query or retrieval that ended with `error`.

    Args:
        error: what happened. What it says goes to the peer where it is about the
            peer's own request, and to no log: it may quote that.
        status: the service's own for this error, or None for the common ones: A900
            for an identifier that is wrong, C000 for what cannot be processed.
    """
    if isinstance(error, InvalidRequest | InvalidUid):
        common, comment = Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error)
    elif isinstance(error, InvalidInstance):
        common, comment = Status.CANNOT_UNDERSTAND, "the identifier cannot be decoded"
    elif isinstance(error, Denied):
        # Whatever the service would say else: PS3.7 C.5.8.
        common, comment = Status.NOT_AUTHORISED, "not for this application entity"
        status = None
    elif isinstance(error, Unavailable):
        common, comment = Status.CANNOT_UNDERSTAND, "the archive cannot be read now; try again"
    else:
        common, comment = Status.CANNOT_UNDERSTAND, "the request could not be carried out"
    status = common if status is None else status
    log.warning("request_refused", extra={"status": f"{status:04x}", "error": type(error).__name__})
    return Response(status, elements={Element.ERROR_COMMENT: comment[:_COMMENT_CHARACTERS].strip()})

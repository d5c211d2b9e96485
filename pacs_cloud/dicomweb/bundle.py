"""WADO-RS as application/zip: a study, a series or an instance as one download (PS3.18 8.6.1.3)."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.byte_ranges import piece_answer
from pacs_cloud.dicomweb.media import MediaType
from pacs_cloud.dicomweb.part_answer import CACHING, etag_of
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.entity_tags import is_unchanged
from pacs_cloud.errors import InvalidRequest, NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located, state_tag

ZIP: Final = "application/zip"
DICOMDIR: Final = "dicomdir"
"""The query parameter that asks for a DICOMDIR, and names it can list."""


def wanted_zip(ranges: Sequence[MediaType]) -> MediaType | None:
    """Return the range that names a ZIP file; only its own name does, no wild card."""
    return next((accepted for accepted in ranges if accepted.name == ZIP), None)


async def bundle_answer(
    request: Request, archive: Archive, located: Sequence[Located], accepted: MediaType
) -> Answer:
    """Return `located` as a ZIP file, each instance as it is stored.

    Args:
        request: for its validators and its `dicomdir` parameter.
        archive: where they are.
        located: as `Instances.locate` returns them.
        accepted: the range that named the ZIP file; a transfer syntax in it must be that of
            every instance.

    Raises:
        NotAcceptable: an instance is stored in another transfer syntax.
        InvalidRequest: `dicomdir` is neither true nor false.
        TooBroad: more instances than a DICOMDIR lists.
    """
    syntax = accepted.transfer_syntax
    if syntax not in {None, media.ANY_SYNTAX} and any(
        one.instance.transfer_syntax_uid != syntax for one in located
    ):
        raise NotAcceptable("A ZIP file holds instances as they are stored: transfer-syntax=*.")
    is_filed = _asks_for_dicomdir(request)
    etag = etag_of(state_tag(located), ZIP, DICOMDIR if is_filed else "")
    headers = {**CACHING, "etag": etag}
    if is_unchanged(request, etag):
        return Answer(status=304, headers=headers)
    bundles = archive.bundles
    bundle = await (bundles.with_dicomdir if is_filed else bundles.plain)(located)
    # The resource's own UID: the one name that tells downloads apart and says nothing of a patient.
    name = next(
        request.path_params[name]
        for name in ("instance", "series", "study")
        if name in request.path_params
    )
    headers["content-disposition"] = f'attachment; filename="{name}.zip"'
    return piece_answer(request, archive.objects, tuple(bundle.pieces()), ZIP, headers)


def _asks_for_dicomdir(request: Request) -> bool:
    given = {text.lower() for text in request.query_params.getlist(DICOMDIR)}
    if not given <= {"true", "false"} or len(given) > 1:
        raise InvalidRequest(f"{DICOMDIR} is true or false.")
    return given == {"true"}

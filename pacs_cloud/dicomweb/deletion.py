"""DELETE of a study, a series or an instance, into the trash.

PS3.18 has no such service; the paths and the answers are those that Google's and
Microsoft's stores and dcm4chee use: 204 once it is done, 404 for what is not there.
What lies in the trash already is 410, as it is to those who read it. With If-Match only
what the client has seen is deleted.
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from pacs_cloud.catalogue.absence import absence
from pacs_cloud.custody.trash.deletion import Trash
from pacs_cloud.custody.trash.marks import Scope
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.part_answer import is_of_state
from pacs_cloud.dicomweb.problems import problem
from pacs_cloud.dicomweb.requests import uid_of
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.entity_tags import ANY_TAG, tags_of
from pacs_cloud.errors import NotFound
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import state_tag
from pacs_cloud.security.audit_event import Kind
from pacs_cloud.security.caller import Action
from pacs_cloud.security.witness import Witness

_HEADERS: Final = {"cache-control": "no-store"}


class Deletion:
    """The delete resources over one archive's trash."""

    def __init__(self, trash: Trash, archive: Archive, witness: Witness) -> None:
        self._trash = trash
        self._archive = archive
        self._witness = witness

    async def delete(self, request: Request) -> Answer:
        """Answer DELETE of whatever the path names, once it is durable.

        Raises:
            Unidentified, Denied: whoever asks may not delete.
            InvalidUid: a UID of the path is none.
            Gone: all of it was deleted before.
            NotFound: there is nothing of it.
        """
        study, series, instance = (
            uid_of(request, name) or "" for name in ("study", "series", "instance")
        )
        caller = caller_of(request)
        try:
            only = await self._archive.instances.admission.admit(caller, Action.DELETE, study)
        except NotFound as error:
            # Word for word what is said where there is none.
            raise absence((), instance or None) from error
        if only is not None and series not in only:
            raise absence((), instance or None)
        if not await self._is_as_seen(request):
            return problem(
                HTTPStatus.PRECONDITION_FAILED,
                "It is not any more what the ETag in If-Match names.",
            )
        count = await self._trash.delete(Scope(caller.tenant, study, series, instance))
        level = "instance" if instance else "series" if series else "study"
        recorded = self._witness.saw(
            caller, Kind.DELETE, action=level, studies=(study,), instances=count
        )
        if recorded is not None:
            await recorded
        return Answer(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)

    async def _is_as_seen(self, request: Request) -> bool:
        """Tell whether If-Match, where it is given, names what is there (RFC 9110 13.1.1).

        It is looked at before the deletion: what is stored in between is deleted too.
        """
        tags = tags_of(request, "if-match")
        if not tags or ANY_TAG in tags:
            return True
        state = state_tag(await addressed(request, self._archive))
        return any(is_of_state(tag, state) for tag in tags)

"""DELETE of a study, a series or an instance, into the trash.

PS3.18 has no such service; the paths and the answers are those that Google's and
Microsoft's stores and dcm4chee use: 204 once it is done, 404 for what is not there.
What lies in the trash already is 410, as it is to those who read it.
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from pacs_cloud.custody.deletion import Trash
from pacs_cloud.custody.trash_marks import Scope
from pacs_cloud.dicomweb.requests import uid_of
from pacs_cloud.dicomweb.responses import Answer

_HEADERS: Final = {"cache-control": "no-store"}


class Deletion:
    """The delete resources over one archive's trash."""

    def __init__(self, trash: Trash, tenant: str) -> None:
        self._trash = trash
        self._tenant = tenant

    async def delete(self, request: Request) -> Answer:
        """Answer DELETE of whatever the path names, once it is durable.

        Raises:
            InvalidUid: a UID of the path is none.
            Gone: all of it was deleted before.
            NotFound: there is nothing of it.
        """
        study, series, instance = (
            uid_of(request, name) or "" for name in ("study", "series", "instance")
        )
        await self._trash.delete(Scope(self._tenant, study, series, instance))
        return Answer(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)

"""The instances that a retrieve resource's path names (PS3.18 Tables 10.4.1-1 to -6)."""

from starlette.requests import Request

from pacs_cloud.dicomweb.callers import caller_of
from pacs_cloud.dicomweb.requests import uid_of
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.security.caller import Action


async def addressed(
    request: Request, archive: Archive, to: Action = Action.READ
) -> tuple[Located, ...]:
    """Return the instances of the study, the series or the one instance that a path names.

    Raises:
        Unidentified, Denied: whoever asks may not do that.
        InvalidUid: a UID in it is malformed.
        Gone: they were deleted.
        NotFound: there are none, or not for whoever asks.
    """
    study, series, instance = (uid_of(request, name) for name in ("study", "series", "instance"))
    assert study is not None
    return await archive.instances.locate(caller_of(request), study, series, instance, to=to)

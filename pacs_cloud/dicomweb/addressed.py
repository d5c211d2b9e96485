"""The instances that a retrieve resource's path names (PS3.18 Tables 10.4.1-1 to -6)."""

from starlette.requests import Request

from pacs_cloud.dicomweb.requests import uid_of
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located


async def addressed(request: Request, archive: Archive, tenant: str) -> tuple[Located, ...]:
    """Return the instances of the study, the series or the one instance that a path names.

    Raises:
        InvalidUid: a UID in it is malformed.
        Gone: they were deleted.
        NotFound: there are none.
    """
    study, series, instance = (uid_of(request, name) for name in ("study", "series", "instance"))
    assert study is not None
    return await archive.instances.locate(tenant, study, series, instance)

"""The job "pack-stored": a second look at a pack, right after its commit."""

import logging

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import PackRecord, UidRef
from pacs_cloud.errors import Corrupt, InvalidRequest, NotFound
from pacs_cloud.objectstore.keys import PackKey
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.workqueue.jobs import Job

log = logging.getLogger(__name__)

KIND = "pack-stored"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    study_instance_uid: str = Field(min_length=1, max_length=64)
    series_instance_uid: str = Field(min_length=1, max_length=64)
    pack_id: str = Field(min_length=1, max_length=64)


def pack_of(job: Job) -> UidRef:
    """Return the pack that a job of this kind names; raises InvalidRequest where it names none."""
    try:
        body = _Body.model_validate(job.body)
    except ValidationError as error:
        raise InvalidRequest(f"job {job.job_id} names no pack") from error
    return UidRef(body.study_instance_uid, body.series_instance_uid, body.pack_id)


class PackStored:
    """Looks whether a committed pack and its index are where they should be.

    Two HEAD requests and no write: a store that answered a PUT and lost it is
    found within seconds, while the sender may still have the instances.
    """

    def __init__(self, objects: ObjectStore, catalogue: Catalogue) -> None:
        self._objects = objects
        self._catalogue = catalogue

    async def __call__(self, job: Job) -> None:
        """Check the pack that `job` names; done where it is no longer committed.

        Raises:
            InvalidRequest: the job names no pack.
            Corrupt: an object is missing or has another size.
            Unavailable: the store or the catalogue cannot be reached.
        """
        named = pack_of(job)
        study, series = named.study_instance_uid, named.series_instance_uid
        for record in await self._catalogue.packs(job.tenant, study, series):
            if record.pack_id == named.pack_id:
                await self._check(record)

    async def _check(self, record: PackRecord) -> None:
        names = record.study_instance_uid, record.series_instance_uid, record.pack_id
        key = PackKey(record.tenant, *names)
        await self._expect(record.pack_id, key.pack, record.length_bytes)
        # None where it was over the catalogue's limit: then its size is not known here.
        frames = await self._catalogue.index(record.tenant, UidRef(*names))
        length = len(frames.table) + len(frames.headers) if frames else None
        await self._expect(record.pack_id, key.index, length)

    async def _expect(self, pack_id: str, key: str, length_bytes: int | None) -> None:
        fields = {"pack": pack_id, "tree": key.split("/", 1)[0], "length_bytes": length_bytes}
        try:
            info = await self._objects.head(key)
        except NotFound as error:
            log.error("stored_object_missing", extra=fields)
            raise Corrupt(f"{key} was stored and is not there") from error
        if length_bytes is not None and info.length_bytes != length_bytes:
            log.error("stored_object_size", extra={**fields, "found_bytes": info.length_bytes})
            raise Corrupt(
                f"{key} has {info.length_bytes} bytes, and was stored with {length_bytes}"
            )

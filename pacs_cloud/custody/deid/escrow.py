"""What was replaced, kept for re-identification by those projects that ask for it.

Objects at `deid/{tenant}/escrow/{project}/{digest}.json`, written once: the same run again writes
the same. They hold Patient IDs and UIDs, their keys hold none.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import orjson
from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.custody.walk import DEID
from pacs_cloud.dicom.deid.project import checked_name
from pacs_cloud.dicom.deid.pseudonyms import Replaced
from pacs_cloud.errors import Conflict, Corrupt, NotFound
from pacs_cloud.objectstore.port import ObjectStore

_MOST_ENTRIES: Final = 10_000
"""Of one object."""
_Text = Annotated[str, Field(max_length=1024)]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Literal[1] = 1
    uids: dict[_Text, _Text]
    subjects: dict[_Text, _Text]


class Escrow:
    """Collects what was replaced, and writes it now and then."""

    def __init__(self, objects: ObjectStore, tenant: str, project: str) -> None:
        """Prepare; nothing is written yet."""
        self._objects = objects
        self._prefix = escrow_prefix(tenant, project)
        self._waiting = Replaced()

    async def add(self, replaced: Replaced) -> None:
        """Take in what was replaced in one instance."""
        self._waiting.uids.update(replaced.uids)
        self._waiting.subjects.update(replaced.subjects)
        if len(self._waiting.uids) >= _MOST_ENTRIES:
            await self.write()

    async def write(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, Replaced()
        if not waiting.uids and not waiting.subjects:
            return
        said = {"version": 1, "uids": waiting.uids, "subjects": waiting.subjects}
        data = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        digest = blake3(data).hexdigest(length=16)
        try:
            await self._objects.put_new(f"{self._prefix}{digest}.json", data)
        except Conflict:
            return  # the same, of a run before


def escrow_prefix(tenant: str, project: str) -> str:
    """Return what the keys of a project's escrow begin with."""
    return f"{DEID}{tenant}/escrow/{checked_name(project)}/"


async def revealed(objects: ObjectStore, tenant: str, project: str, value: str) -> str:
    """Return what a pseudonym or a UID of a project stands for.

    Raises:
        NotFound: nothing of it was kept.
        Corrupt: an object of the escrow cannot be read.
    """
    async for one in _entries(objects, tenant, project):
        found = one.uids.get(value) or one.subjects.get(value)
        if found is not None:
            return found
    raise NotFound("nothing is kept of that: the project may have no escrow")


async def _entries(objects: ObjectStore, tenant: str, project: str) -> AsyncIterator[_Stored]:
    async for info in objects.list(escrow_prefix(tenant, project)):
        try:
            yield _Stored.model_validate_json(await objects.get(info.key))
        except ValidationError as error:
            raise Corrupt(f"{info.key} cannot be read") from error

"""Projects: each an object at `deid/{tenant}/projects/{name}.json`, written once.

Its key makes all pseudonyms, UIDs and shifts (`dicom/deid/project.py`): a project that changed
would no longer fit what was given out under it, so none changes, and none is removed.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.custody.walk import DEID
from pacs_cloud.dicom.deid.option import checked_options
from pacs_cloud.dicom.deid.project import KEY_BYTES, Project, checked_name
from pacs_cloud.dicom.deid.rules import Rules, RulesFile
from pacs_cloud.errors import Conflict, Corrupt, InvalidRequest, NotFound
from pacs_cloud.objectstore.port import ObjectStore

_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class KeptProject:
    """A project, and how it came to be.

    Attributes:
        project: what de-identifies.
        created_us: when it was made, microseconds since 1970 UTC.
        who: who made it.
        note: for people.
    """

    project: Project
    created_us: int
    who: str
    note: str = ""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Literal[1] = 1
    name: str
    key: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * KEY_BYTES}}}$")]
    options: list[str]
    rules: RulesFile
    escrow: bool
    created_us: int
    who: str
    note: str


def project_prefix(tenant: str) -> str:
    """Return what the keys of a tenant's projects begin with."""
    return f"{DEID}{tenant}/projects/"


async def add_project(objects: ObjectStore, tenant: str, kept: KeptProject) -> None:
    """Keep a new project.

    Raises:
        Conflict: there is one of this name.
        InvalidRequest: that is no name.
    """
    project = kept.project
    stored = _Stored(
        name=checked_name(project.name),
        key=project.key.hex(),
        options=sorted(project.options),
        rules=project.rules.file,
        escrow=project.escrow,
        created_us=kept.created_us,
        who=kept.who,
        note=kept.note,
    )
    try:
        await objects.put_new(_key(tenant, project.name), stored.model_dump_json().encode())
    except Conflict:
        raise Conflict(f"there is a project {project.name} already") from None


async def project_named(objects: ObjectStore, tenant: str, name: str) -> KeptProject:
    """Return a project.

    Raises:
        NotFound: there is none of this name.
        Corrupt: it cannot be read: nobody may make another key in its place.
    """
    try:
        data = await objects.get(_key(tenant, checked_name(name)))
    except NotFound:
        raise NotFound(f"there is no project {name}: `deid project list` shows all") from None
    return _project_of(data, name)


async def projects(objects: ObjectStore, tenant: str) -> AsyncIterator[KeptProject]:
    """Yield a tenant's projects by name; raises Corrupt."""
    prefix = project_prefix(tenant)
    async for info in objects.list(prefix):
        name = info.key.removeprefix(prefix).removesuffix(_SUFFIX)
        yield _project_of(await objects.get(info.key), name)


def _key(tenant: str, name: str) -> str:
    return f"{project_prefix(tenant)}{name}{_SUFFIX}"


def _project_of(data: bytes, name: str) -> KeptProject:
    try:
        stored = _Stored.model_validate_json(data)
        options = checked_options(stored.options)
    except (ValidationError, InvalidRequest) as error:
        raise Corrupt(f"the project {name} cannot be read") from error
    if stored.name != name:
        raise Corrupt(f"the project {name} says that it is another")
    key = bytes.fromhex(stored.key)
    project = Project(stored.name, key, options, Rules(stored.rules), stored.escrow)
    return KeptProject(project, stored.created_us, stored.who, stored.note)

"""Options that say what somebody may, of users and of keys."""

from collections.abc import Sequence
from typing import Annotated

import typer

from pacs_cloud.errors import InvalidRequest
from pacs_cloud.security.caller import Grant
from pacs_cloud.security.grant_text import grant_of, parse_grant

GRANTS_HELP = """What they may: --role, once or several times; with --institution, --referring,
--modality or --study for such studies only (several of one kind: any; several kinds: all).
Where roles differ in their studies: --grant 'clinician;institution=North;modality=CT,MR'
--grant 'auditor'. Whoever shall see studies with a sensitive label is named for it:
--grant 'radiologist' --grant 'radiologist;label=vip'.

Roles: admin, ops, radiologist, clinician, referrer, technologist, researcher, auditor,
device, guest."""

Roles = Annotated[list[str] | None, typer.Option("--role", help="What they are; repeatable.")]
Institutions = Annotated[
    list[str] | None,
    typer.Option("--institution", metavar="NAME", help="Studies of this institution only."),
]
Referring = Annotated[
    list[str] | None,
    typer.Option(
        "--referring", metavar="NAME", help="Studies of this referring physician only: DOE^JOHN."
    ),
]
Modalities = Annotated[
    list[str] | None,
    typer.Option("--modality", metavar="CS", help="Studies of this modality only: CT,MR."),
]
Studies = Annotated[
    list[str] | None,
    typer.Option("--study", metavar="UID", help="This study only."),
]
Grants = Annotated[
    list[str] | None,
    typer.Option("--grant", metavar="ROLE[;WORD=VALUE]...", help="A role with its own studies."),
]


def grants_of(
    roles: Sequence[str] | None,
    institutions: Sequence[str] | None,
    referring: Sequence[str] | None,
    modalities: Sequence[str] | None,
    studies: Sequence[str] | None,
    grants: Sequence[str] | None,
) -> tuple[Grant, ...]:
    """Return what the options say.

    Raises:
        InvalidRequest: they say nothing, or studies without a role, or what is no grant.
    """
    said = {
        "institution": institutions or [],
        "referring": referring or [],
        "modality": modalities or [],
        "study": studies or [],
    }
    found = [grant_of(role, said) for role in roles or ()]
    if not found and any(said.values()):
        raise InvalidRequest("which studies is said of a --role")
    found += [parse_grant(text) for text in grants or ()]
    if not found:
        raise InvalidRequest("say what they may: --role radiologist, or --grant (see --help)")
    return tuple(found)

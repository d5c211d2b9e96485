"""What is done on pages about custody and people goes on record before it is done."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from pacs_cloud.errors import PacsError
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Caller
from pacs_cloud.security.witness import Witness


async def told(
    witness: Witness,
    caller: Caller,
    kind: Kind,
    action: str,
    *,
    studies: tuple[str, ...] = (),
    outcome: Outcome = Outcome.SUCCESS,
    details: Mapping[str, str] | None = None,
) -> None:
    """Put on record what somebody does; raises Unavailable where that cannot be."""
    said = tuple((name, text) for name, text in (details or {}).items() if text)
    recorded = witness.saw(
        caller, kind, action=action, studies=studies, outcome=outcome, details=said
    )
    if recorded is not None:
        await recorded


@asynccontextmanager
async def deed(
    witness: Witness,
    caller: Caller,
    kind: Kind,
    action: str,
    *,
    studies: tuple[str, ...] = (),
    details: Mapping[str, str] | None = None,
) -> AsyncGenerator[None]:
    """Put on record what the block does, before it does; where it fails, that too.

    Raises:
        Unavailable: it cannot be put on record, and is not done.
    """
    await told(witness, caller, kind, action, studies=studies, details=details)
    try:
        yield
    except PacsError:
        await told(
            *(witness, caller, kind, action),
            studies=studies,
            outcome=Outcome.MINOR,
            details=details,
        )
        raise

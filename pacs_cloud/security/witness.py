"""What services tell of what somebody did; the audit trail puts it on record (`audit.witness`)."""

from collections.abc import Awaitable
from typing import Final, Protocol

from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Kind, Outcome
from pacs_cloud.security.caller import Action, Caller


class Witness(Protocol):
    """Is told before an answer goes out, so that nothing is seen unrecorded."""

    def saw(
        self,
        caller: Caller,
        kind: Kind,
        *,
        action: str = "",
        studies: tuple[str, ...] = (),
        query: str = "",
        instances: int = 0,
        outcome: Outcome = Outcome.SUCCESS,
        details: tuple[tuple[str, str], ...] = (),
    ) -> Awaitable[None] | None:
        """Put on record what somebody did; fields as `AuditEvent`.

        Returns:
            None where the like is on record and this is counted with it, else what must be
            awaited before the answer: it raises Unavailable where nothing can be recorded.
        """
        ...


class _Nobody:
    """Puts nothing on record: where the archive itself is at work, and in tests of a part."""

    def saw(self, caller: Caller, kind: Kind, **more: object) -> None:
        """Do nothing."""


NOBODY: Final[Witness] = _Nobody()


async def refuse(
    witness: Witness, caller: Caller, action: Action, studies: tuple[str, ...] = ()
) -> None:
    """Put on record that somebody was refused; raises Unavailable where that cannot be."""
    recorded = witness.saw(
        caller, Kind.REFUSAL, action=action, studies=studies, outcome=Outcome.MINOR
    )
    if recorded is not None:
        await recorded


async def require(witness: Witness, caller: Caller, action: Action) -> None:
    """Return where somebody may do something at all; a refusal is put on record.

    Raises:
        Denied: they may not.
        Unavailable: nor can that be recorded.
    """
    if not access.may(caller, action):
        await refuse(witness, caller, action)
        access.require(caller, action)

"""Decisions about the trash, written behind the mark that says to look after them."""

from collections.abc import Awaitable, Callable, Sequence

from pacs_cloud.catalogue.decisions import Decision
from pacs_cloud.custody.ledger import record_trash
from pacs_cloud.custody.trash.marks import Action, Mark, Scope, put_mark, remove_mark
from pacs_cloud.objectstore.port import ObjectStore


class MarkedLedger:
    """The ledger, for one deletion, restoration or purge."""

    def __init__(
        self,
        objects: ObjectStore,
        scope: Scope,
        action: Action,
        guard: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Write about `scope`.

        Args:
            objects: the store.
            scope: what is deleted, restored or purged.
            action: which of these.
            guard: raises where it may not be; asked between the mark and the ledger,
                and again behind the ledger, before the catalogue is changed.
        """
        self._objects = objects
        self._scope = scope
        self._action = action
        self._guard = guard
        self._mark: Mark | None = None

    async def record(self, decisions: Sequence[Decision]) -> None:
        """Write decisions of one moment, as one; before the first ones, the mark.

        Raises:
            Conflict: other decisions of the same moment are there.
            Held: the guard forbids it.
        """
        await self.mark(decisions[0].decided_us)
        await record_trash(self._objects, decisions)
        if self._guard is not None:
            await self._guard()

    async def mark(self, marked_us: int) -> None:
        """Write the mark, unless it is there; raises Held where the guard forbids what follows."""
        if self._mark is None:
            mark = Mark(self._scope, self._action, marked_us)
            await put_mark(self._objects, mark)
            self._mark = mark
        if self._guard is not None:
            await self._guard()

    async def unmark(self) -> None:
        """Remove the mark, if there is one: the catalogue shows all that was decided."""
        if self._mark is not None:
            await remove_mark(self._objects, self._mark)

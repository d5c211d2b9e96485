"""Whether a peer that was let in still would be: looked up now and then, and not waited for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from pacs_cloud.errors import Corrupt, PacsError

log = logging.getLogger(__name__)

AGAIN_S: Final = 30.0
"""A busy association costs the store one look in so long."""
_WAIT_S: Final = 1.0
"""While the store does not answer, what is sent is taken all the same."""


class Standing:
    """What was last found out of one association's peer."""

    def __init__(self, look: Callable[[], Awaitable[bool]], again_s: float) -> None:
        """Begin with a peer that has just been let in.

        Args:
            look: returns whether it would come in as the same now; raises as the store, and
                Corrupt where what is written of it cannot be read.
            again_s: between two looks.
        """
        self._look = look
        self._again_s = again_s
        self._looked_s = time.monotonic()
        self._looking: asyncio.Task[None] | None = None
        self._holds = True

    async def holds(self) -> bool:
        """Return whether it still would be let in, as far as that is known after a second."""
        if self._looking is None and time.monotonic() - self._looked_s >= self._again_s:
            self._looking = asyncio.create_task(self._look_again())
            await asyncio.wait({self._looking}, timeout=_WAIT_S)
        return self._holds

    async def _look_again(self) -> None:
        try:
            self._holds = await self._look()
        except Corrupt:
            self._holds = False
        except PacsError as error:
            log.warning("device_not_read", extra={"error": type(error).__name__})
        finally:
            self._looked_s = time.monotonic()
            self._looking = None

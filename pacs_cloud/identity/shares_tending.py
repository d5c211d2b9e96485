"""Links of which the copies are not needed any more: ended where nobody has, and cleared up."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from pacs_cloud.errors import PacsError
from pacs_cloud.identity.shares_making import ITSELF, Copying, SharedStudies
from pacs_cloud.identity.shares_noting import ShareNoting
from pacs_cloud.identity.shares_record import Share, copies_tenant
from pacs_cloud.identity.states import States
from pacs_cloud.security.caller import system


class ShareTending:
    """Looks after the links of one tenant that open copies."""

    def __init__(
        self,
        studies: SharedStudies,
        states: States[Share],
        noting: ShareNoting,
        copying: Copying,
        now_us: Callable[[], int],
    ) -> None:
        """Read links from `states`, and remove copies by `copying`."""
        self._studies = studies
        self._states = states
        self._noting = noting
        self._copying = copying
        self._now_us = now_us

    async def tend(self, left: AbstractSet[str]) -> set[str]:
        """Remove the copies of links that are over; return the tenants in which all these lie.

        A link is ended of which a study is gone: its copy is to go with it. One of which the
        copies cannot be removed keeps those of no other.

        Args:
            left: tenants of which there is anything.

        Raises:
            PacsError: the first that was raised.
        """
        failures: list[PacsError] = []
        # One that only a newer release can read is looked after by that.
        known = {copies_tenant(share_id) for share_id in await self._states.numbers()}
        for share in (await self._states.all(readable=True)).values():
            if share.deidentify:
                try:
                    await self._tend(share, left)
                except PacsError as error:
                    failures.append(error)
        if failures:
            raise failures[0]
        return known

    async def _tend(self, share: Share, left: AbstractSet[str]) -> None:
        now_us = self._now_us()
        tenant = copies_tenant(share.share_id)
        if not share.is_over(now_us):
            is_gone = share.copies and not await self._studies.are_there(share)
            if not is_gone and not share.is_given_up(now_us):
                return
            await self._end(share, now_us)
        elif share.removed_us and tenant not in left:
            return
        await self._copying.remove(tenant)

        def removed(share: Share | None) -> Share | None:
            if share is None or share.removed_us:
                return None
            return replace(share, removed_us=now_us)

        await self._states.change(share.share_id, removed)

    async def _end(self, share: Share, now_us: int) -> None:
        def ended(share: Share | None) -> Share | None:
            if share is None or share.revoked_us:
                return None
            return replace(share, revoked_us=now_us, revoked_by=ITSELF)

        changed = await self._states.change(share.share_id, ended)
        if changed is not None:
            itself = system(self._studies.tenant)
            await self._noting.change(itself, changed, "link ended", "worker")

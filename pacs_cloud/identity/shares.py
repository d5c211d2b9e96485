"""Links by which somebody else sees a few studies, for a time, and nothing besides.

Each is a numbered state at `shares/{tenant}/{id}/{number}.json` (`states`), which is never
removed: it can be told later who was let at what. Of its secret a hash is kept.
"""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.errors import Denied, NotFound, Unidentified
from pacs_cloud.identity.external import ExternalUser
from pacs_cloud.identity.shares_making import Copying, MadeShare, SharedStudies, ShareMaking
from pacs_cloud.identity.shares_noting import Record, ShareNoting
from pacs_cloud.identity.shares_record import (
    Share,
    ShareState,
    ShareUse,
    copies_tenant,
    is_share_id,
    is_share_secret,
    share_id_of,
)
from pacs_cloud.identity.shares_tending import ShareTending
from pacs_cloud.identity.shares_wish import ShareWish
from pacs_cloud.identity.states import States
from pacs_cloud.identity.user import CodeNeeded
from pacs_cloud.objectstore.port import ObjectStore
from pacs_cloud.security import access
from pacs_cloud.security.audit_event import Outcome
from pacs_cloud.security.caller import Caller
from pacs_cloud.security.labels import SENSITIVE

SHARES: Final = "shares/"
_KEEP_S: Final = 1.0
_NO_LINK: Final = "this is no link that opens anything"


class LinkOver(Denied):
    """A link whose secret is right opens nothing any more.

    Attributes:
        state: why not.
    """

    def __init__(self, state: ShareState) -> None:
        super().__init__(f"this link opens nothing: it is {state}")
        self.state = state


class WrongCode(Unidentified):
    """A link's secret is right, and the one-time code is not."""


class Shares:
    """The links of one tenant."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        tenant: str,
        now_us: Callable[[], int],
        record: Record,
        *,
        keep_s: float = _KEEP_S,
        sensitive: frozenset[str] = SENSITIVE,
        copying: Copying | None = None,
    ) -> None:
        """Keep them in a store.

        Args:
            objects: the store.
            catalogue: knows the studies.
            tenant: whose.
            now_us: tells the time, microseconds since 1970 UTC.
            record: puts events on record.
            keep_s: how long `still` believes what was read: so long does a link go on that
                another process has revoked.
            sensitive: labels that hide a study from whoever is not named for them.
            copying: makes and removes what links open that leave out who the patient is;
                None: there are none of these.
        """
        self.tenant = tenant
        self._states = States(
            objects, f"{SHARES}{tenant}/", Share, now_us, keep_s=min(keep_s, _KEEP_S)
        )
        self._now_us = now_us
        self._copying = copying
        self._noting = ShareNoting(tenant, now_us, record)
        studies = SharedStudies(tenant, catalogue, sensitive)
        kept = (studies, self._states, self._noting)
        self._making = ShareMaking(*kept, copying, now_us)
        self._tending = ShareTending(*kept, copying, now_us) if copying else None
        self._looking = asyncio.Lock()

    async def still(self, caller: Caller) -> Caller | None:
        """Return a guest with what their share gives now; whoever is no guest as they are.

        A guest of copies is of the tenant in which these lie: no door shows them another.

        Returns:
            None: the share is over.
        """
        share_id = share_id_of(caller.subject)
        if share_id is None:
            return caller
        if not is_share_id(share_id) or caller.tenant not in {
            self.tenant,
            copies_tenant(share_id),
        }:
            return None
        share = self._states.remembered(share_id)
        if share is None:
            async with self._looking:  # a viewer asks for many frames at once
                share = await self._states.kept(share_id)
        if share is None or not share.is_good(self._now_us()):
            return None
        return replace(caller, tenant=share.guests_tenant(self.tenant), grants=share.grants)

    async def create(self, caller: Caller, wish: ShareWish, *, door: str) -> MadeShare:
        """Make a link, put it on record, and return it; durable by then, copies and all.

        Args:
            caller: who shares; what they may not do themselves no link of theirs does.
            wish: what.
            door: through which they came.

        Raises:
            Denied: the caller may not share, or not hand out files.
            NotFound: there is no such study, series or project, or not for the caller.
            InvalidRequest: the wish is none that can be met; says what to change.
            Offline: something that is to be copied lies in a cold class.
            Conflict: somebody has ended it meanwhile.
        """
        return await self._making.make(caller, wish, door)

    async def look(self, share_id: str, secret: str, *, address: str) -> Share:
        """Return the share that a link would open now; that uses nothing up.

        Raises:
            Unidentified: there is no such link; no word tells what is wrong with it.
            LinkOver: it opens nothing any more.
        """
        share = await self._shown(share_id, secret)
        state = share.state(self._now_us()) if share else None
        if share is None or state is not ShareState.OPEN:
            raise await self._refusal(share, state, address)
        return share

    async def redeem(
        self, share_id: str, secret: str, code: str = "", *, address: str
    ) -> ExternalUser:
        """Use a link once; return the guest who has come by it.

        Args:
            share_id: which.
            secret: what stands behind the `#` of the link.
            code: as it was typed; each is taken once.
            address: where the guest is; "" where nobody knows.

        Raises:
            Unidentified: there is no such link; no word tells what is wrong with it.
            LinkOver: it opens nothing any more: others were quicker, perhaps.
            CodeNeeded: a code is missing.
            WrongCode: it is none of those left; so many more may be wrong.
        """
        if await self._shown(share_id, secret) is None:
            raise await self._refusal(None, None, address)
        now_us = self._now_us()
        is_wrong = False

        def used(share: Share | None) -> Share:
            nonlocal is_wrong
            is_wrong = False
            if share is None or not share.is_opened_by(secret):
                raise Unidentified(_NO_LINK)
            state = share.state(now_us)
            if state is not ShareState.OPEN:
                raise LinkOver(state)
            codes = share.codes
            if share.needs_code:
                if not code.strip():
                    raise CodeNeeded("a one-time code is needed")
                kept = share.code_used(secret, code)
                if kept is None:
                    is_wrong = True
                    return replace(share, wrong_codes=share.wrong_codes + 1)
                codes = tuple(one for one in codes if one != kept)
            uses = (*share.uses, ShareUse(now_us, address))
            return replace(share, uses=uses, codes=codes)

        try:
            share = await self._states.change(share_id, used)
        except LinkOver as over:
            share = await self._states.read(share_id)
            raise await self._refusal(share, over.state, address) from None
        assert share is not None
        if is_wrong:
            await self._noting.login(share, address, "wrong code", Outcome.MINOR)
            raise WrongCode("the code is not right")
        await self._noting.login(share, address, "link redeemed", Outcome.SUCCESS)
        name = share.guest.name if share.guest else "Guest"
        # Nobody is shown copies but by `still`: their UIDs may be those of the studies.
        grants = () if share.deidentify else share.grants
        return ExternalUser(self.tenant, share.subject, name, grants, share.until_us)

    async def read(self, caller: Caller, share_id: str) -> Share:
        """Return a share as it is now, for who made it or administers; raises NotFound."""
        share = await self._states.read(share_id) if is_share_id(share_id) else None
        if share is None or not self._is_theirs(caller, share):
            raise NotFound("there is no such share")
        return share

    async def list(self, caller: Caller) -> list[Share]:
        """Return the shares that somebody made, or all for who administers; newest first."""
        found = (await self._states.all()).values()
        theirs = [one for one in found if self._is_theirs(caller, one)]
        return sorted(theirs, key=lambda one: one.made_us, reverse=True)

    async def revoke(self, caller: Caller, share_id: str, *, door: str) -> Share:
        """End a link and every session that came by it, at once; again changes nothing.

        Raises:
            NotFound: there is none, or it is somebody else's, and the caller does not
                administer.
        """
        before = await self.read(caller, share_id)
        now_us = self._now_us()

        def revoked(share: Share | None) -> Share | None:
            if share is None or share.revoked_us:
                return None
            return replace(share, revoked_us=now_us, revoked_by=caller.subject)

        share = await self._states.change(share_id, revoked)
        if share is not None:
            await self._noting.change(caller, share, "link revoked", door)
        share = share or await self._states.read(share_id) or before
        if share.deidentify and self._copying is not None:
            await self._copying.remove(copies_tenant(share_id))
        return share

    async def of_guest(self, caller: Caller) -> Share | None:
        """Return the share that a guest came by, as `still` knows it; None where it is over."""
        share_id = share_id_of(caller.subject)
        if share_id is None or await self.still(caller) is None:
            return None
        return await self._states.kept(share_id)

    async def tend(self, left: AbstractSet[str]) -> set[str]:
        """Remove the copies of links that are over; as `ShareTending.tend`."""
        assert self._tending is not None, "whoever tends links removes copies"
        return await self._tending.tend(left)

    def _is_theirs(self, caller: Caller, share: Share) -> bool:
        return caller.tenant == self.tenant and (
            access.administers(caller) or share.made_by == caller.subject
        )

    async def _shown(self, share_id: str, secret: str) -> Share | None:
        if not is_share_id(share_id) or not is_share_secret(secret):
            return None
        share = await self._states.read(share_id)
        return share if share is not None and share.is_opened_by(secret) else None

    async def _refusal(
        self, share: Share | None, state: ShareState | None, address: str
    ) -> Unidentified | LinkOver:
        """Put it on record that a link opens nothing; return what to raise."""
        if share is None or state is None:
            await self._noting.login(None, address, "no link", Outcome.MINOR)
            return Unidentified(_NO_LINK)
        await self._noting.login(share, address, f"link {state}", Outcome.MINOR)
        return LinkOver(state)

"""A link is made: what whoever shares may do themselves is asked, and copies are made first.

What leaves out who the patient is opens copies, in a tenant of its own: whatever a guest asks
for, the studies themselves are another tenant's. The link is kept before they are made, and opens
nothing until they all are there, so that whatever stops their making leaves nothing for ever.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.visibility import Admission, sees
from pacs_cloud.dicom.deid.report import Report
from pacs_cloud.errors import Conflict, InvalidRequest, NotFound
from pacs_cloud.identity.shares_noting import ShareNoting
from pacs_cloud.identity.shares_record import Share, SharedCopy, copies_tenant
from pacs_cloud.identity.shares_wish import ShareWish, needed, wished
from pacs_cloud.identity.states import States
from pacs_cloud.security import access
from pacs_cloud.security.caller import Action, Caller

ITSELF: Final = "system"
"""Who has ended a link that nobody else has."""


@dataclass(frozen=True, slots=True)
class Copied:
    """The copies that were made of a share's studies.

    Attributes:
        copies: of those studies of which there is anything.
        report: what was left out, and why.
    """

    copies: tuple[SharedCopy, ...]
    report: Report


MakeCopies: TypeAlias = Callable[[Caller, Share, str], Awaitable[Copied]]
"""Copies a share's studies into a tenant, without what identifies the patient.

Durable when it returns; raises NotFound where the caller does not see them or there is no such
project, Offline, Unavailable.
"""
RemoveCopies: TypeAlias = Callable[[str], Awaitable[None]]
"""Removes all that a tenant has, for good; again finds nothing left."""


@dataclass(frozen=True, slots=True)
class Copying:
    """How copies are made and removed.

    Attributes:
        remove: removes those of a share.
        make: makes them; None: not by this process.
    """

    remove: RemoveCopies
    make: MakeCopies | None = None


@dataclass(frozen=True, slots=True)
class MadeShare:
    """A share that was just made: the only time that its secrets are known.

    Attributes:
        share: as it is kept.
        secret: of its link.
        codes: for one session each.
        report: what was left out of its copies; None: it opens the studies themselves.
    """

    share: Share
    secret: str
    codes: tuple[str, ...] = ()
    report: Report | None = None


class ShareMaking:
    """Makes the links of one tenant."""

    def __init__(
        self,
        studies: "SharedStudies",
        states: States[Share],
        noting: ShareNoting,
        copying: Copying | None,
        now_us: Callable[[], int],
    ) -> None:
        """Keep them in `states`, each change on record by `noting`."""
        self._studies = studies
        self._states = states
        self._noting = noting
        self._copying = copying
        self._now_us = now_us

    async def make(self, caller: Caller, wish: ShareWish, door: str) -> MadeShare:
        """Make a link, put it on record, and return it; raises as `Shares.create`."""
        access.require(caller, Action.SHARE)
        share, secret, codes = wished(wish, caller, self._now_us())
        share = await self._studies.allowed(caller, needed(wish), share)
        make = self._copying.make if self._copying is not None else None
        if share.deidentify and make is None:
            raise InvalidRequest("links that leave out who the patient is are not made here")

        def made(known: Share | None) -> Share:
            assert known is None, "128 random bits came twice"
            return share

        await self._states.change(share.share_id, made)
        if not share.deidentify or make is None:
            await self._noting.change(caller, share, "link made", door)
            return MadeShare(share, secret, codes)
        is_made = False
        try:
            copied = await make(caller, share, copies_tenant(share.share_id))
            share = await self._copied(share.share_id, copied)
            await self._noting.change(caller, share, "link made", door)
            is_made = True
        finally:
            if not is_made:
                await self._give_up(share.share_id)
        return MadeShare(share, secret, codes, copied.report)

    async def _copied(self, share_id: str, copied: Copied) -> Share:
        if not copied.copies:
            raise InvalidRequest("nothing is left of it without what may identify the patient")

        def ready(share: Share | None) -> Share:
            if share is None or share.revoked_us or self._now_us() >= share.until_us:
                raise Conflict("the link was ended before there was anything to open")
            return replace(share, copies=copied.copies, withheld=copied.report.withheld)

        share = await self._states.change(share_id, ready)
        assert share is not None
        return share

    async def _give_up(self, share_id: str) -> None:
        """End a link of which the copies could not all be made; what is left is tended later."""
        now_us = self._now_us()

        def ended(share: Share | None) -> Share | None:
            if share is None or share.revoked_us:
                return None
            return replace(share, revoked_us=now_us, revoked_by=ITSELF)

        await self._states.change(share_id, ended)
        assert self._copying is not None
        await self._copying.remove(copies_tenant(share_id))


class SharedStudies:
    """The studies of one tenant, of which some are to be shared."""

    def __init__(self, tenant: str, catalogue: Catalogue, sensitive: frozenset[str]) -> None:
        """Know them by `catalogue`; `sensitive` are the archive's sensitive labels."""
        self.tenant = tenant
        self._catalogue = catalogue
        self._admission = Admission(catalogue, sensitive=sensitive)
        self._sensitive = sensitive

    async def allowed(self, caller: Caller, actions: tuple[Action, ...], share: Share) -> Share:
        """Return a new share where somebody may share what it says.

        It has the labels by which its studies are sensitive, for which they are named. By one
        that comes later the studies are nobody's by this link.

        Raises:
            Denied, NotFound, InvalidRequest: as `Shares.create`.
        """
        for study in share.studies:
            for action in actions:
                _require_series(await self._admission.admit(caller, action, study), share)
        found = await self._catalogue.studies_by_uid(self.tenant, list(share.studies))
        if caller.tenant != self.tenant or len(found) < len(share.studies):
            raise NotFound("there is no such study")
        for study in found:  # as they are now: what was admitted may be older
            if not all(sees(caller, action, study, self._sensitive) for action in actions):
                raise NotFound("there is no such study")
        if share.series:
            of_study = await self._catalogue.series(self.tenant, share.studies[0])
            there = {one.series_instance_uid for one in of_study if one.instance_count}
            if not there.issuperset(share.series):
                raise NotFound("there is no such series")
        labels = frozenset[str]().union(*(one.labels for one in found)) & self._sensitive
        return replace(share, labels=tuple(sorted(labels)))

    async def are_there(self, share: Share) -> bool:
        """Return whether all that a share shares is there still, and shown."""
        found = await self._catalogue.studies_by_uid(self.tenant, list(share.studies))
        return sum(study.instance_count > 0 for study in found) == len(share.studies)


def _require_series(only: frozenset[str] | None, share: Share) -> None:
    """Return where somebody who is let at `only` some series shares no others."""
    if only is None:
        return
    if not share.series:
        raise InvalidRequest("name the series: you see some of this study only")
    if not only.issuperset(share.series):
        raise NotFound("there is no such series")

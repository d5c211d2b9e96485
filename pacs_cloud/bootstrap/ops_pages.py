"""What the operations pages show of an archive, and do in it, as the settings say."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pacs_cloud.bootstrap.dimse_doors import Destinations, known_devices
from pacs_cloud.bootstrap.ops_tiers import tier_services
from pacs_cloud.bootstrap.overview import listed_of, slow_counts_of, state_of
from pacs_cloud.bootstrap.process_status import told
from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.bootstrap.verifying import verify
from pacs_cloud.ingest.associations import SeenAssociation
from pacs_cloud.ingest.contents import spool_files
from pacs_cloud.settings import Settings
from pacs_cloud.web.ops.errands import Errands, Steps
from pacs_cloud.web.ops.kept import Kept
from pacs_cloud.web.ops.services import Classes, OpsServices
from pacs_cloud.web.ops.traffic import Traffic

_DIMSE: Final = "dimse"
_LISTED_S: Final = 60
"""How old may be what takes listings: a page that is open asks every few seconds, all day."""
_SEEN: Final = TypeAdapter(list[SeenAssociation])


@dataclass(frozen=True, slots=True)
class OpsRooms:
    """What the operations pages of all tenants share.

    Attributes:
        stores: where everything lies.
        traffic: what came in.
        errands: does what takes long.
        host: the settings as they are; operators of the tenant that they name look after the host.
    """

    stores: Stores
    traffic: Traffic
    errands: Errands
    host: Settings

    def services(self, settings: Settings) -> OpsServices:
        """Return what the pages of one tenant need."""
        stores, is_shared = self.stores, len(self.host.tenants) > 1
        listed = Kept(partial(listed_of, settings, stores), _LISTED_S)

        async def classes(steps: Steps) -> tuple[Classes | str, int | str]:
            return await slow_counts_of(settings, stores, looked=steps.step)

        return OpsServices(
            objects=stores.objects,
            catalogue=stores.catalogue,
            queue=stores.queue,
            state=partial(state_of, settings, stores, listed=listed.get),
            classes=classes,
            spool=partial(spool_files, settings.spool),
            associations=partial(_associations, settings, is_shared=is_shared),
            destinations=settings.destinations,
            verify=_verify_of(settings, stores),
            tiers=tier_services(settings, stores),
            traffic=self.traffic,
            errands=self.errands,
            is_shared=is_shared,
            sees_host=settings.tenant == self.host.tenant,
        )


@asynccontextmanager
async def open_ops(settings: Settings, stores: Stores) -> AsyncGenerator[OpsRooms]:
    """Open what the pages share: counters are looked at meanwhile, and long errands done."""
    traffic, errands = Traffic(), Errands(now_us)
    looking = asyncio.create_task(traffic.run())
    try:
        yield OpsRooms(stores, traffic, errands, settings)
    finally:
        looking.cancel()
        await asyncio.wait([looking])
        await errands.aclose()


def _associations(settings: Settings, *, is_shared: bool) -> list[SeenAssociation]:
    """Return a tenant's associations that the processes of this host tell of, the newest first.

    Who was not let in is nobody's where there are more tenants.
    """
    tenants = {settings.tenant, *(() if is_shared else ("",))}
    try:
        found = _SEEN.validate_python(told(settings, _DIMSE))
    except ValidationError:  # of another version, which is being replaced
        return []
    found = [one for one in found if one.tenant in tenants]
    return sorted(found, key=lambda one: (bool(one.ended_us), -one.since_us))


def _verify_of(settings: Settings, stores: Stores) -> Callable[[str], Awaitable[float]]:
    destinations = Destinations(settings, known_devices(settings, stores))

    async def ask(title: str) -> float:
        return await verify(destinations, settings.aet, settings.tenant, title)

    return ask

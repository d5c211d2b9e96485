"""What pages need to have studies sent: whom to, and the jobs that do it."""

from collections.abc import Sequence

from pacs_cloud.bootstrap.services import Stores, now_us
from pacs_cloud.identity.devices import devices_of
from pacs_cloud.retrieve.instances import Located
from pacs_cloud.settings import Settings
from pacs_cloud.web.study_services import DestinationText, SendingServices
from pacs_cloud.workers.send_recalled import jobs_for


def sending_of(settings: Settings, stores: Stores) -> SendingServices:
    """Return it for the archive that the settings name."""
    ours = [DestinationText(one.aet) for one in settings.destinations]

    async def destinations(tenant: str) -> Sequence[DestinationText]:
        states = [state async for state in devices_of(stores.objects, tenant)]
        theirs = [
            DestinationText(one.title, one.note)
            for one in (state.device for state in states)
            if one is not None and one.destination is not None and not one.is_disabled
        ]
        # As they are found when instances are sent: those of the settings come first.
        return list({one.title: one for one in (*theirs, *ours)}.values())

    async def send_later(destination: str, instances: Sequence[Located], send_id: str) -> None:
        for job in jobs_for(destination, instances, now_us(), send_id):
            await stores.queue.send(job)

    return SendingServices(destinations, send_later)

"""Settings become what the pages about custody and people need."""

from pacs_cloud.audit.trail import Trail
from pacs_cloud.audit.witness import DoorWitness
from pacs_cloud.bootstrap.correcting import corrector_of
from pacs_cloud.bootstrap.services import Reading, Stores, now_us, trash_of
from pacs_cloud.dimse.device_gate import UnknownPeers
from pacs_cloud.settings import Settings
from pacs_cloud.web.ops.custody_services import CustodyServices

_DOOR = "page"


def custody_services_of(
    settings: Settings, stores: Stores, reading: Reading, trail: Trail
) -> CustodyServices:
    """Return what a tenant's pages look after its archive with."""
    return CustodyServices(
        tenant=settings.tenant,
        objects=stores.objects,
        catalogue=stores.catalogue,
        queue=stores.queue,
        archive=reading.archive,
        trash=trash_of(stores, reading.archive),
        corrector=corrector_of(stores),
        witness=DoorWitness(trail, _DOOR, now_us),
        now_us=now_us,
        journals=settings.audit_journals,
        lets_in_locals=settings.no_auth
        or UnknownPeers(settings.dimse_unknown) is UnknownPeers.LOOPBACK,
        aet=settings.aet,
        sensitive=settings.sensitive_labels,
        trash_days=settings.trash_days,
        reread_days=settings.reread_days,
    )

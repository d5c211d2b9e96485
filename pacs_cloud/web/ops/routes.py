"""Every address of the operations pages."""

from starlette.routing import BaseRoute

from pacs_cloud.web.local_paths import OPS
from pacs_cloud.web.ops import (
    cost_page,
    devices_page,
    ingest_page,
    queue_page,
    recalls_page,
    tiers_page,
    what_if_page,
)
from pacs_cloud.web.ops.custody_routes import custody_routes
from pacs_cloud.web.ops.frame import OpsFrame
from pacs_cloud.web.ops.overview import Overview
from pacs_cloud.web.ops.services import OpsServices
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource


def ops_routes(kit: PageKit, services: OpsServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    frame = OpsFrame(kit)
    made = kit, services, frame
    refusals = kit.refusals
    ingest = ingest_page.IngestPage(*made)
    queue = queue_page.QueuePage(*made)
    devices = devices_page.DevicesPage(*made)
    cost = cost_page.CostPage(*made)
    return [
        resource(OPS, refusals, get=Overview(*made).show),
        resource(ingest_page.PATH, refusals, get=ingest.show),
        resource(queue_page.PATH, refusals, get=queue.show),
        resource(f"{queue_page.PATH}/redrive", refusals, get=queue.show, post=queue.redrive),
        resource(devices_page.PATH, refusals, get=devices.show, post=devices.verify),
        resource(tiers_page.PATH, refusals, get=tiers_page.TiersPage(*made).show),
        resource(cost_page.PATH, refusals, get=cost.show),
        resource(cost_page.PRICES, refusals, get=cost.prices),
        resource(what_if_page.PATH, refusals, get=what_if_page.WhatIfPage(*made).show),
        resource(recalls_page.PATH, refusals, get=recalls_page.RecallsPage(*made).show),
        *custody_routes(
            *(kit, services.custody, frame),
            sees_host=services.sees_host,
            is_shared=services.is_shared,
        ),
    ]

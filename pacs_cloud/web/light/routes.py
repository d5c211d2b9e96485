"""Every address of the light viewer."""

from typing import Final

from starlette.routing import BaseRoute

from pacs_cloud.web.assets import Assets
from pacs_cloud.web.light.frame_list import FrameLists
from pacs_cloud.web.light.installing import Installing
from pacs_cloud.web.light.key_images import KeyImages
from pacs_cloud.web.light.series_frames import SeriesFrames
from pacs_cloud.web.light.start_page import StartPage
from pacs_cloud.web.light.study_page import StudyPage
from pacs_cloud.web.light.volume import volume_routes
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource
from pacs_cloud.web.study_services import StudyServices

LIGHT: Final = "/light/"
_STUDY: Final = f"{LIGHT}studies/{{study}}"


def light_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    lists = FrameLists(services.archive)
    start = StartPage(kit, services)
    page = StudyPage(kit, services, lists)
    frames = SeriesFrames(lists)
    keys = KeyImages(kit, services)
    installing = Installing(kit, Assets())
    refusals = kit.refusals
    return [
        resource(LIGHT, refusals, get=start.show),
        resource(f"{LIGHT}manifest.webmanifest", refusals, get=installing.manifest),
        resource(f"{LIGHT}worker.js", refusals, get=installing.worker),
        resource(f"{LIGHT}away", refusals, get=installing.away),
        resource(_STUDY, refusals, get=page.show),
        resource(f"{_STUDY}/keys", refusals, get=keys.show, post=keys.keep),
        resource(f"{_STUDY}/series/{{series}}/frames", refusals, get=frames.show),
        *volume_routes(kit, services),
    ]

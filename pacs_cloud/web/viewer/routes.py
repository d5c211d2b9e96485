"""Every address of OHIF."""

from starlette.routing import BaseRoute

from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.viewer.pages import VIEWER, ViewerPages


def viewer_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    if services.viewer is None:
        return []
    pages = ViewerPages(kit, services.viewer)
    return [
        resource(VIEWER, kit.refusals, get=pages.home),
        resource(f"{VIEWER}/", kit.refusals, get=pages.home),
        resource(f"{VIEWER}/{{path:path}}", kit.refusals, get=pages.show),
    ]

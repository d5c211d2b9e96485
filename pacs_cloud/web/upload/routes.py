"""Every address of uploads."""

from starlette.routing import BaseRoute

from pacs_cloud.web.local_paths import UPLOAD
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource
from pacs_cloud.web.study_services import StudyServices
from pacs_cloud.web.upload.page import UploadPage


def upload_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    page = UploadPage(kit, services)
    return [resource(UPLOAD, kit.refusals, get=page.show, post=page.take)]

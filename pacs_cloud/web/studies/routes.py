"""Every address of the study list."""

from starlette.routing import BaseRoute

from pacs_cloud.web.local_paths import STUDIES
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource
from pacs_cloud.web.studies.asides import Asides
from pacs_cloud.web.studies.labelling import Labelling
from pacs_cloud.web.studies.list import StudyList
from pacs_cloud.web.studies.study import StudyPage
from pacs_cloud.web.study_services import StudyServices


def studies_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    page = StudyPage(kit, services)
    labelling = Labelling(kit, services, page)
    refusals = kit.refusals
    return [
        resource(STUDIES, refusals, get=StudyList(kit, services).show),
        resource("/studies/asides", refusals, get=Asides(kit, services).show),
        resource("/studies/{study}", refusals, get=page.show),
        resource("/studies/{study}/labels", refusals, get=page.show, post=labelling.change),
    ]

"""Every address of what is done with chosen studies: sent, downloaded, recalled, pinned."""

from starlette.routing import BaseRoute

from pacs_cloud.web.local_paths import DOWNLOAD, RECALL, SEND
from pacs_cloud.web.page_kit import PageKit
from pacs_cloud.web.resource import resource
from pacs_cloud.web.studies.actions_download import Download
from pacs_cloud.web.studies.actions_pin import Pinning
from pacs_cloud.web.studies.actions_recall import RecallPage
from pacs_cloud.web.studies.actions_send import SendPage
from pacs_cloud.web.study_services import StudyServices


def actions_routes(kit: PageKit, services: StudyServices) -> list[BaseRoute]:
    """Return them as routes of the HTTP application."""
    refusals = kit.refusals
    recall = RecallPage(kit, services, Pinning(kit, services))
    found: list[BaseRoute] = [
        resource(RECALL, refusals, get=recall.show, post=recall.start),
        resource(f"{RECALL}/pin", refusals, get=recall.show, post=recall.pin),
        resource(DOWNLOAD, refusals, get=Download(kit, services, recall).show),
    ]
    if services.sending is not None:
        send = SendPage(kit, services, services.sending)
        found.append(resource(SEND, refusals, get=send.show, post=send.send))
    return found
